"""Laws on finitely many real numbers, in the time and memory that 256 levels need.

A tilt is stored as two numbers beside the weights; its effect on each level is computed for a few
thousand scalars at a time. Training needs the moments and the probability of one level only, and
these keep no (B, *, L) tensor for the gradient. The other methods do.
"""

__all__ = ["OnLattice"]

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from .._utils.randomness import uniform
from .family import Family, times
from .moments import rows_at_once


class OnLattice(Family):
    """A scalar on finitely many real numbers: P(x = values[l]) is proportional to w_l exp(linear
    values[l] - precision values[l]^2 / 2). Base class.

    A member is a frozen dataclass with the four attributes below, whose weights w depend on
    `logits` and possibly on more fields of shape (B, *, any). A tilt of None is zero.

    Deviations are measured from a pivot, the point where the tilt alone is largest. So a tilt as
    sharp as the likelihood of x_t at high SNR keeps its digits in float32.
    """

    logits: Tensor
    values: Tensor
    linear: Tensor
    precision: Tensor

    def __post_init__(self) -> None:
        zero = self.logits.new_zeros(()).expand(self.logits.shape[:-1])
        for name in ("linear", "precision"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, zero)

    @abc.abstractmethod
    def log_weight(self, index: Tensor) -> Tensor:
        """log w_l at one level of each scalar: indices (B, *) to nats (B, *)."""

    @abc.abstractmethod
    def log_weights(self) -> Tensor:
        """log w_l at every level, shape (B, *, L), in nats. A large tensor."""

    @property
    def _moments(self) -> Tensor:
        # Cached by hand: `cached_property` of Python 3.11 takes a lock, which torch.compile cannot
        # trace.
        found = self.__dict__.get("_found")
        if found is None:
            found = self._work_out()
            object.__setattr__(self, "_found", found)
        return found

    @abc.abstractmethod
    def _work_out(self) -> Tensor:
        """log sum_l w_l exp(tilt at l - tilt at the pivot), E[x] - pivot and Var[x], shape (B, *,
        3)."""

    @property
    def shape(self) -> torch.Size:
        """(B, *)."""
        return self.linear.shape

    @property
    def pivot(self) -> Tensor:
        """Where the tilt alone is largest within the range, shape (B, *)."""
        least = torch.finfo(self.precision.dtype).tiny
        centre = self.linear.detach() / self.precision.detach().clamp_min(least)
        return centre.clamp(self.values[0], self.values[-1])

    @property
    def slope(self) -> Tensor:
        """The derivative of the tilt at the pivot, shape (B, *)."""
        return self.linear - self.precision * self.pivot

    @property
    def mean(self) -> Tensor:
        return self.pivot + self._moments[..., 1]

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self._moments[..., 2]

    def log_partition(self) -> Tensor:
        at_pivot = self.linear * self.pivot - self.precision * self.pivot**2 / 2
        return self._moments[..., 0] + at_pivot

    def tilt(self, linear: Tensor, precision: Tensor) -> Self:
        return self._with(linear=self.linear + linear, precision=self.precision + precision)

    def extrapolate(self, other: "OnLattice", weight: Tensor) -> Self:
        """As :meth:`Family.extrapolate`, level by level, as a :class:`Lattice`."""
        from .lattice import Lattice  # which is one of these

        ours, theirs = self.log_probs, other.log_probs
        more = torch.where(ours == theirs, 0.0, ours - theirs)
        return cast(Self, Lattice(ours + weight[..., None] * more, self.values))

    @property
    def log_probs(self) -> Tensor:
        """log P(x = values[l]) of every level, shape (B, *, L), in nats. A large tensor."""
        d = self.values - self.pivot[..., None]
        tilt = self.slope[..., None] * d - self.precision[..., None] * d**2 / 2
        return (self.log_weights() + tilt).log_softmax(-1)

    @property
    def probs(self) -> Tensor:
        """P(x = values[l]) of every level, shape (B, *, L). A large tensor."""
        return self.log_probs.exp()

    def log_prob(self, x: Tensor) -> Tensor:
        middles = (self.values[1:] + self.values[:-1]) / 2
        index = torch.bucketize(x.contiguous(), middles)
        on_level = torch.isclose(self.values[index], x)
        return torch.where(on_level, self._log_prob_of(index), -math.inf)

    def _log_prob_of(self, index: Tensor) -> Tensor:
        d = self.values[index] - self.pivot
        tilt = self.slope * d - self.precision * d**2 / 2
        return self.log_weight(index) + tilt - self._moments[..., 0]

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        lower, upper = lower.expand(self.shape), upper.expand(self.shape)
        first = torch.bucketize(lower.contiguous(), self.values, right=True)
        count = torch.bucketize(upper.contiguous(), self.values, right=True) - first
        if (count <= 1).all():  # each cell holds one level: look it up instead of summing
            index = first.clamp(max=len(self.values) - 1)
            return torch.where(count == 1, self._log_prob_of(index), -math.inf)
        n = self._at_once
        return self._by_rows(
            _log_mass, torch.split(lower.flatten(), n), torch.split(upper.flatten(), n)
        )

    def entropy(self) -> Tensor:
        return self._by_rows(_entropy)

    def kl(self, other: Self) -> Tensor:
        return self._by_rows(_kl, other._rows(self._at_once))

    @torch.no_grad()
    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        return self.icdf(uniform(self.shape, rng, self.linear, torch.float64))

    @torch.no_grad()
    def icdf(self, u: Tensor) -> Tensor:
        index = self._by_rows(
            _at_quantile, torch.split(u.expand(self.shape).flatten(), self._at_once)
        )
        return self.values[index]

    def _with(self, **changed: Tensor) -> Self:
        return replace(self, **changed)  # type: ignore[type-var]

    @property
    def _at_once(self) -> int:
        return rows_at_once(len(self.values), self.linear.device)

    def _parameters(self) -> dict[str, Tensor]:
        """The fields that define w, one row for each scalar: shape (N, any) each."""
        names = {f.name for f in fields(self)} - {"values", "linear", "precision"}  # type: ignore[arg-type]
        each = {name: getattr(self, name) for name in sorted(names)}
        return {k: v.expand(*self.shape, -1).flatten(0, -2) for k, v in each.items()}

    def _rows(self, n: int) -> list[Self]:
        """The same scalars as members of at most n scalars each, with one axis."""
        split = {name: torch.split(each, n) for name, each in self._parameters().items()}
        for name in ("linear", "precision"):
            split[name] = getattr(self, name).flatten().split(n)
        rows = zip(*split.values(), strict=True)
        return [self._with(**dict(zip(split, each, strict=True))) for each in rows]

    def _by_rows(self, verb: Callable[..., Tensor], *others: Sequence[Any]) -> Tensor:
        """verb(self, *others), computed for a few scalars at a time."""
        split = zip(self._rows(self._at_once), *others, strict=True)
        return torch.cat([verb(*each) for each in split]).reshape(self.shape)


def _at_quantile(p: OnLattice, u: Tensor) -> Tensor:
    # Rounding keeps the whole sum from 1. A level without probability must not be drawn for that.
    upto = p.probs.cumsum(-1)
    return (u[..., None] * upto[..., -1:] > upto[..., :-1]).sum(-1)


def _log_mass(p: OnLattice, lower: Tensor, upper: Tensor) -> Tensor:
    inside = (p.values > lower[..., None]) & (p.values <= upper[..., None])
    return torch.where(inside, p.log_probs, -math.inf).logsumexp(-1)


def _entropy(p: OnLattice) -> Tensor:
    log_probs = p.log_probs
    return -times(log_probs.exp(), log_probs).sum(-1)


def _kl(p: OnLattice, q: OnLattice) -> Tensor:
    log_probs = p.log_probs
    return times(log_probs.exp(), log_probs - q.log_probs).sum(-1)
