"""Identities of the space, of the forward process and of the head, which hold for any network."""

__all__ = ["CHAIN", "PROCESS"]

import torch
from torch import Tensor

from ...distributions import Family, total
from ...kernels import Kernel
from ...spaces import Space
from .subject import Finding, Identity, NotApplicable, Subject, largest

ROWS = 128
EXACT = 1e-6
"""Allowed error of a computation in float64, which loses some digits at the ends of a schedule."""


def _round_trip(subject: Subject) -> Finding:
    space, raw = subject.model.space, subject.raw
    if not space.exact:
        encoded = space.encode_weighted(raw, subject.rng)
        again = space.weighted_at(raw, encoded.x_0).log_weight
        gap = again - encoded.log_weight
        return Finding(
            largest(gap, again), subject.rounding, "log-weight of a draw, computed again"
        )
    back = space.decode(space.encode(raw, subject.rng))
    gap = torch.where(back.isnan() & raw.isnan(), 0.0, back - raw)
    return Finding(largest(gap, raw.nan_to_num().abs().max()), subject.rounding)


def _units(subject: Subject) -> Finding:
    space, kernel = subject.model.space, subject.model.kernel
    raw = subject.raw[:8].double()
    raw = torch.where(raw.isnan(), space.placeholder.to(raw), raw)
    each = [
        _unit_error(piece.space, piece.kernel, raw[:, piece.columns])
        for piece in space.independent_parts(kernel)
    ]
    return Finding(max(each), 10 * EXACT)


def _unit_error(space: Space, kernel: Kernel, raw: Tensor) -> float:
    """The difference of the total mass of all raw values from one, or of a density from the density
    of x_0 times the slope of encode."""

    def encoded(raw: Tensor) -> Tensor:  # with the same noise each time, if the map is random
        return space.encode(raw, torch.Generator(raw.device).manual_seed(0))

    x_0 = encoded(raw)
    p = kernel.marginal(x_0, torch.full((len(x_0),), kernel.steps, device=x_0.device))
    log_total_mass = space.log_total_mass(p, x_0)
    if log_total_mass is not None:
        return largest(torch.expm1(log_total_mass), 0 * log_total_mass)
    if not space.exact:
        raise NotApplicable("raw data are drawn from x_0 by a density, and not by a map")
    step = 1e-4 * (1 + raw.abs())
    slope = (encoded(raw + step) - encoded(raw - step)) / (2 * step)
    return largest(space.log_prob(p, x_0) - p.log_prob(x_0) - slope.abs().log(), 0 * x_0)


def _composes(subject: Subject) -> Finding:
    kernel, x_0 = subject.model.kernel, subject.encoded(ROWS).double()
    s, u, t = subject.ascending(ROWS, 3, 0)
    one, other = (kernel.marginal(each, s).sample(subject.rng) for each in (x_0, x_0.roll(1, 0)))
    x_t = kernel.step(one, s, t).sample(subject.rng)
    other = torch.where(x_t.isnan() | other.isnan(), one, other)
    # Through x_u: the likelihood of x_t as a function of x_u is a tilt. Its normaliser is
    # q(x_t | x_s) up to a factor that does not depend on x_s, so two x_s have the same factor.
    linear, precision = kernel.likelihood_tilt(x_t, u, t)
    two_steps = [total(_gain(kernel.step(x, s, u), linear, precision)) for x in (one, other)]
    one_step = [total(kernel.step(x, s, t).log_prob(x_t)) for x in (one, other)]
    two, whole = two_steps[1] - two_steps[0], one_step[1] - one_step[0]
    gap = torch.where(two == whole, 0.0, two - whole)  # both may be infinite
    return Finding(largest(gap, whole), EXACT)


def _gain(p: Family, linear: Tensor, precision: Tensor) -> Tensor:
    return p.tilt(linear, precision).log_partition() - p.log_partition()


def _bayes(subject: Subject) -> Finding:
    kernel, x_0 = subject.model.kernel, subject.encoded(ROWS).double()
    s, t = subject.ascending(ROWS, 2, 1)
    x_s = kernel.marginal(x_0, s).sample(subject.rng)
    x_t = kernel.step(x_s, s, t).sample(subject.rng)
    backward = kernel.posterior(x_t, x_0, s, t).log_prob(x_s)
    backward = total(backward + kernel.marginal(x_0, t).log_prob(x_t))
    forward = kernel.step(x_s, s, t).log_prob(x_t) + kernel.marginal(x_0, s).log_prob(x_s)
    forward = total(forward)
    return Finding(largest(backward - forward, forward), EXACT)


def _divergence(subject: Subject) -> Finding:
    model, x_0 = subject.model.eval(), subject.encoded(ROWS)
    s, t = subject.pair(ROWS)
    x_t = model.kernel.marginal(x_0, t).sample(subject.rng)
    output = model.output(x_t, t).double()
    x_0, x_t = x_0.double(), x_t.double()
    said = total(model.head.divergence(model.kernel, output, x_t, x_0, s, t))
    truth = model.kernel.posterior(x_t, x_0, s, t)
    step = model.head.reverse(model.kernel, output, x_t, s, t)
    if type(step) is type(truth):
        kl = total(truth.kl(step))
        return Finding(largest(said - kl, kl), EXACT)
    return _by_draws(said, truth, step, subject.rng)


def _by_draws(said: Tensor, truth: Family, step: Family, rng: torch.Generator) -> Finding:
    """The same by draws, for a step of another family than the true one: no KL in closed form."""
    drawn = [truth.sample(rng) for _ in range(64)]
    gaps = torch.stack([total(truth.log_prob(x) - step.log_prob(x)) for x in drawn]).mean(0) - said
    return Finding(abs(gaps.mean() / (gaps.std() / len(gaps) ** 0.5)).item(), 4.0, "by draws")


PROCESS = (
    Identity(
        "round trip",
        "decode(encode(raw)) is raw, relative to the largest; or its log-weight repeats",
        _round_trip,
    ),
    Identity(
        "units",
        "log p(raw) includes the change of volume of encode, or its masses sum to one, in nats",
        _units,
    ),
    Identity(
        "steps compose",
        "q(x_t | x_s) is q(x_u | x_s) and then q(x_t | x_u), at x_t, relative, in nats",
        _composes,
    ),
    Identity(
        "Bayes",
        "q(x_s | x_t, x_0) q(x_t | x_0) = q(x_t | x_s) q(x_s | x_0), relative, in nats",
        _bayes,
    ),
)

CHAIN = (
    Identity(
        "divergence",
        "the head's divergence is KL(q(x_s | x_t, x_0) || p(x_s | x_t)), relative, in nats",
        _divergence,
        needs=("finite outputs",),
    ),
)
