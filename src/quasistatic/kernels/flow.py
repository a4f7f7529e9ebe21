r"""Steps of the probability flow, the ODE that carries noise to data (SSDE21 Sec. 4.3).

With y = x_t / noise and rho = signal / noise the flow is dy / drho = E[x_0 | x_t]: its linear part
is gone. A step from t to s is therefore
    x_s = noise_s / noise_t x_t + noise_s sum_j D_j int l_j(u(rho)) drho,
where the estimates D_j of x_0 are interpolated by polynomials l_j in some coordinate u of rho, and
the integrals are known. One estimate is DDIM; the last few, DPM-Solver++; one more at s, UniPC.

A walk with noise has the same marginals (SSDE21 Eq. 6, and its multiples). With h = log(signal /
noise), a share e^(-eta^2 (h_s - h_t)) of the old noise is kept and new noise takes its place; the
integrals are then over rho^(1 + eta^2).
"""

__all__ = ["Angle", "Coordinate", "LogSNR", "flow_step", "half_log_snr", "new_noise"]

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .kernel import Kernel, SignalNoise

PLACES, WEIGHTS = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(32))
"""Gauss-Legendre places and weights on (-1, 1)."""

LEAST = -20.0
"""log(signal / noise) where no signal is left."""

REACH = 40.0
"""Beyond e^-40 of the largest rho, no part of an integral over rho counts in float64."""


class Coordinate(abc.ABC):
    """A rising function of h = log(signal / noise), in which estimates are interpolated."""

    @abc.abstractmethod
    def __call__(self, h: Tensor) -> Tensor:
        """The coordinate at h, which may be infinite."""

    def integrals(self, nodes: Tensor, start: Tensor, end: Tensor, rate: float = 1.0) -> Tensor:
        """The integrals of l_j(u) rate exp(rate (h - max(start, end))) over h from start to end.

        Args:
            nodes: h of each estimate, with shape (n, k).
            start, end: with shape (n,). The end may be infinite: then the value of l_j there,
                to which the integral tends.
            rate: 1 for the flow, more for a walk with noise.

        Returns:
            One for each estimate, with shape (n, k).
        """
        at_end = self._polynomials(nodes, end[:, None])[..., 0]
        finite = torch.where(end.isinf(), start + 1.0, end)
        largest = torch.maximum(start, finite)
        start = torch.maximum(start, largest - REACH / rate)
        finite = torch.maximum(finite, largest - REACH / rate)
        places, weights = PLACES.to(nodes.device), WEIGHTS.to(nodes.device)
        h = start[:, None] + (finite - start)[:, None] * (places + 1) / 2
        density = rate * (rate * (h - largest[:, None])).exp()
        measure = weights / 2 * (finite - start)[:, None] * density
        inside = (self._polynomials(nodes, h) * measure[:, None]).sum(-1)
        return torch.where(end.isinf()[:, None], at_end, inside)

    def _polynomials(self, nodes: Tensor, h: Tensor) -> Tensor:
        """l_j, which is 1 at node j and 0 at the others, at h (n, m): (n, k, m). Where the
        coordinate is infinite, 1 for the first node alone."""
        u, at = self(nodes), self(h)
        rows = []
        for j in range(nodes.shape[1]):
            row = torch.ones_like(at)
            for i in range(nodes.shape[1]):
                if i != j:
                    row = row * (at - u[:, i, None]) / (u[:, j] - u[:, i])[:, None]
            rows.append(torch.where(at.isinf(), float(j == 0), row))
        return torch.stack(rows, 1)


