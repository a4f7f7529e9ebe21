"""Identities of the space, of the forward process and of the head: the network may say anything."""

__all__ = ["CHAIN", "PROCESS"]

import torch
from torch import Tensor

from ..families import Family, total
from .subject import Finding, Identity, Subject, largest

ROWS = 128
EXACT = 1e-6
"""Of a float64 computation that loses some digits at the ends of a schedule."""


def _round_trip(subject: Subject) -> Finding:
    space, raw = subject.model.space, subject.raw
    back = space.decode(space.encode(raw, subject.rng))
    return Finding(largest(back - raw, raw.abs().max()), subject.rounding)


def _units(subject: Subject) -> Finding:
    space, kernel = subject.model.space, subject.model.kernel
    x_0 = subject.encoded(min(8, len(subject.raw))).double()
    p = kernel.marginal(x_0, torch.full((len(x_0),), kernel.steps, device=x_0.device))
    if space.levels is not None:
        each = [space.log_prob(p, torch.full_like(x_0, level)) for level in space.levels.tolist()]
        mass = torch.stack(each).logsumexp(0).exp()
        return Finding(largest(mass - 1, mass * 0), EXACT)

    def encoded(raw: Tensor) -> Tensor:  # with the same noise each time, where the map has some
        return space.encode(raw, torch.Generator(raw.device).manual_seed(0))

    raw = subject.raw[: len(x_0)].double()
    step = 1e-4 * (1 + raw.abs())
    slope = (encoded(raw + step) - encoded(raw - step)) / (2 * step)
    x_0 = encoded(raw)
    return Finding(largest(space.log_prob(p, x_0) - p.log_prob(x_0) - slope.abs().log(), 0 * x_0),
                   10 * EXACT)  # fmt: skip


def _composes(subject: Subject) -> Finding:
    kernel, x_0 = subject.model.kernel, subject.encoded(ROWS).double()
    s, u, t = subject.ascending(ROWS, 3, 0)
    x_s = kernel.marginal(x_0, s).sample(subject.rng)
    whole, first = kernel.step(x_s, s, t), kernel.step(x_s, s, u)
    zero, one = kernel.step(0 * x_s, u, t), kernel.step(0 * x_s + 1, u, t)
    # Mean and variance of a step are affine in where it starts, so that those of the mixture over
    # x_u follow from the mean and the variance of x_u.
    slope = one.mean - zero.mean
    mean = zero.mean + slope * first.mean
    variance = zero.variance + (one.variance - zero.variance) * first.mean
    variance = variance + slope**2 * first.variance
    error = max(largest(mean - whole.mean, x_s), largest(variance - whole.variance, 0 * x_s))
    return Finding(error, EXACT)


def _bayes(subject: Subject) -> Finding:
    kernel, x_0 = subject.model.kernel, subject.encoded(ROWS).double()
    s, t = subject.ascending(ROWS, 2, 1)
    x_s = kernel.marginal(x_0, s).sample(subject.rng)
    x_t = kernel.step(x_s, s, t).sample(subject.rng)
    backward = kernel.posterior(x_t, x_0, s, t).log_prob(x_s)
    backward = backward + kernel.marginal(x_0, t).log_prob(x_t)
    forward = kernel.step(x_s, s, t).log_prob(x_t) + kernel.marginal(x_0, s).log_prob(x_s)
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
    """The same for a step of another family than the truth's, which has no KL in closed form."""
    drawn = [truth.sample(rng) for _ in range(64)]
    gaps = torch.stack([total(truth.log_prob(x) - step.log_prob(x)) for x in drawn]).mean(0) - said
    return Finding(abs(gaps.mean() / (gaps.std() / len(gaps) ** 0.5)).item(), 4.0, "by draws")


PROCESS = (
    Identity("round trip", "decode(encode(raw)) is raw, relative to the largest", _round_trip),
    Identity(
        "units",
        "log p(raw) has the volume that encode changes, or sums to one over the levels, in nats",
        _units,
    ),
    Identity(
        "steps compose",
        "q(x_t | x_s) is q(x_u | x_s) and then q(x_t | x_u): mean and variance",
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
