r"""How raw values are symbols by the law of x_0: each kind of support has its alphabet."""

__all__ = ["Encoded", "Numbers", "raw_alphabet"]

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
from .alphabets import Alphabet, Choices, Classes
from .bins import pop_cells, push_cells
from .decimal_grids import MOST_PLACES, Grids
from .quantizers import Decimals, Either, Floats, Ruler, alike
from .stack import Stack

CELLS = 16
"""Cells to a deviation of the law of x_0, for numbers that have no grid: within one of them, all
are taken to be alike probable."""


TENS = torch.tensor([10.0**k for k in range(MOST_PLACES + 1)], dtype=torch.float64)
"""10^k, which float64 holds exactly."""


def raw_alphabet(piece: SpacePart, grids: Grids, blank: Tensor, t: Tensor) -> Alphabet:
    """The alphabet of the raw values of a part, by its own law.

    Args:
        grids: of these values.
        blank: an x_0 (1, *) of this part, in the type that a model computes in.
        t: the first time of a chain, (1,).

    Raises:
        TypeError: if the raw values of the space have no code.
    """
    support = piece.space.support
    return _BUILT[type(support)](support, piece, grids, blank, t)


@dataclass(frozen=True)
class Encoded(Alphabet):
    """Raw values that are as x_0 says.

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
        _require(alike(self.space.decode(x_0).double(), filled))
        self.inner.push(stack, law, torch.where(self._absent(x), torch.nan, x_0))

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        absent = self._absent(like)
        x_0 = self.inner.pop(stack, law, torch.where(absent, torch.nan, 0.0).to(self.dtype))
        raw = self.space.decode(torch.where(absent, 0.0, x_0)).double()
        return torch.where(like.isnan(), torch.nan, raw)

    def _absent(self, raw: Tensor) -> Tensor:
        """Where there is no x_0."""
        return self.space.expand_to_state(raw.isnan().to(self.dtype)) > 0


@dataclass(frozen=True)
class Numbers(Alphabet):
    """Numbers as a computer holds them: a cell of the line, by its mass; and which of the numbers
    in it, all of which are alike probable."""

    ruler: Ruler

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        there = ~x.isnan()
        index, rank = self.ruler.split(x)
        count = self.ruler.count(index)
        held = alike(self.ruler.join(index, rank), x) & (rank >= 0) & (rank < count)
        _require(held[there])
        stack.push_below(rank[there].numpy(), count[there].numpy())
        push_cells(stack, self.ruler, law, index, there)

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        there = ~like.isnan()
        index = pop_cells(stack, self.ruler, law, there)
        rank = torch.zeros_like(index, dtype=torch.long)
        count = self.ruler.count(index).clamp(min=1)  # whatever a damaged stream says
        rank[there] = torch.from_numpy(stack.pop_below(count[there].numpy()))
        return torch.where(there, self.ruler.join(index, rank), torch.nan)


def _require(held: Tensor) -> None:
    if not held.all():
        raise ArithmeticError("a value is not what the stream's grids and the space can tell")


def _finite(s: Any, piece: SpacePart, grids: Grids, blank: Tensor, t: Tensor) -> Alphabet:
    return Encoded(piece.space, Choices(s.values, piece.space.log_prob), blank.dtype)


def _grouped(s: Any, piece: SpacePart, grids: Grids, blank: Tensor, t: Tensor) -> Alphabet:
    return Encoded(piece.space, Classes(s), blank.dtype)


def _integral(s: Any, piece: SpacePart, grids: Grids, blank: Tensor, t: Tensor) -> Alphabet:
    ends = (torch.tensor(end, dtype=torch.float64) for end in (s.low, s.high))
    one = torch.ones(piece.space.shape, dtype=torch.float64)
    return Numbers(Decimals(piece.space, one, grids.narrow, grids.minus, *ends))


def _reals(s: Any, piece: SpacePart, grids: Grids, blank: Tensor, t: Tensor) -> Alphabet:
    everywhere = torch.full(piece.space.shape, math.inf, dtype=torch.float64)
    unit = TENS[grids.places.clamp(min=0)]
    decimals = Decimals(piece.space, unit, grids.narrow, grids.minus, -everywhere, everywhere)
    # On a continuum, the last step is the forward step in reverse (SD15 B.2).
    law = piece.kernel.step(blank.double(), torch.zeros_like(t), t)
    width = 2.0 ** math.floor(math.log2(law.variance.min().item() ** 0.5 / CELLS))
    return Numbers(Either(grids.places >= 0, decimals, Floats(piece.space, width, grids.narrow)))


_BUILT: dict[type[Support], Callable[[Any, SpacePart, Grids, Tensor, Tensor], Alphabet]] = {
    FiniteSupport: _finite,
    OneHotSupport: _grouped,
    IntegerSupport: _integral,
    RealSupport: _reals,
}