@dataclass(frozen=True)
class LogSNR(Coordinate):
    """Half the log-SNR, in which DPM-Solver++ and UniPC interpolate. It is infinite at t = 0, so
    that the step to there is of order 1.

    Args:
        midpoint: whether the integral of a line is the value at its middle times the measure, as
            those methods have it, or exact. Both are of order 2.
    """

    midpoint: bool = True

    def __call__(self, h: Tensor) -> Tensor:
        return h

    def integrals(self, nodes: Tensor, start: Tensor, end: Tensor, rate: float = 1.0) -> Tensor:
        if not self.midpoint or nodes.shape[1] != 2:
            return super().integrals(nodes, start, end, rate)
        whole = super().integrals(nodes[:, :1], start, end, rate)[:, 0]
        middle = torch.where(end.isinf(), nodes[:, 0], (start + end) / 2)
        second = whole * (middle - nodes[:, 0]) / (nodes[:, 1] - nodes[:, 0])
        return torch.stack([whole - second, second], 1)


@dataclass(frozen=True)
class Angle(Coordinate):
    """atan(signal / noise), from 0 without signal to pi / 2 without noise. E[x_0 | x_t] is smooth
    at both ends, so that the step to t = 0 has the order of the others."""

    def __call__(self, h: Tensor) -> Tensor:
        return h.exp().atan()


def half_log_snr(kernel: Kernel, t: Tensor) -> Tensor:
    """log(signal / noise) at times t (n,), in float64: infinite at t = 0, and at least -20."""
    table = kernel.schedule
    return (0.5 * table.course.on(table.log_snr, t.device)[t]).clamp(min=LEAST)


def flow_step(
    kernel: SignalNoise,
    coordinate: Coordinate,
    x_t: Tensor,
    t: Tensor,
    s: Tensor,
    times: Sequence[Tensor],
    estimates: Sequence[Tensor],
    eta: float = 0.0,
) -> Tensor:
    """x_s, where the flow carries x_t (n, *) to by some estimates of x_0.

    Args:
        kernel: with signal and noise scales.
        coordinate: in which the estimates are interpolated.
        x_t: where the step starts.
        t, s: from and to which time, in either direction, each with shape (n,) or (1,).
        times: of the estimates, each with shape (n,) or (1,): different for a row.
        estimates: E[x_0 | x] at those times, each with shape (n, *).
        eta: 0 for the flow. Otherwise the mean of x_s in a walk to which :func:`new_noise` is
            added; s is then below t.
    """
    t, s, *knots = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        t, s, *times
    )
    h = half_log_snr(kernel, torch.stack([t, s, *knots]))
    integrals = coordinate.integrals(h[2:].T, h[0], h[1], 1 + eta**2)
    course = kernel.schedule.course
    log_noise, log_alpha_bar = (
        course.on(each, t.device) for each in (course.log_noise, course.log_alpha_bar)
    )
    keep = (0.5 * (log_noise[s] - log_noise[t])).exp()
    if eta:
        keep = keep * (-(eta**2) * (h[1] - h[0])).exp()
    to_data = (0.5 * log_alpha_bar[s]).exp()  # noise_s exp(h_s)
    to_noise = (0.5 * log_noise[s] + h[0]).exp()
    scale = torch.where(h[1] >= h[0], to_data, to_noise)

    x_s = _shaped(keep, x_t) * x_t
    for j, estimate in enumerate(estimates):
        x_s = x_s + _shaped(scale * integrals[:, j], x_t) * estimate
    return x_s


def new_noise(kernel: SignalNoise, like: Tensor, t: Tensor, s: Tensor, eta: float) -> Tensor:
    """The standard deviation of the noise that a step from t to s adds, each with shape (n,) or
    (1,), in the type of `like` (n, *): noise_s sqrt(1 - e^(-2 eta^2 (h_s - h_t))), which is that
    of DDPM's step at eta = 1."""
    rise = (half_log_snr(kernel, s) - half_log_snr(kernel, t)).clamp(min=0)
    share = -torch.expm1(-2 * eta**2 * rise)
    return kernel.noise(s, like) * _shaped(share.sqrt(), like)


def _shaped(each: Tensor, like: Tensor) -> Tensor:
    """One number a row, to multiply `like` (n, *) with."""
    return each.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))
