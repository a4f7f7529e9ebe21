r"""The grid that the numbers of each column are on, and how it is found."""

__all__ = ["MOST_PLACES", "Grids", "look", "multiples"]

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

MOST_PLACES = 9
"""Decimals after the point that make a grid, at most."""

RANGE, LARGEST = 2.0**40, 2.0**52
"""Units that the numbers of a grid may span, and the largest of them."""

NARROW = 2.0**22
"""Units that a float of 32 bits tells apart, if they are decimal."""

AT_ONCE = 2**24
"""Bytes of an array that are looked at together."""


class Grids(NamedTuple):
    """What the numbers at some places of an example are, each of their shape.

    Args:
        places: decimals after the point, int64; -1 if any float may be there.
        narrow: whether they are held in 32 bits, and not in 64.
        minus: whether there is a minus zero among them.
    """

    places: Tensor
    narrow: Tensor
    minus: Tensor


class Look(NamedTuple):
    """What a look through an array shows of its D columns: `places`, `narrow` and `minus` as in
    :class:`Grids`, and which columns lack a value, `holes`; all with shape (D,)."""

    places: np.ndarray
    narrow: np.ndarray
    minus: np.ndarray
    holes: np.ndarray


def look(x: np.ndarray) -> Look:
    """Looks through an array (N, *), which may be a memory map, a few rows at a time."""
    dims = int(np.prod(x.shape[1:]))
    wide, thin = np.zeros(dims, np.int64), np.zeros(dims, np.int64)
    narrow, (minus, holes) = np.ones(dims, bool), np.zeros((2, dims), bool)
    low, high = np.full(dims, np.inf), np.full(dims, -np.inf)
    for v in _parts(x, dims):
        holes |= np.isnan(v).any(0)
        minus |= ((v == 0) & np.signbit(v)).any(0)
        low, high = np.fmin(low, np.fmin.reduce(v)), np.fmax(high, np.fmax.reduce(v))
        narrow &= _same(multiples(v, 0, True), v)
        wide, thin = _places(v, wide, False), _places(v, thin, True)
    largest = np.maximum(abs(low), abs(high))
    wide_ok = _within(wide, high - low, RANGE) & _within(wide, largest, LARGEST)
    thin_ok = narrow & ~wide_ok & _within(thin, largest, NARROW)
    places = np.where(wide_ok, wide, np.where(thin_ok, thin, -1))
    return Look(places, narrow & ~wide_ok, minus, holes)


def multiples(index: np.ndarray, places: int, narrow: bool) -> np.ndarray:
    """Whole multiples of 10^-places, float64: the nearest float to each decimal, of 32 bits if
    narrow."""
    value = index / 10.0**places
    with np.errstate(over="ignore"):
        return value.astype(np.float32).astype(np.float64) if narrow else value


def _parts(x: np.ndarray, dims: int) -> Iterator[np.ndarray]:
    """The rows of x in float64, (n, D), a few at a time."""
    rows = max(1, AT_ONCE // (8 * dims))
    for start in range(0, len(x), rows):
        yield np.asarray(x[start : start + rows], dtype=np.float64).reshape(-1, dims)


def _places(v: np.ndarray, least: np.ndarray, narrow: bool) -> np.ndarray:
    """Decimals after the point that each column needs, from `least` on, (D,); one too many if
    none suffice. More than suffice do so too."""
    found = least.copy()
    for k in range(MOST_PLACES + 1):
        columns = (found == k).nonzero()[0]
        w = v[:, columns]
        with np.errstate(over="ignore"):
            index = np.rint(w * 10.0**k)
        found[columns] += ~_same(multiples(index, k, narrow), w)
    return found


def _same(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether a is v in a whole column, but for what v lacks, (D,)."""
    return ((a == v) | np.isnan(v)).all(0)


def _within(places: np.ndarray, size: np.ndarray, units: float) -> np.ndarray:
    return (places <= MOST_PLACES) & (size < units / 10.0**places)
