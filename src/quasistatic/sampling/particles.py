"""Weighted particles: their effective sample size, resampling, and what the weights say."""

__all__ = ["Particles", "WeightedParticles", "distinct", "effective", "systematic"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, cast

import torch
from torch import Tensor

from .._utils.randomness import Rng, Streams, as_generator, uniform
from .proposals import Lookahead

EXPONENTS = torch.linspace(0, 1, 21, dtype=torch.float64)
LEAST_EFFECTIVE = 0.5
"""Exponents of the twisting function that are tried, and the effective sample size that they must
leave, as a share of the particles."""


@dataclass(frozen=True)
class Particles:
    r"""n particles of which each `group` in a row belong together.

    Args:
        x: with shape (n, *).
        log_ratio: log of target over proposal along their ways, with shape (n,), in nats.
        exponent: of the twisting function, from 0 to 1, the same within a group.
        ahead: the network's output at x, and what follows from it.
        ancestor: the particle of the first state that each comes from, with shape (n,).
        raw: raw data at the end, where the factor draws them, with shape (n, *shape).
    """

    x: Tensor
    log_ratio: Tensor
    exponent: Tensor
    ahead: Lookahead
    ancestor: Tensor
    raw: Tensor | None = None

    @property
    def log_weight(self) -> Tensor:
        """log w, the twisting function included, with shape (n,), in nats."""
        return self.log_ratio + self.exponent * self.ahead.log_twist

    def tempered(self, group: int) -> Self:
        """Adaptive tempering: the largest exponent of the twisting function that keeps the
        effective sample size of a group above 50 %. An estimate of each value by itself makes it
        too large where values depend on each other (two modes, say). Any exponent is right, as only
        the last one, of r itself, remains."""
        ratio, twist = (
            each.reshape(-1, 1, group) for each in (self.log_ratio, self.ahead.log_twist)
        )
        log_weight = ratio + EXPONENTS.to(ratio)[:, None] * twist
        size = effective(log_weight.flatten(0, 1)).reshape(len(ratio), -1)
        # The most that leaves enough of them, or else whatever leaves the most.
        rank = (size >= LEAST_EFFECTIVE * group) * (1 + EXPONENTS.to(size)) * group + size / group
        best = EXPONENTS.to(ratio)[rank.argmax(1)]
        return replace(self, exponent=best.repeat_interleave(group))

    def resampled(self, group: int, threshold: float, rng: torch.Generator | None) -> Self:
        """Groups whose effective sample size is below that share are drawn anew, systematically, in
        proportion to their weights; the mean weight is kept."""
        log_weight = self.log_weight.reshape(-1, group)
        poor = effective(log_weight) < threshold * group
        # Streams of rows take the same steps in every batch, also where no row needs them.
        if not poor.any() and not isinstance(rng, Streams):
            return self
        chosen = systematic(log_weight.softmax(1), group, rng)
        itself = torch.arange(group, device=chosen.device).expand_as(chosen)
        chosen = torch.where(poor[:, None], chosen, itself)
        first = group * torch.arange(len(chosen), device=chosen.device)
        mean = log_weight.logsumexp(1, keepdim=True) - math.log(group)
        kept = torch.where(poor[:, None], mean, log_weight).flatten()
        new = self.take((chosen + first[:, None]).flatten())
        return replace(new, log_ratio=kept - new.exponent * new.ahead.log_twist)

    def take(self, rows: Tensor) -> Self:
        """Some of the particles."""
        ahead = self.ahead.take(rows)
        rest = (self.x[rows], self.log_ratio[rows], self.exponent[rows])
        raw = None if self.raw is None else self.raw[rows]
        return type(self)(*rest, ahead, self.ancestor[rows], raw)

    @classmethod
    def joined(cls, parts: Sequence["Particles"]) -> "Particles":
        """All of them, one after the other."""
        whole = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        ahead, raw = Lookahead.joined(whole.pop("ahead")), whole.pop("raw")
        drawn = None if raw[0] is None else torch.cat(raw)
        return cls(
            ahead=ahead, raw=drawn, **{name: torch.cat(each) for name, each in whole.items()}
        )


@dataclass(frozen=True, repr=False)
class WeightedParticles:
    r"""The particles at x_0 of each example.

    Args:
        x_0: with shape (examples, repeats, particles, *).
        log_weight: of each, with shape (examples, repeats, particles), in nats: the log of the mean
            weight is the log-evidence.
        effective: the smallest effective sample size on the way, as a share of the particles, with
            shape (examples,).
        ancestors: how many particles of the first state these come from, in all repeats, with shape
            (examples,).
        raw: raw data of each, where the factor drew them, with shape (examples, repeats, particles,
            *shape).
    """

    x_0: Tensor
    log_weight: Tensor
    effective: Tensor
    ancestors: Tensor
    raw: Tensor | None = None

    @property
    def log_evidence(self) -> Tensor:
        """log E_p[r], with shape (examples,), in nats; its exponential is unbiased."""
        count = self.log_weight[0].numel()
        return self.log_weight.flatten(1).logsumexp(1) - math.log(count)

    @property
    def evidence_stderr(self) -> Tensor:
        """The standard error of the log-evidence by the spread of the repeats, with shape
        (examples,), in nats; NaN for one repeat."""
        each = self.log_weight.logsumexp(2)
        repeats = each.shape[1]
        if repeats == 1:
            return torch.full_like(each[:, 0], math.nan)
        share = (each - each.logsumexp(1, keepdim=True)).exp() * repeats
        return cast(Tensor, share.std(1) / repeats**0.5)

    def draw(self, n: int, rng: Rng = None) -> Tensor:
        """n draws for each example in proportion to the weights, systematically and in random
        order, with shape (examples, n, *)."""
        return self.taken(self.x_0, self.choose(n, as_generator(rng)))

    def choose(self, n: int, rng: torch.Generator | None) -> Tensor:
        """The numbers of n particles for each example, (examples, n); see :meth:`draw`."""
        share = self.log_weight.flatten(1).softmax(1)
        chosen = systematic(share, n, rng)
        return chosen.gather(1, uniform(chosen.shape, rng, share).argsort(1))

    def taken(self, each: Tensor, chosen: Tensor) -> Tensor:
        """Of something of each particle, (examples, repeats, particles, *), that of the chosen."""
        flat = each.flatten(1, 2)
        return flat[torch.arange(len(flat), device=flat.device)[:, None], chosen]

    def __repr__(self) -> str:
        examples, repeats, particles = self.log_weight.shape
        return (
            f"WeightedParticles: {examples} examples, {repeats} sets of {particles} particles\n"
            f"mean log-evidence {self.log_evidence.mean().item():.2f} nats, smallest effective "
            f"sample size {self.effective.min().item():.0%}"
        )


def effective(log_weight: Tensor) -> Tensor:
    """The effective sample size of each row of (groups, n), from 1 to n; 0 if all weights are 0."""
    share = log_weight.softmax(1).nan_to_num()
    return torch.where(share.sum(1) > 0, (share**2).sum(1).clamp(min=1e-300).reciprocal(), 0.0)


def systematic(share: Tensor, n: int, rng: torch.Generator | None) -> Tensor:
    """n places in each row of probabilities (rows, k), by systematic resampling: (rows, n)."""
    start = uniform((len(share), 1), rng, share, torch.float64)
    points = (torch.arange(n, device=share.device) + start) / n
    return torch.searchsorted(share.cumsum(1), points).clamp(max=share.shape[1] - 1)


def distinct(numbers: Tensor) -> Tensor:
    """How many different numbers each row of (rows, n) has."""
    return 1 + (numbers.sort(1).values.diff(dim=1) != 0).sum(1)
