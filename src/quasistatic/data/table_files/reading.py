"""Which reader a file has: by the ending of its name."""

__all__ = ["open_table"]

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from ..numpy_files import read_numpy
from .layout import MISSING, Layout
from .table_file import ArrayFile, ScannedFile, TableFile, first_line


def open_table(path: str | Path, types: Mapping[str, pl.DataType] | None = None) -> TableFile:
    """The table in a file, by the ending of its name.

    Args:
        types: of columns that a text file is known to have, so that their values are read alike
            in each file: a name that looks like a number stays a name.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the ending is not known, the file is damaged, or it holds no table: where.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise ValueError(f"{path} has no ending that is known: use {', '.join(READERS)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    found = READERS[path.suffix.lower()](path, types or {})
    if not found.rows or not found.names:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    return found


def _read_text(path: Path, types: Mapping[str, pl.DataType]) -> TableFile:
    layout = Layout.of(path)
    schema: dict[str, pl.DataType] = dict.fromkeys(layout.codes, pl.String())
    schema |= {name: kind for name, kind in types.items() if name in layout.names}
    try:
        frame = pl.scan_csv(
            path,
            separator=layout.separator,
            has_header=layout.header,
            new_columns=list(layout.names),
            schema_overrides=schema,
            null_values=list(MISSING),
            n_rows=layout.rows,
            infer_schema_length=None,
        )
        return ScannedFile(path, layout.rows, frame, frame.collect_schema())
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from None


def _read_numpy(path: Path, types: Mapping[str, pl.DataType]) -> TableFile:
    array = read_numpy(path)
    if not array.ndim:
        raise ValueError(f"{path} holds a single number, and a table is an array of them")
    return ArrayFile(path, len(array), array)


def _read_parquet(path: Path, types: Mapping[str, pl.DataType]) -> TableFile:
    try:
        frame = pl.scan_parquet(path)
        return ScannedFile(
            path, frame.select(pl.len()).collect().item(), frame, frame.collect_schema()
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is no Parquet file: {first_line(error)}") from None


READERS: dict[str, Callable[[Path, Mapping[str, pl.DataType]], TableFile]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".parquet": _read_parquet,
}
