"""Arrays and scores in files."""

__all__ = ["load_array", "save_array", "write_csv", "write_scores"]

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._utils import files
from ..data.numpy_files import read_numpy


def load_array(data: object) -> np.ndarray:
    """The array of a .npy file, which stays on disk until its values are needed, or `data` itself
    if it is an array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold one array of real numbers.
    """
    if isinstance(data, str | Path):
        return read_numpy(Path(data))
    return np.asarray(data)


def save_array(path: Path, array: np.ndarray) -> Path:
    """Writes a .npy file, whole or not at all; returns its path."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    files.write_bytes(path, buffer.getvalue())
    return path


def write_scores(path: Path, names: Sequence[str], nats: np.ndarray) -> Path:
    """Writes the score of each example: with the names of the files where the path ends in .csv,
    else as an array."""
    path = Path(path)
    if path.suffix != ".csv":
        return save_array(path, nats)
    rows = [(name, repr(value)) for name, value in zip(names, nats.tolist(), strict=True)]
    write_csv(path, ("file", "log_prob"), rows)
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a small table of text, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    files.write_text(path, text.getvalue())
