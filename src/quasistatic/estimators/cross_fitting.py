"""Laws of a table that have not seen a part of its rows each, for calibration on all rows."""

__all__ = ["FOLDS", "cross_fitted", "fold_of"]

from typing import TYPE_CHECKING

import numpy as np

from ..spaces.frames import Frame
from .closed_form import fit_again
from .fitted_law import FittedLaw
from .table_columns import in_spaces, table_of

if TYPE_CHECKING:
    from .base import TableEstimator

FOLDS = 5
"""Parts of the rows."""


def fold_of(rows: int, seed: int) -> np.ndarray:
    """The part of each row, with shape (N,)."""
    return np.random.default_rng(seed).permutation(rows) % FOLDS


def cross_fitted(estimator: "TableEstimator", frame: Frame, seed: int) -> list[FittedLaw] | None:
    """For each part of the rows a law that was fitted to the other parts, its columns too. Which
    mixtures there are, and the space, are those of the law of all rows.

    Args:
        estimator: fitted to all rows, without a network.
        frame: the rows, with the columns of the model alone.
        seed: of the parts.

    Returns:
        None if some part leaves no column that varies.
    """
    whole = estimator.fitted_
    if not isinstance(whole, FittedLaw) or whole.shares is None:
        return None
    fold, found = fold_of(frame.rows, seed), []
    for k in range(FOLDS):
        others = frame.take(np.flatnonzero(fold != k))
        try:
            table = table_of(others, estimator.types, estimator.space, whole.table)
        except ValueError:
            return None
        x = table.read(others).numpy()
        tables = [table] if estimator.space is not None else in_spaces(table, x, estimator.types)
        kinds = {type(column) for column in whole.table.flat.columns}
        same = [t for t in tables if {type(column) for column in t.flat.columns} <= kinds]
        found.append(fit_again(whole, x, (same or tables)[0], estimator._plan()))
    return found
