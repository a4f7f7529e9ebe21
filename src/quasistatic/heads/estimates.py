"""Heads that predict x_0, with a variance about the prediction."""

__all__ = ["Clean", "EstimateHead", "Noise", "Preconditioned", "Velocity"]

import abc
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.validation import number_within
from ..distributions import Family, Gaussian
from ..kernels import Kernel, SignalNoise
from ..spaces import Space
from .head import DenoisingHead, Regression, WithVariance, checked, require_signal_noise


@dataclass(frozen=True)
class EstimateHead(WithVariance, DenoisingHead, Regression):
    """A head whose law of x_0 is an estimate of x_0 and a variance. Base class."""

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.variance.jumps


@dataclass(frozen=True)
class Clean(EstimateHead):
    """The network predicts x_0: its output is the linear tilt that turns the prior pi into the law
    of x_0. That is x_0 itself for real values, and a shift of the log-odds for bits.

    Args:
        variance: of the reverse step. Default `FixedSmall()`.
    """

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return checked(self, kernel)

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        tilted = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t))
        spread = self.variance(kernel, output[..., 1:], t, x_t)
        return kernel.widen(tilted, spread, torch.zeros_like(t), t)

    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """-log of the tilted prior at x_0: half the squared error of x_0 plus a constant for real
        values, the cross-entropy for bits.

        Returns:
            Shape (B, *).
        """
        found: Tensor = -kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t)).log_prob(x_0)
        return found


class _ScaleHead(EstimateHead):
    """A head that needs signal and noise scales: its output is affine in x_0 given x_t."""

    @abc.abstractmethod
    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The x_0 for which the output (B, *) would be exact."""

    @abc.abstractmethod
    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The exact output for a known x_0, shape (B, *)."""

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        assert isinstance(kernel, SignalNoise)  # bound heads have checked it
        x_0 = self.clean(kernel, output[..., 0], x_t, t)
        return Gaussian(x_0, self.variance(kernel, output[..., 1:], t, x_t).expand_as(x_0))

    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The squared error of the output, |eps - eps_hat|^2 for Noise (DDPM Eq. 14), shape (B,
        *)."""
        return (self.target(kernel, x_t, x_0, t) - output[..., 0]) ** 2


@dataclass(frozen=True)
class Noise(_ScaleHead):
    """The network predicts the noise eps in x_t = signal x_0 + noise eps (DDPM Eq. 11).

    Args:
        variance: of the reverse step. Default `FixedSmall()`.
    """

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Noise", kernel)
        if kernel.schedule.alpha_bar[-1] == 0:
            raise TypeError(
                f"schedule {kernel.schedule.kind!r} leaves no signal at T, so that x_0 does "
                "not follow from the noise there: use Clean or Velocity"
            )
        return checked(self, kernel)

    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 = (x_t - noise eps) / signal."""
        return (x_t - kernel.noise(t, x_t) * output) / kernel.signal(t, x_t)

    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """eps = (x_t - signal x_0) / noise, shape (B, *)."""
        return (x_t - kernel.signal(t, x_t) * x_0) / kernel.noise(t, x_t)


@dataclass(frozen=True)
class Velocity(_ScaleHead):
    """The network predicts v = signal eps - noise x_0, which is well scaled at both ends of the
    schedule (SH22).

    Args:
        variance: of the reverse step. Default `FixedSmall()`.
    """

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Velocity", kernel)
        return checked(self, kernel)

    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 = signal x_t - noise v."""
        return kernel.signal(t, x_t) * x_t - kernel.noise(t, x_t) * output

    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """v = (signal x_t - x_0) / noise, shape (B, *)."""
        return (kernel.signal(t, x_t) * x_t - x_0) / kernel.noise(t, x_t)


@dataclass(frozen=True)
class Preconditioned(_ScaleHead):
    r"""The network predicts what the best linear estimate of x_0 leaves, at unit variance, for data
    of a known deviation d (EDM22 Eq. 7): with V = signal^2 d^2 + noise^2, the variance of x_t,

        x_0 = (signal d^2 / V) x_t + (noise d / sqrt(V)) output.

    With d = 1 the output is that of :class:`Velocity` with the other sign. EDM's networks also see
    x_t / sqrt(V), see :class:`.NoiseScaled`.

    Args:
        variance: of the reverse step. Default `FixedSmall()`.
        deviation: d, the standard deviation of x_0 (sigma_data). Default 0.5.

    Raises:
        ValueError: if the deviation is not positive.
    """

    deviation: float = 0.5

    def __post_init__(self) -> None:
        number_within("deviation", self.deviation, 0, ends="()")

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Preconditioned", kernel)
        return checked(self, kernel)

    def clean(self, kernel: SignalNoise, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        signal, noise, total = self._scales(kernel, x_t, t)
        d = self.deviation
        return signal * d**2 / total * x_t + noise * d / total.sqrt() * output

    def target(self, kernel: SignalNoise, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """(x_0 V - signal d^2 x_t) / (noise d sqrt(V)), shape (B, *)."""
        signal, noise, total = self._scales(kernel, x_t, t)
        # x_0 V - signal d^2 x_t without terms that cancel where the noise is small.
        rest = noise**2 * x_0 - signal * self.deviation**2 * (x_t - signal * x_0)
        return rest / (noise * self.deviation * total.sqrt())

    def _scales(self, kernel: SignalNoise, x_t: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """The signal, the noise and the variance of x_t."""
        signal, noise = kernel.signal(t, x_t), kernel.noise(t, x_t)
        return signal, noise, (signal * self.deviation) ** 2 + noise**2
