"""The Gaussian kernel: a real value that is scaled down and mixed with noise."""

__all__ = ["GaussianKernel"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family, Gaussian, NoisyLattice, OnLattice
from .kernel import SignalNoise


@dataclass(frozen=True)
class GaussianKernel(SignalNoise):
    """A real value with Gaussian noise: q(x_t | x_s) = N(sqrt(a) x_s, 1 - a), with fixed point N(0,
    1) (SD15 Tab. App.1).

    Args:
        schedule: alpha_bar_t for t = 0, ..., T.
    """

    @property
    def binary(self) -> bool:
        return False

    def signal(self, t: Tensor, like: Tensor) -> Tensor:
        return (0.5 * self.at(self.schedule.log_alpha_bar, t, like)).exp().to(like.dtype)

    def noise(self, t: Tensor, like: Tensor) -> Tensor:
        return (0.5 * self.at(self.schedule.log_noise, t, like)).exp().to(like.dtype)

    def prior(self, like: Tensor) -> Gaussian:
        return Gaussian(torch.zeros_like(like), torch.ones_like(like))

    def marginal(self, x_0: Tensor, t: Tensor) -> Gaussian:
        variance = self.at(self.schedule.log_noise, t, x_0).exp().to(x_0.dtype)
        return Gaussian(self.signal(t, x_0) * x_0, variance.expand_as(x_0))

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Gaussian:
        log_a = self.log_share(s, t, x_s)
        variance = -torch.expm1(log_a).to(x_s.dtype)
        return Gaussian((0.5 * log_a).exp().to(x_s.dtype) * x_s, variance.expand_as(x_s))

    def likelihood_tilt(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.log_share(s, t, x_t)
        scale = (0.5 * log_a).exp() / -torch.expm1(log_a)  # sqrt(a) / (1 - a)
        precision = log_a.exp() / -torch.expm1(log_a)  # a / (1 - a)
        return scale.to(x_t.dtype) * x_t, precision.to(x_t.dtype).expand_as(x_t)

    def bridge(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor) -> Gaussian:
        return self.widen(self.posterior(x_t, denoised.mean, s, t), denoised.variance, s, t)

    def kept(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Gaussian:
        # DDIM: the mean of x_0 stands for x_0, and noise is drawn in proportion to eta.
        step = self.bridge(x_t, denoised, s, t)
        drawn = eta**2 * self.variance_terms(s, t, x_t)[0]
        old = (self.noise(s, x_t) ** 2 - drawn).clamp(min=0).sqrt() / self.noise(t, x_t)
        mean = old * x_t + (self.signal(s, x_t) - old * self.signal(t, x_t)) * denoised.mean
        return Gaussian(mean, eta**2 * step.variance)

    def mixture(self, x_t: Tensor, denoised: OnLattice, s: Tensor, t: Tensor) -> NoisyLattice:
        # The posterior's mean is affine in x_0, and its variance does not depend on x_0.
        at_zero = self.posterior(x_t, torch.zeros_like(x_t), s, t)
        slope = self.variance_terms(s, t, x_t)[1].sqrt()
        return NoisyLattice(denoised, at_zero.mean, slope, at_zero.variance)

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.mixture(x_t, denoised, s, t).kl_from(x_0)

    def divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: Family, s: Tensor, t: Tensor
    ) -> Tensor:
        # The x_t terms of the two means cancel exactly, so they are left out (VDM Eq. 13). The
        # ratio of the two variances is 1 + (SNR_s - SNR_t) Var[x_0 | x_t].
        gain = self.snr_drop(s, t, x_0)
        wider = torch.log1p(gain * denoised.variance)
        square = gain * (x_0 - denoised.mean) ** 2
        return 0.5 * (torch.expm1(-wider) + wider + (-wider).exp() * square)

    def snr_drop(self, s: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """SNR_s - SNR_t in the type of `like`, shape (B, 1, ..., 1); by expm1 of the log-SNR."""
        log_snr = self.schedule.log_snr
        high, low = self.at(log_snr, s, like), self.at(log_snr, t, like)
        return (-high.exp() * torch.expm1(low - high)).to(like.dtype)

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Gaussian:
        beta_tilde, weight = self.variance_terms(s, t, p.mean)
        return Gaussian(p.mean, (beta_tilde + weight * variance).expand_as(p.mean))

    def variance_terms(self, s: Tensor, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of a reverse step's variance, which is beta_tilde + c^2 Var[x_0 | x_t]:
        beta_tilde is the variance of q(x_s | x_t, x_0) (DDPM Eq. 7), and c is the coefficient of
        x_0 in its mean.

        Args:
            s: shape (B,).
            t: shape (B,).
            like: a tensor of shape (B, *); gives the number of axes, the type and the device.

        Returns:
            beta_tilde and c^2, shape (B, 1, ..., 1) each.
        """
        ratio = -torch.expm1(self.log_share(s, t, like))  # (1 - a) / (1 - alpha_bar_t)
        ratio = ratio / self.at(self.schedule.log_noise, t, like).exp()
        beta_tilde = ratio * self.at(self.schedule.log_noise, s, like).exp()
        weight = ratio**2 * self.at(self.schedule.log_alpha_bar, s, like).exp()
        return beta_tilde.to(like.dtype), weight.to(like.dtype)

    def from_moments(self, mean: Tensor, variance: Tensor) -> Gaussian:
        return Gaussian(mean, variance)

    def conditional_variance(self, mean: Tensor, t: Tensor) -> Tensor:
        return (self.noise(t, mean) ** 2).expand_as(mean)

    def propagate_likelihood(
        self, y: Tensor, variance: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        signal = self.signal(t, y)
        total = Gaussian(torch.zeros_like(y), variance + self.noise(t, y) ** 2)
        known = variance.isfinite()
        y = torch.where(known, y, 0.0)
        linear, precision = signal * y / total.variance, signal**2 / total.variance
        return linear, precision, torch.where(known, total.log_prob(y), 0.0)
