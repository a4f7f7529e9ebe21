r"""The line in numbered cells, which are found by halves: any law serves whose mass is known."""

__all__ = ["Even", "Scale", "pop_cells", "push_cells"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family
from .stack import Stack

REACH = 8.0
"""Deviations from the mean up to which cells are told apart."""

FAINT = 1e-14
"""A mass that float64 cannot tell from none, where one is taken from another."""


class Scale(abc.ABC):
    """Cells of the line for each value of an example, numbered upward, of any widths."""

    most: ClassVar[int]
    """log2 of how many cells are told apart by halves, at most."""

    farthest: ClassVar[int]
    """Bits of the number of cells by which a value may lie beyond those."""

    @abc.abstractmethod
    def place(self, x: Tensor) -> Tensor:
        """Where x (B, *) lies, in cells: it rises with x, and its floor is about the number of the
        cell that holds x; in float64, (B, *)."""

    @abc.abstractmethod
    def edge(self, index: Tensor) -> Tensor:
        """The lower end of each cell, (B, *) to (B, *), both in float64; it may be infinite."""


@dataclass(frozen=True)
class Even(Scale):
    """Cells of one width."""

    width: float

    most: ClassVar[int] = 14
    farthest: ClassVar[int] = 22

    def place(self, x: Tensor) -> Tensor:
        return x.double() / self.width

    def edge(self, index: Tensor) -> Tensor:
        return index * self.width


def push_cells(stack: Stack, scale: Scale, law: Family, index: Tensor, there: Tensor) -> None:
    """Writes the numbers of cells (B, *), float64, where `there` (B, *) says that there is one.

    The 2^k cells about the law's mean are cut in two k times, and each time one bit says which
    half it is. The two outermost of them stand for all that lie beyond, too, and how far follows.

    Raises:
        ArithmeticError: if a cell is too far out to be told, or the law is not finite.
    """
    window, there = _Window.about(law, scale), there.flatten()
    place = torch.where(there, index.flatten(), 0.0) - window.start
    inside = place.clamp(0, window.count - 1)
    outermost = there & ((inside == 0) | (inside == window.count - 1))
    _push_distance(stack, (place - inside).abs()[outermost].numpy(), scale.farthest)
    said: list[tuple[np.ndarray, np.ndarray]] = []

    def which(upper: Tensor, middle: Tensor) -> Tensor:
        half = inside >= middle
        said.append((_odds(upper[there]), half[there].numpy()))
        return half

    window.descend(which)
    for odds, half in reversed(said):
        stack.push_choices(odds, half)


def pop_cells(stack: Stack, scale: Scale, law: Family, there: Tensor) -> Tensor:
    """Reads what :func:`push_cells` wrote: numbers of cells, with the shape of `there` (B, *), in
    float64, and some number where there is none."""
    window, shape, there = _Window.about(law, scale), there.shape, there.flatten()

    def which(upper: Tensor, middle: Tensor) -> Tensor:
        half = torch.zeros_like(there)
        half[there] = torch.from_numpy(stack.pop_choices(_odds(upper[there])) > 0)
        return half

    inside = window.descend(which)
    below, above = inside == 0, inside == window.count - 1
    outermost = there & (below | above)
    told = _pop_distance(stack, int(outermost.sum()), scale.farthest)
    distance = torch.from_numpy(told).double()
    inside[outermost] += torch.where(above[outermost], distance, -distance)
    return (window.start + inside).view(shape)


@dataclass(frozen=True)
class _Window:
    """Cells start, ..., start + count - 1 of each value, where start has shape (n,), float64."""

    law: Family
    start: Tensor
    count: int
    scale: Scale

    @classmethod
    def about(cls, law: Family, scale: Scale) -> "_Window":
        law = law.to(torch.float64)
        mean, deviation = law.mean, law.variance.sqrt().expand_as(law.mean)
        middle = finite(scale.place(mean))
        # As far as the cells go on the side where they are narrower.
        ends = (scale.place(mean + sign * REACH * deviation) for sign in (-1, 1))
        half = max((end - middle).abs().max().item() for end in ends)
        if not half < 2.0**scale.most:  # not a number, too
            half = 2.0**scale.most
        count = 2 ** min(scale.most, math.ceil(math.log2(2 * half + 2)))
        return cls(law, middle.floor().flatten() - count // 2, count, scale)

    def descend(self, which: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The cell of each value, counted from start, (n,). `which` is told the probability of
        the upper half and its first cell, (n,) both, and says whether it is that half."""
        low, size = torch.zeros_like(self.start), self.count
        below, above = torch.zeros_like(low), torch.ones_like(low)  # mass below low, low + size
        while size > 1:
            size //= 2
            middle = low + size
            between = self._mass_below(middle)
            upper = (above - between + FAINT) / (above - below + 2 * FAINT)
            up = which(upper.clamp(0, 1), middle)
            low = torch.where(up, middle, low)
            below, above = torch.where(up, between, below), torch.where(up, above, between)
        return low

    def _mass_below(self, cell: Tensor) -> Tensor:
        edge = self.scale.edge((self.start + cell).view_as(self.law.mean))
        return self.law.log_mass(torch.full_like(edge, -math.inf), edge).exp().flatten()


def finite(x: Tensor) -> Tensor:
    """x, or ArithmeticError if it is not finite."""
    if not x.isfinite().all():
        raise ArithmeticError("a step of the chain has no finite law, and cannot be coded")
    return x


def _odds(upper: Tensor) -> np.ndarray:
    return torch.stack([1 - upper, upper], -1).numpy()


def _push_distance(stack: Stack, distance: np.ndarray, farthest: int) -> None:
    """Whole numbers from 0, few bits for small ones: the length of distance + 1, then its bits."""
    if not (distance < 2**farthest - 1).all():
        raise ArithmeticError(f"a value lies {distance.max()} cells out, too far to be coded")
    length = (np.frexp(distance + 1.0)[1] - 1).astype(np.int64)
    stack.push_below(distance.astype(np.int64) + 1 - (1 << length), 1 << length)
    stack.push_choices(_lengths(len(distance), farthest), length)


def _pop_distance(stack: Stack, n: int, farthest: int) -> np.ndarray:
    length = stack.pop_choices(_lengths(n, farthest))
    return (1 << length) - 1 + stack.pop_below(1 << length)


def _lengths(n: int, farthest: int) -> np.ndarray:
    return np.tile(0.5 ** np.arange(1, farthest + 1), (n, 1))
