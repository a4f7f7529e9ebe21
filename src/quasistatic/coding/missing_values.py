r"""Which values are missing, coded before the values that exist."""

__all__ = ["pop_missing", "push_missing"]

from collections.abc import Iterator

import numpy as np

from .stack import Stack


def push_missing(stack: Stack, missing: np.ndarray) -> None:
    """Pushes where values are missing, (n, J) booleans, column by column.

    The rows are in two sets: those without a value in the column before, and the others. For each
    set it codes how many values are missing, and which, as symbols of that frequency. So rows with
    several missing values cost little more than their number.
    """
    for column, before in reversed(list(_with_before(missing))):
        for rows in (before, ~before):
            gone = column[rows]
            stack.push_choices(_shares(len(gone), int(gone.sum())), gone)
            stack.push_uniform(np.array([gone.sum()]), np.array([len(gone) + 1]))


def pop_missing(stack: Stack, n: int, columns: int) -> np.ndarray:
    """Pops what :func:`push_missing` pushed, (n, J)."""
    missing = np.zeros((n, columns), dtype=bool)
    for column, before in _with_before(missing):
        for rows in (~before, before):
            size = int(rows.sum())
            gone = int(stack.pop_uniform(np.array([size + 1]))[0])
            column[rows] = stack.pop_choices(_shares(size, gone)) > 0
    return missing


def _with_before(missing: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each column and the one before it; before the first, nothing is missing."""
    before = np.zeros(len(missing), dtype=bool)
    for column in missing.T:
        yield column, before
        before = column


def _shares(n: int, gone: int) -> np.ndarray:
    share = min(gone / max(n, 1), 1.0)
    return np.tile([1 - share, share], (n, 1))
