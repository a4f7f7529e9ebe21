"""Numbers with nine significant digits that do not depend on the other rows of a batch."""

__all__ = ["settled"]

from collections.abc import Callable

import numpy as np

DIGITS = 9
"""Significant digits that are kept."""

UNSURE = 2e-4
"""How near to the middle between two neighbouring roundings, in units of the last digit, a number
is computed again from its row alone. The rows beside it change it by far less."""


def settled(
    values: np.ndarray,
    chosen: np.ndarray,
    alone: Callable[[int], np.ndarray],
    scale: np.ndarray,
) -> np.ndarray:
    """Values (N, C) with the chosen ones rounded.

    A number that was computed in a batch differs in its last bits from the same number of another
    batch. Rounding removes this, except where the two lie on either side of a middle. A row with a
    number so near to a middle is computed again by itself.

    Args:
        values: the numbers, with shape (N, C); NaN and infinity stay.
        chosen: which of them are rounded, with shape (N, C).
        alone: the numbers of one row, computed by itself, with shape (C,).
        scale: the range of each column, (C,). A number that is small beside it has fewer digits,
            because its error is that of the larger numbers that it is a sum of.
    """
    values = values.copy()
    for row in np.flatnonzero((chosen & _is_unsure(values, scale)).any(1)).tolist():
        values[row] = np.where(chosen[row], alone(row), values[row])
    with np.errstate(invalid="ignore"):
        unit = _unit(values, scale)
        return np.where(chosen & np.isfinite(values), np.rint(values * unit) / unit, values)


def _is_unsure(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        scaled = values * _unit(values, scale)
        return np.asarray(np.abs(scaled - np.floor(scaled) - 0.5) < UNSURE)


def _unit(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The power of ten that puts the last digit of each number before the point."""
    size = np.maximum(np.abs(values), scale)
    usual = np.isfinite(size) & (size > 1e-250) & (size < 1e250)
    exponent = np.floor(np.log10(np.where(usual, size, 1.0)))
    return np.asarray(10.0 ** (DIGITS - 1 - exponent))
