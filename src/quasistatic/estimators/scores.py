"""Scores of rows, which have the same digits in every batch."""

__all__ = ["DIGITS", "log_prob_of"]

import numpy as np

from .._utils.row_errors import RowError
from .fitted import Fitted

DIGITS = 9
"""Decimals of a score. Further digits may depend on the other rows of a batch; without them, equal
rows have equal scores."""

UNSURE = 1e-12
"""How near to the middle between two neighbouring decimals a score is computed again from its row
alone, in nats and relative to a score above 10. Other rows of a batch change it by less."""


def log_prob_of(fitted: Fitted, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
    """log p of the observed values of rows (N, C), with shape (N,), in nats. Infinity is a value
    that its column cannot hold: a new class has the probability :attr:`CategoryColumn.unseen`. Any
    other impossible value gives minus infinity."""
    odd = np.isinf(x)
    unseen_of = np.array([getattr(column, "unseen", 0.0) for column in fitted.table.columns])
    # Other values of an impossible row are not scored: a row with holes can take long.
    possible = ~(odd & (unseen_of == 0)).any(1)
    found = np.full(len(x), -np.inf)
    if possible.any():
        rows = np.where(odd, np.nan, x)[possible]
        found[possible] = _settled(fitted, rows, evaluations, seed)
    if np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise RowError(
            "the log-density is NaN",
            row,
            ": its values may be beyond what a float64 can square; rescale the table, or leave the "
            "row out",
        )
    with np.errstate(divide="ignore"):
        for k, unseen in enumerate(unseen_of):
            there = ~np.isnan(x[:, k]) & ~odd[:, k]
            found = found + np.where(odd[:, k], np.log(unseen), 0.0)
            found = found + np.where(there, np.log1p(-unseen), 0.0)
    return np.round(found, DIGITS)


def _settled(fitted: Fitted, rows: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
    """log p of rows (N, C), which rounds to the same decimals whatever rows are beside each."""
    found = fitted.log_prob(rows, evaluations, seed)
    scaled = found * 10.0**DIGITS
    with np.errstate(invalid="ignore"):
        off = np.abs(scaled - np.floor(scaled) - 0.5)
        unsure = off < UNSURE * 10.0**DIGITS * np.maximum(np.abs(found) / 10, 1.0)
    if len(rows) > 1:
        for row in np.flatnonzero(unsure):
            found[row] = fitted.log_prob(rows[row : row + 1].copy(), evaluations, seed)[0]
    return found
