"""Heads that state the step from t to t - 1 itself: those of SD15, and DDPM's mean."""

__all__ = ["Equilibrium", "Mean", "Natural"]

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..distributions import Family, Gaussian
from ..kernels import Kernel
from ..spaces import Space
from .head import DenoisingHead, Head, Regression, WithVariance, checked, require_signal_noise
from .variances import FixedLarge, Sigmoid, Variance


class _StepHead(Head):
    """A head that states the step from t to t - 1 itself."""

    jumps = False

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        # The mean of q(x_s | x_t, x_0) is affine in x_0, for every kernel: invert it. In float64,
        # as near T its slope in x_0 is small.
        x = x_t.double()
        mean = self.reverse(kernel, output.double(), x, t - 1, t).mean
        zero = kernel.posterior(x, torch.zeros_like(x), t - 1, t).mean
        one = kernel.posterior(x, torch.ones_like(x), t - 1, t).mean
        return ((mean - zero) / (one - zero)).to(x_t.dtype)

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.reverse(kernel, output, x_t, torch.zeros_like(t), t)

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        return kernel.posterior(x_t, x_0, s, t).kl(self.reverse(kernel, output, x_t, s, t))


@dataclass(frozen=True)
class Natural(WithVariance, _StepHead):
    """The forward step, tilted by the network's output f: mean sqrt(1 - beta) x_t + beta f for a
    Gaussian, a shift of the log-odds by f for a bit. Both are rows of SD15 Tab. App.1. Steps from t
    to t - 1 only.

    Args:
        variance: of the reverse step. Default `FixedLarge()`.
    """

    variance: Variance = FixedLarge()

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return checked(self, kernel)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        step = kernel.step(x_t, s, t).tilt(output[..., 0], torch.zeros_like(x_t))
        return kernel.widen(step, self.variance(kernel, output[..., 1:], t, x_t), s, t)


@dataclass(frozen=True)
class Mean(WithVariance, _StepHead, Regression):
    """The network predicts the mean of x_{t-1}, for a bit as a shift of the log-odds of pi: mu of
    DDPM Eq. 8, f_mu and f_b of SD15 Tab. App.1. Steps from t to t - 1 only.

    Args:
        variance: of the reverse step. Default `FixedSmall()`.
    """

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return checked(self, kernel)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        step = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t))
        return kernel.widen(step, self.variance(kernel, output[..., 1:], t, x_t), s, t)

    def target(self, kernel: Kernel, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The exact output for a known x_0, the mean of q(x_{t-1} | x_t, x_0), shape (B, *)."""
        return kernel.posterior(x_t, x_0, t - 1, t).mean

    def error(self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The squared error |mu_tilde - mu|^2, shape (B, *)."""
        mean = kernel.prior(x_t).tilt(output[..., 0], torch.zeros_like(x_t)).mean
        return (self.target(kernel, x_t, x_0, t) - mean) ** 2


@dataclass(frozen=True)
class Equilibrium(WithVariance, DenoisingHead):
    """The network predicts z, the point to which the step would converge if it were repeated: mu =
    (x_t - z) (1 - sigma^2) + z (SD15 Eq. 65), by default with the sigma^2 of SD15 Eq. 64. Steps
    from t to t - 1 only.

    At zero output the variance is beta, that of the forward step, and the mean is (1 - beta) x_t.
    The forward step itself has sqrt(1 - beta) x_t; the paper prints no root.

    Args:
        variance: of the reverse step. Default `Sigmoid()`.
    """

    variance: Variance = Sigmoid()

    jumps = False

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Equilibrium", kernel)
        return checked(self, kernel)

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        """The N(x_0; x_0_hat, Var[x_0 | x_t]) whose bridge to t - 1 is the step."""
        # The bridge's mean is kept x_t + weight x_0_hat: solve for x_0_hat. In float64, as 1 - kept
        # is of the order of beta and would lose its digits in float32.
        zero = x_t.new_zeros(len(x_t), *[1] * (x_t.ndim - 1), dtype=torch.float64)
        kept = kernel.posterior(zero + 1, zero, t - 1, t).mean
        weight = kernel.posterior(zero, zero + 1, t - 1, t).mean
        lost, weight = (1 - kept).to(x_t.dtype), weight.to(x_t.dtype)
        spread = self.variance(kernel, output[..., 1:], t, x_t).expand_as(x_t)
        square = kernel.bridge(x_t, Gaussian(x_t, spread), t - 1, t).variance  # sigma^2
        return Gaussian(((lost - square) * x_t + square * output[..., 0]) / weight, spread)
