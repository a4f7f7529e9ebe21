"""Values in intervals, classes in sets, and values that are known, of rows of a table."""

__all__ = ["Within"]

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...distributions import Categorical, Family, Product, total
from ...kernels import Kernel
from ...spaces import Space
from .factor import Factor

SURE = 1e10
"""The precision by which a law is tilted to a known value, in units of x_0."""

NEVER = 1e4
"""By how many nats a class that is not allowed is made less likely."""


@dataclass(frozen=True)
class Within(Factor):
    """r(x) = 1 where x has the known values, its real values lie in intervals and its classes are
    allowed ones, and 0 elsewhere.

    Args:
        rows: the known values as raw data, with shape (N, *), NaN where nothing is known.
        allowed: which one-hot values of x_0 may be the 1, with shape (W,); True for others.
        low, high: the ends of the interval of each value of x_0, with shape (W,), infinite where
            there is none.
        encoded: whether `rows` are x_0 already; for internal use.
        exponent: of the tilts, see :meth:`power`; for internal use.
    """

    rows: Tensor
    allowed: Tensor
    low: Tensor
    high: Tensor
    encoded: bool = False
    exponent: float = 1.0

    @property
    def examples(self) -> int:
        return len(self.rows)

    @property
    def known(self) -> Tensor | None:
        return None if self.rows.isnan().all() else self.rows

    def on(self, space: Space, rng: torch.Generator | None = None) -> "Within":
        return replace(self, rows=space.encode(self.rows.double(), rng), encoded=True)

    def take(self, rows: Tensor) -> "Within":
        return replace(self, rows=self.rows[rows])

    def log_prob(self, x_0: Tensor) -> Tensor:
        low, high, allowed = (each.to(x_0.device) for each in (self.low, self.high, self.allowed))
        known = ~self.rows.to(x_0.device).isnan()
        right = known | ((x_0 >= low) & (x_0 <= high) & (allowed | (x_0 < 0.5)))
        return torch.where(right.flatten(1).all(1), 0.0, -math.inf).to(x_0)

    def log_mean(self, space: Space, law: Family) -> Tensor:
        known, like = self.rows.to(law.mean), law.mean
        sure = ~known.isnan()
        exact = space.log_prob(law, torch.where(sure, known, like.detach()))
        chances = [part for _, part in self._chances(law)]
        return total(torch.where(sure, exact, torch.cat(chances, -1)))

    def update(self, law: Family) -> Family:
        return law.tilt(*self._tilt(law))

    def power(self, exponent: float) -> "Within":
        return replace(self, exponent=self.exponent * exponent)

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        known = self.rows.to(p.mean)
        variance = torch.where(known.isnan(), math.inf, 0.0).to(p.mean)
        linear, precision, _ = kernel.propagate_likelihood(known.nan_to_num(), variance, t)
        return p.tilt(linear, precision.clamp(max=SURE))

    def _tilt(self, law: Family) -> tuple[Tensor, Tensor]:
        """The tilt of a law towards the event, by its moments within each interval."""
        known, mean = self.rows.to(law.mean), law.mean
        sure = ~known.isnan()
        linear = torch.where(sure, SURE * known.nan_to_num(), 0.0)
        precision = torch.where(sure, SURE, 0.0).to(mean)
        classes = torch.cat(
            [torch.full_like(part.mean, isinstance(part, Categorical)) for part in _parts(law)], -1
        )
        allowed = self.allowed.to(mean.device)
        linear = torch.where((classes > 0) & ~allowed, -NEVER, linear)
        low, high = self.low.to(mean), self.high.to(mean)
        bounded = (low.isfinite() | high.isfinite()) & ~sure & (classes == 0)
        if bounded.any():
            variance = law.variance.expand_as(mean).clamp(min=1e-12)
            inner, spread = _truncated_moments(mean, variance, low, high)
            more = (1 / spread - 1 / variance).clamp(min=0.0)
            pull = inner * (1 / variance + more) - mean / variance
            linear = torch.where(bounded, pull, linear)
            precision = torch.where(bounded, more, precision)
        return self.exponent * linear, self.exponent * precision

    def _chances(self, law: Family) -> Iterator[tuple[Family, Tensor]]:
        """The parts of a law, and the log-probability that each of their values is as it should be,
        the share of a class variable on its first value."""
        start = 0
        for part in _parts(law):
            here = slice(start, start + part.mean.shape[-1])
            start = here.stop
            low, high = self.low[here].to(part.mean), self.high[here].to(part.mean)
            allowed = self.allowed[here].to(part.mean.device)
            if isinstance(part, Categorical):
                log_p = part.log_p.masked_fill(~allowed, -math.inf)
                found = part.groups.put_first(part.groups.logsumexp(log_p).clamp(min=-NEVER, max=0))
            else:
                bounded = low.isfinite() | high.isfinite()
                mass = part.log_mass(low.expand_as(part.mean), high.expand_as(part.mean))
                found = torch.where(bounded, mass, 0.0)
            yield part, found


def _parts(law: Family) -> tuple[Family, ...]:
    return law.parts if isinstance(law, Product) else (law,)


def _truncated_moments(
    mean: Tensor, variance: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """The mean and the variance of a normal distribution within an interval; far from the interval,
    those of a narrow distribution at its nearer end."""
    deviation = variance.sqrt()
    a, b = ((end - mean) / deviation for end in (low, high))
    pdf = [torch.exp(-0.5 * end.clamp(-40, 40) ** 2) / (2 * math.pi) ** 0.5 for end in (a, b)]
    mass = torch.special.ndtr(b) - torch.special.ndtr(a)
    safe = mass.clamp(min=1e-9)
    shift = (pdf[0] - pdf[1]) / safe
    ends = [torch.where(end.isfinite(), end, 0.0) for end in (a, b)]
    spread = 1 + (ends[0] * pdf[0] - ends[1] * pdf[1]) / safe - shift**2
    inside = (mean + deviation * shift).clamp(low, high)
    nearest = mean.clamp(low, high)
    narrow = variance / (1 + torch.minimum(a.abs(), b.abs()) ** 2)
    usual = mass > 1e-6
    return (
        torch.where(usual, inside, nearest),
        torch.where(usual, variance * spread.clamp(1e-4, 1.0), narrow),
    )
