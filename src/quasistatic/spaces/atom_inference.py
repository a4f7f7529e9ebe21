"""Which numbers of a column are atoms, and on which lattices the others lie."""

__all__ = ["Repeats", "all_atoms", "fills", "find_repeats", "stands_apart"]

import math
import re
from dataclasses import dataclass

import numpy as np
import torch

from .columns.lattice import Lattices

RATIO, STRENGTH = 4.0, 3.0
"""An atom is repeated RATIO times as often as the numbers near it, or more, and that is likelier by
STRENGTH log N nats than at their rate. A coarser lattice is likelier by as much, too."""

LEAST, SHARE, REAL_SHARE, MOST = 5, 0.005, 0.03, 64
"""Rows of an atom at least; its share of the rows at least, in a column of rounded numbers and of
real ones, whose density cannot be compared with a probability; and atoms of a column, at most."""

FAR, REPEATED = 20.0, 2
"""A number so many times the range of the middle 90 % away from it, which this many rows repeat, is
an atom: it stands for something else, such as 99999 for "not known"."""

NEAR = 20
"""Rows near a number that tell how frequent numbers are there, or a twentieth of the rows."""

VALUES = 4
"""Different numbers that are no atoms, at least: of fewer, all numbers are atoms."""

FEW, EACH, SINGLE = 16, 20, 0.25
"""Numbers with at most FEW different values, each of EACH rows on average, and at most the share
SINGLE of them with one row, are all atoms."""

FILLED = 0.5
"""The share of the places between the smallest and the largest number that are taken, at least, if
each number has a cell by its frequency."""

FACTORS = (100, 50, 25, 20, 12, 10, 6, 5, 4, 3, 2)
"""How many steps of a lattice one step of a coarser lattice may be."""

COARSE = 0.3
"""Lattices within a lattice are looked for if at most this share of the numbers is different. They
matter little where nearly every row has a number of its own."""

TIED, GAP = 0.9, 0.05
"""Real numbers of which at most this share is different are taken to be rounded, to about this
quantile of the differences between neighbours."""

SPIKE = 0.05
"""A number with a larger share of the rows tells nothing of a lattice."""

DECIMALS = 6
"""Decimals of a lattice, at most."""

LOOKED_AT = 20_000
"""Rows that are looked at, at most."""

HALVINGS = 60
"""How often a radius is halved."""


@dataclass(frozen=True)
class Repeats:
    """What is repeated among numbers.

    Args:
        atoms: numbers that have a probability of their own, ascending.
        decimals: of the lattice of the other numbers; -1 if they are real.
        steps: of nested lattices, in units of 10^-decimals, from 1 on; () for real numbers.
        left, right: ends of the other numbers; infinite where there is none.
        whole: whether all numbers are atoms.
        unit: the distance between numbers that are rounded; 1 if they are not.
    """

    atoms: tuple[float, ...]
    decimals: int
    steps: tuple[int, ...]
    left: float = -math.inf
    right: float = math.inf
    whole: bool = False
    unit: float = 1.0

    @property
    def found(self) -> bool:
        """Whether there is an atom, or a lattice within another one."""
        return bool(self.atoms) or len(self.steps) > 1


def find_repeats(v: np.ndarray, nested: bool = True) -> Repeats:
    """The atoms and the lattices of numbers (N,) without NaN.

    Args:
        v: the numbers.
        nested: whether lattices within the finest one are looked for.
    """
    v = _some(v)
    different, count = np.unique(v, return_counts=True)
    decimals = _decimals(v)
    unit = 10.0**-decimals if decimals >= 0 else _rounded_to(v)
    every = Repeats(tuple(different.tolist()), -1, (), whole=True, unit=unit)
    single = (count < REPEATED).mean()
    if len(different) <= FEW and len(v) >= EACH * len(different) and single <= SINGLE:
        return every
    steps: tuple[int, ...] = (1,) if decimals >= 0 else ()
    if nested and steps and len(different) <= COARSE * len(v):
        steps = _steps(v, different, count, decimals)
    atoms = different[_are_atoms(different, count, len(v), decimals, steps)]
    rest = v[~np.isin(v, atoms)]
    if len(np.unique(rest)) < VALUES:
        if len(different) <= MOST and len(rest) < 0.5 * len(v) and count.min() >= REPEATED:
            return every
        return Repeats((), decimals, steps[:1])
    left, right = _ends(v, rest, atoms)
    unit = unit if decimals >= 0 else _rounded_to(rest)
    return Repeats(tuple(atoms.tolist()), decimals, steps, left, right, unit=unit)


