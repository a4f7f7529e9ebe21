"""What the kernels of bits and of classes share: their values are 0 or 1."""

__all__ = ["IndicatorKernel"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family
from .kernel import Kernel

EARLY = 0.75
"""The share of evaluations that is spread by the noise that each step removes; the rest is even."""


@dataclass(frozen=True)
class IndicatorKernel(Kernel, abc.ABC):
    """A kernel of values that are 0 or 1. The bridge is the exact mixture over x_0, and the mean of
    a value determines its variance.

    Args:
        schedule: alpha_bar_t for t = 0, ..., T.
    """

    def divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: Family, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.posterior(x_t, x_0, s, t).kl(self.bridge(x_t, denoised, s, t))

    def evaluation_density(self, ends: Tensor) -> Tensor:
        # The deviation of a term follows the share of its noise that the step removes: 1 / k for
        # the k-th step of `erase_evenly`. Steps near the data are rarely costly, and then very
        # costly.
        noise = self.schedule.log_noise.cpu().double()[ends.cpu()]
        removed = -torch.expm1(noise[:-1] - noise[1:])
        even = super().evaluation_density(ends)
        return (1 - EARLY) * even + EARLY * removed / removed.sum()

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Family:
        return p

    def conditional_variance(self, mean: Tensor, t: Tensor) -> Tensor:
        return mean * (1 - mean)

    def _kept_mean(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Tensor:
        """The mean of x_s for :meth:`kept`, in float64. x_s is x_t with the largest probability
        that keeps the marginals, (1 - alpha_s) / (1 - alpha_t), and x_0 otherwise. A share `eta` of
        the draws is by the bridge."""
        bridge, table = self.bridge(x_t, denoised, s, t), self.schedule
        log_keep = self.at(table.log_noise, s, x_t) - self.at(table.log_noise, t, x_t)
        p = log_keep.exp() * x_t.double() - torch.expm1(log_keep) * denoised.mean.double()
        return (1 - eta) * p + eta * bridge.mean.double()
