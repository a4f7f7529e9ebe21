r"""The real line in numbered bins, which are found by halving: any law with known masses serves."""

__all__ = ["Bins", "UniformBins", "pop_bins", "push_bins"]

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family
from .stack import Stack


class Bins(abc.ABC):
    """Bins of the line for each value of an example, numbered upward, of any widths."""

    most: ClassVar[int]
    """log2 of the largest number of bins in a window."""

    farthest: ClassVar[int]
    """Bits of the largest number of bins by which a value may lie outside a window."""

    @abc.abstractmethod
    def position(self, x: Tensor) -> Tensor:
        """Where x (B, *) lies, in bins, (B, *), float64. It rises with x, and its floor is about
        the number of the bin that holds x."""

    @abc.abstractmethod
    def edge(self, index: Tensor) -> Tensor:
        """The lower end of each bin, (B, *) to (B, *), both float64; it may be infinite."""


@dataclass(frozen=True)
class UniformBins(Bins):
    """Bins of one width, a power of two."""

    width: float

    most: ClassVar[int] = 14
    farthest: ClassVar[int] = 22

    def position(self, x: Tensor) -> Tensor:
        return x.double() / self.width

    def edge(self, index: Tensor) -> Tensor:
        return index * self.width


def push_bins(stack: Stack, bins: Bins, law: Family, index: Tensor, present: Tensor) -> None:
    """Pushes the numbers of bins (B, *), float64, where `present` (B, *) is true.

    The 2^k bins around the law's mean are halved k times, and each time one symbol of two says
    which half. The two outermost bins stand for all values beyond them too, and the distance
    follows.

    Raises:
        ArithmeticError: if a bin is too far from the window, or the law is not finite.
    """
    stack.arithmetic.next_law()
    window, present = stack.arithmetic.window(law, bins, present), present.flatten()
    place = torch.where(present, index.flatten(), 0.0) - window.start
    inside = place.clamp(0, window.count - 1)
    outermost = present & ((inside == 0) | (inside == window.count - 1))
    _push_distance(stack, (place - inside).abs()[outermost].numpy(), bins.farthest)
    choices: list[tuple[np.ndarray, np.ndarray]] = []

    def choose(weights: np.ndarray, middle: Tensor) -> Tensor:
        upper = inside >= middle
        choices.append((weights[present.numpy()], upper[present].numpy()))
        return upper

    window.descend(choose)
    for weights, upper in reversed(choices):
        stack.push_choices(weights, upper)


def pop_bins(stack: Stack, bins: Bins, law: Family, present: Tensor) -> Tensor:
    """Pops what :func:`push_bins` pushed: numbers of bins with the shape of `present` (B, *),
    float64. Where no value is present, the number is arbitrary."""
    stack.arithmetic.next_law()
    window, shape = stack.arithmetic.window(law, bins, present), present.shape
    present = present.flatten()

    def choose(weights: np.ndarray, middle: Tensor) -> Tensor:
        upper = torch.zeros_like(present)
        upper[present] = torch.from_numpy(stack.pop_choices(weights[present.numpy()]) > 0)
        return upper

    inside = window.descend(choose)
    below, above = inside == 0, inside == window.count - 1
    outermost = present & (below | above)
    popped = _pop_distance(stack, int(outermost.sum()), bins.farthest)
    distance = torch.from_numpy(popped).double()
    inside[outermost] += torch.where(above[outermost], distance, -distance)
    return (window.start + inside).view(shape)


def _push_distance(stack: Stack, distance: np.ndarray, farthest: int) -> None:
    """Pushes whole numbers from 0, few bits for small ones: the length of distance + 1, then its
    bits."""
    if not (distance < 2**farthest - 1).all():
        raise ArithmeticError(f"a value lies {distance.max()} bins out, too far to be coded")
    length = (np.frexp(distance + 1.0)[1] - 1).astype(np.int64)
    stack.push_uniform(distance.astype(np.int64) + 1 - (1 << length), 1 << length)
    stack.push_choices(_lengths(len(distance), farthest), length)


def _pop_distance(stack: Stack, n: int, farthest: int) -> np.ndarray:
    length = stack.pop_choices(_lengths(n, farthest))
    distance: np.ndarray = (1 << length) - 1 + stack.pop_uniform(1 << length)
    return distance


def _lengths(n: int, farthest: int) -> np.ndarray:
    return np.tile(0.5 ** np.arange(1, farthest + 1), (n, 1))