def all_atoms(v: np.ndarray) -> Repeats | None:
    """Every number of (N,) as an atom, if they are few, frequent and rounded, and if their counts
    differ from those of their neighbours by more than chance; else None."""
    v = _some(v)
    different, count = np.unique(v, return_counts=True)
    decimals = _decimals(v)
    single = (count < REPEATED).mean()
    if decimals < 0 or not VALUES <= len(different) <= MOST or single > SINGLE:
        return None
    if len(v) < EACH * len(different) or _roughness(count) < len(different) * math.log(len(v)) / 2:
        return None
    return Repeats(tuple(different.tolist()), -1, (), whole=True, unit=10.0**-decimals)


def fills(found: Repeats) -> bool:
    """Whether there is no large gap among atoms that are all numbers of a column."""
    places = (found.atoms[-1] - found.atoms[0]) / found.unit + 1
    return len(found.atoms) >= FILLED * places


def _roughness(count: np.ndarray) -> float:
    """Nats by which counts are likelier at their own rates than at their neighbours' mean."""
    ends = np.concatenate([count[1:2], count, count[-2:-1]]).astype(float)
    near = (ends[:-2] + ends[2:]) / 2
    near = np.maximum(near * count.sum() / near.sum(), 0.5)
    return float((count * np.log(count / near) - count + near).sum())


def stands_apart(numbers: np.ndarray, v: np.ndarray) -> bool:
    """Whether one of these numbers is far outside the range of nearly all numbers (N,)."""
    different, count = np.unique(_some(v), return_counts=True)
    apart = different[_stand_apart(different, count, int(count.sum()))]
    return bool(np.isin(numbers, apart).any())


def _some(v: np.ndarray) -> np.ndarray:
    """At most :data:`LOOKED_AT` of the numbers."""
    if len(v) <= LOOKED_AT:
        return v
    return np.random.default_rng(0).permutation(v)[:LOOKED_AT]


def _rounded_to(v: np.ndarray) -> float:
    """How far apart real numbers are, if they were rounded; 1 if they were not."""
    different = np.unique(v)
    if len(different) < 3 or len(different) > TIED * len(v):
        return 1.0
    return float(np.quantile(np.diff(different), GAP))


def _decimals(v: np.ndarray) -> int:
    """The decimals that all numbers need; -1 if they need many."""
    different = len(np.unique(v))
    for decimals in range(DECIMALS + 1):
        w = v * 10.0**decimals
        if np.abs(w).max() >= 2**50:
            return -1
        # Numbers whose differences are far behind their first digits are not rounded together.
        kept = len(np.unique(np.round(w))) == different
        if kept and (np.abs(w - np.round(w)) <= 1e-6 * np.maximum(1.0, np.abs(w) * 1e-6)).all():
            return decimals
    return -1


def _steps(
    v: np.ndarray, different: np.ndarray, count: np.ndarray, decimals: int
) -> tuple[int, ...]:
    """The steps of nested lattices, from 1 on. 0 is on every lattice, and a spike tells nothing."""
    ordinary = (different != 0) & (count <= max(SPIKE * len(v), 1))
    w = np.round(different[ordinary] * 10.0**decimals).astype(np.int64)
    times = count[ordinary]
    steps, need = [1], STRENGTH * math.log(len(v))
    while times.sum() > LEAST:
        best, factor = max((_gain(w, times, m * steps[-1], m), m) for m in FACTORS)
        on = w % (factor * steps[-1]) == 0
        if best < need or on.sum() < VALUES:
            break
        steps.append(factor * steps[-1])
        w, times = w[on], times[on]
    return tuple(steps)


def _gain(w: np.ndarray, times: np.ndarray, step: int, factor: int) -> float:
    """Nats that rows win if multiples of a step are more frequent than one in `factor`."""
    rows = float(times.sum())
    share = float(times[w % step == 0].sum()) / rows
    p = 1 / factor
    if share <= p:
        return 0.0
    share = min(share, 1 - 1e-12)
    return rows * (share * math.log(share / p) + (1 - share) * math.log((1 - share) / (1 - p)))


