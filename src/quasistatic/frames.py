"""Tables in files: named columns of numbers, as CSV, NPY, NPZ or Parquet."""

__all__ = ["Frame", "read_frame", "write_frame"]

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .checks import nearest

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
"""How a CSV file says that a value is missing, in lower case."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Columns of numbers.

    Args:
        names: of the columns, D.
        values: with shape (N, D), in float64; NaN is missing.
        whole: for each column whether it holds whole numbers only, which it keeps when written.
    """

    names: tuple[str, ...]
    values: np.ndarray
    whole: tuple[bool, ...]

    @classmethod
    def of(cls, names: list[str] | None, values: np.ndarray) -> "Frame":
        """A frame of an array (N, D); columns without names are x0, x1, ..."""
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"a table has rows and columns, got an array of shape {array.shape}")
        seen = np.where(np.isfinite(array), array, 0.0)
        whole = tuple((seen == np.round(seen)).all(0).tolist())
        given = names or [f"x{i}" for i in range(array.shape[1])]
        return cls(tuple(given), array, whole)

    def like(self, values: np.ndarray) -> "Frame":
        """Other rows of the same columns: those of whole numbers are rounded."""
        rounded = np.where(np.array(self.whole), np.round(values), values)
        return Frame(self.names, rounded, self.whole)

    def ordered(self, names: tuple[str, ...]) -> "Frame":
        """Those columns in that order.

        Raises:
            ValueError: if one of them is missing: which are there.
        """
        for name in names:
            if name not in self.names:
                raise ValueError(f"there is no column {name!r}: {nearest(name, self.names)}")
        where = [self.names.index(name) for name in names]
        return Frame(names, self.values[:, where], tuple(self.whole[i] for i in where))

    def described(self) -> list[tuple[str, str, str, str, str]]:
        """Of each column its name, what it is taken for, its least and its largest value, and how
        many of its values are missing, as text."""
        rows = []
        for name, column, whole in zip(self.names, self.values.T, self.whole, strict=True):
            seen = column[~np.isnan(column)]
            span = (f"{seen.min():g}", f"{seen.max():g}") if len(seen) else ("", "")
            kind = "whole numbers" if whole else "numbers"
            if len(set(span)) == 1:
                kind = "constant" if len(seen) else "empty"
            rows.append((name, kind, *span, f"{1 - len(seen) / len(column):.1%}"))
        return rows


def read_frame(path: str | Path) -> Frame:
    """The table in a file, by the ending of its name.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the ending is not known, the file is damaged, or a column holds other things
            than numbers: where.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return READERS[path.suffix.lower()](path)


def write_frame(path: str | Path, frame: Frame) -> Path:
    """Writes a table to a file, by the ending of its name, whole or not at all; says where."""
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(WRITERS)}")
    files.write_bytes(path, WRITERS[path.suffix.lower()](frame))
    return path


def _read_csv(path: Path) -> Frame:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise ValueError(f"{path} is empty")
    names = None if all(_is_number(cell) for cell in rows[0]) else [c.strip() for c in rows[0]]
    body, width = rows[1:] if names else rows, len(rows[0])
    if names and len(set(names)) < len(names):
        raise ValueError(f"{path} has two columns of one name: {', '.join(names)}")
    values = np.empty((len(body), width))
    for i, row in enumerate(body):
        if len(row) != width:
            raise ValueError(f"row {i + 1} of {path} has {len(row)} values, and row 1 {width}")
        try:
            values[i] = [np.nan if c.strip().lower() in MISSING else float(c) for c in row]
        except ValueError:
            at = next(j for j, cell in enumerate(row) if not _is_number(cell))
            raise ValueError(
                f"column {names[at] if names else at!r} of {path} holds {row[at]!r} in row "
                f"{i + 1}: only numbers can be read so far; leave such columns out"
            ) from None
    return Frame.of(names, values)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _write_csv(frame: Frame) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.names)
    for row in frame.values.tolist():
        writer.writerow(
            "" if v != v else str(int(v)) if whole and abs(v) < 2**53 else repr(v)
            for v, whole in zip(row, frame.whole, strict=True)
        )
    return text.getvalue().encode()


def _read_numpy(path: Path) -> Frame:
    try:
        found = np.load(path, allow_pickle=False)
        arrays = [found] if isinstance(found, np.ndarray) else [found[k] for k in found.files]
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no NumPy file: {error}") from None
    if len(arrays) != 1 or arrays[0].dtype.kind not in "biuf":
        raise ValueError(f"{path} holds {len(arrays)} arrays, and a table is one of real numbers")
    return Frame.of(None, arrays[0].reshape(len(arrays[0]), -1))


def _write_npy(frame: Frame) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, frame.values)
    return buffer.getvalue()


def _write_npz(frame: Frame) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, values=frame.values)
    return buffer.getvalue()


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise ValueError("Parquet files are read by polars: pip install polars") from None
    return polars


def _read_parquet(path: Path) -> Frame:
    polars = _polars()
    try:
        found = polars.read_parquet(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from None
    kinds = found.schema.items()
    wrong = [name for name, kind in kinds if not (kind.is_numeric() or kind == polars.Boolean)]
    if wrong:
        raise ValueError(
            f"column {wrong[0]!r} of {path} holds {found.schema[wrong[0]]}: only numbers can be "
            "read so far; leave such columns out"
        )
    values = found.cast(polars.Float64).to_numpy()
    return Frame.of(found.columns, np.array(values, dtype=np.float64))


def _write_parquet(frame: Frame) -> bytes:
    polars, buffer = _polars(), io.BytesIO()
    columns = {}
    for name, column, whole in zip(frame.names, frame.values.T, frame.whole, strict=True):
        series = polars.Series(name, np.ascontiguousarray(column)).fill_nan(None)
        columns[name] = series.cast(polars.Int64) if whole else series
    polars.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


READERS: dict[str, Callable[[Path], Frame]] = {
    ".csv": _read_csv,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".parquet": _read_parquet,
}
WRITERS: dict[str, Callable[[Frame], bytes]] = {
    ".csv": _write_csv,
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
