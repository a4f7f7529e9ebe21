"""A piece of a file with its missing values filled, intervals, and completed copies."""

__all__ = ["Imputation"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ..data.table_files import FileRows, Style
from ..estimators import DiffusionImputer
from ..spaces.clock import PREFIX, Clock
from .fitted_table import FittedTable, unused

MARK = "\x1f"
"""What the name of a column of a copy begins with, between its number and the column."""


@dataclass(frozen=True)
class Imputation:
    """Fills pieces of a file.

    Args:
        table: the fitted table.
        imputer: of the same model.
        columns: the columns of the file with missing values.
        share: the probability that an interval holds; None makes none.
        copies: how many completed copies to make.
        style: how text files are written.
    """

    table: FittedTable
    imputer: DiffusionImputer
    columns: Sequence[str]
    share: float | None
    copies: int
    style: Style

    @cached_property
    def by_network(self) -> bool:
        """Whether a network draws."""
        method, fitted = self.imputer.method, self.imputer.fitted_
        each = {self.share is None, self.copies == 0}
        return any(fitted.fills_by_network(method, mean=mean) for mean in each)

    def seconds(self, rows: pl.DataFrame) -> float:
        """CPU seconds that some rows with holes take, by filling them."""
        times = (self.share is not None or self.copies > 0) + (self.copies > 0)
        return self.imputer.seconds(rows, mean=times == 0) * max(times, 1)

    def __call__(self, rows: FileRows, first: int, advance: Callable[[int], None]) -> pl.DataFrame:
        """A piece with all its columns, filled; beside them intervals and copies. Where the piece
        has texts, all of it is text, and known cells are as they are written in the file."""
        found = self._filled_piece(rows.values, first, advance)
        return found if rows.texts is None else self._as_text(found, rows.values, rows.texts)

    def _as_text(
        self, found: pl.DataFrame, values: pl.DataFrame, texts: pl.DataFrame
    ) -> pl.DataFrame:
        """The cells of an answer as text."""
        ends = {f"{name}_{end}": name for name in self._bounded for end in ("low", "high")}
        columns = []
        for column in found:
            name = column.name.rpartition(MARK)[2]
            if name not in values.columns:
                columns.append(self.style.text(column, ends.get(name.rstrip("_"))))
                continue
            # What the model does not fill stays as it is, and so do missing words.
            kept = (values[name].is_not_null() | column.is_null()).alias(column.name)
            made = self.style.text(column.alias(name)).alias(column.name)
            columns.append(texts[name].alias(column.name).zip_with(kept, made))
        return pl.DataFrame(columns)

    def _filled_piece(
        self, whole: pl.DataFrame, first: int, advance: Callable[[int], None]
    ) -> pl.DataFrame:
        piece = self.table.fitted(whole)
        holed = int(piece.select(pl.any_horizontal(pl.all().is_null()).sum()).item())
        if not holed:
            return self._beside(whole, piece, None, [])
        # Equal rows in different pieces get different single draws, but the same summary.
        single = DiffusionImputer.of(self.imputer, **self.imputer.get_params())
        single.random_state = int(self.imputer.random_state) + first
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            advance(min(count, max(0, holed - done + count)))

        summary = single if self.imputer.draws == 1 else self.imputer
        found = summary.fill(piece, self.share, tell)
        copies = single.copies(piece, self.copies) if self.copies else []
        filled = whole.with_columns(
            _filled(piece[name], self.table.frame(found.table)[name]) for name in self.table.types
        )
        intervals = (found.low, found.high) if self.share is not None else None
        return self._beside(filled, piece, intervals, copies)

    def filled(self, found: pl.DataFrame) -> pl.DataFrame:
        """The columns of the file, filled, with the intervals."""
        return found.select(name for name in found.columns if not name.startswith(MARK))

    def copy(self, found: pl.DataFrame, number: int) -> pl.DataFrame:
        """The columns of a completed copy, counted from 1."""
        mark = f"{MARK}{number}{MARK}"
        own = {each.removeprefix(mark): each for each in found.columns if each.startswith(mark)}
        names = [name for name in found.columns if not name.startswith(MARK)]
        names = names[: len(names) - 2 * len(self._bounded)] if self.share else names
        return found.select(pl.col(own.get(name, name)).alias(name) for name in names)

    @cached_property
    def _bounded(self) -> list[str]:
        """The columns that have intervals."""
        named = {each.name for each in self.imputer.table_.columns if each.named}
        return [name for name in self.columns if name not in named]

    def _beside(
        self,
        filled: pl.DataFrame,
        piece: pl.DataFrame,
        intervals: tuple[np.ndarray, np.ndarray] | None,
        copies: Sequence[pl.DataFrame],
    ) -> pl.DataFrame:
        more: list[pl.Series] = []
        if self.share is not None:
            order = {each.name: k for k, each in enumerate(self.imputer.table_.columns)}
            for name in self._bounded:
                for side, end in enumerate(("low", "high")):
                    blank = np.full(len(piece), np.nan)
                    values = blank if intervals is None else intervals[side][:, order[name]]
                    places = self.table.places.get(name)
                    column = pl.Series(unused(f"{name}_{end}", filled.columns), values).fill_nan(
                        None
                    )
                    kind = self.imputer.table_.columns[order[name]].dtype
                    if kind.startswith(PREFIX):  # dates and times, and not steps of their clock
                        column = Clock.of(kind).values(values).alias(column.name)
                    more.append(column if places is None else column.round(places))
        for number in range(1, self.copies + 1):
            for name in self.columns:
                own = piece[name]
                if copies:
                    own = _filled(own, self.table.frame(copies[number - 1])[name])
                more.append(own.alias(f"{MARK}{number}{MARK}{name}"))
        return filled.with_columns(more)


def _filled(column: pl.Series, found: pl.Series) -> pl.Series:
    """A column whose holes are filled; known values are those of the file, to the last digit."""
    return column.zip_with(column.is_not_null(), found.cast(column.dtype))
