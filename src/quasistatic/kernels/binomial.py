"""The binomial kernel: a bit that is kept or redrawn."""

__all__ = ["BinomialKernel"]

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils.constants import constant
from .._utils.validation import numbers_of
from ..distributions import Bernoulli, Family, Gaussian, OnLattice
from .indicator import IndicatorKernel


@dataclass(frozen=True)
class BinomialKernel(IndicatorKernel):
    """A bit that is kept with probability a and otherwise redrawn: q(x_t = 1 | x_s) = a x_s + (1 -
    a) mean (SD15 Tab. App.1, D.1.2).

    Args:
        schedule: alpha_bar_t for t = 0, ..., T.
        mean: the probability of a 1 in a redrawn bit; one number, or one for each value, nested as
            the data are. Default 0.5.

    Raises:
        TypeError: if the schedule is learned.
        ValueError: if a mean is not strictly between 0 and 1.
    """

    mean: float | tuple[Any, ...] = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule.learns:
            raise TypeError(
                "the schedule of bits cannot be learned by gradient, as x_t is not differentiable "
                "in it (SD15 Sec. 2.4.1): use erase_evenly or information_uniform"
            )
        values = numbers_of("mean", self.mean)
        if not ((values > 0) & (values < 1)).all():
            raise ValueError(
                f"the mean activity must lie strictly between 0 and 1, got {self.mean}: leave "
                "out bits that are always the same"
            )

    @property
    def binary(self) -> bool:
        return True

    @property
    def homogeneous(self) -> bool:
        return not isinstance(self.mean, tuple)

    def prior(self, like: Tensor) -> Bernoulli:
        logit = constant(self.mean, like, torch.float64).logit()
        return Bernoulli(logit.to(like).expand_as(like))

    def marginal(self, x_0: Tensor, t: Tensor) -> Bernoulli:
        table = self.schedule
        log_a, log_redrawn = self.at(table.log_alpha_bar, t, x_0), self.at(table.log_noise, t, x_0)
        return self._kept(x_0, log_a, log_redrawn)

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Bernoulli:
        log_a = self.log_share(s, t, x_s)
        return self._kept(x_s, log_a, (-torch.expm1(log_a)).log())

    def likelihood_tilt(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.log_share(s, t, x_t)
        log_redrawn = (-torch.expm1(log_a)).log()
        one, zero = self._log_means(x_t)
        if_one = torch.logaddexp(log_a, log_redrawn + one) - (log_redrawn + one)
        if_zero = (log_redrawn + zero) - torch.logaddexp(log_a, log_redrawn + zero)
        return torch.where(x_t > 0.5, if_one, if_zero).to(x_t.dtype), torch.zeros_like(x_t)

    def bridge(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor) -> Bernoulli:
        # The exact mixture over x_0, and not Bayes' rule with a probability in place of x_0. In
        # logarithms, so that probabilities near 0 and 1 keep their digits.
        ones, zeros = torch.ones_like(x_t), torch.zeros_like(x_t)
        log_one, log_zero = denoised.log_prob(ones), denoised.log_prob(zeros)
        linear, precision = self.likelihood_tilt(x_t, s, t)
        if_one = self.marginal(ones, s).tilt(linear, precision).logit
        if_zero = self.marginal(zeros, s).tilt(linear, precision).logit
        up = torch.logaddexp(log_one + F.logsigmoid(if_one), log_zero + F.logsigmoid(if_zero))
        down = torch.logaddexp(log_one + F.logsigmoid(-if_one), log_zero + F.logsigmoid(-if_zero))
        return Bernoulli(up - down)

    def kept(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Bernoulli:
        p = self._kept_mean(x_t, denoised, s, t, eta)
        return Bernoulli(p.clamp(0, 1).logit().to(x_t.dtype))

    def mixture(self, x_t: Tensor, denoised: OnLattice, s: Tensor, t: Tensor) -> Bernoulli:
        return self.bridge(x_t, denoised, s, t)

    def mixture_divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: OnLattice, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.divergence(x_t, x_0, denoised, s, t)

    def from_moments(self, mean: Tensor, variance: Tensor) -> Bernoulli:
        return Bernoulli(mean.logit())

    def propagate_likelihood(
        self, y: Tensor, variance: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        # log r(0) and log r(1) of r(x) = N(y; x, variance); then log E[r(x_0) | x_t] for x_t = 0
        # and for x_t = 1.
        known = variance.isfinite()
        safe = torch.where(known & (variance > 0), variance, 1.0)
        y = torch.where(known, y, 0.0)
        log_r = [Gaussian(torch.full_like(y, bit), safe).log_prob(y) for bit in (0.0, 1.0)]
        exact = known & (variance == 0)
        log_r = [
            torch.where(exact, torch.where(y == bit, 0.0, -torch.inf), r)
            for bit, r in zip((0.0, 1.0), log_r, strict=True)
        ]
        zeros = torch.zeros_like(y)
        expected = []
        for bit in (zeros, zeros + 1):
            law = self.marginal(bit, t)  # q(x_0 | x_t) has the form of q(x_t | x_0)
            expected.append(
                torch.logaddexp(log_r[0] + law.log_prob(zeros), log_r[1] + law.log_prob(zeros + 1))
            )
        if_zero, if_one = expected
        linear = torch.where(known, if_one - if_zero, 0.0)
        return linear, torch.zeros_like(y), torch.where(known, if_zero, 0.0)

    def _log_means(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean = constant(self.mean, like, torch.float64)
        return mean.log(), (-mean).log1p()

    def _kept(self, x: Tensor, log_a: Tensor, log_redrawn: Tensor) -> Bernoulli:
        """The law of a bit x that is kept with probability a and otherwise redrawn."""
        one, zero = self._log_means(x)
        if_one = torch.logaddexp(log_a, log_redrawn + one) - (log_redrawn + zero)
        if_zero = (log_redrawn + one) - torch.logaddexp(log_a, log_redrawn + zero)
        return Bernoulli(torch.where(x > 0.5, if_one, if_zero).to(x.dtype))
