"""Columns of real numbers and of whole numbers."""

__all__ = [
    "IntegerColumn",
    "NumericColumn",
    "PowerColumn",
    "QuantileColumn",
    "shift_and_scale",
    "standardised",
]

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri
from torch import Tensor

from ..integers import Integers
from ..one_hot import OneHot
from ..piecewise_linear import PiecewiseLinear
from ..quantile_map import QuantileMap
from ..space import Space
from ..yeo_johnson import YeoJohnson
from .column import Column

FAR = 10.0
"""A standard deviation over so many times that of the middle half comes from a few numbers far out,
which then do not decide the scale."""

KNOTS = 33
"""The most quantiles of a :class:`QuantileColumn`."""

RARE = 0.5
"""Rows that are added to each number, and to those beyond an open end."""

MARGIN = 0.01
"""A range is extended at an end that at most this share of the rows reaches, or three rows."""


def _ends(low: float, high: float) -> str:
    """A range for a reader, with digits enough to tell its ends apart."""
    size, width = max(abs(low), abs(high)), high - low
    digits = 6
    if 0 < width < size and math.isfinite(size / width):
        digits = min(17, max(digits, 3 + math.ceil(math.log10(size / width))))
    return f"{low:.{digits}g} to {high:.{digits}g}"


class _RealColumn(Column):
    """Real numbers from `low` to `high`, as far as was seen."""

    low: float
    high: float
    decimals: int

    def typical(self, draws: Tensor) -> Tensor:
        """The mean."""
        return draws.mean(1)

    def rounded(self, draws: Tensor) -> Tensor:
        return draws if self.decimals < 0 else draws.round(decimals=self.decimals)

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(~np.isfinite(numbers))

    @property
    def accepted(self) -> str:
        return "finite numbers: remove such rows, or mark the values as missing (NaN)"


@dataclass(frozen=True)
class NumericColumn(_RealColumn):
    """Real numbers. x_0 rises along straight lines through knots: two for a shift and a scale,
    several for quantiles.

    Args:
        at: raw values of the knots, ascending.
        to: x_0 of the knots, ascending.
        low: the smallest value seen.
        high: the largest value seen.
        decimals: of the numbers, to which draws are rounded; -1 if they are not.
    """

    kind: ClassVar[str] = "numeric"

    at: tuple[float, ...]
    to: tuple[float, ...]
    low: float
    high: float
    decimals: int = field(default=-1, metadata={"added": True})

    @property
    def space(self) -> type[Space]:
        return PiecewiseLinear

    @property
    def range(self) -> str:
        how = "standardised" if len(self.at) == 2 else f"{len(self.at)} quantiles"
        return f"{_ends(self.low, self.high)}, {how}"

    @property
    def placeholder(self) -> float:
        return self.at[0]


@dataclass(frozen=True)
class PowerColumn(_RealColumn):
    """Real numbers, bent by a power and then standardised (:class:`YeoJohnson`).

    Args:
        power, shift, scale, centre, spread: of :class:`YeoJohnson`.
        low, high: the least and the largest value seen.
        decimals: of the numbers, to which draws are rounded; -1 if they are not.
    """

    kind: ClassVar[str] = "numeric"

    power: float
    shift: float
    scale: float
    centre: float
    spread: float
    low: float
    high: float
    decimals: int = field(default=-1, metadata={"added": True})

    @property
    def space(self) -> type[Space]:
        return YeoJohnson

    @property
    def range(self) -> str:
        return f"{_ends(self.low, self.high)}, power {self.power:.3g}"

    @property
    def placeholder(self) -> float:
        return self.shift


