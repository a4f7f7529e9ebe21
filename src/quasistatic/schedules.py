r"""Noise schedules: tables of alpha_bar_t, the share of the signal left at time t = 0..T.

A table is kept in float64 as log alpha_bar and log (1 - alpha_bar), so that neither end loses
its digits: at t = 1 the noise may be 1e-8, at t = T the signal may be.
"""

__all__ = [
    "Schedule",
    "cosine",
    "custom",
    "erase_evenly",
    "linear",
    "linear_log_snr",
    "quadratic",
]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    r"""alpha_bar_0 = 1 > alpha_bar_1 > ... > alpha_bar_T >= 0, and how it was made.

    Args:
        kind: the name of the function in this module that made it.
        arguments: what that function was called with.
        log_alpha_bar: log alpha_bar_t for t = 0..T, with shape (T + 1,).
        log_noise: log (1 - alpha_bar_t), with shape (T + 1,).

    Raises:
        ValueError: if T < 2, or if alpha_bar does not fall strictly from 1 within [0, 1].
    """

    kind: str
    arguments: dict
    log_alpha_bar: Tensor = field(repr=False, compare=False)
    log_noise: Tensor = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(
                f"a schedule needs at least 2 steps, got T = {self.steps}: the first step is the "
                "edge, and a model with no other step has nothing to learn"
            )
        # Falling in either logarithm is falling: near 1 only the noise shows it.
        falls = (self.log_alpha_bar.diff() < 0) | (self.log_noise.diff() > 0)
        if not falls.all():
            t = int((~falls).nonzero()[0]) + 1
            before, after = self.alpha_bar[t - 1].item(), self.alpha_bar[t].item()
            raise ValueError(
                f"alpha_bar must decrease at every step, but alpha_bar_{t - 1} = {before:.6g} and "
                f"alpha_bar_{t} = {after:.6g}: give every beta_t a value in (0, 1]"
            )

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.log_alpha_bar) - 1

    @cached_property
    def alpha_bar(self) -> Tensor:
        """alpha_bar_t for t = 0..T, float64, with shape (T + 1,)."""
        return self.log_alpha_bar.exp()

    @cached_property
    def beta(self) -> Tensor:
        """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1} for t = 1..T, with shape (T,)."""
        return -torch.expm1(self.log_alpha_bar.diff())

    @cached_property
    def log_snr(self) -> Tensor:
        """log alpha_bar_t / (1 - alpha_bar_t) for t = 0..T, with shape (T + 1,); +inf at t = 0."""
        return self.log_alpha_bar - self.log_noise


def _from_beta(kind: str, arguments: dict, beta: Tensor) -> Schedule:
    bad = ~((beta > 0) & (beta <= 1))
    if bad.any():
        t = int(bad.nonzero()[0]) + 1
        raise ValueError(f"beta_{t} = {beta[t - 1].item():.6g} is outside (0, 1]")
    log_alpha_bar = F.pad(torch.log1p(-beta).cumsum(0), (1, 0))
    return Schedule(kind, arguments, log_alpha_bar, (-torch.expm1(log_alpha_bar)).log())


def _steps(steps: int) -> Tensor:
    if steps < 2:
        raise ValueError(f"a schedule needs at least 2 steps, got steps = {steps}")
    return torch.arange(1, steps + 1, dtype=torch.float64)


def linear(steps: int, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """beta_t from `first` to `last` in equal increments (DDPM Sec. 4)."""
    t = _steps(steps)
    beta = first + (last - first) * (t - 1) / (steps - 1)
    return _from_beta("linear", {"steps": steps, "first": first, "last": last}, beta)


def quadratic(steps: int, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """sqrt(beta_t) from sqrt(first) to sqrt(last) in equal increments (DDIM App. D.2)."""
    t = _steps(steps)
    beta = (first**0.5 + (last**0.5 - first**0.5) * (t - 1) / (steps - 1)) ** 2
    return _from_beta("quadratic", {"steps": steps, "first": first, "last": last}, beta)


def cosine(steps: int, offset: float = 0.008, largest: float = 0.999) -> Schedule:
    """alpha_bar_t along a squared cosine, with beta_t at most `largest` (IDDPM Eq. 17)."""
    t = torch.cat([torch.zeros(1, dtype=torch.float64), _steps(steps)])
    f = torch.cos((t / steps + offset) / (1 + offset) * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=largest)
    arguments = {"steps": steps, "offset": offset, "largest": largest}
    return _from_beta("cosine", arguments, beta)


def erase_evenly(steps: int) -> Schedule:
    """beta_t = 1 / (T - t + 1): each step erases 1/T of the signal (SD15 Sec. 2.4.1).

    alpha_bar_t = (T - t) / T, so nothing at all is left at T.
    """
    t = _steps(steps)
    left = torch.cat([torch.ones(1, dtype=torch.float64), (steps - t) / steps])
    gone = torch.cat([torch.zeros(1, dtype=torch.float64), t / steps])
    return Schedule("erase_evenly", {"steps": steps}, left.log(), gone.log())


def linear_log_snr(steps: int, first: float = 7.0, last: float = -7.0) -> Schedule:
    """log-SNR from `first` at t = 1 to `last` at t = T in equal increments (VDM Sec. 4)."""
    t = _steps(steps)
    if not first > last:
        raise ValueError(f"log-SNR must fall: first = {first:g} is not above last = {last:g}")
    log_snr = first + (last - first) * (t - 1) / (steps - 1)
    log_alpha_bar = F.pad(F.logsigmoid(log_snr), (1, 0))
    log_noise = F.pad(F.logsigmoid(-log_snr), (1, 0), value=-math.inf)
    arguments = {"steps": steps, "first": first, "last": last}
    return Schedule("linear_log_snr", arguments, log_alpha_bar, log_noise)


def custom(alpha_bar: Sequence[float]) -> Schedule:
    """A table of your own: alpha_bar_1, ..., alpha_bar_T, decreasing within [0, 1)."""
    table = torch.as_tensor(alpha_bar, dtype=torch.float64)
    if table.ndim != 1:
        raise ValueError(f"alpha_bar must be one row of numbers, got shape {tuple(table.shape)}")
    outside = ~((table >= 0) & (table <= 1))
    if outside.any():
        t = int(outside.nonzero()[0]) + 1
        raise ValueError(f"alpha_bar_{t} = {table[t - 1].item():.6g} is outside [0, 1]")
    table = torch.cat([torch.ones(1, dtype=torch.float64), table])
    arguments = {"alpha_bar": table[1:].tolist()}
    return Schedule("custom", arguments, table.log(), torch.log1p(-table))
