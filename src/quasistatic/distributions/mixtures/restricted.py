r"""A mixture given events: classes in a set, real values in intervals, or known exactly."""

__all__ = ["Event", "RestrictedMixture"]

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..._utils.randomness import uniform
from .categorical_block import CategoricalBlock
from .gaussian_block import GaussianBlock
from .mixture import Mixture
from .row_draws import SharedDraws

TAIL = -30.0
"""Nats of log P below which a quantile is found in logarithms."""

TRIES, MOST_TRIES = 4096, 2**24
"""Proposals that are made at once, and at most, where several intervals are given."""


@dataclass(frozen=True, eq=False)
class Event:
    """What is given of a row x_0 of W values.

    Args:
        known: C cases with shape (C, W), of which one holds: real values that are known exactly,
            and NaN.
        allowed: which one-hot values may be the 1, with shape (W,); True for real values.
        low: the lower end of each real value's interval, with shape (W,); minus infinity if it has
            none.
        high: the upper end.
    """

    known: Tensor
    allowed: Tensor
    low: Tensor
    high: Tensor

    @property
    def intervals(self) -> list[int]:
        """The values that have an interval."""
        bounded = self.low.isfinite() | self.high.isfinite()
        return [int(j) for j in bounded.nonzero()[:, 0]]


class RestrictedMixture:
    r"""A mixture given an event: its probability, and exact draws.

    Classes are independent given the component, and real values are normal. So a set of classes and
    one interval have a closed form in each component. With several intervals, values are proposed
    one after the other, each from its truncated normal distribution given those before (GHK), and
    accepted with the probability of the later intervals: draws stay exact, and only the evidence is
    an estimate.

    Args:
        law: a block of real values, a block of classes, or both in this order; float64.
        event: what is given.
    """

    def __init__(self, law: Mixture, event: Event) -> None:
        self.event = event
        self.law, self.log_mass = _with_classes(law, event.allowed)
        self.real = next((b for b in law.blocks if isinstance(b, GaussianBlock)), None)

    @cached_property
    def log_joint(self) -> Tensor:
        """log p(case, k, classes, the first interval), with shape (K, C), in nats."""
        known = self.event.known
        joint = self.law.log_joint(known) + self.log_mass
        for j in self.event.intervals[:1]:
            mean, deviation = self._regressed(known, j)
            joint = joint + _log_mass(*self._ends(j, mean, deviation))
        return joint

    def log_evidence(self, rng: torch.Generator | None = None) -> tuple[Tensor, float]:
        """log p(event) of each case, with shape (C,), in nats, and the standard error of their sum:
        0 with at most one interval."""
        found = self.log_joint.logsumexp(0)
        if len(self.event.intervals) < 2 or not found.isfinite().any():
            return found, 0.0
        _, _, log_accept = self._proposed(TRIES, rng)
        share = log_accept.exp()
        error = float(share.std() / share.mean().clamp(min=1e-300) / TRIES**0.5)
        return found + share.mean().log(), error

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n exact draws, with shape (n, W).

        Raises:
            ValueError: if several intervals are so improbable together that no proposal is
                accepted.
        """
        found, tried, count = [], 0, 0
        while count < n:
            k, x, log_accept = self._proposed(max(TRIES, n - count), rng)
            kept = uniform(k.shape, rng, x, torch.float64).log() < log_accept
            tried, count = tried + len(k), count + int(kept.sum())
            found.append(self._completed(k[kept], x[kept], rng))
            if not count and tried >= MOST_TRIES:
                raise ValueError(
                    f"the intervals have a probability of less than {1 / tried:.1g} together, given"
                    " the first of them: give fewer, or wider ones"
                )
        return torch.cat(found)[:n]

    def _proposed(self, n: int, rng: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """n components (n,), rows (n, W) with the values that are given, and the log-probability
        (n,) with which each is accepted."""
        joint = self.log_joint
        cumulative = joint.flatten().softmax(0).cumsum(0)
        u = uniform((n,), rng, joint, torch.float64) * cumulative[-1]
        chosen = torch.searchsorted(cumulative, u, right=True).clamp(max=len(cumulative) - 1)
        k, case = chosen // joint.shape[1], chosen % joint.shape[1]
        x, log_accept = self.event.known[case].clone(), joint.new_zeros(n)
        for place, j in enumerate(self.event.intervals):
            mean, deviation = self._regressed(x, j, k)
            low, high = self._ends(j, mean, deviation)
            if place:
                log_accept = log_accept + _log_mass(low, high)
            z = _truncated(low, high, uniform((n,), rng, joint, torch.float64))
            x[:, j] = (mean + deviation * z).clamp(self.event.low[j], self.event.high[j])
        return k, x, log_accept

    def _completed(self, k: Tensor, x: Tensor, rng: torch.Generator | None) -> Tensor:
        """Rows x (n, W) of components k (n,), whose other values are drawn."""
        draws = SharedDraws(rng)
        parts = torch.split(x, self.law.widths, 1)
        each = zip(self.law.blocks, parts, strict=True)
        return torch.cat([block.complete(part, k[:, None], draws)[:, 0] for block, part in each], 1)

    def _ends(self, j: int, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """The interval of value j in standard deviations from its mean."""
        return (
            (self.event.low[j] - mean) / deviation,
            (self.event.high[j] - mean) / deviation,
        )

    def _regressed(self, x: Tensor, j: int, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of value j given the known values of rows x: of component k
        (n,) for each row (n,), or of all, (K, n). All rows know the same values."""
        block = self.real
        assert block is not None  # only real values have intervals
        x = x[:, : block.width]
        given = (~x[0].isnan()).nonzero()[:, 0]
        mean = x.new_empty(block.components, len(x)) if k is None else x.new_empty(len(x))
        deviation = torch.empty_like(mean)
        for component, rows in _rows_of(block.components, k, len(x)):
            covariance, middle = block.covariance[component], block.mean[component]
            across = covariance[given, j]
            weight = torch.linalg.solve(covariance[given][:, given], across)
            at = (component, rows) if k is None else rows
            mean[at] = middle[j] + (x[rows][:, given] - middle[given]) @ weight
            deviation[at] = (covariance[j, j] - across @ weight).clamp(min=1e-300).sqrt()
        return mean, deviation


