r"""How the values of one time of a chain are symbols, whatever the law they have."""

__all__ = ["Alphabet", "Cells", "Choices"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..families import Family
from .stack import Stack

ROWS = 2**20
"""Probabilities of choices that are held at once."""

REACH, MOST = 8.0, 14
"""Deviations from the mean up to which cells are told apart, and log2 of how many at most."""

FAINT = 1e-14
"""A mass that float64 cannot tell from none, where one is taken from another."""

FARTHEST = 22
"""Bits of the number of cells by which a value may lie beyond those."""


class Alphabet(abc.ABC):
    """Values of shape (B, *) on a stack, by a law of the same shape. `push` and `pop` undo each
    other if the law's parameters are the same to the last bit."""

    @abc.abstractmethod
    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        """Writes x, which costs its -log2 probability in bits."""

    @abc.abstractmethod
    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        """Reads values with the shape of `like`; where nothing was written, they are draws."""


@dataclass(frozen=True)
class Choices(Alphabet):
    """Finitely many values.

    Args:
        values: ascending, with shape (L,).
        log_prob: of a value (B, *) by a law, in nats, with shape (B, *).
    """

    values: Tensor
    log_prob: Callable[[Family, Tensor], Tensor]

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        chosen = (x[..., None].double() - self.values).abs().argmin(-1).flatten().numpy()
        probs = self._probs(law, x)
        for rows in reversed(self._rows(len(chosen))):
            stack.push_choices(probs[rows], chosen[rows])

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        probs = self._probs(law, like)
        chosen = [stack.pop_choices(probs[rows]) for rows in self._rows(len(probs))]
        return self.values[torch.from_numpy(np.concatenate(chosen)).long()].to(like).view_as(like)

    def _probs(self, law: Family, like: Tensor) -> np.ndarray:
        each = [self.log_prob(law, torch.full_like(like, value)) for value in self.values.tolist()]
        probs = torch.stack([log_p.flatten() for log_p in each], -1).double().softmax(-1)
        return _finite(probs).numpy()

    def _rows(self, n: int) -> list[slice]:
        at_once = max(1, ROWS // len(self.values))
        return [slice(start, start + at_once) for start in range(0, n, at_once)]


@dataclass(frozen=True)
class Cells(Alphabet):
    """The reals, in cells of one width; a value is the middle of its cell.

    A cell is found by halves: the 2^k of them about the law's mean are cut in two k times, and
    each time one bit says which half it is. So any law serves whose mass of a half is known. The
    two outermost cells stand for all that lie beyond, too, and how far follows.
    """

    width: float

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        window = _Window.about(law, self.width)
        place = (x.double() / self.width).floor().flatten() - window.start
        inside = place.clamp(0, window.count - 1)
        outermost = (inside == 0) | (inside == window.count - 1)
        _push_distance(stack, (place - inside).abs()[outermost].long().numpy())
        said: list[tuple[np.ndarray, np.ndarray]] = []

        def which(upper: Tensor, middle: Tensor) -> Tensor:
            said.append((_odds(upper), (inside >= middle).numpy()))
            return inside >= middle

        window.descend(which)
        for odds, half in reversed(said):
            stack.push_choices(odds, half)

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        window = _Window.about(law, self.width)
        inside = window.descend(
            lambda upper, middle: torch.from_numpy(stack.pop_choices(_odds(upper)) > 0)
        )
        below, above = inside == 0, inside == window.count - 1
        outermost = below | above
        distance = torch.from_numpy(_pop_distance(stack, int(outermost.sum()))).double()
        inside[outermost] += torch.where(above[outermost], distance, -distance)
        return ((window.start + inside + 0.5) * self.width).to(like).view_as(like)


@dataclass(frozen=True)
class _Window:
    """Cells start, ..., start + count - 1 of each value, where start has shape (n,), float64."""

    law: Family
    start: Tensor
    count: int
    width: float

    @classmethod
    def about(cls, law: Family, width: float) -> "_Window":
        law = law.to(torch.float64)
        middle, variance = _finite(law.mean / width), _finite(law.variance)
        half = REACH * variance.max().sqrt().item() / width
        count = 2 ** min(MOST, math.ceil(math.log2(2 * half + 2)))
        return cls(law, middle.floor().flatten() - count // 2, count, width)

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
        edge = ((self.start + cell) * self.width).view_as(self.law.mean)
        return self.law.log_mass(torch.full_like(edge, -math.inf), edge).exp().flatten()


def _odds(upper: Tensor) -> np.ndarray:
    return torch.stack([1 - upper, upper], -1).numpy()


def _finite(x: Tensor) -> Tensor:
    if not x.isfinite().all():
        raise ArithmeticError("a step of the chain has no finite law, and cannot be coded")
    return x


def _push_distance(stack: Stack, distance: np.ndarray) -> None:
    """Whole numbers from 0, few bits for small ones: the length of distance + 1, then its bits."""
    if (distance >= 2**FARTHEST - 1).any():
        raise ArithmeticError(f"a value lies {distance.max()} cells out, too far to be coded")
    length = np.frexp(distance + 1.0)[1] - 1
    stack.push_below(distance + 1 - (1 << length), 1 << length)
    stack.push_choices(_lengths(len(distance)), length)


def _pop_distance(stack: Stack, n: int) -> np.ndarray:
    length = stack.pop_choices(_lengths(n))
    return (1 << length) - 1 + stack.pop_below(1 << length)


def _lengths(n: int) -> np.ndarray:
    return np.tile(0.5 ** np.arange(1, FARTHEST + 1), (n, 1))
