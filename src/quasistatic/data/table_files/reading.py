"""Opening a table: the ending of the file's name chooses the reader."""

__all__ = ["Reading", "open_table"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ..numpy_files import read_numpy
from .cells import MISSING, Column, as_numbers, examine
from .layout import Layout
from .table_file import ArrayFile, ScannedFile, TableFile, first_line


@dataclass(frozen=True)
class Reading:
    """How a text file is to be read.

    Args:
        types: polars types of columns that the file is known to have: text stays text even where it
            looks like a number, and in a column of numbers each cell must be one.
        header: whether the first row holds names; None decides by the rows.
        missing: more words for a missing value.
    """

    types: Mapping[str, Any] = field(default_factory=dict)
    header: bool | None = None
    missing: tuple[str, ...] = ()


def open_table(
    path: str | Path,
    types: Mapping[str, Any] | None = None,
    *,
    header: bool | None = None,
    missing: Sequence[str] = (),
) -> TableFile:
    """Opens the table in a file, by the ending of its name.

    Args:
        path: a .csv, .tsv, .npy, .npz or .parquet file.
        types: polars types of columns that a text file is known to have, so that their cells are
            read alike in each file: text that looks like a number stays text, and in a column of
            numbers each cell must be one.
        header: whether the first row of a text file holds names; None decides by the rows.
        missing: more words for a missing value in a text file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the ending is not known, the file is damaged, or it holds no table: where.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    reading = Reading(types or {}, header, tuple(missing))
    found = READERS[path.suffix.lower()](path, reading)
    if not found.rows or not found.names:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    return found


def _read_text(path: Path, reading: Reading) -> TableFile:
    layout = Layout.of(path, reading.header, tuple(reading.types))
    missing = [*MISSING, *reading.missing]
    text: dict[str, Any] = dict.fromkeys(layout.codes, pl.String())
    for name, kind in reading.types.items():
        if name in layout.names and kind == pl.String:
            text[name] = kind
    try:
        whole = _scan(path, layout, missing, text)
        odd = [
            name
            for name, kind in whole.collect_schema().items()
            if kind == pl.String and name not in text
        ]
        columns = examine(whole, odd, missing, layout.separator)
        numeric = [each for each in columns if each.is_numeric]
        wrong = [
            each
            for each in columns
            if not each.is_numeric
            and (each.is_mostly_numeric or (each.known and _is_numeric(reading.types, each.name)))
        ]
        if wrong:
            listed = "; ".join(map(str, wrong[:20]))
            words = sorted({word for each in wrong for _, word in each.odd})
            raise ValueError(
                f"{path}: {listed}. The first row of data is row 1. Correct these cells, or read a "
                f"word as missing (--missing {words[0]!r}), or make the column one of names "
                f"(--types {wrong[0].name}=categorical)"
            )
        frame = _without_fractions(
            whole.with_columns(as_numbers(each, missing) for each in numeric), numeric
        )
        names = [name for name in layout.names if whole.collect_schema()[name] == pl.String]
        rest = [name for name in names if name not in {each.name for each in numeric}]
        frame = frame.with_columns(_known(name, missing) for name in rest)
        notes = [layout.note] if layout.note else []
        notes += [
            f"{each.name}: numbers in another notation, as "
            + ("1.234,5" if each.commas else "1,234.5, +1, $1 or 1%")
            for each in numeric
        ]
        return ScannedFile(path, layout.rows, frame, frame.collect_schema(), tuple(notes))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from None


def _scan(
    path: Path, layout: Layout, missing: Sequence[str], types: Mapping[str, Any]
) -> pl.LazyFrame:
    return pl.scan_csv(
        path,
        separator=layout.separator,
        has_header=layout.header,
        new_columns=list(layout.names),
        schema_overrides=types,
        null_values=list(missing),
        n_rows=layout.rows,
        infer_schema_length=None,
    )


def _without_fractions(frame: pl.LazyFrame, columns: Sequence[Column]) -> pl.LazyFrame:
    """The file with integers in those columns that hold whole numbers only."""
    if not columns:
        return frame
    cells = [pl.col(each.name) for each in columns]
    whole = frame.select((c.abs() < 2**53).all() & (c == c.round()).all() for c in cells).collect()
    names = [name for name, holds in whole.row(0, named=True).items() if holds]
    return frame.with_columns(pl.col(name).cast(pl.Int64) for name in names)


def _known(name: str, missing: Sequence[str]) -> pl.Expr:
    """A text column whose words for a missing value, with spaces around them, are missing."""
    cell = pl.col(name)
    return pl.when(~cell.str.strip_chars().is_in(list(missing))).then(cell).alias(name)


def _is_numeric(types: Mapping[str, Any], name: str) -> bool:
    return name in types and bool(types[name].is_numeric())


def _read_numpy(path: Path, reading: Reading) -> TableFile:
    array = read_numpy(path)
    if not array.ndim:
        raise ValueError(f"{path} holds a single number, and a table is an array of them")
    return ArrayFile(path, len(array), array)


def _read_parquet(path: Path, reading: Reading) -> TableFile:
    try:
        frame = pl.scan_parquet(path)
        return ScannedFile(
            path, frame.select(pl.len()).collect().item(), frame, frame.collect_schema()
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {first_line(error)}") from None


READERS: dict[str, Callable[[Path, Reading], TableFile]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".parquet": _read_parquet,
}
