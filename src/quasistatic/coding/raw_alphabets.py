r"""How raw values become symbols by the law of x_0: each kind of support has its alphabet."""

__all__ = ["EncodedAlphabet", "NumberAlphabet", "raw_alphabet"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..distributions import (
    Family,
    FiniteSupport,
    IntegerSupport,
    OneHotSupport,
    RealSupport,
    Support,
)
from ..spaces import Space
from ..spaces.space import SpacePart
from .alphabets import Alphabet, FiniteAlphabet, GroupedAlphabet
from .arithmetic import Arithmetic
from .bins import pop_bins, push_bins
from .decimal_grids import MOST_PLACES, DecimalGrids
from .quantizers import DecimalQuantizer, FloatQuantizer, Quantizer, SelectQuantizer, same_bits
from .stack import Stack

BINS = 16
"""Bins to a standard deviation of the law of x_0, for numbers without a decimal grid: within one of
them, all are taken to be equally probable."""

EDGES = 1024
"""Multiples of the unit of edges to a bin, in a portable stream."""

TENS = torch.tensor([10.0**k for k in range(MOST_PLACES + 1)], dtype=torch.float64)
"""10^k, which float64 holds exactly."""


@dataclass(frozen=True)
class _Part:
    """What the alphabet of a part of the raw values is made of; see :func:`raw_alphabet`."""

    piece: SpacePart
    grids: DecimalGrids
    blank: Tensor
    t: Tensor
    arithmetic: Arithmetic


def raw_alphabet(
    piece: SpacePart, grids: DecimalGrids, blank: Tensor, t: Tensor, arithmetic: Arithmetic
) -> Alphabet:
    """The alphabet of the raw values of a part, by its own law.

    Args:
        piece: the part of the space, and its kernel.
        grids: of these values.
        blank: an x_0 (1, *) of this part, in the type that the model computes in.
        t: the first time of the chain, (1,).
        arithmetic: of the chain, which finds the widths of bins.

    Raises:
        TypeError: if the raw values of the space have no code.
    """
    support = piece.space.support
    return _BUILT[type(support)](support, _Part(piece, grids, blank, t, arithmetic))


@dataclass(frozen=True)
class EncodedAlphabet(Alphabet):
    """Raw values that x_0 determines.

    Args:
        space: of the raw values.
        inner: the alphabet of x_0.
        dtype: of x_0.
    """

    space: Space
    inner: Alphabet
    dtype: torch.dtype

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        filled = torch.where(x.isnan(), self.space.placeholder, x)
        x_0 = self.space.encode(filled.to(self.dtype))
        _require(same_bits(self.space.decode(x_0).double(), filled))
        self.inner.push(stack, law, torch.where(self._missing(x), torch.nan, x_0))

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        missing = self._missing(like)
        x_0 = self.inner.pop(stack, law, torch.where(missing, torch.nan, 0.0).to(self.dtype))
        raw = self.space.decode(torch.where(missing, 0.0, x_0)).double()
        return torch.where(like.isnan(), torch.nan, raw)

    def _missing(self, raw: Tensor) -> Tensor:
        """Where there is no x_0."""
        return self.space.expand_to_state(raw.isnan().to(self.dtype)) > 0


@dataclass(frozen=True)
class NumberAlphabet(Alphabet):
    """Numbers as a computer holds them: a bin of the line by its mass, then which of the numbers in
    the bin, all of which are equally probable."""

    quantizer: Quantizer

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        present = ~x.isnan()
        stack.arithmetic.next_law()
        index = self.quantizer.index(torch.where(present, x, 0.0), stack.arithmetic)
        index = torch.where(present, index, 0.0)
        members = self.quantizer.members(index, stack.arithmetic)
        rank = members.rank(x)
        held = same_bits(members.value(rank), x) & (rank >= 0) & (rank < members.count)
        _require(held[present])
        stack.push_uniform(rank[present].numpy(), members.count[present].numpy())
        push_bins(stack, self.quantizer, law, index, present)

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        present = ~like.isnan()
        index = pop_bins(stack, self.quantizer, law, present)
        stack.arithmetic.next_law()
        index = torch.where(present, index, 0.0)
        members = self.quantizer.members(index, stack.arithmetic)
        rank = torch.zeros_like(index, dtype=torch.long)
        count = members.count.clamp(min=1)  # whatever a damaged stream says
        rank[present] = torch.from_numpy(stack.pop_uniform(count[present].numpy()))
        return torch.where(present, members.value(rank), torch.nan)


def _require(held: Tensor) -> None:
    if not held.all():
        raise ArithmeticError("a value is none that the decimal grids and the space can express")


def _finite(support: FiniteSupport, part: _Part) -> Alphabet:
    space = part.piece.space
    return EncodedAlphabet(space, FiniteAlphabet(support.values, space.log_prob), part.blank.dtype)


def _grouped(support: OneHotSupport, part: _Part) -> Alphabet:
    return EncodedAlphabet(part.piece.space, GroupedAlphabet(support), part.blank.dtype)


def _integral(support: IntegerSupport, part: _Part) -> Alphabet:
    space, grids = part.piece.space, part.grids
    ends = (torch.tensor(end, dtype=torch.float64) for end in (support.low, support.high))
    one = torch.ones(space.shape, dtype=torch.float64)
    return NumberAlphabet(DecimalQuantizer(space, one, grids.narrow, grids.minus, *ends))


def _reals(support: RealSupport, part: _Part) -> Alphabet:
    space, grids = part.piece.space, part.grids
    everywhere = torch.full(space.shape, math.inf, dtype=torch.float64)
    unit = TENS[grids.places.clamp(min=0)]
    decimals = DecimalQuantizer(space, unit, grids.narrow, grids.minus, -everywhere, everywhere)
    # On a continuum, the last step is the forward step in reverse (SD15 B.2).
    law = part.piece.kernel.step(part.blank.double(), torch.zeros_like(part.t), part.t)
    width = part.arithmetic.power_of_two(law.variance.min().sqrt() / BINS).item()
    slope = _slope(space, width)
    edges = part.arithmetic.power_of_two(slope * width / EDGES)
    floats = FloatQuantizer(space, width, grids.narrow, edges, slope)
    return NumberAlphabet(SelectQuantizer(grids.places >= 0, decimals, floats))


def _slope(space: Space, width: float) -> Tensor:
    """By how much raw values move with x_0 around zero, of an example."""
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64).view(2, *[1] * len(space.state))
    low, high = space.in_raw_units(ends.expand(2, *space.state) * width)
    slope: Tensor = ((high - low) / (2 * width)).clamp(min=2.0**-900)
    return slope


_BUILT: dict[type[Support], Callable[[Any, _Part], Alphabet]] = {
    FiniteSupport: _finite,
    OneHotSupport: _grouped,
    IntegerSupport: _integral,
    RealSupport: _reals,
}
