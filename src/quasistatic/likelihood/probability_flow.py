r"""The probability flow: the density of the ODE that maps noise to data, along fixed steps."""

__all__ = ["FlowPoint", "flow", "follow", "trace_vectors"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, uniform
from ..distributions import total
from ..kernels import SignalNoise
from ..kernels.flow import LogSNR, flow_step
from ..model import Model
from .path_weights import last, prior_alone
from .score import FlowScore


def flow(
    model: Model,
    raw: object,
    times: int | Sequence[int] | Tensor | None = None,
    probes: int | None = 1,
    draws: int = 1,
    rng: Rng = None,
) -> FlowScore:
    r"""log p(raw) by the probability flow (SSDE21 Sec. 4.3) from the first time to T, and by the
    chain's own last step before the first time.

    In steps of log-SNR, dx / d(log noise/signal) is linear in x_t and in x_0_hat(x_t, t), which is
    extrapolated from the last two steps: order 2. The change of volume is the trace of
    d x_0_hat / d x_t, by vector-Jacobian products.

    The distribution of the flow differs from that of the chain, unless the estimates are exact. Its
    density is exact up to the error of the steps. It is not a bound. The last step adds a bound, as
    for a latent
    variable: x_1 ~ q(x_1 | x_0), and log p(raw | x_1) + log p(x_1) - log q(x_1 | x_0).

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        times: between which the steps lie, rising to T. A number asks for that many, as even in
            log-SNR as the chain's times allow. By default all times.
        probes: random vectors for Hutchinson's unbiased estimate of the trace. None computes it
            exactly, with one vector-Jacobian product for each value.
        draws: the number of draws of x_1 for each example. Their weights are averaged.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Raises:
        TypeError: if the kernel has no signal and noise scales.
        ValueError: if the schedule leaves no noise or no signal where the flow needs them, or a
            count is not positive.
    """
    _check(model, probes, draws)
    rng = as_generator(rng)
    checked = model.space.check(raw).to(model.blank(1))
    grid = _even_times(model, times) if isinstance(times, int) else model.times(times)
    with evaluating(model):
        rows = checked.repeat_interleave(draws, 0)
        pieces = model.repeated(draws).chunks(rows)
        parts = [_flow(part, each, grid, probes, rng) for part, each in pieces]
    each = {name: torch.cat([part[name] for part in parts]).reshape(-1, draws) for name in parts[0]}
    weights = torch.stack(list(each.values())).sum(0)
    terms = {name: values.mean(1) for name, values in each.items()}
    terms["reweighting"] = weights.logsumexp(1) - math.log(draws) - weights.mean(1)
    null = prior_alone(model, checked, rng)
    share = ((weights.softmax(1) ** 2).sum(1) - 1 / draws).clamp(min=0).sqrt()
    noise = share if draws > 1 else torch.full_like(share, math.nan)
    freedom = torch.full_like(noise, draws - 1)
    return FlowScore(terms, null, noise, model.space.dims, draws * len(grid), freedom=freedom)


def _check(model: Model, probes: int | None, draws: int) -> None:
    if not isinstance(model.kernel, SignalNoise):
        raise TypeError(
            f"the probability flow needs a kernel with signal and noise scales (GaussianKernel), "
            f"got {type(model.kernel).__name__}: score by the bound, or by importance weighting"
        )
    for name, count in (("probes", probes), ("draws", draws)):
        if count is not None and count < 1:
            raise ValueError(f"{name} must be 1 or more, got {count}")


def _even_times(model: Model, count: int) -> Tensor:
    """`count` times that are as even in log-SNR as the chain allows, or fewer if two of them
    coincide."""
    if not 2 <= count <= model.steps:
        raise ValueError(f"the flow visits 2 to T = {model.steps} times, got {count}")
    log_snr = model.kernel.schedule.log_snr[1:].detach().cpu()
    low = log_snr[log_snr.isfinite()][-1]
    wanted = torch.linspace(log_snr[0].item(), low.item(), count, dtype=torch.float64)
    nearest = (log_snr[None] - wanted[:, None]).abs().argmin(1) + 1
    places = sorted({*nearest.tolist(), model.steps})
    return torch.tensor(places)


def _flow(
    model: Model, raw: Tensor, times: Tensor, probes: int | None, rng: torch.Generator | None
) -> dict[str, Tensor]:
    """log p(x_1) by the flow, the last step's part and those of the draw of x_0, each (B,), in
    nats."""
    encoded = model.space.encode_weighted(raw, rng)
    x_0 = encoded.x_0.double()
    at = torch.full((len(x_0),), int(times[0]), device=x_0.device)
    q = model.kernel.marginal(x_0, at)
    x_1 = q.sample(rng)
    edge = total(model.space.log_prob(last(model, x_1, at), x_0)) - total(q.log_prob(x_1))
    density = _log_density(model, x_1.detach(), times, probes, rng).detach()
    return {"density": density, "edge": edge.detach()} | encoded.terms


def _log_density(
    model: Model, x: Tensor, times: Tensor, probes: int | None, rng: torch.Generator | None
) -> Tensor:
    """log p(x), with shape (B,), in nats, of x (B, *) at the first of the times."""
    vectors = list(trace_vectors(x, probes, rng))
    spread = x.new_zeros(len(x))
    for point in follow(model, x, times, vectors):
        x, spread = point.x, point.spread
    return total(model.kernel.prior(x).log_prob(x)) + spread


@dataclass(frozen=True)
class FlowPoint:
    """A point of a trajectory of the flow.

    Args:
        x: x_t, with shape (B, *).
        estimate: E[x_0 | x_t], with shape (B, *).
        spread: log |det dx_t / dx| of the way there, with shape (B,), in nats; zero without
            vectors for the trace.
    """

    x: Tensor
    estimate: Tensor
    spread: Tensor


def follow(
    model: Model, x: Tensor, times: Tensor, vectors: Sequence[Tensor] = ()
) -> Iterator[FlowPoint]:
    """The points of the flow's trajectory at some times, by steps of order 2.

    Args:
        model: with a probability flow.
        x: where it starts, at the first of the times, with shape (B, *), in float64.
        times: all rising or all falling, from 1 to T, with shape (k,).
        vectors: for the trace of the Jacobian, see :func:`trace_vectors`.
    """
    assert isinstance(model.kernel, SignalNoise)  # as callers have checked
    table = model.kernel.schedule
    tables = table.log_alpha_bar.detach().cpu(), table.log_noise.detach().cpu()
    signal, noise = (0.5 * each[times] for each in tables)
    dims, fall = x[0].numel(), noise - noise[0]
    rho, signal, noise = noise - signal, signal.exp(), noise.exp()
    # The trace is integrated over asinh(signal / noise), which stays finite where no signal is
    # left: d x_0_hat / d x_t stays finite there, and signal d(log noise/signal) is its measure.
    measure, volume = torch.asinh(signal / noise), x.new_zeros(len(x))
    estimate, trace = _estimate_and_trace(model, x, times[0], vectors)
    yield FlowPoint(x, estimate, volume)
    seen = [(times[:1].to(x.device), estimate)]  # the last estimates, the latest first
    for k in range(1, len(times)):
        known = seen if rho[k].isfinite() else seen[:1]
        start, end = (times[at : at + 1].to(x.device) for at in (k - 1, k))
        knots, values = [t for t, _ in known], [value for _, value in known]
        with torch.no_grad():
            x = flow_step(model.kernel, LogSNR(), x, start, end, knots, values)
        spent = trace
        estimate, trace = _estimate_and_trace(model, x, times[k], vectors)
        seen = [(times[k : k + 1].to(x.device), estimate), seen[0]]
        if vectors:
            volume = volume + (measure[k - 1] - measure[k]) * (spent + trace) / 2
        yield FlowPoint(x, estimate, dims * fall[k] - volume if vectors else volume)


def _estimate_and_trace(
    model: Model, x: Tensor, t: Tensor, vectors: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """E[x_0 | x_t] (B, *), and the trace of its Jacobian in x_t (B,) from vector-Jacobian products
    with the given vectors; zero without any."""
    at = t.to(x.device).expand(len(x))
    with torch.set_grad_enabled(bool(vectors)):
        x = x.detach().requires_grad_(bool(vectors))
        output = model.output(x.to(model.blank(1).dtype), at).double()
        estimate = model.head.estimate(model.kernel, output, x, at)
        products = [
            (v * torch.autograd.grad(estimate, x, v, retain_graph=True)[0]).flatten(1).sum(1)
            for v in vectors
        ]
    trace = torch.stack(products).sum(0) if products else x.new_zeros(len(x))
    return estimate.detach(), trace


def trace_vectors(x: Tensor, probes: int | None, rng: torch.Generator | None) -> Iterator[Tensor]:
    """Vectors v (B, *) such that the sum of v' J v over them is the trace of J: exactly, or on
    average over random signs."""
    if probes is None:
        for k in range(x[0].numel()):
            unit = torch.zeros_like(x).flatten(1)
            unit[:, k] = 1.0
            yield unit.reshape(x.shape)
        return
    for _ in range(probes):
        signs = uniform(x.shape, rng, x) < 0.5
        yield torch.where(signs, -1.0, 1.0).to(x) / probes**0.5
