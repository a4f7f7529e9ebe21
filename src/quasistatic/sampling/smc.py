r"""Sequential Monte Carlo with a factor: draws from p(x) r(x), and the evidence log E_p[r].

Multiplying r into every step (SD15 Eq. 22) draws another distribution than p r: the normaliser of a
step depends on x_t. Here particles are proposed where the model's own estimate of x_0 says that r
will be large, weighted by the ratio of target and proposal, and resampled (TDS). That is exact in
the limit of many particles, however rough the estimate.
"""

__all__ = ["SMC"]

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..distributions import Family, total
from ..kernels import SignalNoise
from ..model import Model
from .factors import Factor
from .method import Drawn, PosteriorMethod
from .particles import Particles, WeightedParticles, distinct, effective
from .proposals import look_ahead, proposal
from .sampler import Times, resolve_times
from .steppers import Ancestral, Kept, Stepper, clock


@dataclass(frozen=True)
class SMC(PosteriorMethod):
    r"""Sequential Monte Carlo: weighted and resampled particles, exact in the limit of many.

    Args:
        particles: in each set. Draws come from few of the first particles (`ancestors`), so that
            intervals by too few are too narrow.
        repeats: independent sets, whose spread gives the standard error of the evidence; None
            takes 4, or more where that leaves less than two particles for each draw.
        pull: how much of the slope of the twisting function is added to the steps, from 0; 1 is TDS
            proper. It costs gradients. It helps in few dimensions, and where the posterior has
            several modes it sends too many particles to one of them too early.
        threshold: particles are resampled when their effective sample size falls below this share.
        stepper: whose steps the particles take: the model's own by `Ancestral()`, or those of
            `Kept(eta)`, which have the same marginals and need fewer times. The evidence is that of
            the chain of these steps. A step has to draw noise, as it is weighted by its density.

    Raises:
        TypeError: if the steps of a stepper have no density.
        ValueError: if a number is out of its range.
    """

    particles: int = 128
    repeats: int | None = None
    pull: float = 0.0
    threshold: float = 0.5
    stepper: Stepper = Ancestral()

    def __post_init__(self) -> None:
        weighable = isinstance(self.stepper, Ancestral | Kept)
        if isinstance(self.stepper, Kept):
            weighable = self.stepper.eta > 0 and self.stepper.limits is None
        if not weighable:
            raise TypeError(
                "particles are weighted by the density of their steps, and those of "
                f"{self.stepper} have none: give Ancestral(), or Kept(eta) with eta above 0 and "
                "without limits"
            )
        for name in ("particles", "repeats"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be 1 or more, got {count}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold is a share of the particles, from 0 to 1, got {self.threshold}"
            )
        if not 0 <= self.pull < math.inf:
            raise ValueError(f"pull must be 0 or more, got {self.pull}")

    def sets(self, draws: int) -> int:
        """How many independent sets of particles so many draws of an example take."""
        if self.repeats is not None:
            return self.repeats
        return max(REPEATS, math.ceil(2 * draws / self.particles))

    def __call__(
        self,
        model: Model,
        factor: Factor,
        examples: int,
        draws: int,
        times: Times,
        rng: Rng,
        together: int,
    ) -> Drawn:
        source, repeats = as_generator(rng), self.sets(draws)
        found = replace(self, repeats=repeats).run(model, factor, examples, times, source, together)
        chosen = found.choose(draws, source)
        return Drawn(
            found.taken(found.x_0, chosen),
            found.log_evidence,
            found.evidence_stderr,
            found.effective,
            found.ancestors,
            repeats,
            None if found.raw is None else found.taken(found.raw, chosen),
        )

    @torch.no_grad()
    def run(
        self,
        model: Model,
        factor: Factor,
        examples: int,
        times: Times = None,
        rng: Rng = None,
        together: int | None = None,
    ) -> WeightedParticles:
        """The weighted particles at x_0; see :class:`PosteriorMethod` for the arguments.

        Raises:
            ValueError: if the factor is about another number of examples, or all particles of an
                example have weight zero: at which time.
        """
        if factor.examples not in (None, examples):
            raise ValueError(f"the factor is about {factor.examples} examples, and not {examples}")
        particles, repeats = self.particles, self.repeats or REPEATS
        rng, limit = as_generator(rng), together or model.chunk_size
        visited = resolve_times(model, times, self.stepper)
        self.stepper.require(model, visited)
        grid = visited.tolist()
        owner = torch.arange(examples).repeat_interleave(repeats * particles)
        model = model.given_each(None, examples)
        pieces = [
            (model.take(owner[rows]), rows, factor.take(owner[rows]))
            for rows in torch.split(torch.arange(len(owner)), limit)
        ]
        lowest = torch.ones(examples, dtype=torch.float64, device=model.blank(1).device)
        with evaluating(model):
            state = Particles.joined([self._first(*piece, grid[-1], rng) for piece in pieces])
            for s, t in zip([*grid[-2::-1], 0], grid[::-1], strict=True):
                state = state.tempered(particles)
                share = effective(state.log_weight.reshape(-1, particles)) / particles
                lowest = lowest.minimum(share.reshape(examples, -1).amin(1))
                state = state.resampled(particles, self.threshold, rng)
                state = Particles.joined(list(self._moved(state, pieces, s, t, rng)))
                _check_alive(state.log_weight.reshape(examples, -1), s)
        shape = (examples, repeats, particles)
        share = effective(state.log_weight.reshape(-1, particles)) / particles
        return WeightedParticles(
            state.x.reshape(*shape, *state.x.shape[1:]),
            state.log_weight.reshape(shape),
            lowest.minimum(share.reshape(examples, -1).amin(1)),
            distinct(state.ancestor.reshape(examples, -1)),
            None if state.raw is None else state.raw.reshape(*shape, *state.raw.shape[1:]),
        )

    @property
    def _eta(self) -> float:
        return self.stepper.eta if isinstance(self.stepper, Kept) else 1.0

    def _first(
        self, model: Model, rows: Tensor, factor: Factor, t: int, rng: torch.Generator | None
    ) -> Particles:
        """x_T from the prior; where some signal reaches it, from the prior times r as seen through
        the noise."""
        kernel = model.kernel
        p = q = kernel.prior(model.blank(len(rows)).double())
        if isinstance(kernel, SignalNoise):
            q = factor.matched(kernel, p, clock(p.mean, t))
        x = q.sample(rng)
        log_ratio = total(p.log_prob(x) - q.log_prob(x))
        ahead = look_ahead(model, factor, x, t, self.pull)
        return Particles(x, log_ratio, torch.zeros_like(log_ratio), ahead, rows.to(x.device))

    def _moved(
        self,
        state: Particles,
        pieces: list[tuple[Model, Tensor, Factor]],
        s: int,
        t: int,
        rng: torch.Generator | None,
    ) -> Iterator[Particles]:
        """The next state, as many particles at once as the network takes."""
        for model, rows, factor in pieces:
            here = state.take(rows.to(state.x.device))
            if s == 0:
                yield _ended(model, factor, here, t, rng)
            else:
                x, log_ratio = proposal(model, here.x, here.ahead, s, t, rng, self._eta)
                ahead = look_ahead(model, factor, x, s, self.pull)
                yield replace(here, x=x, log_ratio=here.log_ratio + log_ratio, ahead=ahead)


