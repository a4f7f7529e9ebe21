"""Tables in files, compressed by a fitted table and read again."""

__all__ = ["compress_table", "decompress_table"]

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from ..coding import Codec, CompressionReport, Header, StreamError, compress_array
from ..data.table_files import write_table
from .opened_table import OpenedTable


def compress_table(table: OpenedTable, codec: Codec, data: Path, target: Path) -> CompressionReport:
    """Writes the stream of a table in a file: its names, types and values, not the way that they
    are written. Memory does not grow with the rows.

    Raises:
        ValueError: if a row is none that the model knows, or would not come back as it is.
    """
    with tempfile.TemporaryFile() as numbers:
        rows, width = 0, 0
        for piece in table.pieces(data):
            array = _coded(table, piece, rows, data)
            rows, width = rows + len(array), array.shape[1]
            numbers.write(array.astype("<f8").tobytes())
        numbers.flush()
        mapped = np.memmap(numbers, "<f8", mode="r", shape=(rows, width))  # type: ignore[call-overload]
        return compress_array(codec, mapped, target)


def _coded(table: OpenedTable, piece: pl.DataFrame, first: int, data: Path) -> np.ndarray:
    """Rows as the model has them, if it has a code for them."""
    array = table.numbers(piece)
    holes = np.flatnonzero(np.isnan(array).any(1))
    if len(holes) and not table.density.model_.space.holes:
        raise ValueError(
            f"row {first + holes[0]} of {data} lacks a value, for which a model of numbers has no "
            "code: impute the table first, or fit it with the type of a column "
            f"({next(iter(table.types))}=numeric), which makes it one of mixed columns"
        )
    if not table.frame(table.rows(array)).equals(piece):
        raise ValueError(
            f"rows {first} to {first + len(piece) - 1} of {data} would not come back as they are, "
            "as a number has more digits than a float64: leave that column out"
        )
    return array


def decompress_table(
    table: OpenedTable, codec: Codec, source: Path, target: Path, anyway: bool
) -> Header:
    """Reads such a stream into a file, by the ending of its name.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: what is wrong with it; nothing is written.
    """
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    with source.open("rb") as stream:
        try:
            header, parts = codec.read(stream, anyway)
            write_table(target, (table.frame(table.rows(part)) for part in parts))
        except StreamError as error:
            raise StreamError(f"{source}: {error}") from None
    return header
