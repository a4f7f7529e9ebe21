r"""The steps that particles take: where the model's estimate of x_0 says that r will be large.

At x_t the twisting function is psi_t = E[r(x_0)] over the model's estimate of x_0 given x_t; at the
end it is r itself. A step's proposal is the bridge to that estimate times r. Both take each value
by itself. What r says about a value through the others is in the slope of log psi_t in x_t (TDS),
less the part that the estimate times r has already: a pull that may be asked for.
"""

__all__ = ["Lookahead", "look_ahead", "proposal"]

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..distributions import Family, total
from ..heads import DenoisingHead
from ..model import Model
from .factors import Factor
from .steppers import clock

FARTHEST = 4.0
"""The most that a pull moves a value, in standard deviations of the step. Weights correct any move,
but particles that go too far are lost."""

IMPOSSIBLE = -1e6
"""The least log psi_t, in nats: what an estimate rules out may still come to pass."""


@dataclass(frozen=True)
class Lookahead:
    """The network's output at particles x_t, and what follows from it for a factor.

    Args:
        output: of the network, with shape (n, *, outputs), in float64.
        log_twist: log psi_t, with shape (n,), in nats.
        mean, variance: of x_0 given x_t, with shape (n, *).
        mean_after, variance_after: of x_0 given x_t, times r, with shape (n, *).
        pull: the linear term by which the step is tilted besides, with shape (n, *).
    """

    output: Tensor
    log_twist: Tensor
    mean: Tensor
    variance: Tensor
    mean_after: Tensor
    variance_after: Tensor
    pull: Tensor

    def take(self, rows: Tensor) -> "Lookahead":
        """That of some particles."""
        return Lookahead(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Lookahead"]) -> "Lookahead":
        """All of them, one after the other."""
        return cls(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @property
    def unaffected(self) -> Tensor:
        """The values whose estimate the factor does not change, with shape (n, *)."""
        return (self.mean == self.mean_after) & (self.variance == self.variance_after)


def look_ahead(
    model: Model, factor: Factor, x_t: Tensor, t: int, strength: float = 0.0
) -> Lookahead:
    """One network evaluation at x_t (n, *), in float64; the pull is `strength` times the slope."""
    at = clock(x_t, t)
    with torch.set_grad_enabled(strength > 0):
        x = x_t.detach().requires_grad_(strength > 0)
        output = model.output(x.to(model.blank(1).dtype), at).to(x.dtype)
        estimate = _estimate(model, output, x, at)
        widened = _widened(model, estimate, at)
        log_twist = factor.log_mean(model.space, widened)
        linear = model.kernel.likelihood_tilt(x, torch.zeros_like(at), at)[0]
    after = factor.update(widened)
    mean, variance = estimate.mean.detach(), estimate.variance.detach()
    mean_after, variance_after = after.mean.detach(), after.variance.detach()
    if widened is not estimate:  # r leaves a share of the wider variance: that share of its own
        variance_after = variance * variance_after / widened.variance.detach()
    if factor.known is not None:
        known = factor.known.to(mean)
        mean_after = torch.where(known.isnan(), mean_after, known)
        variance_after = torch.where(known.isnan(), variance_after, 0.0)
    pull = torch.zeros_like(mean)
    if strength > 0:
        slope = _gradient(log_twist, x) - _gradient(linear, x) * (mean_after - mean)
        left = torch.where(variance > 0, variance_after / variance.clamp(min=1e-300), 0.0)
        pull = (strength * slope * left.clamp(0, 1)).nan_to_num(posinf=0.0, neginf=0.0)
    log_twist = log_twist.detach().nan_to_num(nan=IMPOSSIBLE).clamp(min=IMPOSSIBLE)
    return Lookahead(output.detach(), log_twist, mean, variance, mean_after, variance_after, pull)


def proposal(
    model: Model,
    x_t: Tensor,
    ahead: Lookahead,
    s: int,
    t: int,
    rng: torch.Generator | None,
    eta: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """x_s (n, *) from the bridge to the estimate times r, and log p(x_s | x_t) less the log-density
    of that proposal, with shape (n,), in nats. With `eta` below 1 the steps, the model's and the
    proposed ones, are those of :class:`.Kept`."""
    early, late = clock(x_t, s), clock(x_t, t)
    kernel, head = model.kernel, model.head
    if eta < 1:
        assert isinstance(head, DenoisingHead)  # as Kept has made sure
        law = head.denoise(kernel, ahead.output, x_t, late)
        p = kernel.kept(x_t, law, early, late, eta)
    elif type(head).reverse is DenoisingHead.reverse:
        p = kernel.bridge(x_t, kernel.from_moments(ahead.mean, ahead.variance), early, late)
    else:
        p = head.reverse(kernel, ahead.output, x_t, early, late)
    # A value that the factor does not change takes the model's own step, be it a mixture.
    free, unaffected = _pulled(p, ahead.pull), p.all_in_group(ahead.unaffected)
    after = kernel.from_moments(ahead.mean_after, ahead.variance_after)
    guided = (
        kernel.bridge(x_t, after, early, late)
        if eta == 1
        else kernel.kept(x_t, after, early, late, eta)
    )
    tilted = _pulled(guided, ahead.pull)
    x_s = torch.where(unaffected, free.sample(rng), tilted.sample(rng))
    log_q = torch.where(unaffected, free.log_prob(x_s), tilted.log_prob(x_s))
    return x_s, total(p.log_prob(x_s) - log_q)


def _estimate(model: Model, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
    """The model's law of x_0 given x_t; if its head states a step only, one with its mean."""
    kernel, head = model.kernel, model.head
    if isinstance(head, DenoisingHead):
        return head.denoise(kernel, output, x_t, t)
    mean = head.estimate(kernel, output, x_t, t)
    return kernel.from_moments(mean, kernel.conditional_variance(mean, t))


def _widened(model: Model, estimate: Family, t: Tensor) -> Family:
    """The estimate; if it has no variance at all (FixedSmall), with the variance that x_0 has given
    x_t if the data are the kernel's fixed point: a twisting function needs some."""
    if (estimate.variance > 0).any():
        return estimate
    return model.kernel.from_moments(
        estimate.mean, model.kernel.conditional_variance(estimate.mean, t)
    )


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
