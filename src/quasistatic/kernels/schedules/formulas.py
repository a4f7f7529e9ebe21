"""Schedules by formula, and schedules from your own table."""

__all__ = [
    "cosine",
    "custom",
    "erase_evenly",
    "from_log_snr",
    "karras",
    "linear",
    "linear_log_snr",
    "quadratic",
]

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..._utils.validation import number_within, numbers_of, whole_number
from .schedule import Fixed, Schedule

MOST_STEPS = 10**6
"""The largest T: a schedule keeps tables of T numbers."""


def _from_beta(kind: str, arguments: dict[str, Any], beta: Tensor) -> Schedule:
    bad = ~((beta > 0) & (beta <= 1))
    if bad.any():
        t = int(bad.nonzero()[0]) + 1
        raise ValueError(f"beta_{t} = {beta[t - 1].item():.6g} is outside (0, 1]")
    log_alpha_bar = F.pad(torch.log1p(-beta).cumsum(0), (1, 0))
    log_noise = (-torch.expm1(log_alpha_bar)).log()
    return Schedule(kind, arguments, Fixed(log_alpha_bar, log_noise))


def _from_log_snr(kind: str, arguments: dict[str, Any], log_snr: Tensor) -> Schedule:
    log_alpha_bar = F.pad(F.logsigmoid(log_snr), (1, 0))
    log_noise = F.pad(F.logsigmoid(-log_snr), (1, 0), value=-math.inf)
    return Schedule(kind, arguments, Fixed(log_alpha_bar, log_noise))


def _steps(steps: int) -> Tensor:
    whole_number("steps", steps, 2, MOST_STEPS)
    return torch.arange(1, steps + 1, dtype=torch.float64)


def _check_betas(first: float, last: float) -> None:
    for name, value in (("first", first), ("last", last)):
        number_within(name, value, -math.inf)


