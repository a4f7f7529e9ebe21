"""The verbs that every member of a family has."""

__all__ = ["Family", "times", "total"]

import abc
from dataclasses import fields
from typing import Self

import torch
from torch import Tensor


def total(x: Tensor) -> Tensor:
    """Sums over every axis but the batch: (B, *) to (B,)."""
    return x.flatten(1).sum(1)


class Family(abc.ABC):
    """A batch of independent scalars, each from one exponential family; shape (B, *), in nats."""

    variance: Tensor
    """Var[x], with shape (B, *)."""

    @property
    def independent_parts(self) -> tuple["Family", ...]:
        """The laws that it has side by side: itself, but for a product."""
        return (self,)

    @property
    @abc.abstractmethod
    def mean(self) -> Tensor:
        """E[x], with shape (B, *)."""

    @abc.abstractmethod
    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        """One exact draw of each scalar, with shape (B, *)."""

    @abc.abstractmethod
    def icdf(self, u: Tensor) -> Tensor:
        """The inverse of the distribution function at u (B, *) in (0, 1), with shape (B, *): u
        uniform makes it a draw, and u spread evenly makes draws that are spread evenly."""

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

    def all_in_group(self, mask: Tensor) -> Tensor:
        """Where a mask (B, *) holds for all scalars that hang together with one, (B, *): they can
        be taken from one member or from another together only. Most hang together with none."""
        return mask

    def to(self, dtype: torch.dtype) -> Self:
        """The same member with its parameters in another floating type."""
        return type(self)(*(getattr(self, field.name).to(dtype) for field in fields(self)))  # type: ignore[arg-type]


def times(p: Tensor, log_q: Tensor) -> Tensor:
    """p log q with 0 log 0 = 0, its gradient too."""
    nothing = p == 0
    return torch.where(nothing, 0.0, p * torch.where(nothing, 0.0, log_q))
