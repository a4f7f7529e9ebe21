"""The binomial kernel: a bit that is drawn afresh now and then."""

__all__ = ["BinomialKernel"]

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .._utils.constants import constant
from ..distributions import Bernoulli, Family, Gaussian, OnLattice
from .kernel import Kernel


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
        logit = constant(self.mean, like, torch.float64).logit()
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

    def kept(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor, eta: float) -> Bernoulli:
        # x_s is x_t with the probability that keeps the marginals, (1 - alpha_s) / (1 - alpha_t),
        # and else x_0: no more of x_t may be kept. A share eta of draws is by the bridge.
        bridge, table = self.bridge(x_t, belief, s, t), self.schedule
        log_keep = self.at(table.log_noise, s, x_t) - self.at(table.log_noise, t, x_t)
        p = log_keep.exp() * x_t.double() - torch.expm1(log_keep) * belief.mean.double()
        p = (1 - eta) * p + eta * bridge.mean.double()
        return Bernoulli(p.clamp(0, 1).logit().to(x_t.dtype))

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
        mean = constant(self.mean, like, torch.float64)
        return mean.log(), (-mean).log1p()

    def _kept(self, x: Tensor, log_a: Tensor, log_gone: Tensor) -> Bernoulli:
        """A bit x, kept with probability a and else drawn from pi."""
        one, zero = self._log_means(x)
        if_one = torch.logaddexp(log_a, log_gone + one) - (log_gone + zero)
        if_zero = (log_gone + one) - torch.logaddexp(log_a, log_gone + zero)
        return Bernoulli(torch.where(x > 0.5, if_one, if_zero).to(x.dtype))