def linear(steps: int, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """beta_t from `first` to `last` in equal increments (DDPM Sec. 4).

    Args:
        steps: T, at least 2.
        first: beta_1. Default 1e-4.
        last: beta_T. Default 0.02.

    Raises:
        ValueError: if T < 2 or a beta is outside (0, 1].
    """
    t = _steps(steps)
    _check_betas(first, last)
    beta = first + (last - first) * (t - 1) / (steps - 1)
    return _from_beta("linear", {"steps": steps, "first": first, "last": last}, beta)


def quadratic(steps: int, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """sqrt(beta_t) from sqrt(first) to sqrt(last) in equal increments (DDIM App. D.2).

    Args:
        steps: T, at least 2.
        first: beta_1. Default 1e-4.
        last: beta_T. Default 0.02.

    Raises:
        ValueError: if T < 2 or a beta is outside (0, 1].
    """
    t = _steps(steps)
    _check_betas(first, last)
    beta = (first**0.5 + (last**0.5 - first**0.5) * (t - 1) / (steps - 1)) ** 2
    return _from_beta("quadratic", {"steps": steps, "first": first, "last": last}, beta)


def cosine(steps: int, offset: float = 0.008, largest: float = 0.999) -> Schedule:
    """alpha_bar_t along a squared cosine, with beta_t at most `largest` (IDDPM Eq. 17).

    Args:
        steps: T, at least 2.
        offset: s of the paper, which keeps beta_1 from being too small. Default 0.008.
        largest: the upper limit of beta_t. Default 0.999.

    Raises:
        ValueError: if T < 2 or a beta is outside (0, 1].
    """
    t = torch.cat([torch.zeros(1, dtype=torch.float64), _steps(steps)])
    number_within("offset", offset, 0)
    number_within("largest", largest, 0, 1, "(]")
    f = torch.cos((t / steps + offset) / (1 + offset) * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=largest)
    arguments = {"steps": steps, "offset": offset, "largest": largest}
    return _from_beta("cosine", arguments, beta)


def erase_evenly(steps: int) -> Schedule:
    """beta_t = 1 / (T - t + 1): each step erases 1/T of the signal (SD15 Sec. 2.4.1). Then
    alpha_bar_t = (T - t) / T, and no signal is left at T.

    Args:
        steps: T, at least 2.

    Raises:
        ValueError: if T < 2.
    """
    t = _steps(steps)
    left = torch.cat([torch.ones(1, dtype=torch.float64), (steps - t) / steps])
    noise = torch.cat([torch.zeros(1, dtype=torch.float64), t / steps])
    return Schedule("erase_evenly", {"steps": steps}, Fixed(left.log(), noise.log()))


def linear_log_snr(steps: int, first: float = 7.0, last: float = -7.0) -> Schedule:
    """log-SNR from `first` at t = 1 to `last` at t = T in equal increments (VDM Sec. 4).

    Args:
        steps: T, at least 2.
        first: log-SNR at t = 1, in nats. Default 7.
        last: log-SNR at t = T, in nats. Default -7.

    Raises:
        ValueError: if T < 2, or the log-SNR does not fall.
    """
    t = _steps(steps)
    for name, value in (("first", first), ("last", last)):
        number_within(name, value, -math.inf)
    if not first > last:
        raise ValueError(f"log-SNR must fall: first = {first:g} is not above last = {last:g}")
    log_snr = float(first) + float(last - first) * (t - 1) / (steps - 1)
    arguments = {"steps": steps, "first": first, "last": last}
    return _from_log_snr("linear_log_snr", arguments, log_snr)


def karras(steps: int, lowest: float = 0.002, highest: float = 80.0, rho: float = 7.0) -> Schedule:
    """noise / signal from `lowest` at t = 1 to `highest` at t = T, whose powers 1 / rho rise in
    equal increments (EDM22 Eq. 5).

    Args:
        steps: T, at least 2.
        lowest: sigma_min, noise / signal at t = 1. Default 0.002.
        highest: sigma_max, noise / signal at t = T. Default 80.
        rho: the power; the larger, the more steps at little noise. Default 7.

    Raises:
        ValueError: if T < 2, or the noise does not rise from a positive number.
    """
    t = _steps(steps)
    for name, value in (("lowest", lowest), ("highest", highest), ("rho", rho)):
        number_within(name, value, 0, ends="()")
    if not lowest < highest:
        raise ValueError(f"the noise must rise: lowest = {lowest:g} is not below {highest:g}")
    low, high = lowest ** (1 / rho), highest ** (1 / rho)
    sigma = (low + (high - low) * (t - 1) / (steps - 1)) ** rho
    arguments = {"steps": steps, "lowest": lowest, "highest": highest, "rho": rho}
    return _from_log_snr("karras", arguments, -2 * sigma.log())


def custom(alpha_bar: Sequence[float]) -> Schedule:
    """A schedule from your own table of alpha_bar.

    Args:
        alpha_bar: alpha_bar_1, ..., alpha_bar_T, decreasing, within [0, 1).

    Raises:
        ValueError: if it is not one row, leaves [0, 1], or does not decrease at every step.
    """
    table = _row("alpha_bar", alpha_bar)
    outside = ~((table >= 0) & (table <= 1))
    if outside.any():
        t = int(outside.nonzero()[0]) + 1
        raise ValueError(f"alpha_bar_{t} = {table[t - 1].item():.6g} is outside [0, 1]")
    table = torch.cat([torch.ones(1, dtype=torch.float64), table])
    arguments = {"alpha_bar": table[1:].tolist()}
    return Schedule("custom", arguments, Fixed(table.log(), torch.log1p(-table)))


def from_log_snr(log_snr: Sequence[float] | Tensor) -> Schedule:
    """A schedule from your own table of log-SNR, which keeps its digits at both ends.

    Args:
        log_snr: log-SNR at t = 1, ..., T, in nats; finite and falling.

    Raises:
        ValueError: if it is not one row, is not finite, or does not fall at every step.
    """
    table = _row("log_snr", log_snr)
    if not table.isfinite().all():
        t = int((~table.isfinite()).nonzero()[0]) + 1
        raise ValueError(
            f"log-SNR must be finite, but at t = {t} it is {table[t - 1].item():g}: start at t = 1 "
            "and not at 0, and end at -20, say, which leaves 2e-9 of the signal"
        )
    rises = table.diff() >= 0
    if rises.any():
        t = int(rises.nonzero()[0]) + 1
        raise ValueError(
            f"log-SNR must fall at every step, but at t = {t} and {t + 1} it is "
            f"{table[t - 1].item():.6g} and {table[t].item():.6g}"
        )
    return _from_log_snr("from_log_snr", {"log_snr": table.tolist()}, table)


def _row(name: str, values: Sequence[float] | Tensor) -> Tensor:
    table = numbers_of(name, values).detach().cpu()
    if table.ndim != 1:
        raise ValueError(f"{name} must be one row of numbers, got shape {tuple(table.shape)}")
    return table