def _are_atoms(
    different: np.ndarray, count: np.ndarray, rows: int, decimals: int, steps: tuple[int, ...]
) -> np.ndarray:
    """Which of the different numbers are atoms, with that shape."""
    if steps:
        lattices = Lattices(decimals, steps)
        each = torch.from_numpy(different)
        of = lattices.lattice(lattices.index(each)).numpy()
    else:
        of = np.zeros(len(different), dtype=np.int64)
    won = np.zeros(len(different))
    for k in range(max(len(steps), 1)):
        own = of == k
        width = 0.0
        if steps:
            width = steps[k] / 10.0**decimals
            if k + 1 < len(steps):
                width /= 1 - steps[k] / steps[k + 1]  # without the places of coarser lattices
        if own.any():
            won[own] = _won(different[own], count[own], rows, width)
    share = SHARE if steps else REAL_SHARE
    won[count < max(LEAST, share * rows)] = 0.0
    need = STRENGTH * math.log(rows)
    order = (-won).argsort(kind="stable")[:MOST]
    found = np.zeros(len(different), dtype=bool)
    found[order] = won[order] > need
    return np.asarray(found | _stand_apart(different, count, rows))


def _won(different: np.ndarray, count: np.ndarray, rows: int, width: float) -> np.ndarray:
    """Nats that each number wins as an atom, over the rate of the numbers near it; 0 below RATIO.

    Args:
        different: ascending numbers of a lattice.
        count: of the rows of each.
        rows: of the column.
        width: of a place of the lattice, on average; 0 for real numbers.
    """
    whole = np.concatenate([[0], count.cumsum()])
    take = np.minimum(max(NEAR, rows // 20), whole[-1] - count)

    def among(radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = np.searchsorted(different, different - radius, side="left")
        high = np.searchsorted(different, different + radius, side="right")
        return whole[high] - whole[low] - count, high - low - 1

    low = np.zeros(len(different))
    high = np.full(len(different), different[-1] - different[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        enough = among(middle)[0] >= take
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    near, kinds = among(high)
    # Repeats: of real numbers those of one number are seldom seen by chance.
    kinds = np.maximum(kinds, 1)
    expected, own = near / kinds - 1 + 1 / kinds, count - 1.0
    if width:  # the places within the radius and the range, each as likely as another
        ends = np.minimum(different + high, different[-1]) - np.maximum(
            different - high, different[0]
        )
        expected = np.maximum(expected, near / np.maximum(ends / width, 1.0))
        own = count.astype(float)
    expected = np.maximum(expected, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        won = np.where(own > 0, own * np.log(own / expected), 0.0) - own + expected
    return np.where((own > RATIO * expected) & (near > 0), won, 0.0)


def _stand_apart(different: np.ndarray, count: np.ndarray, rows: int) -> np.ndarray:
    """Which numbers are far outside the range of nearly all rows, and are repeated exactly or
    written with nines alone, as -999 is for "not known"."""
    order = count.cumsum() / rows
    low, high = different[(order >= 0.05).argmax()], different[(order >= 0.95).argmax()]
    if high <= low:
        return np.zeros(len(different), dtype=bool)
    far = np.maximum(low - different, different - high) > FAR * (high - low)
    repeated = count >= REPEATED
    for k in (far & ~repeated).nonzero()[0]:
        repeated[k] = re.fullmatch(r"-?99+\.0", str(float(different[k]))) is not None
    return np.asarray(far & repeated)


def _ends(v: np.ndarray, rest: np.ndarray, atoms: np.ndarray) -> tuple[float, float]:
    """The ends of the numbers that are no atoms: an atom just beyond them in which rows pile up,
    and 0 where no number is negative."""
    low, high = float(rest.min()), float(rest.max())
    span, least, most = high - low, float(v.min()), float(v.max())
    left, right = -math.inf, math.inf
    if least in atoms and 0 < low - least < span / 4:
        left = least
    elif least >= 0 and low < span / 4:
        left = 0.0
    if most in atoms and 0 < most - high < span / 4:
        right = most
    return left, right
