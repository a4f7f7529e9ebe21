"""What the verbs score and outliers say about a piece of a file's rows."""

__all__ = ["RowOutliers", "RowScores"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ..data.table_files import FileRows
from ..estimators import DiffusionOutliers
from .fitted_table import FittedTable

Advance = Callable[[int], None]


@dataclass(frozen=True)
class RowScores:
    """Scores pieces of a file.

    Args:
        table: the fitted table.
        by_column: whether the cost of each column given the others is added, in nats.
    """

    table: FittedTable
    by_column: bool = False

    def __call__(self, piece: FileRows, first: int, advance: Advance) -> pl.DataFrame:
        """The carried columns of a piece, and `log_prob` in nats.

        Args:
            piece: some rows of a file, with all its columns.
            first: the number of rows before the piece.
            advance: is called with the number of rows that are done.
        """
        rows = self.table.fitted(piece.values)
        found = [
            *self.table.carried(piece, first),
            pl.Series("log_prob", self.table.score(rows)),
        ]
        if self.by_column:
            costs = self.table.density.column_costs(rows)
            found += [pl.Series(f"{n}_nats", costs[:, k]) for k, n in enumerate(self.table.types)]
        advance(len(piece))
        return pl.DataFrame(found)


@dataclass(frozen=True)
class RowOutliers:
    """Judges pieces of a file.

    Args:
        table: the fitted table.
        detector: of the same model.
        why: whether the reasons are added, where the model has a closed form.
        decimal: the decimal mark of numbers in the reasons.
    """

    table: FittedTable
    detector: DiffusionOutliers
    why: bool = True
    decimal: str = "."

    def __call__(self, piece: FileRows, first: int, advance: Advance) -> pl.DataFrame:
        """The carried columns of a piece, `log_prob` in nats, `p_value`, `outlier` and `why`; for
        the arguments see :class:`RowScores`."""
        rows = self.table.fitted(piece.values)
        found = self.detector.judged(rows)
        columns = [
            *self.table.carried(piece, first),
            pl.Series("log_prob", found.log_prob),
            pl.Series("p_value", found.p_value),
            pl.Series("outlier", found.outlier.astype(np.int64)),
        ]
        if self.why:
            text = [""] * len(piece)
            which = np.flatnonzero(found.outlier)
            if len(which):
                for row, each in zip(which, self.detector.explain(rows[which]), strict=True):
                    text[row] = each.text(self.decimal)
            columns.append(pl.Series("why", text, dtype=pl.String))
        advance(len(piece))
        return pl.DataFrame(columns)
