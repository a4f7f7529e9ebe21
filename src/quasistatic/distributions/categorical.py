"""The categorical distribution, on one-hot values."""

__all__ = ["Categorical"]

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils.randomness import uniform
from .bernoulli import Bernoulli
from .family import Family, times
from .groups import OneHotGroups

ROOM = 1 - 2**-50
"""The largest quantile that is looked up: at 1 itself the last class may have no probability."""


@dataclass(frozen=True)
class Categorical(Family):
    """Class variables as one-hot values: within a group, P(value k is the 1) is the softmax of
    `logits`.

    What a method returns for one value is its share of its group: the shares add up to the group's
    entropy, divergence, log-probability or log-partition. Mean and variance are those of each value
    by itself, as for a bit.

    Args:
        logits: shape (B, W); minus infinity for a class of probability zero.
        groups: which values form one class variable.
    """

    logits: Tensor
    groups: OneHotGroups

    @property
    def log_p(self) -> Tensor:
        """log P of each class, shape (B, W), in nats."""
        # Kept by hand: `cached_property` of Python 3.11 takes a lock, which torch.compile cannot
        # read.
        found: Tensor | None = self.__dict__.get("_found")
        if found is None:
            found = self.groups.log_softmax(self.logits)
            object.__setattr__(self, "_found", found)
        return found

    @property
    def mean(self) -> Tensor:
        return self.log_p.exp()

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self.mean * (1 - self.mean)

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        shape = (*self.logits.shape[:-1], len(self.groups.sizes))
        return self._at(uniform(shape, rng, self.logits, torch.float64))

    def icdf(self, u: Tensor) -> Tensor:
        """As :meth:`Family.icdf`. The u of a group's first value is used for the whole group."""
        return self._at(u[..., self.groups.first(u)].double())

    def _at(self, u: Tensor) -> Tensor:
        """The classes at quantiles u (B, G), as one-hot values (B, W)."""
        # One cumulative sum over all groups, in float64. A class of probability zero covers an
        # empty interval, and the last class of a group ends where the next group begins.
        groups = self.groups
        upper = self.log_p.detach().double().exp().cumsum(-1)
        lower = F.pad(upper, (1, 0))[..., :-1]
        base = lower[..., groups.first(u)]
        whole = torch.cat([base[..., 1:], upper[..., -1:]], -1) - base
        at, base = groups.expand(u.clamp(max=ROOM) * whole), groups.expand(base)
        return ((at >= lower - base) & (at < upper - base)).to(self.logits.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        return times(x, self.log_p)

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        """As :meth:`Family.log_mass`, for each value by itself."""
        others = (-torch.expm1(self.log_p)).log()
        return Bernoulli(self.log_p - others).log_mass(lower, upper)

    def entropy(self) -> Tensor:
        return -times(self.mean, self.log_p)

    def kl(self, other: Self) -> Tensor:
        # sum p log(p/q) = sum p (e^r - 1 - r) with r = log q/p, as p and q both sum to one. Every
        # term is positive, so that no digits cancel where p and q are close.
        p, never = self.mean, self.mean == 0
        log_ratio = torch.where(never, 0.0, other.log_p) - torch.where(never, 0.0, self.log_p)
        return torch.where(never, other.mean, p * _beyond_linear(log_ratio))

    def log_partition(self) -> Tensor:
        return self.groups.put_first(self.groups.logsumexp(self.logits))

    @property
    def natural(self) -> tuple[Tensor, Tensor]:
        return self.log_p, torch.zeros_like(self.log_p)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Categorical":
        return Categorical(self.logits + linear - precision / 2, self.groups)  # x^2 = x

    def all_in_group(self, mask: Tensor) -> Tensor:
        return self.groups.all_in_group(mask)

    def to(self, dtype: torch.dtype) -> "Categorical":
        return Categorical(self.logits.to(dtype), self.groups)


def _beyond_linear(r: Tensor) -> Tensor:
    """e^r - 1 - r, by its series where r is small, so that no digits cancel."""
    small = r.abs() < 1e-2
    near, far = torch.where(small, r, 0.0), torch.where(small, 1.0, r)
    series = near**2 / 2 * (1 + near / 3 * (1 + near / 4 * (1 + near / 5 * (1 + near / 6))))
    return torch.where(small, series, torch.expm1(far) - far)
