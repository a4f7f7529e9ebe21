r"""The mutual information I(x_0; x_t) along a schedule, and how much of it each step loses.

I(x_0; x_t) depends on the law of x_0. Real data have no simple law, so schedules are compared on
laws with a known answer: a normal value, a fair bit, a grey level. The forward process is a Markov
chain: each step loses I(x_0; x_{t-1}) - I(x_0; x_t) >= 0, and the losses add up.
"""

__all__ = [
    "Erasure",
    "FairBit",
    "Law",
    "MeasuredLaw",
    "StandardNormal",
    "UniformLevels",
    "information_uniform",
]

import abc
import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import BinomialKernel, GaussianKernel
from ..kernels.schedules import Schedule, from_log_snr, linear_log_snr

NODES = 65
"""Noise levels at which the information is computed first; times are placed between them."""

ROUNDS = 12
"""The most rounds in which times are placed."""


class Law(abc.ABC):
    """A law of x_0, a single value, with the kernel that diffuses it. Subclass it to add one."""

    about: str
    """The law and the kernel, as text."""

    @abc.abstractmethod
    def information(self, schedule: Schedule) -> Tensor:
        """I(x_0; x_t) for t = 0..T, in float64, with shape (T + 1,), in nats. At t = 0 it is the
        entropy of x_0, which is infinite for a real value."""


@dataclass(frozen=True)
class StandardNormal(Law):
    r"""x_0 ~ N(0, 1) under the Gaussian kernel: I = log(1 + SNR) / 2, which is also
    log(1 / (1 - alpha_bar)) / 2. It is the largest for any law of unit variance."""

    about = "x_0 ~ N(0, 1), Gaussian kernel"

    def information(self, schedule: Schedule) -> Tensor:
        return 0.5 * F.softplus(schedule.log_snr)


@dataclass(frozen=True)
class FairBit(Law):
    r"""x_0 a fair coin under the binomial kernel, whose fixed point it is: x_t is fair too, and
    I = KL(q(x_t | x_0) || pi), whatever x_0 is."""

    about = "x_0 a fair bit, binomial kernel"

    def information(self, schedule: Schedule) -> Tensor:
        kernel, t = BinomialKernel(schedule), torch.arange(schedule.steps + 1)
        x_0 = torch.zeros(len(t), 1, dtype=torch.float64)
        return kernel.marginal(x_0, t).kl(kernel.prior(x_0))[:, 0]


@dataclass(frozen=True)
class UniformLevels(Law):
    r"""x_0 uniform on levels, the middles of equal cells on [-1, 1], under the Gaussian kernel:
    8-bit pixels as DDPM scales them. By quadrature.

    Args:
        count: the number of levels.

    Raises:
        ValueError: if there are fewer than 2.
    """

    count: int = 256

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"data with levels need at least 2 of them, got {self.count}")

    @property
    def about(self) -> str:  # type: ignore[override]
        return f"x_0 uniform on {self.count} levels of [-1, 1], Gaussian kernel"

    def information(self, schedule: Schedule) -> Tensor:
        kernel = GaussianKernel(schedule)
        inner = [self._at(kernel, t) for t in range(1, schedule.steps + 1)]
        return torch.stack([torch.tensor(self.count, dtype=torch.float64).log(), *inner])

    def _at(self, kernel: GaussianKernel, t: int) -> Tensor:
        """H(x_t) - H(x_t | x_0), with x_t on a lattice: the trapezium rule converges faster than
        any power of its step on smooth densities whose tails are in view."""
        cells = torch.arange(self.count, dtype=torch.float64) + 0.5
        each = kernel.marginal(2 * cells[:, None] / self.count - 1, torch.tensor([t]))
        deviation = each.variance[0, 0].sqrt()
        if (
            each.mean[1, 0] - each.mean[0, 0] > 24 * deviation
        ):  # the levels do not overlap, to e^-72
            return torch.tensor(self.count, dtype=torch.float64).log()
        low, high = each.mean[0, 0] - 9 * deviation, each.mean[-1, 0] + 9 * deviation
        points = math.ceil((high - low) / (deviation / 3)) + 1
        x_t = torch.linspace(low.item(), high.item(), points, dtype=torch.float64)
        log_q = each.log_prob(x_t).logsumexp(0) - math.log(self.count)
        entropy = -(log_q.exp() * log_q).sum() * (x_t[1] - x_t[0])
        return entropy - each.entropy()[0, 0]


@dataclass(frozen=True, eq=False)
class MeasuredLaw(Law):
    """The information measured at some noise levels, interpolated linearly between them.

    Args:
        log_noise: log (1 - alpha_bar) of each level, rising, with shape (N,).
        nats: I(x_0; x_t) at each, falling, with shape (N,), in nats.
        about: what was measured, as text.

    Raises:
        ValueError: if there are fewer than two levels, or they do not rise while nats fall.
    """

    log_noise: Tensor
    nats: Tensor
    about: str = "as measured"

    def __post_init__(self) -> None:
        if self.log_noise.shape != self.nats.shape or self.nats.ndim != 1 or len(self.nats) < 2:
            raise ValueError(
                "a law is measured at two noise levels or more, got levels of shape "
                f"{tuple(self.log_noise.shape)} and nats of shape {tuple(self.nats.shape)}"
            )
        if not ((self.log_noise.diff() > 0).all() and (self.nats.diff() <= 0).all()):
            raise ValueError(
                "noise must rise, and the information on x_0 must not rise with it: sort the "
                "levels, and measure with more draws"
            )

    def information(self, schedule: Schedule) -> Tensor:
        """As :meth:`Law.information`; constant outside the measured levels."""
        return _between(_angle(schedule.log_noise), _angle(self.log_noise), self.nats)

    def __repr__(self) -> str:
        return (
            f"{self.about}: {self.nats[0].item():.4g} nats at log-noise "
            f"{self.log_noise[0].item():.3g} to {self.nats[-1].item():.4g} at "
            f"{self.log_noise[-1].item():.3g}, {len(self.nats)} levels"
        )