def _with_classes(law: Mixture, allowed: Tensor) -> tuple[Mixture, Tensor]:
    """The law with classes from the allowed ones only, and log P(allowed | k), (K, 1)."""
    parts = torch.split(allowed, law.widths)
    log_mass = law.log_weight.new_zeros(law.components)
    blocks = []
    for block, mask in zip(law.blocks, parts, strict=True):
        if isinstance(block, CategoricalBlock) and not mask.all():
            log_p = block.log_p.masked_fill(~mask, -math.inf)
            of_group = block.groups.logsumexp(log_p)
            restricted = torch.stack(
                [~each.all() for each in torch.split(mask, list(block.sizes))]
            ).to(log_p.device)
            log_mass = log_mass + torch.where(restricted, of_group, 0.0).sum(1)
            normal = block.groups.expand(torch.where(of_group.isfinite(), of_group, 0.0))
            block = CategoricalBlock(log_p - normal, block.sizes)
        blocks.append(block)
    return Mixture(law.log_weight, tuple(blocks)), log_mass[:, None]


def _rows_of(components: int, k: Tensor | None, rows: int) -> Iterator[tuple[int, Tensor]]:
    """Each component, and the rows that it is needed for."""
    if k is None:
        every = torch.arange(rows)
        yield from ((component, every) for component in range(components))
        return
    for component in sorted(set(k.tolist())):
        yield component, (k == component).nonzero()[:, 0]


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log P(low < z < high) of a standard normal z."""
    flip = low > 0  # in the left tail no digits cancel
    a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    log_mass: Tensor = log_b + torch.log1p(-(log_a - log_b).exp().clamp(max=1.0))
    return log_mass


def _truncated(low: Tensor, high: Tensor, u: Tensor) -> Tensor:
    """The quantiles u of a standard normal distribution between two ends."""
    flip = low > 0
    a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    # log(P(a) + u (P(b) - P(a))) without the digits of either that cancel.
    share = (log_a - log_b).exp()
    z = _quantile(log_b + (share + u * (1 - share)).log()).clamp(a, b)
    return torch.where(flip, -z, z)


def _quantile(log_p: Tensor) -> Tensor:
    """The quantile of a standard normal distribution at exp(log_p), in the far left tail by
    Newton's method for log P."""
    near: Tensor = torch.special.ndtri(log_p.clamp(min=TAIL).exp())
    far = log_p.clamp(max=TAIL)
    z: Tensor = -(-2 * far - (-2 * far).log() - math.log(2 * math.pi)).sqrt()
    for _ in range(4):
        log_cdf = torch.special.log_ndtr(z)
        slope = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_cdf).exp()
        z = z - (log_cdf - far) / slope
    return torch.where(log_p < TAIL, z, near)
