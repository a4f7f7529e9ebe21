r"""Heads: what a network's output means. Each turns it into the reverse step p(x_s | x_t).

Most heads state a *belief* about x_0, a law of each coordinate given x_t; the kernel bridges it
to any earlier time. The two of 2015 and of DDPM's mean state the step from t to t - 1 itself.
The spread of a Gaussian step is a statement about x_0 too: beta_tilde says that x_0 is known,
beta_t that it is standard normal (DDPM Sec. 3.2).
"""

__all__ = [
    "BeliefHead",
    "Clean",
    "Head",
    "Levels",
    "Mean",
    "Natural",
    "Noise",
    "Regression",
    "Velocity",
]

import abc
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from .families import Family, Gaussian, Lattice
from .kernels import Kernel, SignalNoise
from .spaces import Space
from .variances import FixedLarge, FixedSmall, Sigmoid, Variance


class Head(abc.ABC):
    """Reads a network's output of shape (B, *, outputs). x has shape (B, *), t shape (B,)."""

    jumps: bool = True
    """Whether the reverse step is defined between any two times, or between neighbours only."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """How many numbers for each value of x the network must give."""

    @abc.abstractmethod
    def bind(self, space: Space, kernel: Kernel) -> Self:
        """This head for that space and kernel; TypeError if it cannot serve them."""

    @abc.abstractmethod
    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x_0 | x_t] by the model, with shape (B, *)."""

    @abc.abstractmethod
    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        """p(x_s | x_t)."""

    @abc.abstractmethod
    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """p(x_0 | x_t), the step that ends a chain where x_0 is discrete."""

    @abc.abstractmethod
    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        """KL(q(x_s | x_t, x_0) || p(x_s | x_t)), with shape (B, *), in nats."""


class Regression(abc.ABC):
    """The capability of a head whose output has a target, for :class:`Simple` to compare."""

    @abc.abstractmethod
    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """How far the output is from what would be right, with shape (B, *)."""


H = TypeVar("H", bound=Head)


class BeliefHead(Head):
    """A head that states a law of x_0 given x_t, and so can step to any earlier time."""

    @abc.abstractmethod
    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """The law of each coordinate of x_0 given x_t, as the model has it."""

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.belief(kernel, output, x_t, t).mean

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        return kernel.bridge(x_t, self.belief(kernel, output, x_t, t), s, t)

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.belief(kernel, output, x_t, t)

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        return kernel.divergence(x_t, x_0, self.belief(kernel, output, x_t, t), s, t)


@dataclass(frozen=True)
class _WithVariance(Head):
    """A head with one output for the mean, and those that its variance takes."""

    variance: Variance = FixedSmall()

    @property
    def outputs(self) -> int:
        return 1 + self.variance.outputs


@dataclass(frozen=True)
class _EstimateHead(_WithVariance, BeliefHead, Regression):
    """A head whose belief is an estimate of x_0 and the spread that its variance states."""

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.variance.jumps


@dataclass(frozen=True)
class Clean(_EstimateHead):
    """The network says what x_0 is: as the linear tilt of the prior pi that turns it into the
    belief. That is x_0 itself on the real line, and a shift of the log-odds for a bit."""

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return _checked(self, space, kernel, self.variance)

    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        tilted = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t))
        spread = self.variance(kernel, output[..., 1:], t, x_t)
        return kernel.widen(tilted, spread, torch.zeros_like(t), t)

    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """-log of the tilted prior at x_0, (B, *): half the squared error of x_0 and a constant
        on the real line, the cross-entropy for a bit."""
        return -kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t)).log_prob(x_0)


