"""Tables in files, compressed by a fitted table, and read again."""

__all__ = ["compress_table", "decompress_table"]

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from .._utils import files
from .._utils.row_errors import RowError
from ..coding import (
    Codec,
    CompressionReport,
    Following,
    Header,
    StreamError,
    blocks_read,
    compress_array,
    header_in,
)
from ..data.table_files import write_table
from ..reporting.console import Display
from .fitted_table import PIECE, FittedTable


def compress_table(
    table: FittedTable, codec: Codec, data: Path, target: Path, display: Display | None = None
) -> CompressionReport:
    """Compresses a table in a file. The stream keeps the names and types of columns and the values,
    and not how the file spells them. The memory does not grow with the number of rows. If it is
    stopped, the same call continues after the last finished block.

    Args:
        table: the fitted table.
        codec: the codec of the table's model.
        data: the file to read.
        target: the stream to write.
        display: where progress is shown; None shows nothing.

    Raises:
        ValueError: if the model does not know a row, or a row would come back changed.
    """
    display = display or Display(quiet=True)
    with tempfile.TemporaryFile() as numbers, _Beside(target) as beside:
        rows, width, file = 0, 0, table.file(data)
        with display.counting("read", file.rows) as advance:
            for whole in file.pieces(PIECE):
                beside.keep(whole, table.types)
                array = _coded(table, table.fitted(whole), rows, data)
                rows, width = rows + len(array), array.shape[1]
                numbers.write(array.astype("<f8").tobytes())
                advance(len(array))
        numbers.flush()
        source: Any = numbers  # NumPy takes an open file, which its types do not say
        mapped = np.memmap(source, "<f8", mode="r", shape=(rows, width))
        with display.counting("compress", rows) as advance:
            return compress_array(codec, mapped, target, Following(display.say, advance))


def _coded(table: FittedTable, piece: pl.DataFrame, first: int, data: Path) -> np.ndarray:
    """Rows as numbers of the model. Raises ValueError if it has no code for them."""
    try:
        array = table.numbers(piece)
    except RowError as error:
        raise error.in_row(first + error.index + 1) from None
    holes = np.flatnonzero(np.isnan(array).any(1))
    if len(holes) and not table.model.space.holes:
        raise ValueError(
            f"row {first + int(holes[0]) + 1:,} of {data} lacks a value, for which a model of "
            "small whole numbers has no code: impute the table first, or fit it with --types "
            f"{next(iter(table.types))}=integer, which makes a model of any columns"
        )
    again = table.frame(table.rows(array))
    if not again.equals(piece):
        name = next(name for name in piece.columns if not again[name].equals(piece[name]))
        row = int(again[name].ne_missing(piece[name]).arg_max() or 0)
        raise ValueError(
            f"column {name!r} of {data} holds {piece[name][row]} in row {first + row + 1:,}, which "
            f"would come back as {again[name][row]}, as a float64 has fewer digits: leave the "
            f"column out (fit with --leave-out {name})"
        )
    return array


def decompress_table(
    table: FittedTable,
    codec: Codec,
    source: Path,
    target: Path,
    anyway: bool,
    display: Display | None = None,
) -> Header:
    """Reads a stream of :func:`compress_table` into a file, by the ending of its name. If it is
    stopped, the same call continues after the last finished block.

    Args:
        table: the fitted table.
        codec: the codec of the table's model.
        source: the stream.
        target: the file to write.
        anyway: read it even if the floating-point arithmetic of its writer may differ from this
            machine's.
        display: where progress is shown; None shows nothing.

    Raises:
        FileNotFoundError: if there is no stream.
        StreamError: if it is damaged; the message says how. Nothing is written.
    """
    display = display or Display(quiet=True)
    count = header_in(source).count
    with source.open("rb") as stream, display.counting("decompress", count) as advance:
        kept = blocks_read(source, target, Following(display.say, advance))
        try:
            header, parts = codec.read(stream, anyway, kept)
            beside = _Kept.of(source)
            if beside is not None and beside.rows != header.count:
                raise StreamError(f"{beside.path.name} beside it has {beside.rows} rows")
            frames = (table.frame(table.rows(part)) for part in parts)
            whole = frames if beside is None else beside.joined(frames)
            write_table(target, whole, table.style)
        except StreamError as error:
            kept.remove()
            raise StreamError(f"{source}: {error}") from None
    kept.remove()
    return header


ENDING, ORDER = ".rows.parquet", "quasistatic.columns"
"""The ending of the file beside a stream that holds the columns that are not modelled, and the name
of the metadata with the order of all columns."""


class _Beside:
    """Keeps the columns of a file that are not modelled, in a file beside a stream. The file is
    written when the stream is, and not at all where there are no such columns.

    Args:
        stream: the path of the stream.
    """

    def __init__(self, stream: Path) -> None:
        self.path = stream.with_name(stream.name + ENDING)
        self.order: list[str] = []
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def keep(self, piece: pl.DataFrame, modelled: Collection[str]) -> None:
        """Keeps the columns of a piece that are not modelled."""
        self.order = piece.columns
        names = [name for name in piece.columns if name not in modelled]
        if names:
            piece.select(names).write_parquet(Path(self.folder.name) / f"{self.count:09}.parquet")
            self.count += 1

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.path.unlink(missing_ok=True)
            if self.count:
                whole = pl.scan_parquet(Path(self.folder.name) / "*.parquet")
                with files.writing(self.path) as file:
                    whole.sink_parquet(file, metadata={ORDER: json.dumps(self.order)})
        self.folder.cleanup()


@dataclass(frozen=True)
class _Kept:
    """The columns that a file beside a stream holds.

    Args:
        path: of the file.
        order: the names of all columns of the table, in their order.
        rows: how many rows it has.
    """

    path: Path
    order: tuple[str, ...]
    rows: int

    @classmethod
    def of(cls, stream: Path) -> "_Kept | None":
        """What lies beside a stream; None if nothing does.

        Raises:
            StreamError: if it is damaged.
        """
        path = stream.with_name(stream.name + ENDING)
        if not path.is_file():
            return None
        try:
            order = json.loads(pl.read_parquet_metadata(path)[ORDER])
            count = pl.scan_parquet(path).select(pl.len()).collect().item()
        except (OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
            raise StreamError(f"{path.name} beside it is damaged ({error})") from None
        return cls(path, tuple(order), count)

    def joined(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Rows of the modelled columns with the columns beside them, in the order of the table."""
        kept, start = pl.scan_parquet(self.path), 0
        for frame in frames:
            beside = kept.slice(start, len(frame)).collect()
            yield pl.concat([frame, beside], how="horizontal").select(self.order)
            start += len(frame)
