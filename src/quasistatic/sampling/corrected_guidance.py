r"""Guidance whose draws have a known distribution: guided walks as weighted particles.

A chain of guided steps does not draw from p(x | y)^(1 + w) p(x)^(-w) / Z, as each step is
normalised by itself. Its paths, weighted by these normalisers, do: the joint distribution of a path
is p(x_0) q(x_1..T | x_0) for both chains, and the powers of the forward process add up to one.
"""

__all__ = ["CorrectedGuidance", "GuidedDraws"]

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, uniform
from .._utils.validation import number_within, whole_number
from ..distributions import Family, total
from ..model import Model
from .classifier_free import check_weight, weaker_model
from .particles import effective, systematic
from .sampler import Times, resolve_times
from .steppers import Ancestral, clock


@dataclass(frozen=True, repr=False)
class GuidedDraws:
    """Draws from p(x | y)^(1 + w) p(x)^(-w) / Z by weighted walks.

    Args:
        draws: raw data, with shape (n, *), in proportion to the weights.
        log_evidence: log Z, in nats.
        evidence_stderr: its standard error by the spread of the repeats, in nats.
        effective: the smallest effective sample size on the way, as a share of the particles.
        x_0: all particles, with shape (repeats, particles, *).
        log_weight: of each particle, with shape (repeats, particles), in nats.
    """

    draws: Tensor
    log_evidence: float
    evidence_stderr: float
    effective: float
    x_0: Tensor
    log_weight: Tensor

    def mean(self, f: Any = None) -> tuple[Tensor, Tensor]:
        """The weighted mean of f(x_0) and its standard error by the spread of the repeats.

        Args:
            f: of particles (N, *), to (N, k); by default their values.
        """
        values = self.x_0.flatten(0, 1) if f is None else f(self.x_0.flatten(0, 1))
        values = values.reshape(*self.log_weight.shape, -1).double()
        share = self.log_weight.softmax(1)[..., None]
        whole = self.log_weight.logsumexp(1).softmax(0)[:, None]
        each = (share * values).sum(1)
        mean = (whole * each).sum(0)
        error = ((whole**2 * (each - mean) ** 2).sum(0) * len(each) / max(len(each) - 1, 1)).sqrt()
        return mean, error

    def __repr__(self) -> str:
        repeats, particles = self.log_weight.shape
        return (
            f"GuidedDraws: {len(self.draws)} draws, of {repeats} sets of {particles} particles\n"
            f"log-evidence {self.log_evidence:.3f} ± {self.evidence_stderr:.3f} nats; smallest "
            f"effective sample size {self.effective:.0%} of the particles"
        )


