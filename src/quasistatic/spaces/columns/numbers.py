"""Columns of real and of whole numbers."""

__all__ = ["IntegerColumn", "NumericColumn"]

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from torch import Tensor

from ..integers import Integers
from ..one_hot import OneHot
from ..piecewise_linear import PiecewiseLinear
from ..space import Space
from .column import Column

ROOM = 0.01
"""The share of rows at an end of a range, or three of few, up to which more may lie beyond it."""


@dataclass(frozen=True)
class NumericColumn(Column):
    """Real numbers. x_0 rises along straight lines through knots: two for a shift and a scale,
    several for quantiles.

    Args:
        at: raw values of the knots.
        to: x_0 of the knots.
        low, high: the least and the largest value seen.
    """

    kind: ClassVar[str] = "numeric"

    at: tuple[float, ...]
    to: tuple[float, ...]
    low: float
    high: float

    @property
    def space(self) -> type[Space]:
        return PiecewiseLinear

    @property
    def range(self) -> str:
        how = "standardised" if len(self.at) == 2 else f"{len(self.at)} quantiles"
        return f"{self.low:.6g} to {self.high:.6g}, {how}"

    @property
    def placeholder(self) -> float:
        return self.at[0]

    def typical(self, draws: Tensor) -> Tensor:
        """The mean."""
        return draws.mean(1)

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return ~np.isfinite(numbers)

    @property
    def takes(self) -> str:
        return "finite numbers: remove or mark what is not one as missing"


@dataclass(frozen=True)
class IntegerColumn(Column):
    """Whole numbers from `low` to `high`.

    Args:
        shift, scale: that standardise them.
        shares: of each number where there are few, which are then diffused as classes; else ().
    """

    kind: ClassVar[str] = "integer"

    low: int
    high: int
    shift: float
    scale: float
    shares: tuple[float, ...] = ()

    @property
    def lowest(self) -> int:
        """The number of the first class, where there are few."""
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

    def with_room(self, numbers: np.ndarray) -> "IntegerColumn":
        """A wide range goes on for half its width beyond an end that hardly a row is at, but not
        below 0 if none is: the next rows have a new extreme now and then. Where many rows are at
        an end, or numbers are few, there is no more."""
        if self.shares:
            return self
        most = max(3.0, ROOM * np.isfinite(numbers).sum())
        room = (self.high - self.low + 1) // 2
        low = self.low if (numbers == self.low).sum() > most else self.low - room
        high = self.high if (numbers == self.high).sum() > most else self.high + room
        return replace(self, low=low if self.low < 0 else max(low, 0), high=high)

    def typical(self, draws: Tensor) -> Tensor:
        """The median, a number that was drawn."""
        return draws.median(1).values

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers != np.round(numbers)) | (numbers < self.low) | (numbers > self.high)

    @property
    def takes(self) -> str:
        return (
            f"whole numbers from {self.low} to {self.high}: infer the table from all the rows that "
            f"there will be, or with types={{{self.name!r}: 'numeric'}}"
        )

    def values(self, numbers: np.ndarray) -> list:
        return [None if each != each else round(each) for each in numbers.tolist()]
