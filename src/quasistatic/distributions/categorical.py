"""One of several classes, as one-hot values that hang together."""

__all__ = ["Categorical"]

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils.randomness import uniform
from .bernoulli import Bernoulli
from .family import Family, times
from .groups import OneHotGroups

ROOM = 1 - 2**-50
"""How close to 1 a quantile may be: the class of the last one has to have some probability."""


@dataclass(frozen=True)
class Categorical(Family):
    """Classes as one-hot values: P(value k of a group is the 1) is the softmax of `logits` (B, W)
    within the group. A logit of minus infinity is a class that cannot be.

    What a verb gives for one value is its share of its group's: shares add up to the group's own
    entropy, KL, log-probability and log-partition. Mean and variance are each value's, as a bit.
    """

    logits: Tensor
    groups: OneHotGroups

    @cached_property
    def log_p(self) -> Tensor:
        """log P of each class, with shape (B, W), in nats."""
        return self.groups.log_softmax(self.logits)

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
        """As :meth:`Family.icdf`, where the u of a group's first value tells for all of it."""
        return self._at(u[..., self.groups.first(u)].double())

    def _at(self, u: Tensor) -> Tensor:
        """The classes at quantiles u (B, G), as one-hot values (B, W)."""
        # One sum runs on over all groups, in float64. A class without probability adds nothing to
        # it and so holds no u, and the last that has some ends where the next group begins.
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
        """As :meth:`Family.log_mass`, of each value by itself."""
        others = (-torch.expm1(self.log_p)).log()
        return Bernoulli(self.log_p - others).log_mass(lower, upper)

    def entropy(self) -> Tensor:
        return -times(self.mean, self.log_p)

    def kl(self, other: "Categorical") -> Tensor:
        # sum p log(p/q) = sum p (e^r - 1 - r) with r = log q/p, as both p and q sum to one: every
        # share is positive, so that none of the digits of near members cancel.
        p, never = self.mean, self.mean == 0
        log_ratio = torch.where(never, 0.0, other.log_p) - torch.where(never, 0.0, self.log_p)
        return torch.where(never, other.mean, p * _beyond_linear(log_ratio))

    def log_partition(self) -> Tensor:
        return self.groups.put_first(self.groups.logsumexp(self.logits))

    def tilt(self, linear: Tensor, precision: Tensor) -> "Categorical":
        return Categorical(self.logits + linear - precision / 2, self.groups)  # x^2 = x

    def all_in_group(self, mask: Tensor) -> Tensor:
        return self.groups.all_in_group(mask)

    def to(self, dtype: torch.dtype) -> "Categorical":
        return Categorical(self.logits.to(dtype), self.groups)


def _beyond_linear(r: Tensor) -> Tensor:
    """e^r - 1 - r, with its digits where r is small."""
    small = r.abs() < 1e-2
    near, far = torch.where(small, r, 0.0), torch.where(small, 1.0, r)
    series = near**2 / 2 * (1 + near / 3 * (1 + near / 4 * (1 + near / 5 * (1 + near / 6))))
    return torch.where(small, series, torch.expm1(far) - far)
