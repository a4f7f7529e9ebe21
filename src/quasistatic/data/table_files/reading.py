"""Opening a table: the ending of the file's name chooses the reader."""

__all__ = ["open_table", "open_with"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ..numpy_files import read_numpy
from .bounds import check_columns, check_first_line
from .notation import Notation
from .options import Reading
from .sources import ParquetRows
from .table_file import ArrayFile, ScannedFile, TableFile, first_line
from .text import listed, read_text


def open_table(
    path: str | Path,
    types: Mapping[str, Any] | None = None,
    *,
    header: bool | None = None,
    missing: Sequence[str] = (),
    encoding: str | None = None,
    notations: Mapping[str, Notation] | None = None,
    lenient: bool = False,
    left_out: int = 0,
) -> TableFile:
    """Opens the table in a file, by the ending of its name.

    Args:
        path: a .csv, .tsv, .txt, .dat, .npy, .npz or .parquet file.
        types: polars types of columns that a text file is known to have, so that their cells are
            read alike in each file: text that looks like a number stays text, and in a column of
            numbers each cell must be one.
        header: whether the first row of a text file holds names; None decides by the rows.
        missing: more words for a missing value in a text file.
        encoding: of a text file's characters, by Python's name; None reads UTF-8.
        notations: of columns of a text file that are known to have them, a format of dates for
            example.
        lenient: whether a text file with problems is opened all the same. They are listed in its
            `problems`, and a cell that is none of its column is missing.
        left_out: how many columns of the file are not modelled.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the ending is not known, the file is damaged, or it holds no table: where.
            All problems of a text file are named together.
    """
    reading = Reading(types or {}, header, tuple(missing), encoding, notations or {}, left_out)
    return open_with(path, reading, lenient)


def open_with(path: str | Path, reading: Reading, lenient: bool = False) -> TableFile:
    """Opens the table in a file.

    Args:
        path: a .csv, .tsv, .txt, .dat, .npy, .npz or .parquet file.
        reading: how a text file is to be read.
        lenient: whether a text file with problems is opened all the same, see :func:`open_table`.

    Raises:
        FileNotFoundError, ValueError: see :func:`open_table`.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    found = READERS[path.suffix.lower()](path, reading)
    if found.problems and not lenient:
        raise ValueError(listed(path, found.problems))
    if not found.rows or not found.names:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    check_columns(path, len(found.names), reading.left_out)
    return found


def _read_text(path: Path, reading: Reading) -> TableFile:
    check_first_line(path, reading.left_out)
    try:
        return read_text(path, reading)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from None


def _read_numpy(path: Path, reading: Reading) -> TableFile:
    array = read_numpy(path)
    if not array.ndim:
        raise ValueError(f"{path} holds a single number, and a table is an array of them")
    return ArrayFile(path, len(array), array)


def _read_parquet(path: Path, reading: Reading) -> TableFile:
    try:
        frame = pl.scan_parquet(path)
        rows, schema = frame.select(pl.len()).collect().item(), dict(frame.collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {first_line(error)}") from None
    return ScannedFile(path, rows, ParquetRows(path, rows), schema)


READERS: dict[str, Callable[[Path, Reading], TableFile]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat"), _read_text),
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".parquet": _read_parquet,
}
