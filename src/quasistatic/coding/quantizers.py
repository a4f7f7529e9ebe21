r"""Numbers as a computer holds them: in which cell of the line each is, and which it is there."""

__all__ = ["Decimals", "Either", "Floats", "Ruler", "alike", "ordered"]

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..spaces import Space
from .bins import Scale

SIGN = -(2**63)
"""The sign bit of an int64."""


class Ruler(Scale):
    """Cells of x_0, each with the numbers that raw values (B, *) can be in it: finitely many, as
    a float has 64 bits. A number is the index of its cell and its rank there, from 0."""

    # Halves narrow a cell down to what a mass in float64 can tell, and so far out as it can count.
    most: ClassVar[int] = 40
    farthest: ClassVar[int] = 52

    @abc.abstractmethod
    def split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The index, float64, and the rank, int64, of raw values, float64, all (B, *). What
        :meth:`join` makes of them is something else for a number that the ruler lacks."""

    @abc.abstractmethod
    def join(self, index: Tensor, rank: Tensor) -> Tensor:
        """The raw values (B, *), float64."""

    @abc.abstractmethod
    def count(self, index: Tensor) -> Tensor:
        """How many numbers each cell has, (B, *), int64."""


@dataclass(frozen=True)
class Decimals(Ruler):
    """Whole numbers of units of 10^-k: the number i stands in the cell from (i - 1/2) to (i + 1/2)
    units.

    Args:
        space: of the raw values, in which x_0 rises with each of them.
        unit: 10^k for each value of an example, float64.
        narrow: where the numbers are held in 32 bits, and not in 64.
        minus: where there is a minus zero besides the zero.
        low, high: the least and the largest numbers, whose cells reach to infinity.
    """

    space: Space
    unit: Tensor
    narrow: Tensor
    minus: Tensor
    low: Tensor
    high: Tensor

    def place(self, x: Tensor) -> Tensor:
        return self.space.in_raw_units(x.double()) * self.unit + 0.5

    def edge(self, index: Tensor) -> Tensor:
        x = self.space.encode((index - 0.5) / self.unit)
        x = torch.where(index <= self.low, -math.inf, x)
        return torch.where(index > self.high, math.inf, x)

    def split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        index = (raw * self.unit).round() + 0.0
        return index, (raw.signbit() & (index == 0) & self.minus).long()

    def join(self, index: Tensor, rank: Tensor) -> Tensor:
        value = index / self.unit  # the nearest float to the decimal: 10^k is exact
        value = torch.where(self.narrow, value.float().double(), value)
        return torch.where(rank > 0, -value, value)

    def count(self, index: Tensor) -> Tensor:
        return 1 + ((index == 0) & self.minus).long()


@dataclass(frozen=True)
class Floats(Ruler):
    """Any float, in cells of one width of x_0.

    Args:
        space: of the raw values, in which x_0 rises with each of them.
        width: of a cell.
        narrow: where the numbers are held in 32 bits, and not in 64; of each value of an example.
    """

    space: Space
    width: float
    narrow: Tensor

    def place(self, x: Tensor) -> Tensor:
        return x.double() / self.width

    def edge(self, index: Tensor) -> Tensor:
        return index * self.width

    def split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        index = self.place(self.space.encode(raw)).floor()
        number = ordered(raw, self.narrow)
        # The map and its inverse round: the ends of the cells, as the reader has them, decide.
        index = index + (number >= self._first(index + 1)) - 1.0 * (number < self._first(index))
        return index + 0.0, number - self._first(index)

    def join(self, index: Tensor, rank: Tensor) -> Tensor:
        return _of_order(self._first(index) + rank, self.narrow)

    def count(self, index: Tensor) -> Tensor:
        return self._first(index + 1) - self._first(index)

    def _first(self, index: Tensor) -> Tensor:
        """The first number of a cell, by its order."""
        return ordered(self.space.in_raw_units(self.edge(index)) + 0.0, self.narrow)


@dataclass(frozen=True)
class Either(Ruler):
    """One ruler for some values of an example, another for the others.

    Args:
        first: where the one is meant.
        one, other: the rulers.
    """

    first: Tensor
    one: Ruler
    other: Ruler

    def place(self, x: Tensor) -> Tensor:
        return torch.where(self.first, self.one.place(x), self.other.place(x))

    def edge(self, index: Tensor) -> Tensor:
        return torch.where(self.first, self.one.edge(index), self.other.edge(index))

    def split(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        pairs = zip(self.one.split(raw), self.other.split(raw), strict=True)
        index, rank = (torch.where(self.first, *pair) for pair in pairs)
        return index, rank

    def join(self, index: Tensor, rank: Tensor) -> Tensor:
        return torch.where(self.first, self.one.join(index, rank), self.other.join(index, rank))

    def count(self, index: Tensor) -> Tensor:
        return torch.where(self.first, self.one.count(index), self.other.count(index))


def alike(a: Tensor, b: Tensor) -> Tensor:
    """Where two float64 tensors have the same bits."""
    return a.view(torch.int64) == b.view(torch.int64)


def ordered(x: Tensor, narrow: Tensor) -> Tensor:
    """The place of x (B, *), float64, among all floats from the least, int64: minus zero comes
    before zero. Where `narrow`, that of the first at or above x among the floats of 32 bits."""
    near = x.float()
    above = torch.nextafter(near, torch.full_like(near, math.inf))
    near = torch.where(near.double() < x, above, near)
    small = near.view(torch.int32).long()
    small = torch.where(small >= 0, small, -(small & 0x7FFFFFFF) - 1)
    bits = x.view(torch.int64)
    return torch.where(narrow, small, torch.where(bits >= 0, bits, -(bits & ~SIGN) - 1))


def _of_order(number: Tensor, narrow: Tensor) -> Tensor:
    """The float of that place, in float64."""
    positive = number >= 0
    bits = torch.where(positive, number, (-(number + 1)) | SIGN)
    small = torch.where(positive, number, (-(number + 1) & 0x7FFFFFFF) - 2**31)
    small = small.clamp(-(2**31), 2**31 - 1).int().view(torch.float32).double()
    return torch.where(narrow, small, bits.contiguous().view(torch.float64))
