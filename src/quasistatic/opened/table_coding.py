"""Tables in files, compressed by a fitted table, and read again."""

__all__ = ["compress_table", "decompress_table"]

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..coding import Codec, CompressionReport, Header, StreamError, compress_array
from ..data.table_files import write_table
from .fitted_table import FittedTable


def compress_table(table: FittedTable, codec: Codec, data: Path, target: Path) -> CompressionReport:
    """Compresses a table in a file. The stream keeps the names and types of columns and the values,
    and not how the file spells them. The memory does not grow with the number of rows.

    Args:
        table: the fitted table.
        codec: the codec of the table's model.
        data: the file to read.
        target: the stream to write.

    Raises:
        ValueError: if the model does not know a row, or a row would come back changed.
    """
    with tempfile.TemporaryFile() as numbers:
        rows, width = 0, 0
        for piece in table.pieces(data):
            array = _coded(table, piece, rows, data)
            rows, width = rows + len(array), array.shape[1]
            numbers.write(array.astype("<f8").tobytes())
        numbers.flush()
        source: Any = numbers  # NumPy takes an open file, which its types do not say
        mapped = np.memmap(source, "<f8", mode="r", shape=(rows, width))
        return compress_array(codec, mapped, target)


def _coded(table: FittedTable, piece: pl.DataFrame, first: int, data: Path) -> np.ndarray:
    """Rows as numbers of the model. Raises ValueError if it has no code for them."""
    array = table.numbers(piece)
    holes = np.flatnonzero(np.isnan(array).any(1))
    if len(holes) and not table.model.space.holes:
        raise ValueError(
            f"row {first + holes[0]} of {data} lacks a value, for which a model of small whole "
            "numbers has no code: impute the table first, or fit it with --types "
            f"{next(iter(table.types))}=integer, which makes a model of any columns"
        )
    if not table.frame(table.rows(array)).equals(piece):
        raise ValueError(
            f"rows {first} to {first + len(piece) - 1} of {data} would come back changed, as a "
            "number has more digits than a float64: leave that column out"
        )
    return array


def decompress_table(
    table: FittedTable, codec: Codec, source: Path, target: Path, anyway: bool
) -> Header:
    """Reads a stream of :func:`compress_table` into a file, by the ending of its name.

    Args:
        table: the fitted table.
        codec: the codec of the table's model.
        source: the stream.
        target: the file to write.
        anyway: read it even if the floating-point arithmetic of its writer may differ from this
            machine's.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: if it is damaged; the message says how. Nothing is written.
    """
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    with source.open("rb") as stream:
        try:
            header, parts = codec.read(stream, anyway)
            write_table(target, (table.frame(table.rows(part)) for part in parts), table.style)
        except StreamError as error:
            raise StreamError(f"{source}: {error}") from None
    return header
