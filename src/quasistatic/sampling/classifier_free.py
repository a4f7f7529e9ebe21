r"""Classifier-free guidance: steps towards a condition and away from p(x), plain and corrected.

With p the conditional reverse step and q the unconditional one (or that of a weaker model), the
guided step is the member of their family whose natural parameters are (1 + w) those of p less w
those of q. It is proportional to p(x_s | x_t, y)^(1 + w) q(x_s | x_t)^(-w).

A chain of such steps does not draw from p(x | y)^(1 + w) p(x)^(-w) / Z, as each step is normalised
by itself. Its paths, weighted by these normalisers, do: the joint distribution of a path is
p(x_0) q(x_1..T | x_0) for both chains, and the powers of the forward process add up to one.
"""

__all__ = ["CorrectedGuidance", "Guidance", "GuidedDraws"]

import copy
import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, uniform
from .._utils.validation import instance_of, number_within, whole_number
from ..distributions import Family, total
from ..heads import DenoisingHead, Head
from ..kernels import Kernel, SignalNoise
from ..model import Model
from ..spaces import Space
from .sampler import Times, resolve_times
from .steppers import Ancestral, clock

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022) of a walk given a condition. Its draws are
    more typical of the condition and less diverse. They have no density that is known, and not that
    of :class:`CorrectedGuidance`.

    Args:
        weight: w; 0 is p(x | y), -1 is p(x), and 1 to 4 are usual for images.
        interval: the log-SNR between which guidance acts (Kynkaanniemi et al. 2024), as (low,
            high); None for all times.
        by: a weaker model of the same data, from which steps are led away (Karras et al. 2024), in
            place of p(x) of the same model. It is given the same y if it has a condition.

    Raises:
        ValueError: if the weight is below -1, or an interval is empty.
    """

    weight: float
    interval: tuple[float, float] | None = None
    by: Model | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_weight(self.weight, self.by)
        if self.interval is not None and not _rises(self.interval):
            raise ValueError(
                f"an interval of log-SNR is a pair of numbers (low, high), as (-3.0, 3.0), got "
                f"{self.interval!r:.60}"
            )

    def applied(self, model: M) -> M:
        """The model whose reverse steps, estimates and last step are guided.

        Raises:
            TypeError: if nothing is given, or the weaker model is one of other data.
        """
        weaker = _weaker(model, self.by)
        other = copy.copy(model)
        network = _Both(model, weaker)
        other._modules = {**model._modules, "network": network}
        kind = _GuidedDenoiser if isinstance(model.head, DenoisingHead) else _GuidedHead
        other.head = kind(model.head, self.weight, self.interval)
        return other


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
        _check_weight(self.weight, self.by)
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
        weaker = _weaker(model, self.by)
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
                share = _effective(log_w) / self.particles
                lowest = min(lowest, float(share.min()))
                x, log_w = _resampled(x, log_w, share < self.threshold, source)
                x, gain = self._stepped(model, weaker, x, s, t, source)
                log_w = log_w + gain.reshape(log_w.shape)
        lowest = min(lowest, float((_effective(log_w) / self.particles).min()))
        each = log_w.logsumexp(1) - math.log(self.particles)
        log_z = each.logsumexp(0) - math.log(repeats)
        error = (
            (each - log_z).exp().std() / repeats**0.5 if repeats > 1 else each.new_tensor(math.nan)
        )
        chosen = torch.multinomial(
            log_w.flatten().softmax(0).cpu(), n, replacement=True, generator=_on_cpu(source)
        )
        draws = model.space.decode(x[chosen.to(x.device)].to(model.blank(1).dtype))
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
                ratio = torch.where(p.log_prob(drawn) == q.log_prob(drawn), 0.0, 1.0)
                difference = (p.log_prob(drawn) - q.log_prob(drawn)).nan_to_num() * ratio
                gain = p.log_prob(drawn) + self.weight * difference - guided.log_prob(drawn)
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


def _weaker(model: Model, by: Model | None) -> Model:
    """The model that steps are led away from."""
    if by is None:
        model.require_condition()
        if not model.given_rows:
            raise TypeError("guidance needs a condition: pass given=y, or a weaker model as `by`")
        return model.given(None)
    ours, theirs = model.describe(), by.describe()
    if any(ours[name] != theirs[name] for name in ("space", "kernel", "head")):
        raise TypeError(
            f"the weaker model is one of {by.space!r:.60} with {type(by.head).__name__}, and the "
            f"model one of {model.space!r:.60} with {type(model.head).__name__}: train both on the "
            "same data with the same kernel and head"
        )
    if by.condition is None or model.codes is None:
        return by
    return by.with_codes(model.codes)


def _rises(interval: object) -> bool:
    """Whether it is a pair of numbers (low, high)."""
    pair = interval if isinstance(interval, tuple | list) and len(interval) == 2 else ()
    return len(pair) == 2 and all(isinstance(end, Real) for end in pair) and pair[0] < pair[1]


def _check_weight(weight: float, by: object) -> None:
    if by is not None:
        instance_of("by", by, Model, "a model of the same data that was trained for less long")
    if not isinstance(weight, Real) or isinstance(weight, bool):
        raise TypeError(f"a guidance weight is a number, 2.0 for example, got {weight!r:.60}")
    if not -1 <= weight < math.inf:
        raise ValueError(
            f"a guidance weight is -1 or more, got {weight}: 0 is p(x | y), and -1 is p(x)"
        )


class _Both(nn.Module):
    """The outputs of two models, side by side."""

    def __init__(self, model: Model, weaker: Model) -> None:
        super().__init__()
        self.model, self.weaker = model, weaker

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        t = (time.double() * self.model.steps).round().long()
        weaker = self.weaker
        if weaker.given_rows:  # the same rows
            weaker = weaker.with_codes(given)
        ours = self.model.with_codes(given).output(x, t)
        return torch.cat([ours, weaker.output(x, t)], -1)


@dataclass(frozen=True)
class _GuidedHead(Head):
    """A head of the outputs of two models, whose laws are extrapolated."""

    inner: Head
    weight: float
    interval: tuple[float, float] | None

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.inner.jumps

    @property
    def homogeneous(self) -> bool:
        return False

    @property
    def outputs(self) -> int:
        return 2 * self.inner.outputs

    def bind(self, space: Space, kernel: Kernel) -> Any:
        return self

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        ours, theirs = (self.inner.estimate(kernel, each, x_t, t) for each in self._split(output))
        return ours + self._weight(kernel, x_t, t) * (ours - theirs)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        p, q = (self.inner.reverse(kernel, each, x_t, s, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        p, q = (self.inner.last(kernel, each, x_t, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        q = kernel.posterior(x_t, x_0, s, t)
        return q.kl(self.reverse(kernel, output, x_t, s, t))

    def _split(self, output: Tensor) -> tuple[Tensor, ...]:
        return output.chunk(2, -1)

    def _weight(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        """The weight of each example, (B, 1, ...): 0 outside the interval."""
        weight = torch.full_like(x_t.flatten(1)[:, 0], self.weight)
        if self.interval is not None:
            if not isinstance(kernel, SignalNoise):
                raise TypeError(
                    f"an interval of log-SNR needs a kernel that has one (GaussianKernel), got "
                    f"{type(kernel).__name__}: leave the interval out"
                )
            log_snr = kernel.schedule.log_snr.to(x_t)[t]
            inside = (log_snr >= self.interval[0]) & (log_snr <= self.interval[1])
            weight = torch.where(inside, weight, 0.0)
        return weight.reshape(-1, *[1] * (x_t.ndim - 1))


@dataclass(frozen=True)
class _GuidedDenoiser(_GuidedHead, DenoisingHead):
    """The same of a head that states a law of x_0."""

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        inner = cast(DenoisingHead, self.inner)
        p, q = (inner.denoise(kernel, each, x_t, t) for each in self._split(output))
        return p.extrapolate(q, self._weight(kernel, x_t, t))


def _effective(log_weight: Tensor) -> Tensor:
    """The effective sample size of each row of (repeats, particles)."""
    return (log_weight.softmax(1) ** 2).sum(1).reciprocal()


def _resampled(
    x: Tensor, log_weight: Tensor, poor: Tensor, rng: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Sets that are poor are drawn anew, systematically; their mean weight is kept."""
    if not poor.any():
        return x, log_weight
    repeats, count = log_weight.shape
    start = uniform((repeats, 1), rng, log_weight, torch.float64)
    points = (torch.arange(count, device=x.device) + start) / count
    cumulative = log_weight.softmax(1).cumsum(1)
    chosen = torch.searchsorted(cumulative, points).clamp(max=count - 1)
    itself = torch.arange(count, device=x.device).expand_as(chosen)
    chosen = torch.where(poor[:, None], chosen, itself)
    first = count * torch.arange(repeats, device=x.device)[:, None]
    mean = (log_weight.logsumexp(1, keepdim=True) - math.log(count)).expand_as(log_weight)
    return x[(chosen + first).flatten()], torch.where(poor[:, None], mean, log_weight)


def _on_cpu(rng: torch.Generator | None) -> torch.Generator | None:
    if rng is None or rng.device.type == "cpu":
        return rng
    return torch.Generator().manual_seed(rng.initial_seed())
