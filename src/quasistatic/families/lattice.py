"""A scalar on finitely many reals."""

__all__ = ["Lattice"]

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .family import Family, times


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
        return -times(self.probs, self.logits.log_softmax(-1)).sum(-1)

    def kl(self, other: "Lattice") -> Tensor:
        ratio = self.logits.log_softmax(-1) - other.logits.log_softmax(-1)
        return times(self.probs, ratio).sum(-1)

    def log_partition(self) -> Tensor:
        return self.logits.logsumexp(-1)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Lattice":
        quadratic = linear[..., None] * self.values - precision[..., None] * self.values**2 / 2
        return Lattice(self.logits + quadratic, self.values)
