"""The verbs of a table on a partition of rows: each takes rows and gives rows, and the answer for a
row does not depend on the rows beside it."""

__all__ = ["TABLE_VERBS"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from .._utils.randomness import mixed_seed
from ..data.table_files import FileRows
from ..estimators import DiffusionImputer
from ..opened.fitted_table import FittedTable
from ..opened.imputation import Imputation
from ..opened.row_answers import RowOutliers, RowScores
from ..spaces.columns import Column
from .numbered_draws import drawn_blocks, numbers_of
from .settled import settled
from .table_streams import Compress, Decompress
from .table_verb import TableVerb, log_prob_facts

DRAWN_AT_ONCE = 1024
"""Draws that share a seed: a draw is computed with all others of its block."""

SUMMARISED = 64
"""Draws that a filled value summarises."""


def _nothing(count: int) -> None:
    """Called with the number of rows that are done."""


@dataclass(frozen=True)
class Score(TableVerb):
    """log p of each row, in nats.

    Args:
        table: the fitted table.
        by_column: whether the cost of each column given the others is added.
    """

    name = "score"
    table: FittedTable
    by_column: bool = False

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        return RowScores(self.table, self.by_column)(FileRows(piece), first, _nothing)

    def facts(self, found: pl.DataFrame) -> dict[str, float]:
        return log_prob_facts(found["log_prob"].to_numpy())


@dataclass(frozen=True)
class Outliers(TableVerb):
    """Score, p-value and verdict of each row, and the reasons of outliers.

    Args:
        table: the fitted table.
        level: the share of ordinary rows that may be called outliers.
        why: whether the reasons are added.
    """

    name = "outliers"
    table: FittedTable
    level: float = 0.05
    why: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is a share between 0 and 1, got {self.level}")

    @cached_property
    def _answer(self) -> RowOutliers:
        why = self.why and self.table.density.fitted_.closed_form is not None
        return RowOutliers(self.table, self.table.detector(self.level), why)

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        return self._answer(FileRows(piece), first, _nothing)

    def facts(self, found: pl.DataFrame) -> dict[str, float]:
        return {"found": float(found["outlier"].sum())}


@dataclass(frozen=True)
class Impute(TableVerb):
    """Rows with their missing values filled, as `quasistatic impute` fills them. Numbers that are
    filled have nine significant digits.

    Args:
        table: the fitted table.
        intervals: the probability that an interval holds; then columns `x_low` and `x_high` are
            added for each column of numbers.
        method: how values are drawn where a network corrects the closed form.
        seed: of the draws.
    """

    name = "impute"
    table: FittedTable
    intervals: float | None = None
    method: Literal["auto", "fast", "network"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.intervals is not None and not 0 < self.intervals < 1:
            raise ValueError(f"intervals is a share between 0 and 1, got {self.intervals}")

    @cached_property
    def _work(self) -> Imputation:
        imputer = DiffusionImputer.of(
            self.table.density, draws=SUMMARISED, method=self.method, random_state=self.seed
        )
        return Imputation(
            self.table, imputer, list(self.table.types), self.intervals, 0, self.table.style
        )

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        found = self._work(FileRows(piece), first, _nothing)
        own = [n for n in found.columns if n in self.table.types or n not in piece.columns]

        def alone(row: int) -> pl.DataFrame:
            again: pl.DataFrame = self._work(FileRows(piece[row : row + 1]), first + row, _nothing)
            return again

        return _settled(self.table, found, piece, own, alone)


@dataclass(frozen=True)
class Complete(TableVerb):
    """Several completed copies of each row, one after the other: the columns that identify a row,
    the column `draw` from 0 and the fitted columns. Equal rows have equal draws.

    Args:
        table: the fitted table.
        draws: of each row.
        method: how values are drawn where a network corrects the closed form.
        seed: of the draws.
    """

    name = "complete"
    table: FittedTable
    draws: int = 16
    method: Literal["auto", "fast", "network"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _require_count("draws", self.draws)

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        imputer = DiffusionImputer.of(
            self.table.density, draws=max(2, self.draws), method=self.method, random_state=self.seed
        )
        rows, count = self.table.fitted(piece), max(2, self.draws)
        carried = self.table.carried(FileRows(piece), first)

        def completed(some: pl.DataFrame) -> list[pl.DataFrame]:
            made = imputer.copies(some, count, distinct=False)[: self.draws]
            return [_filled(some, self.table.frame(each)) for each in made]

        frames = []
        for number, copy in enumerate(completed(rows)):

            def alone(row: int, number: int = number) -> pl.DataFrame:
                return completed(rows[row : row + 1])[number]

            whole = _settled(self.table, copy, rows, rows.columns, alone)
            draw = pl.Series("draw", np.full(len(piece), number))
            frames.append(pl.DataFrame([*carried, draw, *whole]))
        order = np.arange(len(piece) * self.draws).reshape(self.draws, -1).T.ravel()
        found: pl.DataFrame = pl.concat(frames)[order]
        return found


def _filled(rows: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    """Rows whose missing values are those of `whole`."""
    return pl.DataFrame(
        [each.zip_with(each.is_not_null(), whole[each.name].cast(each.dtype)) for each in rows]
    )


def _settled(
    table: FittedTable,
    found: pl.DataFrame,
    piece: pl.DataFrame,
    names: Sequence[str],
    alone: Callable[[int], pl.DataFrame],
) -> pl.DataFrame:
    """An answer whose new real numbers do not depend on the other rows (:func:`settled`).

    Args:
        table: the fitted table.
        found: the answer, with a row for each row of `piece`.
        piece: the rows; their known values are not changed.
        names: the columns of the answer that may hold new numbers.
        alone: the answer for one row of the piece by itself.
    """
    reals = [name for name in names if found.schema[name].is_float()]
    if not reals or not len(found):
        return found
    values = found.select(reals).cast(pl.Float64).to_numpy()
    new = [
        piece[name].is_null().to_numpy()
        if name in piece.columns
        else np.ones(len(piece), dtype=bool)
        for name in reals
    ]

    def numbers(row: int) -> np.ndarray:
        return np.asarray(alone(row).select(reals).cast(pl.Float64).to_numpy()[0])

    ranges = {each.name: _range_of(each) for each in table.density.table_.columns}
    scale = [ranges.get(name) or ranges.get(name.rpartition("_")[0], 1.0) for name in reals]
    values = settled(values, np.stack(new, 1) & ~np.isnan(values), numbers, np.array(scale))
    columns = [
        pl.Series(name, values[:, k]).fill_nan(None).cast(found.schema[name])
        for k, name in enumerate(reals)
    ]
    return found.with_columns(columns)


@dataclass(frozen=True)
class Sample(TableVerb):
    """Draws of the model. A batch names the draws by number, in the column `draw` or in its first
    column; draw i is the same in every batch.

    Args:
        table: the fitted table.
        seed: of the draws.
    """

    name = "sample"
    rows_in = False
    table: FittedTable
    seed: int = 0

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        numbers = numbers_of(piece)
        parts = []
        for block, index in drawn_blocks(numbers, DRAWN_AT_ONCE):
            whole = self.table.draw(DRAWN_AT_ONCE, mixed_seed(self.seed, block) % 2**31)
            parts.append(whole[index])
        found = pl.concat(parts) if parts else self.table.draw(1, 0)[:0]
        return found.insert_column(0, pl.Series("draw", numbers))


def _range_of(column: Column) -> float:
    """How far the values of a column lie apart; 1 where that is not known."""
    low, high = getattr(column, "low", 0.0), getattr(column, "high", 1.0)
    return float(high - low) if high > low else 1.0


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {value}")


TABLE_VERBS: dict[str, Callable[..., Any]] = {
    each.name: each for each in (Score, Outliers, Impute, Complete, Sample, Compress, Decompress)
}
"""The verbs by name; each takes the fitted table and its options."""
