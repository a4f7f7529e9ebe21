"""A discrete scalar plus Gaussian noise: the exact mixture of reverse steps."""

__all__ = ["NoisyLattice"]

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from .family import Family
from .gaussian import Gaussian
from .on_lattice import OnLattice

NODES = 12
"""The number of Gauss-Hermite nodes for an expectation over the noise."""

_PLACES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(NODES)
_HERMITE = tuple(zip(_PLACES.tolist(), (_WEIGHTS / _WEIGHTS.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class NoisyLattice(Family):
    """x = loc + slope v + sqrt(noise) eps, with v from the law `hidden` and eps standard normal: a
    mixture of as many Gaussians as v has values. Tilts of it are of the same form.

    Args:
        hidden: the law of v, a batch (B, *).
        loc: the value of x for v = 0 without noise, shape (B, *).
        slope: the derivative of x by v, broadcasting to (B, *).
        noise: the variance of the noise, positive, broadcasting to (B, *).
    """

    hidden: OnLattice
    loc: Tensor
    slope: Tensor
    noise: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc + self.slope * self.hidden.mean

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self.noise + self.slope**2 * self.hidden.variance

    def given(self, v: Tensor) -> Gaussian:
        """The law of x for a known v (B, *)."""
        loc = self.loc + self.slope * v
        return Gaussian(loc, self.noise.expand_as(loc))

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        return self.given(self.hidden.sample(rng)).sample(rng)

    def log_prob(self, x: Tensor) -> Tensor:
        # The likelihood of x is a tilt of the law of v; the tilt is measured from its pivot, where
        # the likelihood is largest within the range.
        linear = self.slope * (x - self.loc) / self.noise
        given_x = self.hidden.tilt(linear, (self.slope**2 / self.noise).expand_as(x))
        at_zero = Gaussian(self.loc, self.noise.expand_as(self.loc)).log_prob(x)
        return at_zero + given_x.log_partition() - self.hidden.log_partition()

    def kl_from(self, v: Tensor) -> Tensor:
        """KL(p(x | v) || p(x)), by quadrature over x. By Bayes it is the mean of log P(v | x) - log
        P(v), in which no large numbers cancel.

        Args:
            v: shape (B, *).

        Returns:
            Shape (B, *), in nats.
        """
        precision = (self.slope**2 / self.noise).expand_as(self.loc)
        mean = torch.zeros_like(self.loc)
        for weight, x in _nodes(self.given(v)):
            linear = self.slope * (x - self.loc) / self.noise
            mean = mean + weight * self.hidden.tilt(linear, precision).log_prob(v)
        return mean - self.hidden.log_prob(v)

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        each = [log_p + self.given(v).log_mass(lower, upper) for v, log_p in self._components()]
        return torch.stack(each).logsumexp(0)

    def icdf(self, u: Tensor) -> Tensor:
        # Bisection: the distribution function has no inverse in closed form.
        reach = 12 * self.noise.sqrt()
        ends = [self.loc + self.slope * v for v in self.hidden.values[[0, -1]]]
        low, high = torch.minimum(*ends) - reach, torch.maximum(*ends) + reach
        for _ in range(60):
            middle = (low + high) / 2
            above = self.log_mass(torch.full_like(middle, -math.inf), middle).exp() >= u
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2

    def entropy(self) -> Tensor:
        return -self._expected(self.log_prob)

    def kl(self, other: Self) -> Tensor:
        return self._expected(lambda x: self.log_prob(x) - other.log_prob(x))

    def log_partition(self) -> Tensor:
        # The log-partition of a Gaussian for v = 0, plus that of the law of v.
        at_zero = self.loc**2 / (2 * self.noise) + 0.5 * self.noise.log()
        return self.hidden.log_partition() + at_zero

    def tilt(self, linear: Tensor, precision: Tensor) -> "NoisyLattice":
        # The weight of a component changes by its log-partition, which is quadratic in v: a tilt of
        # the law of v. All components have the same noise before and after.
        shrink = 1 + self.noise * precision
        by_linear = self.slope * (linear - precision * self.loc) / shrink
        by_precision = (self.slope**2 * precision / shrink).expand_as(by_linear)
        loc = (self.loc + self.noise * linear) / shrink
        hidden = self.hidden.tilt(by_linear, by_precision)
        return NoisyLattice(hidden, loc, self.slope / shrink, self.noise / shrink)

    def to(self, dtype: torch.dtype) -> "NoisyLattice":
        rest = (each.to(dtype) for each in (self.loc, self.slope, self.noise))
        return NoisyLattice(self.hidden.to(dtype), *rest)

    def _components(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each value v and its log-probability, both of shape (B, *)."""
        for value in self.hidden.values:
            v = value.expand_as(self.loc)
            yield v, self.hidden.log_prob(v)

    def _expected(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        """E[f(x)], shape (B, *): exact over v, by quadrature over the noise."""
        whole = torch.zeros_like(self.loc)
        for v, log_p in self._components():
            whole = whole + log_p.exp() * sum(weight * f(x) for weight, x in _nodes(self.given(v)))
        return whole


def _nodes(q: Gaussian) -> list[tuple[float, Tensor]]:
    """The weights and nodes of a quadrature over q."""
    deviation = q.variance.sqrt()
    return [(weight, q.loc + deviation * place) for place, weight in _HERMITE]
