"""Heads that state the step from t to t - 1 itself: those of 2015, and DDPM's mean."""

__all__ = ["Mean", "Natural"]

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..families import Family
from ..kernels import Kernel
from ..spaces import Space
from ..variances import FixedLarge, Variance
from .head import Head, Regression, WithVariance, checked


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
class Natural(WithVariance, _StepHead):
    r"""The forward step, tilted by what the network says: mu = sqrt(1 - beta) x_t + beta f for a
    Gaussian, a shift of the log-odds by f for a bit. Both are rows of SD15 Tab. App.1."""

    variance: Variance = FixedLarge()

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return checked(self, space, kernel, self.variance)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        step = kernel.step(x_t, s, t).tilt(output[..., 0], torch.zeros_like(x_t))
        return kernel.widen(step, self.variance(kernel, output[..., 1:], t, x_t), s, t)


@dataclass(frozen=True)
class Mean(WithVariance, _StepHead, Regression):
    r"""The network says the mean of x_{t-1}, for a bit as a shift of the log-odds of pi: mu of
    DDPM Eq. 8, f_mu and f_b of SD15 Tab. App.1."""

    def bind(self, space: Space, kernel: Kernel) -> Self:
        return checked(self, space, kernel, self.variance)

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
