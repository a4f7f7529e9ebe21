"""The Gaussian kernel: a real value that shrinks and is mixed with noise."""

__all__ = ["GaussianKernel"]

from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Family, Gaussian, NoisyLattice, OnLattice
from .kernel import SignalNoise


@dataclass(frozen=True)
class GaussianKernel(SignalNoise):
    r"""q(x_t | x_s) = N(sqrt(a) x_s, 1 - a), with fixed point N(0, 1) (SD15 Tab. App.1)."""

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

    def evidence(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.log_share(s, t, x_t)
        scale = (0.5 * log_a).exp() / -torch.expm1(log_a)  # sqrt(a) / (1 - a)
        precision = log_a.exp() / -torch.expm1(log_a)  # a / (1 - a)
        return scale.to(x_t.dtype) * x_t, precision.to(x_t.dtype).expand_as(x_t)

    def bridge(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor) -> Gaussian:
        return self.widen(self.posterior(x_t, belief.mean, s, t), belief.variance, s, t)

    def kept(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor, eta: float) -> Gaussian:
        # DDIM: the mean of x_0 stands for x_0, and noise is drawn in proportion to eta.
        step = self.bridge(x_t, belief, s, t)
        drawn = eta**2 * self.spread(s, t, x_t)[0]
        old = (self.noise(s, x_t) ** 2 - drawn).clamp(min=0).sqrt() / self.noise(t, x_t)
        mean = old * x_t + (self.signal(s, x_t) - old * self.signal(t, x_t)) * belief.mean
        return Gaussian(mean, eta**2 * step.variance)

    def mixture(self, x_t: Tensor, belief: OnLattice, s: Tensor, t: Tensor) -> NoisyLattice:
        # The posterior's mean is affine in x_0, and its variance does not know it.
        at_zero = self.posterior(x_t, torch.zeros_like(x_t), s, t)
        slope = self.spread(s, t, x_t)[1].sqrt()
        return NoisyLattice(belief, at_zero.mean, slope, at_zero.variance)

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, belief: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.mixture(x_t, belief, s, t).kl_from(x_0)

    def divergence(self, x_t: Tensor, x_0: Tensor, belief: Family, s: Tensor, t: Tensor) -> Tensor:
        # The x_t terms of the two means cancel exactly, so they are never formed (VDM Eq. 13);
        # the variances stand as 1 + (SNR_s - SNR_t) Var[x_0 | x_t] to one.
        gain = self.snr_drop(s, t, x_0)
        wider = torch.log1p(gain * belief.variance)
        square = gain * (x_0 - belief.mean) ** 2
        return 0.5 * (torch.expm1(-wider) + wider + (-wider).exp() * square)

    def snr_drop(self, s: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """SNR_s - SNR_t, shaped (B, 1, ...), by expm1 in log-SNR."""
        log_snr = self.schedule.log_snr
        high, low = self.at(log_snr, s, like), self.at(log_snr, t, like)
        return (-high.exp() * torch.expm1(low - high)).to(like.dtype)

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Gaussian:
        least, weight = self.spread(s, t, p.mean)
        return Gaussian(p.mean, (least + weight * variance).expand_as(p.mean))

    def spread(self, s: Tensor, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        r"""beta_tilde and c^2, shaped (B, 1, ...): a step p(x_s | x_t) has variance
        beta_tilde + c^2 Var[x_0 | x_t], where beta_tilde is the posterior's (DDPM Eq. 7) and c
        the weight of x_0 in its mean."""
        gone = -torch.expm1(self.log_share(s, t, like))
        gone = gone / self.at(self.schedule.log_noise, t, like).exp()
        least = gone * self.at(self.schedule.log_noise, s, like).exp()
        weight = gone**2 * self.at(self.schedule.log_alpha_bar, s, like).exp()
        return least.to(like.dtype), weight.to(like.dtype)

    def member(self, mean: Tensor, variance: Tensor) -> Gaussian:
        return Gaussian(mean, variance)

    def doubt(self, mean: Tensor, t: Tensor) -> Tensor:
        return (self.noise(t, mean) ** 2).expand_as(mean)

    def lift(self, y: Tensor, variance: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        signal = self.signal(t, y)
        seen = Gaussian(torch.zeros_like(y), variance + self.noise(t, y) ** 2)
        known = variance.isfinite()
        y = torch.where(known, y, 0.0)
        linear, precision = signal * y / seen.variance, signal**2 / seen.variance
        return linear, precision, torch.where(known, seen.log_prob(y), 0.0)
