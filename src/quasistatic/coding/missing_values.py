r"""Which values are missing, told before those that are there."""

__all__ = ["pop_holes", "push_holes"]

from collections.abc import Iterator

import numpy as np

from .stack import Stack


def push_holes(stack: Stack, absent: np.ndarray) -> None:
    """Writes where values are missing, (n, J) booleans. Column by column: of the rows that lack
    the value in the column before, and of those that do not, how many lack this one, and which,
    as symbols of that frequency. So rows that lack several values at once cost little more than
    their number."""
    for column, before in reversed(list(_with_before(absent))):
        for rows in (before, ~before):
            lacks = column[rows]
            stack.push_choices(_odds(len(lacks), lacks.sum()), lacks)
            stack.push_below(np.array([lacks.sum()]), np.array([len(lacks) + 1]))


def pop_holes(stack: Stack, n: int, columns: int) -> np.ndarray:
    """Reads what :func:`push_holes` wrote, (n, J)."""
    absent = np.zeros((n, columns), dtype=bool)
    for column, before in _with_before(absent):
        for rows in (~before, before):
            size = int(rows.sum())
            lack = stack.pop_below(np.array([size + 1]))[0]
            column[rows] = stack.pop_choices(_odds(size, lack)) > 0
    return absent


def _with_before(absent: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each column, and the one before it; before the first, nothing is missing."""
    before = np.zeros(len(absent), dtype=bool)
    for column in absent.T:
        yield column, before
        before = column


def _odds(n: int, lack: int) -> np.ndarray:
    share = min(lack / max(n, 1), 1.0)
    return np.tile([1 - share, share], (n, 1))
