"""The normal distribution of a scalar."""

__all__ = ["Gaussian"]

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.constants import host_decides
from .._utils.randomness import normal
from .family import Family

LEAST_SHRINK = 0.05
"""The least precision of an extrapolated member, in units of that of the first one."""


@dataclass(frozen=True)
class Gaussian(Family):
    """The normal distribution N(x; loc, variance).

    Args:
        loc: the mean, shape (B, *).
        variance: broadcasting to (B, *). Zero is a point mass, which can be tilted and sampled; its
            density, entropy and divergence are not finite.
    """

    loc: Tensor
    variance: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        like = self.loc
        noise = normal(like.shape, rng, like)
        return like + self.variance.sqrt() * noise

    def icdf(self, u: Tensor) -> Tensor:
        found: Tensor = self.loc + self.variance.sqrt() * torch.special.ndtri(u)
        return found

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * ((x - self.loc) ** 2 / self.variance + (2 * math.pi * self.variance).log())

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        # The logarithm of a difference of two CDFs, computed in the left tail, where no digits
        # cancel.
        low, high = self._deviations(lower), self._deviations(upper)
        if host_decides(low) and torch.isneginf(low).all():
            return _log_cdf(high)
        if host_decides(high) and torch.isposinf(high).all():
            return _log_cdf(-low)
        right = low + high > 0
        low, high = torch.where(right, -high, low), torch.where(right, -low, high)
        # log Phi(z) = log_scaled(z) - tail(z)^2. Far out the squares of the two ends are large and
        # nearly equal: their difference is taken as a product, so that outliers keep a gradient.
        open_end = low.isinf()
        tail_low, tail_high = -torch.where(open_end, -1.0, low) / 2**0.5, (-high / 2**0.5).relu()
        log_high = _log_scaled_cdf(high, tail_high)
        gap = (torch.special.erfcx(tail_low) / 2).log() - log_high
        gap = gap - (tail_low - tail_high) * (tail_low + tail_high)
        gap = torch.where(open_end, -1.0, gap)
        share = torch.where(open_end, 0.0, (-torch.expm1(gap)).log())
        return log_high - tail_high**2 + share

    def _deviations(self, x: Tensor) -> Tensor:
        """(x - loc) / sqrt(variance), where an infinite x has a gradient of zero and not NaN."""
        finite = torch.where(x.isinf(), self.loc, x)
        return torch.where(x.isinf(), x, (finite - self.loc) / self.variance.sqrt())

    def entropy(self) -> Tensor:
        return (0.5 * (2 * math.pi * math.e * self.variance).log()).expand_as(self.loc)

    def kl(self, other: Self) -> Tensor:
        log_ratio = self.variance.log() - other.variance.log()
        square = (self.loc - other.loc) ** 2 / other.variance
        return 0.5 * (torch.expm1(log_ratio) - log_ratio + square)

    def log_partition(self) -> Tensor:
        return self.loc**2 / (2 * self.variance) + 0.5 * self.variance.log()

    @property
    def natural(self) -> tuple[Tensor, Tensor]:
        return self.loc / self.variance, (1 / self.variance).expand_as(self.loc)

    def extrapolate(self, other: Any, weight: Tensor) -> "Gaussian":
        # Written in the ratio of the variances, so that two point masses have a member too. Where
        # no member is normalised, or hardly, the other is taken with this variance.
        ratio = torch.where(other.variance > 0, self.variance / other.variance, 1.0)
        shrink = 1 + weight * (1 - ratio)
        ratio = torch.where(shrink > LEAST_SHRINK, ratio, 1.0)
        shrink = 1 + weight * (1 - ratio)
        loc = ((1 + weight) * self.loc - weight * ratio * other.loc) / shrink
        return Gaussian(loc, (self.variance / shrink).expand_as(loc))

    def tilt(self, linear: Tensor, precision: Tensor) -> "Gaussian":
        # variance' = 1 / (1 / variance + precision), written so that a point mass stays one.
        shrink = 1 + self.variance * precision
        return Gaussian((self.loc + self.variance * linear) / shrink, self.variance / shrink)


def _log_cdf(z: Tensor) -> Tensor:
    found: Tensor = torch.special.log_ndtr(z)
    return found


def _log_scaled_cdf(z: Tensor, tail: Tensor) -> Tensor:
    """log Phi(z) + tail^2, where tail = relu(-z / sqrt 2), so that it stays small and smooth."""
    left = z <= 0
    above = torch.special.erfc(torch.where(left, 0.0, z) / 2**0.5) / 2
    return torch.where(left, (torch.special.erfcx(tail) / 2).log(), torch.log1p(-above))
