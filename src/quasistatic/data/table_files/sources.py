"""Where the rows of a table in a file come from: some thousand at a time, in bounded memory."""

__all__ = ["ParquetRows", "RowSource", "TextRows"]

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from .records import records

SLICE = 1 << 17
"""Rows of a Parquet file that are read at once."""


class RowSource(abc.ABC):
    """The rows of a file as frames of a bounded size."""

    @abc.abstractmethod
    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, in order; a frame has as many as fit into some megabytes."""

    def pieces(self, rows: int) -> Iterator[pl.DataFrame]:
        """The rows in frames of so many rows; the last one may have fewer."""
        left: pl.DataFrame | None = None
        for frame in self.frames():
            joined = frame if left is None or not len(left) else pl.concat([left, frame])
            start = 0
            while len(joined) - start >= rows:
                yield joined[start : start + rows]
                start += rows
            left = joined[start:]
        if left is not None and len(left):
            yield left


@dataclass(frozen=True)
class TextRows(RowSource):
    """The rows of a text file in UTF-8 as columns of text. Whole rows of a few megabytes are parsed
    at a time: the streaming engine of polars holds more of a file the longer it is.

    Args:
        path: the file.
        separator: of its columns, one byte.
        comment: what lines start with that hold no row; empty if there are none.
        names: of its columns.
        skip: how many lines at its start hold no rows.
        header: whether the first row holds names.
        rows: how many rows there are.
        ragged: whether some rows are too long.
        missing: cells that are null; an empty cell is.
        read: what is read of the columns of text; all of them if there is nothing.
        owner: what must live as long as the file does, a temporary file for example.
    """

    path: Path
    separator: str
    comment: str
    names: tuple[str, ...]
    skip: int
    header: bool
    rows: int
    ragged: bool = False
    missing: tuple[str, ...] = ()
    read: tuple[pl.Expr, ...] = ()
    owner: Any = field(default=None, repr=False)

    def frames(self) -> Iterator[pl.DataFrame]:
        for frame in self._texts(None):
            yield frame.select(self.read) if self.read else frame

    @property
    def schema(self) -> dict[str, Any]:
        """The types of the columns."""
        empty = pl.DataFrame(schema=dict.fromkeys(self.names, pl.String()))
        return dict((empty.select(self.read) if self.read else empty).schema)

    def head(self, rows: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The first rows as text."""
        names = self.names if columns is None else columns
        found: list[pl.DataFrame] = []
        for frame in self._texts(columns):
            found.append(frame.head(rows - sum(map(len, found))))
            if sum(map(len, found)) >= rows:
                break
        return pl.concat(found) if found else pl.DataFrame(schema=dict.fromkeys(names, pl.String))

    def totals(
        self, *asked: pl.Expr | Sequence[pl.Expr], columns: Sequence[str] | None = None
    ) -> list[list[int]]:
        """The sums over all rows of expressions that count in a frame.

        Args:
            asked: each selects one row of counts.
            columns: that are read; None reads all.
        """
        found: list[list[int]] = [[] for _ in asked]
        for frame in self._texts(columns):
            for k, each in enumerate(asked):
                counts = [int(count or 0) for count in frame.select(each).row(0)]
                before = found[k] or [0] * len(counts)
                found[k] = [a + b for a, b in zip(before, counts, strict=True)]
        return found

    def texts(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Some columns as text."""
        return self._texts(columns)

    def _texts(self, columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        left, first = self.rows, self.header
        schema = dict.fromkeys(self.names, pl.String())
        numbers = None
        if columns is not None:
            place = {name: k for k, name in enumerate(self.names)}
            numbers = sorted(place[name] for name in columns)
        for data in records(self.path, self.skip):
            if left <= 0:
                return
            frame = pl.read_csv(
                data,
                separator=self.separator,
                has_header=False,
                schema=schema,
                columns=numbers,
                null_values=list(self.missing),
                comment_prefix=self.comment or None,
                truncate_ragged_lines=self.ragged,
                missing_columns="insert",
                raise_if_empty=False,
            )
            if first and len(frame):
                frame, first = frame[1:], False
            frame = frame.head(left)
            left -= len(frame)
            if len(frame):
                yield frame


@dataclass(frozen=True)
class ParquetRows(RowSource):
    """The rows of a Parquet file.

    Args:
        path: the file.
        rows: how many there are.
    """

    path: Path
    rows: int

    def frames(self) -> Iterator[pl.DataFrame]:
        for start in range(0, self.rows, SLICE):
            yield pl.scan_parquet(self.path).slice(start, SLICE).collect()