def information_uniform(
    law: Law, steps: int, first: float = 7.0, last: float = -7.0, tolerance: float = 0.01
) -> Schedule:
    """The schedule whose steps from t = 1 on all lose the same information about x_0. Other
    schedules are even in beta or in log-SNR.

    Args:
        law: of x_0, or the measured rate of a model.
        steps: T, the number of steps.
        first: log-SNR at t = 1, in nats.
        last: log-SNR at T, in nats.
        tolerance: the relative deviation of a step's loss from the mean loss that is allowed.

    Raises:
        ValueError: if steps < 2, log-SNR does not fall from `first` to `last`, or nothing is lost
            between them, or not as evenly as that.
    """
    if steps < 2:
        raise ValueError(f"a schedule needs at least 2 steps, got steps = {steps}")
    nodes = linear_log_snr(NODES, first, last).log_snr[1:]
    left = law.information(from_log_snr(nodes))[1:]
    if not left[0] > left[-1]:
        raise ValueError(
            f"{law.about}: the information on x_0 is {left[0]:.3g} nats at log-SNR {first:g} and "
            f"{left[-1]:.3g} at {last:g}, so that no step loses any: give ends farther apart"
        )
    for _ in range(ROUNDS):
        even = torch.linspace(left[0].item(), left[-1].item(), steps, dtype=torch.float64)
        inner = _between(-even[1:-1], (-left).cummax(0).values, nodes)
        found = from_log_snr(torch.cat([nodes[:1], inner, nodes[-1:]]))
        reached = law.information(found)[1:]
        lost = -reached.diff()
        if ((lost / lost.mean() - 1).abs() <= tolerance).all():
            return found
        # Compute the information at the new times, and place them again with it.
        nodes, order = torch.cat([nodes, inner]).sort(descending=True)
        left = torch.cat([left, reached[1:-1]])[order]
    raise ValueError(
        f"{law.about}: after {ROUNDS} rounds a step still loses {lost.max() / lost.mean():.3g} "
        f"times the mean, where {1 + tolerance:g} is asked for: raise the tolerance"
    )


def _angle(log_noise: Tensor) -> Tensor:
    """The angle whose tangent is noise / signal, from 0 to pi / 2: finite at both ends."""
    log_noise = log_noise.detach().double().cpu()
    return torch.atan2((0.5 * log_noise).exp(), (-torch.expm1(log_noise)).sqrt())


def _between(x: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation at x of `values` at `known`, which rises; constant beyond the ends."""
    values = values.detach().double().cpu()
    right = torch.searchsorted(known, x).clamp(1, len(known) - 1)
    low, high = known[right - 1], known[right]
    share = ((x - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return values[right - 1].lerp(values[right], share)


@dataclass(frozen=True)
class Erasure:
    """The information about x_0 that a schedule loses, step by step.

    Args:
        name: of the schedule, as the user wrote it.
        schedule: the schedule.
        law: of x_0.
    """

    name: str
    schedule: Schedule
    law: Law

    @cached_property
    def left(self) -> Tensor:
        """I(x_0; x_t) for t = 0..T, with shape (T + 1,), in bits."""
        return self.law.information(self.schedule) / math.log(2)

    @cached_property
    def lost(self) -> Tensor:
        """I(x_0; x_{t-1}) - I(x_0; x_t) for t = 1..T, with shape (T,), in bits. It is infinite in
        the first step of a real value."""
        return -self.left.diff()

    @cached_property
    def since(self) -> Tensor:
        """I(x_0; x_1) - I(x_0; x_t) for t = 1..T, with shape (T,), in bits: the loss of the steps
        after the first, up to t."""
        return self.left[1] - self.left[1:]

    @property
    def half(self) -> float:
        """t / T of the first time by which half of the loss after the first step has happened."""
        gone = self.since >= self.since[-1] / 2
        return (int(gone.nonzero()[0]) + 1) / self.schedule.steps

    @property
    def thirds(self) -> tuple[float, float, float]:
        """The shares of the loss of all steps after the first in the first, the middle and the last
        third of the chain."""
        T = self.schedule.steps
        ends = self.since[[0, round(T / 3) - 1, round(2 * T / 3) - 1, T - 1]]
        early, middle, late = (ends.diff() / self.since[-1]).tolist()
        return early, middle, late

    def __repr__(self) -> str:
        first, last = self.left[1].item(), self.left[-1].item()
        thirds = ", ".join(f"{share:.1%}" for share in self.thirds)
        return (
            f"{self.name}: {first:.4g} bits at t = 1, {last:.4g} at T = {self.schedule.steps}\n"
            f"  lost in thirds of the chain: {thirds}; half at t / T = {self.half:.3f}"
        )
