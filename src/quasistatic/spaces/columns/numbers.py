"""Columns of real numbers and of whole numbers."""

__all__ = ["IntegerColumn", "NumericColumn"]

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..integers import Integers
from ..one_hot import OneHot
from ..piecewise_linear import PiecewiseLinear
from ..space import Space
from .column import Column

MARGIN = 0.01
"""A range is extended at an end that at most this share of the rows reaches, or three rows."""


@dataclass(frozen=True)
class NumericColumn(Column):
    """Real numbers, mapped to x_0 along straight lines through knots: two knots for a shift and a
    scale, more for quantiles.

    Args:
        at: raw values of the knots, ascending.
        to: x_0 of the knots, ascending.
        low: the smallest value seen.
        high: the largest value seen.
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

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(~np.isfinite(numbers))

    @property
    def accepted(self) -> str:
        return "finite numbers: remove such rows, or mark the values as missing (NaN)"


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
        return [None if each != each else round(each) for each in numbers.tolist()]
