"""The Bernoulli distribution: a bit."""

__all__ = ["Bernoulli"]

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils.randomness import uniform
from .family import Family, times

_NODES = [(0.5 + x / 2, w / 2) for x, w in zip(*np.polynomial.legendre.leggauss(6), strict=True)]
"""Gauss-Legendre nodes and weights on (0, 1)."""


@dataclass(frozen=True)
class Bernoulli(Family):
    """A bit: P(x = 1) = sigmoid(logit).

    Args:
        logit: the log-odds, shape (B, *); infinite for a bit that is known.
    """

    logit: Tensor
    binary: ClassVar[bool] = True

    @property
    def mean(self) -> Tensor:
        return self.logit.sigmoid()

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self.logit.sigmoid() * (-self.logit).sigmoid()

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        like = self.logit
        u = uniform(like.shape, rng, like)
        return (u < self.mean).to(like.dtype)

    def icdf(self, u: Tensor) -> Tensor:
        return (u > (-self.logit).sigmoid()).to(self.logit.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        return F.logsigmoid(torch.where(x > 0.5, self.logit, -self.logit))

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        never = torch.full_like(self.logit, -math.inf)
        zero = torch.where((lower < 0) & (upper >= 0), F.logsigmoid(-self.logit), never)
        one = torch.where((lower < 1) & (upper >= 1), F.logsigmoid(self.logit), never)
        return torch.logaddexp(zero, one)

    def entropy(self) -> Tensor:
        return -times(self.mean, F.logsigmoid(self.logit)) - times(
            (-self.logit).sigmoid(), F.logsigmoid(-self.logit)
        )

    def kl(self, other: Self) -> Tensor:
        # If the two are close: gap^2 times the integral of (1 - v) Var[logit + v gap] over v in (0,
        # 1). All its terms are positive, so that no digits cancel; six Gauss nodes give 13 digits.
        # Otherwise, and for known bits: the definition.
        gap = other.logit - self.logit
        near = gap.abs() < 1
        small = torch.where(near, gap, 0.0)
        close = small**2 * sum(
            weight * (1 - v) * Bernoulli(self.logit + v * small).variance for v, weight in _NODES
        )
        wide = torch.where(near, 0.0, other.logit)
        far = times(self.mean, F.logsigmoid(self.logit) - F.logsigmoid(wide)) + times(
            (-self.logit).sigmoid(), F.logsigmoid(-self.logit) - F.logsigmoid(-wide)
        )
        same_point = (self.logit == other.logit) & self.logit.isinf()
        return torch.where(same_point, 0.0, torch.where(near, close, far))

    def log_partition(self) -> Tensor:
        return F.softplus(self.logit)

    @property
    def natural(self) -> tuple[Tensor, Tensor]:
        return self.logit, torch.zeros_like(self.logit)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Bernoulli":
        return Bernoulli(self.logit + linear - precision / 2)  # x^2 = x on {0, 1}