@dataclass(frozen=True)
class CorrectedGuidance:
    """Guidance whose draws have the distribution p(x | y)^(1 + w) p(x)^(-w) / Z: guided walks as
    particles, weighted by the normalisers of their steps (Feynman-Kac correctors, Skreta et al.
    2025), and drawn anew where the weights are uneven. Z is estimated without bias.

    Args:
        weight: w, see :class:`Guidance`.
        by: see :class:`Guidance`.
        particles: of a set. The bias of the draws falls as this grows.
        repeats: independent sets; the spread of their evidence is its standard error.
        threshold: the effective sample size, as a share, below which particles are drawn anew.

    Raises:
        ValueError: if a number is out of its range.
    """

    weight: float
    by: Model | None = field(default=None, repr=False)
    particles: int = 256
    repeats: int = 8
    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_weight(self.weight, self.by)
        for name in ("particles", "repeats"):
            whole_number(name, getattr(self, name))
        number_within("threshold", self.threshold, 0, 1)

    @torch.no_grad()
    def draw(self, model: Model, n: int, times: Times = None, rng: Rng = None) -> GuidedDraws:
        """n draws for the one value of the condition that a model was given.

        Raises:
            TypeError: if nothing is given.
            ValueError: if several values are given: the evidence is that of one.
        """
        weaker = weaker_model(model, self.by)
        if model.given_rows > 1:
            raise ValueError(
                f"{model.given_rows} values are given, and weighted walks take one: call once for "
                "each value"
            )
        source, grid = as_generator(rng), resolve_times(model, times, Ancestral()).tolist()
        repeats = max(self.repeats, math.ceil(n / self.particles))
        size = repeats * self.particles
        lowest = 1.0
        with evaluating(model), evaluating(weaker):
            x = model.kernel.prior(model.blank(size).double()).sample(source)
            log_w = x.new_zeros(repeats, self.particles)
            for s, t in zip([*grid[-2::-1], 0], grid[::-1], strict=True):
                share = effective(log_w) / self.particles
                lowest = min(lowest, float(share.min()))
                x, log_w = _resampled(x, log_w, share < self.threshold, source)
                x, gain = self._stepped(model, weaker, x, s, t, source)
                log_w = log_w + gain.reshape(log_w.shape)
        lowest = min(lowest, float((effective(log_w) / self.particles).min()))
        each = log_w.logsumexp(1) - math.log(self.particles)
        log_z = each.logsumexp(0) - math.log(repeats)
        error = (
            (each - log_z).exp().std() / repeats**0.5 if repeats > 1 else each.new_tensor(math.nan)
        )
        chosen = systematic(log_w.reshape(1, -1).softmax(1), n, source)[0]
        chosen = chosen[uniform((n,), source, log_w).argsort()]  # neighbours are often alike
        draws = model.space.decode(x[chosen].to(model.blank(1).dtype))
        return GuidedDraws(
            draws, float(log_z), float(error), lowest, x.reshape(*log_w.shape, *x.shape[1:]), log_w
        )

    def _stepped(
        self,
        model: Model,
        weaker: Model,
        x: Tensor,
        s: int,
        t: int,
        rng: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """x_s by the guided step, and log p^(1 + w) q^(-w) less the log-density of that step."""
        found, gains = [], []
        weight = torch.full((1,), self.weight, dtype=x.dtype, device=x.device)
        for rows in torch.split(x, model.chunk_size):
            p, q = (_law(each, rows, s, t) for each in (model, weaker))
            if p is q:  # a last step that no network decides
                drawn = p.sample(rng)
                gain = torch.zeros_like(drawn)
            else:
                guided = p.extrapolate(q, weight)
                drawn = guided.sample(rng)
                log_p, log_q = p.log_prob(drawn), q.log_prob(drawn)
                # Equal also where both are minus infinity.
                difference = torch.where(log_p == log_q, 0.0, log_p - log_q).nan_to_num()
                gain = log_p + self.weight * difference - guided.log_prob(drawn)
            found.append(drawn)
            gains.append(total(gain))
        return torch.cat(found), torch.cat(gains)


def _law(model: Model, x_t: Tensor, s: int, t: int) -> Family:
    """p(x_s | x_t) for x_t in float64; one object for all models where no network decides it."""
    early, late = clock(x_t, max(s, 1)), clock(x_t, t)

    def output() -> Tensor:
        return model.output(x_t.to(model.blank(1).dtype), late).double()

    head, kernel = model.head, model.kernel
    if s:
        return head.reverse(kernel, output(), x_t, early, late)
    return model.space.last(kernel, x_t, late, lambda: head.last(kernel, output(), x_t, late))


def _resampled(
    x: Tensor, log_weight: Tensor, poor: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Sets that are poor are drawn anew, systematically; their mean weight is kept."""
    if not poor.any():
        return x, log_weight
    repeats, count = log_weight.shape
    chosen = systematic(log_weight.softmax(1), count, rng)
    itself = torch.arange(count, device=x.device).expand_as(chosen)
    chosen = torch.where(poor[:, None], chosen, itself)
    first = count * torch.arange(repeats, device=x.device)[:, None]
    mean = (log_weight.logsumexp(1, keepdim=True) - math.log(count)).expand_as(log_weight)
    return x[(chosen + first).flatten()], torch.where(poor[:, None], mean, log_weight)