@dataclass(frozen=True)
class QuantileColumn(_RealColumn):
    """Real numbers, made normal by their quantiles, with ends that may be kept
    (:class:`QuantileMap`).

    Args:
        at: raw values of the knots, ascending.
        u: the distribution function at the knots, ascending: 0 and 1 at ends that are kept.
        slopes: of x_0 beyond the ends; 0 at an end that is kept.
        low: the smallest value seen.
        high: the largest value seen.
        decimals: of the numbers, to which draws are rounded; -1 if they are not.
    """

    kind: ClassVar[str] = "numeric"

    at: tuple[float, ...]
    u: tuple[float, ...]
    slopes: tuple[float, float]
    low: float
    high: float
    decimals: int = field(default=-1, metadata={"added": True})

    @property
    def space(self) -> type[Space]:
        return QuantileMap

    @property
    def range(self) -> str:
        return f"{_ends(self.low, self.high)}, {len(self.at)} quantiles"

    @property
    def placeholder(self) -> float:
        return (self.at[0] + self.at[1]) / 2

    @classmethod
    def of(
        cls, column: _RealColumn, numbers: np.ndarray, ends: tuple[float, float]
    ) -> "QuantileColumn":
        """A column of the same numbers.

        Args:
            column: which has the name, the type and the range.
            numbers: shape (N,), NaN a hole; two different ones at least.
            ends: numbers that lie outside of all others and are kept as ends, or infinity.
        """
        seen = numbers[~np.isnan(numbers)]
        count = min(KNOTS, max(3, len(seen) // 20))
        farthest = float(ndtri(1 - 0.5 / max(len(seen), 2)))
        z = np.linspace(-farthest, farthest, count)
        at = np.quantile(seen, ndtr(z))
        rises = np.concatenate([[True], np.diff(np.maximum.accumulate(at)) > 0])
        at, z = at[rises], z[rises]
        if len(at) < 2:
            at, z = np.array([seen.min(), seen.max()]), np.array([-farthest, farthest])
        edge = max(1, len(at) // 8)  # beyond an open end, as steep as near it
        rise = (
            (z[edge] - z[0]) / (at[edge] - at[0]),
            (z[-1] - z[-1 - edge]) / (at[-1] - at[-1 - edge]),
        )
        u = ndtr(z)
        slopes = [float(r) for r in rise]
        if np.isfinite(ends[0]):
            inner = at > ends[0]
            at, u = np.r_[ends[0], at[inner]], np.r_[0.0, u[inner]]
            slopes[0] = 0.0
        if np.isfinite(ends[1]):
            inner = at < ends[1]
            at, u = np.r_[at[inner], ends[1]], np.r_[u[inner], 1.0]
            slopes[1] = 0.0
        common = column.name, column.missing, column.dtype
        knots = tuple(at.tolist()), tuple(u.tolist()), (slopes[0], slopes[1])
        return cls(*common, *knots, column.low, column.high)

    @classmethod
    def of_cells(cls, name: str, numbers: np.ndarray, unit: float) -> "QuantileColumn":
        """A column of rounded numbers, each of which has a share of the distribution function as
        large as its frequency. An end that many rows reach is kept.

        Args:
            name: of the column.
            numbers: multiples of `unit`, shape (N,), without NaN.
            unit: the distance between neighbours.
        """
        index = np.round(numbers / unit).astype(np.int64)
        low, high = int(index.min()), int(index.max())
        count = np.bincount(index - low) + RARE
        most = max(3.0, MARGIN * len(numbers))
        beyond = [0.0 if each > most else RARE for each in (count[0], count[-1])]
        whole = np.concatenate([[beyond[0]], count]).cumsum()
        u = whole / (whole[-1] + beyond[1])
        at = (np.arange(low, high + 2) - 0.5) * unit
        z = ndtri(np.clip(u, 1e-9, 1 - 1e-9))
        slopes = [
            float((z[k + 1] - z[k]) / unit) if open_ else 0.0
            for k, open_ in zip((0, len(z) - 2), beyond, strict=True)
        ]
        ends = low * unit, high * unit
        knots = tuple(at.tolist()), tuple(u.tolist()), (slopes[0], slopes[1])
        return cls(name, 0.0, "<f8", *knots, *ends)


@dataclass(frozen=True)
class IntegerColumn(Column):
    """Whole numbers from `low` to `high`.

    Args:
        low: the smallest number.
        high: the largest number.
        shift: of the standardisation.
        scale: of the standardisation.
        shares: the share of each number if there are few, which are then diffused as classes; else
            ().
    """

    kind: ClassVar[str] = "integer"

    low: int
    high: int
    shift: float
    scale: float
    shares: tuple[float, ...] = ()

    @property
    def lowest(self) -> int:
        """The number of the first class, if the numbers are diffused as classes."""
        return self.low

    @property
    def space(self) -> type[Space]:
        return OneHot if self.shares else Integers

    @property
    def range(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def placeholder(self) -> float:
        return self.low

    def with_margin(self, numbers: np.ndarray) -> "IntegerColumn":
        """The range extended by half its width beyond an end that few rows reach, but not below 0
        if no number is negative: new rows have new extremes now and then. An end that many rows
        reach is kept, and so is the range of few numbers.

        Args:
            numbers: the rows that are known, shape (N,).
        """
        if self.shares:
            return self
        most = max(3.0, MARGIN * np.isfinite(numbers).sum())
        margin = (self.high - self.low + 1) // 2
        low = self.low if (numbers == self.low).sum() > most else self.low - margin
        high = self.high if (numbers == self.high).sum() > most else self.high + margin
        return replace(self, low=low if self.low < 0 else max(low, 0), high=high)

    def typical(self, draws: Tensor) -> Tensor:
        """The median, which is one of the draws."""
        return draws.median(1).values

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        fits = (numbers == np.round(numbers)) & (numbers >= self.low) & (numbers <= self.high)
        return np.asarray(~fits)

    @property
    def accepted(self) -> str:
        return (
            f"whole numbers from {self.low} to {self.high}: infer the table from rows with the "
            f"whole range, or with types={{{self.name!r}: 'numeric'}}"
        )

    def values(self, numbers: np.ndarray) -> list[Any]:
        whole = np.round(numbers) == numbers  # what a user's row held beside them stays as it is
        pairs = zip(numbers.tolist(), whole.tolist(), strict=True)
        return [None if n != n else round(n) if exact else n for n, exact in pairs]


def shift_and_scale(numbers: np.ndarray) -> tuple[float, float]:
    """The shift and the scale that give numbers mean 0 and variance 1; where a few numbers far out
    would decide them, those that do so for the middle half of a normal."""
    shift, scale = float(numbers.mean()), float(numbers.std())
    low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75]).tolist()
    robust = (high - low) / 1.349
    return (middle, robust) if 0 < robust * FAR < scale else (shift, scale)


def standardised(name: str, missing: float, dtype: str, numbers: np.ndarray) -> NumericColumn:
    """A column of numbers (N,) without NaN, by a shift and a scale."""
    shift, scale = shift_and_scale(numbers)
    ends = float(numbers.min()), float(numbers.max())
    return NumericColumn(name, missing, dtype, (shift - scale, shift + scale), (-1.0, 1.0), *ends)
