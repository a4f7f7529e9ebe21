r"""The bins around the mean of a law, and the probability of each half of them."""

__all__ = ["FEW", "FloatWindow", "RoundedWindow", "Window", "even_halves", "finite"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family
from .frequencies import exact_weights

if TYPE_CHECKING:
    from .arithmetic import RoundedFloats
    from .bins import Bins

REACH = 8.0
"""Standard deviations on each side of the mean that the bins of a window cover."""

FAINT = 1e-14
"""A mass that float64 cannot tell from zero, where one mass is subtracted from another."""

ANGLES = 8192
"""Steps of asin(sqrt(F)) from F = 0 to F = 1, to which a distribution function F is rounded."""

FEW, LEAST, TAIL = 64, 4, 8
"""Halves of an interval count as equally probable below FEW steps, if it is TAIL times farther from
both ends of the distribution than it is long, and always below LEAST steps. In a tail the density
is not flat, however few the steps: halved evenly, it draws values that are far too far out."""

Choose = Callable[[np.ndarray, Tensor], Tensor]
"""Called with weights (n, 2) of the lower and upper half and the first bin of the upper half (n,);
returns whether each value is in the upper half, (n,)."""


class Window(abc.ABC):
    """Bins start, ..., start + count - 1 of each value. `start` has shape (n,), float64."""

    start: Tensor
    count: int

    @abc.abstractmethod
    def descend(self, choose: Choose) -> Tensor:
        """Halves the window until one bin is left, and returns it, counted from start, (n,)."""


def finite(x: Tensor) -> Tensor:
    """x, or ArithmeticError if it is not finite."""
    if not x.isfinite().all():
        raise ArithmeticError("a step of the chain has no finite law, and cannot be coded")
    return x


@dataclass(frozen=True)
class FloatWindow(Window):
    """Masses as this machine's floats have them (streams that are not portable)."""

    law: Family
    start: Tensor
    count: int
    bins: "Bins"

    @classmethod
    def about(cls, law: Family, bins: "Bins") -> "FloatWindow":
        """The window around the mean of a law."""
        law = law.to(torch.float64)
        mean, deviation = law.mean, law.variance.sqrt().expand_as(law.mean)
        middle = finite(bins.position(mean))
        # As many bins as on the side where they are narrower.
        ends = (bins.position(mean + sign * REACH * deviation) for sign in (-1, 1))
        half = max((end - middle).abs().max().item() for end in ends)
        if not half < 2.0**bins.most:  # NaN too
            half = 2.0**bins.most
        count = 2 ** min(bins.most, math.ceil(math.log2(2 * half + 2)))
        return cls(law, middle.floor().flatten() - count // 2, count, bins)

    def descend(self, choose: Choose) -> Tensor:
        low, size = torch.zeros_like(self.start), self.count
        below, above = torch.zeros_like(low), torch.ones_like(low)  # mass below low, low + size
        while size > 1:
            size //= 2
            middle = low + size
            between = self._mass_below(middle)
            upper = ((above - between + FAINT) / (above - below + 2 * FAINT)).clamp(0, 1)
            up = choose(torch.stack([1 - upper, upper], -1).numpy(), middle)
            low = torch.where(up, middle, low)
            below, above = torch.where(up, between, below), torch.where(up, above, between)
        return low

    def _mass_below(self, bin_: Tensor) -> Tensor:
        edge = self.bins.edge((self.start + bin_).view_as(self.law.mean))
        return self.law.log_mass(torch.full_like(edge, -math.inf), edge).exp().flatten()


def even_halves(first: Tensor, last: Tensor) -> Tensor:
    """Whether the halves of each interval between steps (n,) count as equally probable, (n,)."""
    steps, to_end = last - first, torch.minimum(first, ANGLES - last)
    return (steps < LEAST) | ((steps < FEW) & (TAIL * steps <= to_end))


@dataclass(frozen=True)
class RoundedWindow(Window):
    """Masses from a distribution function that is rounded to integers (portable streams).

    Args:
        active: which of the values exist, (n,).
    """

    law: Family
    start: Tensor
    count: int
    bins: "Bins"
    active: Tensor
    rounding: "RoundedFloats"

    @classmethod
    def about(
        cls, law: Family, bins: "Bins", present: Tensor, rounding: "RoundedFloats"
    ) -> "RoundedWindow":
        """The window around the mean of a law, for values that are present (B, *)."""
        law, zero = law.to(torch.float64), torch.zeros((), dtype=torch.float64)
        mean, deviation = law.mean, law.variance.sqrt().expand_as(law.mean)
        middle = torch.where(present, bins.position(mean), zero)
        ends = [bins.position(mean + sign * REACH * deviation) for sign in (-1, 1)]
        reach = torch.maximum(*((end - middle).abs() for end in ends))
        reach = torch.where(present, reach, zero).nan_to_num(math.inf, math.inf)
        reach = reach.clamp(max=2.0**bins.most)
        # How far `middle` may be off: the mean may be off by epsilon (1 + |mean|).
        scale = reach / (REACH * deviation) * (1 + mean.abs()) + middle.abs()
        off = torch.where(present, rounding.epsilon * scale, zero).nan_to_num(math.inf)
        half = reach.max() if reach.numel() else zero
        bits = rounding.nearest(
            (2 * half + 2).log2() + 0.5, (4 * off.max() if off.numel() else zero) / (half + 1)
        )
        count = 2 ** min(bins.most, int(bits))
        grain = max(1, count // 8)
        start = grain * rounding.nearest(middle / grain, off / grain) - count // 2
        return cls(law, start.flatten(), count, bins, present.flatten(), rounding)

    def descend(self, choose: Choose) -> Tensor:
        low, size = torch.zeros_like(self.start), self.count
        first, last = torch.zeros_like(low), torch.full_like(low, ANGLES)
        while size > 1:
            size //= 2
            middle = low + size
            # An interval that is halved evenly has all of its parts halved evenly.
            active = self.active & ~self.rounding.evenly(first, last)
            between = self._steps_below(middle, active) if active.any() else first
            between = torch.minimum(torch.maximum(between, first), last)
            up = choose(_halves(first, between, last, active), middle)
            low = torch.where(up, middle, low)
            first, last = torch.where(up, between, first), torch.where(up, last, between)
            first, last = torch.where(active, first, 0.0), torch.where(active, last, 0.0)
        return low

    def _steps_below(self, bin_: Tensor, active: Tensor) -> Tensor:
        """The rounded distribution function at the lower edge of a bin, (n,)."""
        edge = self.bins.edge((self.start + bin_).view_as(self.law.mean))
        mass = self.law.log_mass(torch.full_like(edge, -math.inf), edge).exp().flatten()
        density = self.law.log_prob(edge).exp().flatten()
        far = 1 + edge.flatten().abs()
        off = self.rounding.epsilon * (1 + torch.where(far.isinf(), 0.0, density * far))
        mass, zero = mass.clamp(0, 1), torch.zeros_like(mass)
        slope = (2 * (mass * (1 - mass)).sqrt()).clamp(min=off.sqrt())
        unit = 2 * ANGLES / math.pi
        angle = torch.where(active, mass.sqrt().clamp(max=1).asin() * unit, zero)
        return self.rounding.nearest(angle, torch.where(active, unit * off / slope, zero))


def _sines() -> np.ndarray:
    """sin(pi k / 2 ANGLES)^2 in units of 2^-30, whole numbers in float64."""
    return np.array(
        [round(2**30 * math.sin(math.pi * k / (2 * ANGLES)) ** 2) for k in range(ANGLES + 1)],
        dtype=np.float64,
    )


MASSES = _sines()
"""The mass below each step of the rounded distribution function, in units of 2^-30."""


def _halves(first: Tensor, between: Tensor, last: Tensor, active: Tensor) -> np.ndarray:
    """Weights (n, 2) of the lower and the upper half."""
    at = [MASSES[steps.numpy().astype(np.int64)] for steps in (first, between, last)]
    whole = np.where(active.numpy(), at[2] - at[0], 2.0)
    lower = np.where(active.numpy(), at[1] - at[0], 1.0)
    return exact_weights((lower / whole)[:, None], 2)