class _ScaleHead(_EstimateHead):
    """A head that needs signal and noise scales: its output is affine in x_0 given x_t."""

    @abc.abstractmethod
    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The x_0 for which an output (B, *) would be right."""

    @abc.abstractmethod
    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The output that would be right, with shape (B, *)."""

    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        assert isinstance(kernel, SignalNoise)  # bound heads have checked it
        x_0 = self.clean(kernel, output[..., 0], x_t, t)
        return Gaussian(x_0, self.variance(kernel, output[..., 1:], t, x_t).expand_as(x_0))

    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The squared error of the output, |eps - eps_hat|^2 for Noise (DDPM Eq. 14), (B, *)."""
        return (self.target(kernel, x_t, x_0, t) - output[..., 0]) ** 2


@dataclass(frozen=True)
class Noise(_ScaleHead):
    """The network says which noise is in x_t (DDPM Eq. 11)."""

    def bind(self, space: Space, kernel: Kernel) -> Self:
        _require_signal_noise("Noise", kernel)
        if kernel.schedule.alpha_bar[-1] == 0:
            raise TypeError(
                f"schedule {kernel.schedule.kind!r} leaves no signal at T, where the noise says "
                "nothing about x_0: use Clean or Velocity"
            )
        return _checked(self, space, kernel, self.variance)

    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 = (x_t - noise eps) / signal."""
        return (x_t - kernel.noise(t, x_t) * output) / kernel.signal(t, x_t)

    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The output that would be right: eps = (x_t - signal x_0) / noise, (B, *)."""
        return (x_t - kernel.signal(t, x_t) * x_0) / kernel.noise(t, x_t)


@dataclass(frozen=True)
class Velocity(_ScaleHead):
    """The network says v = signal eps - noise x_0, which is well scaled at both ends (SH22)."""

    def bind(self, space: Space, kernel: Kernel) -> Self:
        _require_signal_noise("Velocity", kernel)
        return _checked(self, space, kernel, self.variance)

    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 = signal x_t - noise v."""
        return kernel.signal(t, x_t) * x_t - kernel.noise(t, x_t) * output

    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The output that would be right: v = (signal x_t - x_0) / noise, (B, *)."""
        return (kernel.signal(t, x_t) * x_t - x_0) / kernel.noise(t, x_t)


@dataclass(frozen=True)
class Levels(BeliefHead):
    """The network gives a prior over the levels of each coordinate, and q(x_t | x_0 = level),
    which is known, multiplies it: at high SNR the belief rounds exactly, which no network
    learns by regression. For bits this is the Clean head with what x_t says put in."""

    values: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def outputs(self) -> int:
        if self.values is None:
            raise TypeError("Levels learns how many levels there are when a model is built")
        return len(self.values)

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if space.levels is None:
            raise TypeError(
                f"Levels needs a space with levels (Binary, Quantized), got "
                f"{type(space).__name__}: use Clean, Noise or Velocity"
            )
        return replace(_checked(self, space, kernel), values=space.levels)

    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Lattice:
        values = self.values.to(x_t)  # type: ignore[union-attr]
        # The levels ride along the batch: the axes behind it are the kernel's own.
        each = values.repeat_interleave(len(x_t)).reshape(-1, *[1] * (x_t.ndim - 1))
        again = x_t.repeat(len(values), *[1] * (x_t.ndim - 1))
        seen = kernel.marginal(each.expand_as(again), t.repeat(len(values))).log_prob(again)
        return Lattice(output + seen.unflatten(0, (len(values), -1)).movedim(0, -1), values)


class _StepHead(Head):
    """A head that states the step from t to t - 1 itself."""

    jumps = False

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        # The mean of q(x_s | x_t, x_0) is affine in x_0, for every kernel: invert it.
        mean = self.reverse(kernel, output, x_t, t - 1, t).mean
        zero = kernel.posterior(x_t, torch.zeros_like(x_t), t - 1, t).mean
        one = kernel.posterior(x_t, torch.ones_like(x_t), t - 1, t).mean
        return (mean - zero) / (one - zero)

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.reverse(kernel, output, x_t, torch.zeros_like(t), t)

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        return kernel.posterior(x_t, x_0, s, t).kl(self.reverse(kernel, output, x_t, s, t))


@dataclass(frozen=True)
class Natural(_WithVariance, _StepHead):
    r"""The forward step, tilted by what the network says: mu = sqrt(1 - beta) x_t + beta f for a
    Gaussian, a shift of the log-odds by f for a bit. Both are rows of SD15 Tab. App.1."""

    variance: Variance = FixedLarge()

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return _checked(self, space, kernel, self.variance)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        step = kernel.step(x_t, s, t).tilt(output[..., 0], torch.zeros_like(x_t))
        return kernel.widen(step, self.variance(kernel, output[..., 1:], t, x_t), s, t)


@dataclass(frozen=True)
class Mean(_WithVariance, _StepHead, Regression):
    r"""The network says the mean of x_{t-1}, for a bit as a shift of the log-odds of pi: mu of
    DDPM Eq. 8, f_mu and f_b of SD15 Tab. App.1."""

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return _checked(self, space, kernel, self.variance)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        step = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t))
        return kernel.widen(step, self.variance(kernel, output[..., 1:], t, x_t), s, t)

    def target(self, kernel: Kernel, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The mean that would be right, that of q(x_{t-1} | x_t, x_0), (B, *)."""
        return kernel.posterior(x_t, x_0, t - 1, t).mean

    def error(self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """|mu_tilde - mu|^2, with shape (B, *)."""
        mean = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t)).mean
        return (self.target(kernel, x_t, x_0, t) - mean) ** 2


def _require_signal_noise(name: str, kernel: Kernel) -> None:
    if not isinstance(kernel, SignalNoise):
        raise TypeError(
            f"{name} needs a kernel with signal and noise scales (GaussianKernel), got "
            f"{type(kernel).__name__}: use Clean, Levels, Mean or Natural"
        )


def _checked(head: H, space: Space, kernel: Kernel, variance: Variance | None = None) -> H:
    if isinstance(variance, Sigmoid):
        _require_signal_noise("a Sigmoid variance", kernel)
    points = variance is not None and isinstance(kernel, SignalNoise)
    if points and space.levels is not None and isinstance(variance, FixedSmall):
        raise TypeError(
            f"p(raw | x_1) on {type(space).__name__} needs a width, and FixedSmall gives the last "
            "step none: use the Levels head, FixedLarge, or a Dequantized space"
        )
    return head
