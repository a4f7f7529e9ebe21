r"""What x_t still tells of x_0, and what each step of a schedule takes away.

I(x_0; x_t) depends on the law of x_0. Data have no simple one, so that schedules are compared on
laws with a known answer: a real value, a bit, a grey level. The forward process is a Markov chain,
whose steps lose I(x_0; x_{t-1}) - I(x_0; x_t) >= 0, and the losses add up.
"""

__all__ = [
    "Erasure",
    "FairBit",
    "Law",
    "Measured",
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
"""Noise levels at which a law is asked before times are placed between them."""

ROUNDS = 12
"""How often times are placed anew before that is given up."""


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


@dataclass(frozen=True, eq=False)
class Measured(Law):
    """A law known by what was measured at some noise levels, with straight lines between them.

    Args:
        log_noise: log (1 - alpha_bar) there, rising, with shape (N,).
        nats: what x_t tells of x_0 there, falling, with shape (N,).
        about: what was measured, for a person.

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
                "noise must rise, and what x_t tells of x_0 must not rise with it: sort the "
                "levels, and measure with more draws"
            )

    def information(self, schedule: Schedule) -> Tensor:
        """As :meth:`Law.information`. Outside of what was measured nothing more is lost."""
        return _between(_angle(schedule.log_noise), _angle(self.log_noise), self.nats)


def information_uniform(
    law: Law, steps: int, first: float = 7.0, last: float = -7.0, tolerance: float = 0.01
) -> Schedule:
    """The schedule whose steps from t = 1 on all lose the same information on x_0, under any law
    and its kernel: even in what they take, where others are even in beta or in log-SNR.

    Args:
        law: what x_0 is supposed to be, or what a model has measured of it.
        first: log-SNR at t = 1, in nats.
        last: log-SNR at T, in nats.
        tolerance: how far a step's loss may be from the mean loss, as a share of that.

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
            f"{law.about}: x_t tells {left[0]:.3g} nats of x_0 at log-SNR {first:g} and "
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
        # Ask where the times came to lie, and place them once more between what is known now.
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
    """Straight lines through `values` at `known`, which rises, read at x; flat beyond the ends."""
    values = values.detach().double().cpu()
    right = torch.searchsorted(known, x).clamp(1, len(known) - 1)
    low, high = known[right - 1], known[right]
    share = ((x - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return values[right - 1].lerp(values[right], share)


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