REPEATS = 4
"""Sets of particles by default."""


def _ended(
    model: Model, factor: Factor, here: Particles, t: int, rng: torch.Generator | None
) -> Particles:
    """x_0, with r itself in its weight in place of the twisting function."""
    p = _last(model, here, t)
    q, space = factor.update(p), model.space
    x_0 = space.snap_to_levels(q.sample(rng))
    known = factor.known
    if known is not None:
        known = known.to(x_0)
        x_0 = torch.where(known.isnan(), x_0, known)
    log_p = space.log_prob(p, x_0)
    log_q = torch.zeros_like(log_p) if q is p else space.log_prob(q, x_0)
    free = log_p - log_q if q is not p else torch.zeros_like(log_p)
    gain = free if known is None else torch.where(known.isnan(), free, log_p)
    raw, log_r = factor.realized(x_0, rng)
    log_ratio = here.log_ratio + total(gain) + log_r
    none = torch.zeros_like(here.exponent)
    return replace(here, x=x_0, log_ratio=log_ratio, exponent=none, raw=raw)


def _last(model: Model, here: Particles, t: int) -> Family:
    """p(x_0 | x_t), by the network's output that is known already."""
    at = clock(here.x, t)
    head, kernel = model.head, model.kernel
    return model.space.last(
        kernel, here.x, at, lambda: head.last(kernel, here.ahead.output, here.x, at)
    )


def _check_alive(log_weight: Tensor, t: int) -> None:
    alive = log_weight.logsumexp(1).isfinite()
    if not alive.all():
        raise ValueError(
            f"no particle of example {int((~alive).nonzero()[0])} has any weight at t = {t}: what "
            "was observed has no probability under the model; give it a variance, or use more "
            "particles"
        )
