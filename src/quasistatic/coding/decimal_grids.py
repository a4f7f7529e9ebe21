r"""The decimal grid that the numbers of each column are on, and how it is found."""

__all__ = ["MOST_PLACES", "ColumnScan", "DecimalGrids", "multiples", "scan_columns"]

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

MOST_PLACES = 9
"""The most decimals after the point that a grid has."""

RANGE, LARGEST = 2.0**40, 2.0**52
"""The widest range of the numbers of a grid, and the largest number, in units of the grid."""

NARROW = 2.0**22
"""The largest decimal number that a 32-bit float tells apart from its neighbours, in units."""

AT_ONCE = 2**24
"""Bytes of an array that are scanned at once."""


class DecimalGrids(NamedTuple):
    """The decimal grids of some values of an example; each tensor has the shape of the values.

    Args:
        places: decimals after the point, int64; -1 where any float can occur.
        narrow: where the numbers are 32-bit floats, and not 64-bit ones.
        minus: where a minus zero can occur.
    """

    places: Tensor
    narrow: Tensor
    minus: Tensor


class ColumnScan(NamedTuple):
    """What a pass through an array finds in its D columns.

    `places`, `narrow` and `minus` are as in :class:`DecimalGrids`. `holes` marks the columns in
    which some value is missing. All have shape (D,).
    """

    places: np.ndarray
    narrow: np.ndarray
    minus: np.ndarray
    holes: np.ndarray


def scan_columns(x: np.ndarray) -> ColumnScan:
    """Scans an array (N, *), which may be a memory map, a few rows at a time."""
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
    return ColumnScan(places, narrow & ~wide_ok, minus, holes)


def multiples(index: np.ndarray, places: int, narrow: bool) -> np.ndarray:
    """Whole multiples of 10^-places, float64: the float next to each decimal, a 32-bit one if
    `narrow`."""
    value = index / 10.0**places
    with np.errstate(over="ignore"):
        return value.astype(np.float32).astype(np.float64) if narrow else value


def _parts(x: np.ndarray, dims: int) -> Iterator[np.ndarray]:
    """The rows of x in float64, (n, D), a few at a time."""
    rows = max(1, AT_ONCE // (8 * dims))
    for start in range(0, len(x), rows):
        yield np.asarray(x[start : start + rows], dtype=np.float64).reshape(-1, dims)


def _places(v: np.ndarray, least: np.ndarray, narrow: bool) -> np.ndarray:
    """The decimals after the point that each column needs, `least` or more, (D,). It is
    MOST_PLACES + 1 if no number of decimals suffices."""
    found = least.copy()
    for k in range(MOST_PLACES + 1):
        columns = (found == k).nonzero()[0]
        w = v[:, columns]
        with np.errstate(over="ignore"):
            index = np.rint(w * 10.0**k)
        found[columns] += ~_same(multiples(index, k, narrow), w)
    return found


def _same(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether a equals v in a whole column, missing values of v aside, (D,)."""
    same: np.ndarray = ((a == v) | np.isnan(v)).all(0)
    return same


def _within(places: np.ndarray, size: np.ndarray, units: float) -> np.ndarray:
    return (places <= MOST_PLACES) & (size < units / 10.0**places)
