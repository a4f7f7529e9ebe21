r"""Where particles are sent: what the model's belief about x_0 promises of r, and the step that
heads there.

At x_t the promise is psi_t = E[r(x_0)] over the model's belief, which is r itself in the end. The
step's proposal is the bridge to the belief times r. Both are coordinate by coordinate; what r says
of a value through the others is in the slope of log psi_t in x_t (TDS), less the part that the
belief times r has told already: a pull that may be asked for.
"""

__all__ = ["Sight", "proposal", "sighted"]

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..distributions import Family, total
from ..heads import DenoisingHead
from ..model import Model
from .factors import Factor

FARTHEST = 4.0
"""How far a pull may move a value, in deviations of the step: weights undo what is too far, but
particles sent astray are lost."""

IMPOSSIBLE = -1e6
"""The least log of a promise, in nats: what a belief rules out may come to pass later."""


@dataclass(frozen=True)
class Sight:
    """What the network said of particles x_t, and what follows for a factor.

    Args:
        output: the network's, with shape (n, *, outputs), in float64.
        promise: log psi_t, with shape (n,), in nats.
        mean, variance: of the belief about x_0, with shape (n, *).
        mean_after, variance_after: of the belief times r, with shape (n, *).
        pull: by which the step is tilted besides, with shape (n, *).
    """

    output: Tensor
    promise: Tensor
    mean: Tensor
    variance: Tensor
    mean_after: Tensor
    variance_after: Tensor
    pull: Tensor

    def take(self, rows: Tensor) -> "Sight":
        """What it said of those."""
        return Sight(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Sight"]) -> "Sight":
        """All of them in a row."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @property
    def untold(self) -> Tensor:
        """The values of which the factor says nothing itself, with shape (n, *)."""
        return (self.mean == self.mean_after) & (self.variance == self.variance_after)


def sighted(model: Model, factor: Factor, x_t: Tensor, t: int, strength: float = 0.0) -> Sight:
    """One look at x_t (n, *), in float64; the pull is that times the slope."""
    at = _clock(x_t, t)
    with torch.set_grad_enabled(strength > 0):
        x = x_t.detach().requires_grad_(strength > 0)
        output = model.output(x.to(model.blank(1).dtype), at).to(x.dtype)
        belief = _belief(model, output, x, at)
        doubted = _doubted(model, belief, at)
        promise = factor.log_mean(model.space, doubted)
        told = model.kernel.likelihood_tilt(x, torch.zeros_like(at), at)[0]
    after = factor.update(doubted)
    mean, variance = belief.mean.detach(), belief.variance.detach()
    mean_after, variance_after = after.mean.detach(), after.variance.detach()
    if doubted is not belief:  # the share of its doubt that r leaves a value, of the doubt it has
        variance_after = variance * variance_after / doubted.variance.detach()
    if factor.known is not None:
        known = factor.known.to(mean)
        mean_after = torch.where(known.isnan(), mean_after, known)
        variance_after = torch.where(known.isnan(), variance_after, 0.0)
    pull = torch.zeros_like(mean)
    if strength > 0:
        slope = _gradient(promise, x) - _gradient(told, x) * (mean_after - mean)
        left = torch.where(variance > 0, variance_after / variance.clamp(min=1e-300), 0.0)
        pull = (strength * slope * left.clamp(0, 1)).nan_to_num(posinf=0.0, neginf=0.0)
    promise = promise.detach().nan_to_num(nan=IMPOSSIBLE).clamp(min=IMPOSSIBLE)
    return Sight(output.detach(), promise, mean, variance, mean_after, variance_after, pull)


def proposal(
    model: Model,
    x_t: Tensor,
    sight: Sight,
    s: int,
    t: int,
    rng: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """x_s (n, *) from the step that heads for belief times r, and log p(x_s | x_t) less its
    log-density, with shape (n,), in nats."""
    early, late = _clock(x_t, s), _clock(x_t, t)
    kernel, head = model.kernel, model.head
    if type(head).reverse is DenoisingHead.reverse:
        p = kernel.bridge(x_t, kernel.from_moments(sight.mean, sight.variance), early, late)
    else:
        p = head.reverse(kernel, sight.output, x_t, early, late)
    # A value of which the factor says nothing itself takes the model's own step, be it a mixture.
    free, untold = _pulled(p, sight.pull), p.all_in_group(sight.untold)
    after = kernel.from_moments(sight.mean_after, sight.variance_after)
    told = _pulled(kernel.bridge(x_t, after, early, late), sight.pull)
    x_s = torch.where(untold, free.sample(rng), told.sample(rng))
    log_q = torch.where(untold, free.log_prob(x_s), told.log_prob(x_s))
    return x_s, total(p.log_prob(x_s) - log_q)


def _belief(model: Model, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
    """The model's belief about x_0; where it states a step only, what the step's mean says."""
    kernel, head = model.kernel, model.head
    if isinstance(head, DenoisingHead):
        return head.denoise(kernel, output, x_t, t)
    mean = head.estimate(kernel, output, x_t, t)
    return kernel.from_moments(mean, kernel.conditional_variance(mean, t))


def _doubted(model: Model, belief: Family, t: Tensor) -> Family:
    """The belief, and where it claims no doubt at all (FixedSmall), the doubt that x_t would leave
    if the data were the kernel's fixed point: a promise takes some."""
    if (belief.variance > 0).any():
        return belief
    return model.kernel.from_moments(belief.mean, model.kernel.conditional_variance(belief.mean, t))


def _pulled(p: Family, pull: Tensor) -> Family:
    """p, tilted as far as it may be."""
    if not pull.any():
        return p
    most = FARTHEST / p.variance.clamp(min=1e-300).sqrt()
    return p.tilt(pull.clamp(min=-most, max=most), torch.zeros_like(pull))


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(x)
    found = torch.autograd.grad(
        value, x, torch.ones_like(value), retain_graph=True, allow_unused=True
    )[0]
    return torch.zeros_like(x) if found is None else found.nan_to_num(posinf=0.0, neginf=0.0)


def _clock(like: Tensor, t: int) -> Tensor:
    return torch.full((len(like),), t, dtype=torch.long, device=like.device)
