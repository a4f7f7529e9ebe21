r"""The walk with a factor and weights: draws from p(x) r(x), and the evidence log E_p[r].

Multiplying r into every step and walking on (SD15 Eq. 22) draws another distribution than p r:
the normaliser of each step depends on where the walk stands. Here that normaliser is the weight
of a particle, and particles are resampled by it (TDS), so that the answer is exact in the limit
of many particles. At time t the factor says what it would mean if the data were pi.
"""

__all__ = ["Weighted", "posterior"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .factors import Factor
from .families import Family, total
from .model import Model
from .samplers import Guide, State, walk


@dataclass(frozen=True)
class Weighted(Guide):
    """Particles for a factor over `groups` examples, example by example in the walkers' order,
    resampled when the effective sample size of an example falls below `threshold` of them."""

    factor: Factor
    groups: int
    threshold: float = 0.5

    def start(self, model: Model, p: Family, t: int, rng: torch.Generator | None) -> State:
        return self._draw(model, p, t, rng)

    def step(
        self, model: Model, state: State, p: Family, s: int, rng: torch.Generator | None
    ) -> State:
        spent = total(self._said(model, state.x, state.t))
        if s > 0:
            drawn = self._draw(model, p, s, rng)
        else:
            x_0, log_mean = self.factor.condition(model.space, p, rng)
            drawn = State(x_0, 0, total(log_mean).double())
        log_weight = state.log_weight - spent + drawn.log_weight
        return self._select(State(drawn.x, s, log_weight), rng)

    def _draw(self, model: Model, p: Family, t: int, rng: torch.Generator | None) -> State:
        # In float64: log-weights are differences of large numbers, summed over the whole walk.
        precise = p.to(torch.float64)
        linear, precision, constant = self._lift(model, p.mean, t)
        tilted = precise.tilt(linear, precision)
        log_mean = tilted.log_partition() - precise.log_partition() + constant
        return State(tilted.sample(rng).to(p.mean.dtype), t, total(log_mean))

    def _lift(self, model: Model, like: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.full((len(like),), t, device=like.device)
        linear, precision, constant = self.factor.lift(model.kernel, like, at)
        return linear.double(), precision.double(), constant.double()

    def _said(self, model: Model, x: Tensor, t: int) -> Tensor:
        linear, precision, constant = self._lift(model, x, t)
        return linear * x - precision * x**2 / 2 + constant

    def _select(self, state: State, rng: torch.Generator | None) -> State:
        """Systematic resampling of the examples that need it; the mean weight is kept."""
        log_weight = state.log_weight.reshape(self.groups, -1)
        n = log_weight.shape[1]
        share = log_weight.softmax(1)
        poor = 1 / (share**2).sum(1) < self.threshold * n
        if state.t == 0:
            poor = torch.ones_like(poor)  # the final draw: particles of equal weight
        if not poor.any():
            return state
        start = torch.rand(self.groups, 1, generator=rng, dtype=share.dtype, device=share.device)
        points = (torch.arange(n, device=share.device) + start) / n
        chosen = torch.searchsorted(share.cumsum(1), points).clamp(max=n - 1)
        stay = torch.arange(n, device=share.device).expand_as(chosen)
        chosen = torch.where(poor[:, None], chosen, stay)
        index = (chosen + n * torch.arange(self.groups, device=share.device)[:, None]).flatten()
        mean = (log_weight.logsumexp(1, keepdim=True) - math.log(n)).expand_as(log_weight)
        kept = torch.where(poor[:, None], mean, log_weight)
        return State(state.x[index], state.t, kept.flatten())


def posterior(
    model: Model,
    factor: Factor,
    examples: int,
    particles: int,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Draws from p(x) r(x) and the log-evidence log E_p[r], for each example by itself.

    Args:
        factor: r, whose tensors repeat each example `particles` times in a row.

    Returns:
        x_0 with shape (examples, particles, *), equally weighted, and the log-evidence with
        shape (examples,), in nats.

    Raises:
        ValueError: if every particle of an example has weight zero: at which time.
    """
    guide = Weighted(factor, examples)
    for state in walk(model, examples * particles, guide, times, rng):
        alive = state.log_weight.reshape(examples, -1).logsumexp(1).isfinite()
        if not alive.all():
            raise ValueError(
                f"no particle of example {int((~alive).nonzero()[0])} is left at t = {state.t}: "
                "what was observed has no probability under the model; allow it some noise, or "
                "use more particles"
            )
    evidence = state.log_weight.reshape(examples, particles).logsumexp(1) - math.log(particles)
    return state.x.reshape(examples, particles, *state.x.shape[1:]), evidence
