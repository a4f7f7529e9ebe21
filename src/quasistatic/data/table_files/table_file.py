"""A table in a file, of which a piece at a time is in memory."""

__all__ = ["ArrayFile", "FileRows", "ScannedFile", "TableFile", "first_line"]

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .cells import Column
from .notation import Style
from .sources import RowSource


@dataclass(frozen=True, eq=False)
class FileRows:
    """Some rows of a file.

    Args:
        values: of all columns; null is missing.
        texts: the cells of a text file as they are written; None for other files.
    """

    values: pl.DataFrame
    texts: pl.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.values)

    def as_written(self, name: str) -> pl.Series:
        """A column as it is written in a text file, and its values in another file."""
        return (self.values if self.texts is None else self.texts)[name]

    def without_texts(self) -> "FileRows":
        """The values alone."""
        return FileRows(self.values)


@dataclass(frozen=True, eq=False)
class TableFile(abc.ABC):
    """A table in a file, of which a piece at a time is in memory.

    Args:
        path: of the file.
        rows: how many rows it has.
    """

    path: Path
    rows: int

    @property
    @abc.abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was decided about the file where that was not clear, in sentences."""
        return ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file, where it was opened all the same."""
        return ()

    @property
    def cells(self) -> Mapping[str, Column]:
        """What the cells of the columns of a text file are, by name; empty for other files."""
        return {}

    @property
    def style(self) -> Style:
        """How it is written, for outputs that are written as it is."""
        return Style()

    @property
    def layout(self) -> str:
        """How a text file was read: its separator, its encoding, its decimal mark. Empty for other
        files."""
        return ""

    @abc.abstractmethod
    def pieces(self, rows: int) -> Iterator[pl.DataFrame]:
        """The table, so many rows at a time; null is missing."""

    def texts(self, rows: int) -> Iterator[pl.DataFrame] | None:
        """The cells of a text file as they are written, words for a missing value and spaces
        included, so many rows at a time; null is an empty cell. In step with :meth:`pieces`. None
        for other files."""
        return None

    def pieces_with_texts(self, rows: int) -> Iterator[FileRows]:
        """The table and its cells as they are written, so many rows at a time."""
        texts = self.texts(rows)
        if texts is None:
            return map(FileRows, self.pieces(rows))
        return map(FileRows, self.pieces(rows), texts)

    def chosen(self, most: int, seed: int) -> np.ndarray:
        """The rows that :meth:`drawn` gives, counted from 0, in their order."""
        if self.rows <= most:
            return np.arange(self.rows)
        return np.sort(np.random.default_rng(seed).choice(self.rows, most, replace=False))

    def drawn(self, most: int, seed: int, rows: int = 100_000) -> pl.DataFrame:
        """All rows, or `most` of them that the seed draws, in their order; looked for `rows` at a
        time."""
        if self.rows <= most:
            return pl.concat(list(self.pieces(rows)))
        wanted = np.zeros(self.rows, dtype=bool)
        wanted[self.chosen(most, seed)] = True
        start, found = 0, []
        for piece in self.pieces(rows):
            found.append(piece.filter(pl.Series(wanted[start : start + len(piece)])))
            start += len(piece)
        return pl.concat(found)


@dataclass(frozen=True, eq=False)
class ScannedFile(TableFile):
    """A file that polars reads."""

    source: RowSource = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()
    written: Style = Style()
    found: str = ""
    text: RowSource | None = field(default=None, repr=False)
    wrong: tuple[str, ...] = ()
    columns: tuple[Column, ...] = field(default=(), repr=False)

    @property
    def problems(self) -> tuple[str, ...]:
        return self.wrong

    @property
    def cells(self) -> Mapping[str, Column]:
        return {each.name: each for each in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.notes

    @property
    def style(self) -> Style:
        return self.written

    @property
    def layout(self) -> str:
        return self.found

    def pieces(self, rows: int) -> Iterator[pl.DataFrame]:
        for piece in self._pieces(self.source, rows):
            yield piece.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))

    def texts(self, rows: int) -> Iterator[pl.DataFrame] | None:
        return None if self.text is None else self._pieces(self.text, rows)

    def _pieces(self, source: RowSource, rows: int) -> Iterator[pl.DataFrame]:
        try:
            yield from source.pieces(rows)
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{self.path} cannot be read: {first_line(error)}") from None


@dataclass(frozen=True, eq=False)
class ArrayFile(TableFile):
    """A NumPy array, (N,), (N, C), or of more axes, whose columns are numbered."""

    array: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(int(np.prod(self.array.shape[1:]))))

    def pieces(self, rows: int) -> Iterator[pl.DataFrame]:
        for start in range(0, len(self.array), rows):
            part = np.array(self.array[start : start + rows])
            columns = part.reshape(len(part), -1).T
            frame = pl.DataFrame(dict(zip(self.names, columns, strict=True)))
            yield frame.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def first_line(error: Exception) -> str:
    """What an error of polars says, without its advice."""
    return str(error).split("\n")[0]
