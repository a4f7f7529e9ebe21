r"""What x_t still tells of x_0, and what each step of a schedule takes away.

I(x_0; x_t) depends on the law of x_0. Data have no simple one, so that schedules are compared on
laws with a known answer: a real value, a bit, a grey level. The forward process is a Markov chain,
whose steps lose I(x_0; x_{t-1}) - I(x_0; x_t) >= 0, and the losses add up.
"""

__all__ = ["Erasure", "FairBit", "Law", "StandardNormal", "UniformLevels"]

import abc
import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels import BinomialKernel, GaussianKernel
from .schedules import Schedule


class Law(abc.ABC):
    """The law that x_0 is supposed to have, one value, and the kernel that diffuses it."""

    about: str
    """The law and the kernel, for a person."""

    @abc.abstractmethod
    def information(self, schedule: Schedule) -> Tensor:
        """I(x_0; x_t) for t = 0..T, float64, with shape (T + 1,), in nats; at t = 0 it is the
        entropy of x_0, infinite for a real value."""


@dataclass(frozen=True)
class StandardNormal(Law):
    r"""x_0 ~ N(0, 1) under the Gaussian kernel: I = log(1 + SNR) / 2, which is also
    log(1 / (1 - alpha_bar)) / 2. No law of unit variance tells more through Gaussian noise."""

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
    r"""x_0 uniform on `count` levels, the middles of equal cells on [-1, 1], under the Gaussian
    kernel: 8-bit pixels as DDPM scales them. By quadrature."""

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
        if each.mean[1, 0] - each.mean[0, 0] > 24 * deviation:  # told apart, to e^-72
            return torch.tensor(self.count, dtype=torch.float64).log()
        low, high = each.mean[0, 0] - 9 * deviation, each.mean[-1, 0] + 9 * deviation
        points = math.ceil((high - low) / (deviation / 3)) + 1
        x_t = torch.linspace(low.item(), high.item(), points, dtype=torch.float64)
        log_q = each.log_prob(x_t).logsumexp(0) - math.log(self.count)
        entropy = -(log_q.exp() * log_q).sum() * (x_t[1] - x_t[0])
        return entropy - each.entropy()[0, 0]


@dataclass(frozen=True)
class Erasure:
    """What a schedule takes from a law, step by step.

    Args:
        name: of the schedule, as it was asked for.
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
        """I(x_0; x_{t-1}) - I(x_0; x_t) for t = 1..T, with shape (T,), in bits. The first step
        takes infinitely much of a real value."""
        return -self.left.diff()

    @cached_property
    def since(self) -> Tensor:
        """I(x_0; x_1) - I(x_0; x_t) for t = 1..T, with shape (T,), in bits: what the steps from
        1 to t have taken, the edge left out."""
        return self.left[1] - self.left[1:]

    @property
    def half(self) -> float:
        """The share of T by which half of what the steps after the first take is gone."""
        gone = self.since >= self.since[-1] / 2
        return (int(gone.nonzero()[0]) + 1) / self.schedule.steps

    @property
    def thirds(self) -> tuple[float, float, float]:
        """The shares of what the steps after the first take that fall in the first, the middle
        and the last third of the chain; even shares would be a third each."""
        T = self.schedule.steps
        ends = self.since[[0, round(T / 3) - 1, round(2 * T / 3) - 1, T - 1]]
        early, middle, late = (ends.diff() / self.since[-1]).tolist()
        return early, middle, late
