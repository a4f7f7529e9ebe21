r"""Numbers as a computer holds them: the bin that a number is in, and its rank there."""

__all__ = [
    "DecimalQuantizer",
    "FloatQuantizer",
    "Members",
    "Quantizer",
    "SelectQuantizer",
    "ordered",
    "same_bits",
]

import abc
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..spaces import Space
from .arithmetic import Arithmetic
from .bins import Bins

SIGN = -(2**63)
"""The sign bit of an int64."""


class Members(abc.ABC):
    """The numbers of one bin for each value, (B, *): finitely many, ranked from 0."""

    count: Tensor
    """How many numbers each bin has, (B, *), int64."""

    @abc.abstractmethod
    def rank(self, raw: Tensor) -> Tensor:
        """The rank of raw values (B, *), float64, as int64. It is no valid rank, or :meth:`value`
        gives another number, if the bin lacks a value."""

    @abc.abstractmethod
    def value(self, rank: Tensor) -> Tensor:
        """The raw values (B, *), float64, of ranks (B, *), int64."""


class Quantizer(Bins):
    """Bins of x_0, each with the numbers that raw values (B, *) can be in it."""

    # Halving narrows a bin down to what a mass in float64 can tell, and as far out as it counts.
    most: ClassVar[int] = 40
    farthest: ClassVar[int] = 52

    @abc.abstractmethod
    def index(self, raw: Tensor, arithmetic: Arithmetic) -> Tensor:
        """The bin of each raw value (B, *), both float64."""

    @abc.abstractmethod
    def members(self, index: Tensor, arithmetic: Arithmetic) -> Members:
        """The numbers of each bin (B, *), on which a stream depends."""


@dataclass(frozen=True)
class DecimalQuantizer(Quantizer):
    """Whole multiples of 10^-k: the number i has the bin from (i - 1/2) to (i + 1/2) units.

    Args:
        space: of the raw values; x_0 rises with each of them.
        unit: 10^k for each value of an example, float64.
        narrow: where the numbers are 32-bit floats, and not 64-bit ones.
        minus: where there is a minus zero besides zero.
        low, high: the least and the largest number, whose bins reach to infinity.
    """

    space: Space
    unit: Tensor
    narrow: Tensor
    minus: Tensor
    low: Tensor
    high: Tensor

    def position(self, x: Tensor) -> Tensor:
        return self.space.in_raw_units(x.double()) * self.unit + 0.5

    def edge(self, index: Tensor) -> Tensor:
        x = self.space.encode((index - 0.5) / self.unit)
        x = torch.where(index <= self.low, -math.inf, x)
        return torch.where(index > self.high, math.inf, x)

    def index(self, raw: Tensor, arithmetic: Arithmetic) -> Tensor:
        return (raw * self.unit).round() + 0.0

    def members(self, index: Tensor, arithmetic: Arithmetic) -> Members:
        value = index / self.unit  # the nearest float to the decimal: 10^k is exact
        value = torch.where(self.narrow, value.float().double(), value)
        return _Signed(1 + ((index == 0) & self.minus).long(), value)


@dataclass(frozen=True)
class _Signed(Members):
    """One number, or zero and minus zero."""

    count: Tensor
    number: Tensor

    def rank(self, raw: Tensor) -> Tensor:
        return (raw.signbit() & (self.count > 1)).long()

    def value(self, rank: Tensor) -> Tensor:
        return torch.where(rank > 0, -self.number, self.number)


@dataclass(frozen=True)
class FloatQuantizer(Quantizer):
    """Any float, in bins of one width of x_0.

    Args:
        space: of the raw values; x_0 rises with each of them.
        width: of a bin, a power of two.
        narrow: where the numbers are 32-bit floats, and not 64-bit ones, of an example.
        unit: raw values that bins end at in a portable stream are multiples of it; a power of two
            for each value of an example.
        slope: by how much a raw value moves with x_0, of an example.
    """

    space: Space
    width: float
    narrow: Tensor
    unit: Tensor
    slope: Tensor

    def position(self, x: Tensor) -> Tensor:
        return x.double() / self.width

    def edge(self, index: Tensor) -> Tensor:
        return index * self.width

    def index(self, raw: Tensor, arithmetic: Arithmetic) -> Tensor:
        index = self.position(self.space.encode(raw)).floor()
        number = ordered(raw, self.narrow)
        # The map and its inverse round: the ends of the bins, as the reader has them, decide.
        first = self._first(index, arithmetic, record=False)
        after = self._first(index + 1, arithmetic, record=False)
        return index + (number >= after) - 1.0 * (number < first) + 0.0

    def members(self, index: Tensor, arithmetic: Arithmetic) -> Members:
        first = self._first(index, arithmetic, record=True)
        after = self._first(index + 1, arithmetic, record=True)
        return _Ordered(after - first, first, self.narrow)

    def _first(self, index: Tensor, arithmetic: Arithmetic, record: bool) -> Tensor:
        """The first number of a bin, by its order."""
        raw = self.space.in_raw_units(self.edge(index))
        edge = arithmetic.raw_edge(raw, self.unit, self.slope, record)
        return ordered(edge + 0.0, self.narrow)


@dataclass(frozen=True)
class _Ordered(Members):
    """All floats from one on."""

    count: Tensor
    first: Tensor
    narrow: Tensor

    def rank(self, raw: Tensor) -> Tensor:
        return ordered(raw, self.narrow) - self.first

    def value(self, rank: Tensor) -> Tensor:
        return _of_order(self.first + rank, self.narrow)


@dataclass(frozen=True)
class SelectQuantizer(Quantizer):
    """One quantizer for some values of an example, another for the others.

    Args:
        mask: where the first is used.
        first, second: the quantizers.
    """

    mask: Tensor
    first: Quantizer
    second: Quantizer

    def position(self, x: Tensor) -> Tensor:
        return torch.where(self.mask, self.first.position(x), self.second.position(x))

    def edge(self, index: Tensor) -> Tensor:
        return torch.where(self.mask, self.first.edge(index), self.second.edge(index))

    def index(self, raw: Tensor, arithmetic: Arithmetic) -> Tensor:
        second = self.second.index(torch.where(self.mask, 0.0, raw), arithmetic)
        return torch.where(self.mask, self.first.index(raw, arithmetic), second)

    def members(self, index: Tensor, arithmetic: Arithmetic) -> Members:
        first = self.first.members(index, arithmetic)
        second = self.second.members(torch.where(self.mask, 0.0, index), arithmetic)
        count = torch.where(self.mask, first.count, second.count)
        return _Selected(count, self.mask, first, second)


@dataclass(frozen=True)
class _Selected(Members):
    count: Tensor
    mask: Tensor
    first: Members
    second: Members

    def rank(self, raw: Tensor) -> Tensor:
        return torch.where(self.mask, self.first.rank(raw), self.second.rank(raw))

    def value(self, rank: Tensor) -> Tensor:
        return torch.where(self.mask, self.first.value(rank), self.second.value(rank))


def same_bits(a: Tensor, b: Tensor) -> Tensor:
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
