"""Images and what is told of them, from files and to files, as a run needs them."""

__all__ = ["given", "levels_of", "rows_of", "write_csv", "write_drawn", "write_scores"]

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from .._utils import files
from ..data.pictures import Images, read_images, write_images
from ..recipes import OwnImages
from ..recipes.runs import Opened
from .arguments import load_array, save_array


def given(path: Path, opened: Opened, exact: bool = False) -> Images:
    """The images in a folder or a file, as those that a run was fitted to were read.

    Args:
        exact: whether they must be of that size and mode already.

    Raises:
        ValueError: if they are not of the run's shape: what they are.
    """
    recipe, shape = opened.recipe, tuple(opened.model.space.shape)
    size = mode = None
    if path.is_dir() and not exact:
        if isinstance(recipe, OwnImages):
            size, mode = recipe.size, recipe.mode
        mode = "1" if levels_of(opened) == 2 else mode
    images = read_images(path, size, mode)
    if path.is_dir() and levels_of(opened) == 2:
        images = images.bits() or images
    if images.array.shape[1:] != shape:
        raise ValueError(
            f"{path} holds {images}, an array of shape {images.array.shape}, and the run is of "
            f"examples of shape {shape}: give images of that size and mode"
        )
    return images


def rows_of(
    path: Path | None, opened: Opened, part: Literal["valid", "test"]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The examples in a folder or a file, or where none is given, that part of the run's own data;
    and the names of the files, or numbers."""
    if path is None:
        x = {"valid": opened.experiment.data.valid, "test": opened.experiment.data.test}[part]
    elif path.is_dir() or isinstance(opened.recipe, OwnImages):
        images = given(path, opened)
        return images.array, images.names
    else:
        x = load_array(path)
    return x, tuple(map(str, range(len(x))))


def levels_of(opened: Opened) -> int:
    """How many values a pixel can have."""
    levels = opened.model.space.levels
    if levels is None:
        raise ValueError(f"{opened.folder} is no run of images: its data have no levels")
    return len(levels)


def write_drawn(path: Path, drawn: np.ndarray, opened: Opened, names: tuple[str, ...] = ()) -> Path:
    """Writes what a run made: images as a folder or a sheet where the path asks for one, and
    anything else as an array."""
    images = len(drawn.shape) > 2 and opened.model.space.levels is not None
    if not images or path.suffix not in ("", ".png"):
        return save_array(path, drawn)
    return write_images(path, drawn, levels_of(opened), names)


def write_scores(path: Path, names: Sequence[str], nats: np.ndarray) -> Path:
    """Writes the score of each example: as a table with the names of the files where the path ends
    in .csv, else as an array."""
    if path.suffix != ".csv":
        return save_array(path, nats)
    rows = [(name, repr(value)) for name, value in zip(names, nats.tolist(), strict=True)]
    write_csv(path, ("file", "log_prob"), rows)
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    files.write_text(path, text.getvalue())
