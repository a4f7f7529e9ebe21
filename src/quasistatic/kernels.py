r"""Diffusion kernels: what the forward process does to one scalar (SD15 Tab. App.1).

A kernel states its formulas between any two times s < t, so a chain may visit any sub-grid of
times. Bayes is written once, as a tilt. Below, a = alpha_bar_t / alpha_bar_s.
"""

__all__ = ["BinomialKernel", "GaussianKernel", "Kernel", "SignalNoise"]

import abc
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .families import Bernoulli, Family, Gaussian, NoisyLattice, OnLattice
from .schedules import Schedule


@dataclass(frozen=True)
class Kernel(abc.ABC):
    r"""A reversible Markov kernel with fixed point pi and closed-form marginals.

    x has shape (B, *); s and t are integer times with shape (B,), 0 <= s < t <= T.
    """

    schedule: Schedule

    @property
    def steps(self) -> int:
        """T, the number of steps of the schedule."""
        return self.schedule.steps

    def at(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """table[t] in float64, shaped (B, 1, ...) to broadcast against `like`."""
        return table.to(like.device)[t].reshape(-1, *[1] * (like.ndim - 1))

    def log_share(self, s: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """log a = log alpha_bar_t - log alpha_bar_s, in float64, shaped (B, 1, ...)."""
        table = self.schedule.log_alpha_bar
        return self.at(table, t, like) - self.at(table, s, like)

    @property
    @abc.abstractmethod
    def binary(self) -> bool:
        """Whether x lives on {0, 1}; otherwise on the real line."""

    @property
    def alike(self) -> bool:
        """Whether all values of an example diffuse alike, so that some may be looked at alone."""
        return True

    @abc.abstractmethod
    def prior(self, like: Tensor) -> Family:
        r"""pi(x_T), the kernel's fixed point, with the shape of `like` (SD15 Eq. 1)."""

    @abc.abstractmethod
    def marginal(self, x_0: Tensor, t: Tensor) -> Family:
        r"""q(x_t | x_0)."""

    @abc.abstractmethod
    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""q(x_t | x_s) (SD15 Eq. 2). By detailed balance also the law that x_s would have,
        given x_t, if the data were pi."""

    @abc.abstractmethod
    def evidence(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        r"""The (linear, precision) of x_s -> log q(x_t | x_s)."""

    def posterior(self, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""q(x_s | x_t, x_0) by Bayes: the marginal, tilted by what x_t says (DDPM Eq. 6)."""
        return self.marginal(x_0, s).tilt(*self.evidence(x_t, s, t))

    @abc.abstractmethod
    def bridge(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor) -> Family:
        r"""The mixture of q(x_s | x_t, x_0) over a belief about x_0: the member of the kernel's
        family with that mixture's mean and variance. Exact for the family's own members."""

    def mixture(self, x_t: Tensor, belief: OnLattice, s: Tensor, t: Tensor) -> Family:
        r"""The mixture of q(x_s | x_t, x_0) over a belief on finitely many values, itself. A kernel
        may leave this out and `mixture_divergence` with it: no `Exact` head walks it then."""
        raise TypeError(f"{type(self).__name__} mixes no steps: use the Levels head without Exact")

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, belief: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        r"""KL(q(x_s | x_t, x_0) || mixture(x_t, belief, s, t)), with shape (B, *), in nats."""
        raise TypeError(f"{type(self).__name__} mixes no steps: use the Levels head without Exact")

    @abc.abstractmethod
    def divergence(self, x_t: Tensor, x_0: Tensor, belief: Family, s: Tensor, t: Tensor) -> Tensor:
        r"""KL(q(x_s | x_t, x_0) || bridge(x_t, belief, s, t)), with shape (B, *), in nats.
        Needs s >= 1 on the real line, where x_0 itself has no spread."""

    @abc.abstractmethod
    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Family:
        r"""A step p(x_s | x_t) with the spread that Var[x_0 | x_t] = variance gives it; a family
        that its mean alone determines is left as it is."""

    @abc.abstractmethod
    def member(self, mean: Tensor, variance: Tensor) -> Family:
        r"""The member of the kernel's family with those moments, (B, *); one that its mean alone
        determines has the mean."""

    @abc.abstractmethod
    def doubt(self, mean: Tensor, t: Tensor) -> Tensor:
        r"""Var[x_0 | x_t] where E[x_0 | x_t] = mean (B, *), if the data were pi."""

    @abc.abstractmethod
    def lift(self, y: Tensor, variance: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""What r(x_0) = N(y; x_0, variance) says at time t, if the data were pi: the (linear,
        precision, constant) of x_t -> log E[r(x_0) | x_t]. variance may be 0 (x_0 is known to
        be y) or infinite (nothing is known, r = 1)."""


class SignalNoise(Kernel):
    r"""The capability of a kernel with x_t = signal x_0 + noise eps, eps of unit variance."""

    @abc.abstractmethod
    def signal(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(alpha_bar_t), shaped (B, 1, ...)."""

    @abc.abstractmethod
    def noise(self, t: Tensor, like: Tensor) -> Tensor:
        """sqrt(1 - alpha_bar_t), shaped (B, 1, ...)."""


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


@dataclass(frozen=True)
class BinomialKernel(Kernel):
    r"""A bit kept with probability a, else drawn afresh: q(x_t = 1 | x_s) = a x_s + (1 - a) mean.

    The fixed point has the mean activity `mean`, one number or one for each coordinate, nested as
    the data are (SD15 Tab. App.1, D.1.2).
    """

    mean: float | tuple = 0.5

    def __post_init__(self) -> None:
        if self.schedule.learns:
            raise TypeError(
                "the schedule of bits cannot be learned by gradient: x_t jumps from 0 to 1, so "
                "that noise which is held tells nothing of where to go (SD15 Sec. 2.4.1): use "
                "erase_evenly or information_uniform"
            )
        values = torch.as_tensor(self.mean, dtype=torch.float64)
        if not ((values > 0) & (values < 1)).all():
            raise ValueError(
                f"the mean activity must lie strictly between 0 and 1, got {self.mean}: a bit that "
                "is always the same has nothing to model"
            )

    @property
    def binary(self) -> bool:
        return True

    @property
    def alike(self) -> bool:
        return not isinstance(self.mean, tuple)

    def prior(self, like: Tensor) -> Bernoulli:
        logit = torch.as_tensor(self.mean, dtype=torch.float64).logit()
        return Bernoulli(logit.to(like).expand_as(like))

    def marginal(self, x_0: Tensor, t: Tensor) -> Bernoulli:
        table = self.schedule
        log_a, log_gone = self.at(table.log_alpha_bar, t, x_0), self.at(table.log_noise, t, x_0)
        return self._kept(x_0, log_a, log_gone)

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Bernoulli:
        log_a = self.log_share(s, t, x_s)
        return self._kept(x_s, log_a, (-torch.expm1(log_a)).log())

    def evidence(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.log_share(s, t, x_t)
        log_gone = (-torch.expm1(log_a)).log()
        one, zero = self._log_means(x_t)
        if_one = torch.logaddexp(log_a, log_gone + one) - (log_gone + one)
        if_zero = (log_gone + zero) - torch.logaddexp(log_a, log_gone + zero)
        return torch.where(x_t > 0.5, if_one, if_zero).to(x_t.dtype), torch.zeros_like(x_t)

    def bridge(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor) -> Bernoulli:
        # A true mixture, never a probability plugged into Bayes; in logs, so that neither a
        # belief near certainty nor a known bit loses its digits.
        ones, zeros = torch.ones_like(x_t), torch.zeros_like(x_t)
        log_one, log_zero = belief.log_prob(ones), belief.log_prob(zeros)
        linear, precision = self.evidence(x_t, s, t)
        if_one = self.marginal(ones, s).tilt(linear, precision).logit
        if_zero = self.marginal(zeros, s).tilt(linear, precision).logit
        up = torch.logaddexp(log_one + F.logsigmoid(if_one), log_zero + F.logsigmoid(if_zero))
        down = torch.logaddexp(log_one + F.logsigmoid(-if_one), log_zero + F.logsigmoid(-if_zero))
        return Bernoulli(up - down)

    def mixture(self, x_t: Tensor, belief: OnLattice, s: Tensor, t: Tensor) -> Bernoulli:
        return self.bridge(x_t, belief, s, t)

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, belief: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.divergence(x_t, x_0, belief, s, t)

    def divergence(self, x_t: Tensor, x_0: Tensor, belief: Family, s: Tensor, t: Tensor) -> Tensor:
        return self.posterior(x_t, x_0, s, t).kl(self.bridge(x_t, belief, s, t))

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Family:
        return p

    def member(self, mean: Tensor, variance: Tensor) -> Bernoulli:
        return Bernoulli(mean.logit())

    def doubt(self, mean: Tensor, t: Tensor) -> Tensor:
        return mean * (1 - mean)

    def lift(self, y: Tensor, variance: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # log r(1) - log r(0) and log r(0) of N(y; x, variance); then the mean of r(x_0) over
        # x_0 ~ q(x_0 | x_t), for x_t = 1 and for x_t = 0.
        known = variance.isfinite()
        safe = torch.where(known & (variance > 0), variance, 1.0)
        y = torch.where(known, y, 0.0)
        log_r = [Gaussian(torch.full_like(y, bit), safe).log_prob(y) for bit in (0.0, 1.0)]
        sure = known & (variance == 0)
        log_r = [
            torch.where(sure, torch.where(y == bit, 0.0, -torch.inf), r)
            for bit, r in zip((0.0, 1.0), log_r, strict=True)
        ]
        zeros = torch.zeros_like(y)
        said = []
        for bit in (zeros, zeros + 1):
            law = self.marginal(bit, t)  # q(x_0 | x_t) has the form of q(x_t | x_0)
            said.append(
                torch.logaddexp(log_r[0] + law.log_prob(zeros), log_r[1] + law.log_prob(zeros + 1))
            )
        if_zero, if_one = said
        linear = torch.where(known, if_one - if_zero, 0.0)
        return linear, torch.zeros_like(y), torch.where(known, if_zero, 0.0)

    def _log_means(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.as_tensor(self.mean, dtype=torch.float64, device=like.device)
        return mean.log(), (-mean).log1p()

    def _kept(self, x: Tensor, log_a: Tensor, log_gone: Tensor) -> Bernoulli:
        """A bit x, kept with probability a and else drawn from pi."""
        one, zero = self._log_means(x)
        if_one = torch.logaddexp(log_a, log_gone + one) - (log_gone + zero)
        if_zero = (log_gone + one) - torch.logaddexp(log_a, log_gone + zero)
        return Bernoulli(torch.where(x > 0.5, if_one, if_zero).to(x.dtype))
