r"""Exponential families: the one currency of the library.

Every transition of a diffusion, forward or reverse, is a batch of independent scalars from one
exponential family, and everything that is done to it (Bayes, a learned drift, an observation) is
a *tilt*. A consumer uses the verbs of :class:`Family` and never asks which member it holds.
"""

__all__ = ["Bernoulli", "Family", "Gaussian", "Lattice", "total"]

import abc
import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_NODES = [(0.5 + x / 2, w / 2) for x, w in zip(*np.polynomial.legendre.leggauss(6), strict=True)]
"""Gauss-Legendre nodes and weights on (0, 1)."""


def total(x: Tensor) -> Tensor:
    """Sums over every axis but the batch: (B, *) to (B,)."""
    return x.flatten(1).sum(1)


class Family(abc.ABC):
    """A batch of independent scalars, each from one exponential family; shape (B, *), in nats."""

    variance: Tensor
    """Var[x], with shape (B, *)."""

    @property
    @abc.abstractmethod
    def mean(self) -> Tensor:
        """E[x], with shape (B, *)."""

    @abc.abstractmethod
    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        """One exact draw of each scalar, with shape (B, *)."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density or log-mass at x, with shape (B, *), in nats."""

    @abc.abstractmethod
    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        """log P(lower < x <= upper), with shape (B, *), in nats; the ends may be infinite."""

    @abc.abstractmethod
    def entropy(self) -> Tensor:
        """-E[log p(x)], with shape (B, *), in nats."""

    @abc.abstractmethod
    def kl(self, other: Self) -> Tensor:
        """KL(self || other) of each scalar, with shape (B, *), in nats."""

    @abc.abstractmethod
    def log_partition(self) -> Tensor:
        r"""log Z, such that tilting multiplies the density by exp(linear x - precision x^2 / 2)
        and divides it by Z'/Z, with shape (B, *)."""

    @abc.abstractmethod
    def tilt(self, linear: Tensor, precision: Tensor) -> Self:
        r"""The member proportional to p(x) exp(linear x - precision x^2 / 2), exactly."""

    def to(self, dtype: torch.dtype) -> Self:
        """The same member with its parameters in another floating type."""
        return type(self)(*(getattr(self, field.name).to(dtype) for field in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Gaussian(Family):
    """N(x; loc, variance). A variance of zero is a point mass: it tilts and samples."""

    loc: Tensor
    variance: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        like = self.loc
        noise = torch.randn(like.shape, generator=rng, dtype=like.dtype, device=like.device)
        return like + self.variance.sqrt() * noise

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * ((x - self.loc) ** 2 / self.variance + (2 * math.pi * self.variance).log())

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        # A log-difference of log-CDFs, taken in the left tail where it keeps its digits: no clamp.
        low, high = self._deviations(lower), self._deviations(upper)
        right = low + high > 0
        low, high = torch.where(right, -high, low), torch.where(right, -low, high)
        open_end = low.isinf()
        log_high = torch.special.log_ndtr(high)
        gap = torch.special.log_ndtr(torch.where(open_end, -1.0, low)) - log_high
        gap = torch.where(open_end, -1.0, gap)
        return log_high + torch.where(open_end, 0.0, (-torch.expm1(gap)).log())

    def _deviations(self, x: Tensor) -> Tensor:
        """(x - loc) / sqrt(variance), where an infinite x has a gradient of zero and not NaN."""
        finite = torch.where(x.isinf(), self.loc, x)
        return torch.where(x.isinf(), x, (finite - self.loc) / self.variance.sqrt())

    def entropy(self) -> Tensor:
        return (0.5 * (2 * math.pi * math.e * self.variance).log()).expand_as(self.loc)

    def kl(self, other: "Gaussian") -> Tensor:
        log_ratio = self.variance.log() - other.variance.log()
        square = (self.loc - other.loc) ** 2 / other.variance
        return 0.5 * (torch.expm1(log_ratio) - log_ratio + square)

    def log_partition(self) -> Tensor:
        return self.loc**2 / (2 * self.variance) + 0.5 * self.variance.log()

    def tilt(self, linear: Tensor, precision: Tensor) -> "Gaussian":
        # variance' = 1 / (1 / variance + precision), written so that a point mass stays one.
        shrink = 1 + self.variance * precision
        return Gaussian((self.loc + self.variance * linear) / shrink, self.variance / shrink)


@dataclass(frozen=True)
class Bernoulli(Family):
    """A bit with log-odds `logit`; an infinite logit is a bit that is known."""

    logit: Tensor

    @property
    def mean(self) -> Tensor:
        return self.logit.sigmoid()

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self.logit.sigmoid() * (-self.logit).sigmoid()

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        like = self.logit
        uniform = torch.rand(like.shape, generator=rng, dtype=like.dtype, device=like.device)
        return (uniform < self.mean).to(like.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        return F.logsigmoid(torch.where(x > 0.5, self.logit, -self.logit))

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        nothing = torch.full_like(self.logit, -math.inf)
        zero = torch.where((lower < 0) & (upper >= 0), F.logsigmoid(-self.logit), nothing)
        one = torch.where((lower < 1) & (upper >= 1), F.logsigmoid(self.logit), nothing)
        return torch.logaddexp(zero, one)

    def entropy(self) -> Tensor:
        return -_times(self.mean, F.logsigmoid(self.logit)) - _times(
            (-self.logit).sigmoid(), F.logsigmoid(-self.logit)
        )

    def kl(self, other: "Bernoulli") -> Tensor:
        # For near members, gap^2 times the integral of (1 - v) Var[logit + v gap] over v in (0, 1):
        # all its parts are positive, so that none of the digits cancel, and six Gauss nodes give
        # thirteen of them. Far ones, and known bits, go by the definition.
        gap = other.logit - self.logit
        near = gap.abs() < 1
        small = torch.where(near, gap, 0.0)
        close = small**2 * sum(
            weight * (1 - v) * Bernoulli(self.logit + v * small).variance for v, weight in _NODES
        )
        wide = torch.where(near, 0.0, other.logit)
        far = _times(self.mean, F.logsigmoid(self.logit) - F.logsigmoid(wide)) + _times(
            (-self.logit).sigmoid(), F.logsigmoid(-self.logit) - F.logsigmoid(-wide)
        )
        same_point = (self.logit == other.logit) & self.logit.isinf()
        return torch.where(same_point, 0.0, torch.where(near, close, far))

    def log_partition(self) -> Tensor:
        return F.softplus(self.logit)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Bernoulli":
        return Bernoulli(self.logit + linear - precision / 2)  # x^2 = x on {0, 1}


@dataclass(frozen=True)
class Lattice(Family):
    """A scalar on finitely many reals: P(x = values[k]) is the softmax of logits (B, *, L)."""

    logits: Tensor
    values: Tensor

    @cached_property
    def probs(self) -> Tensor:
        """P(x = values[k]), with shape (B, *, L)."""
        return self.logits.softmax(-1)

    @property
    def mean(self) -> Tensor:
        return self.probs @ self.values

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        probs = self.probs
        spread = self.values - (probs @ self.values)[..., None]
        return (probs * spread**2).sum(-1)

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        flat = self.probs.flatten(0, -2)
        index = torch.multinomial(flat, 1, replacement=True, generator=rng)
        return self.values[index.reshape(self.logits.shape[:-1])]

    def log_prob(self, x: Tensor) -> Tensor:
        gap = (self.values[1:] + self.values[:-1]) / 2
        index = torch.bucketize(x.contiguous(), gap)
        log_prob = self.logits.log_softmax(-1).gather(-1, index[..., None])[..., 0]
        return torch.where(torch.isclose(self.values[index], x), log_prob, -math.inf)

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        inside = (self.values > lower[..., None]) & (self.values <= upper[..., None])
        return torch.where(inside, self.logits.log_softmax(-1), -math.inf).logsumexp(-1)

    def entropy(self) -> Tensor:
        return -_times(self.probs, self.logits.log_softmax(-1)).sum(-1)

    def kl(self, other: "Lattice") -> Tensor:
        ratio = self.logits.log_softmax(-1) - other.logits.log_softmax(-1)
        return _times(self.probs, ratio).sum(-1)

    def log_partition(self) -> Tensor:
        return self.logits.logsumexp(-1)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Lattice":
        quadratic = linear[..., None] * self.values - precision[..., None] * self.values**2 / 2
        return Lattice(self.logits + quadratic, self.values)


def _times(p: Tensor, log_q: Tensor) -> Tensor:
    """p log q with 0 log 0 = 0, its gradient too."""
    nothing = p == 0
    return torch.where(nothing, 0.0, p * torch.where(nothing, 0.0, log_q))
