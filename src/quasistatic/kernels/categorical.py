"""The categorical kernel: a class that is kept or redrawn."""

__all__ = ["CategoricalKernel"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.validation import number_within, numbers_of, whole_numbers
from ..distributions import Categorical, Family, Gaussian, OneHotGroups, OneHotSupport
from .indicator import IndicatorKernel
from .schedules import Schedule


@dataclass(frozen=True)
class CategoricalKernel(IndicatorKernel):
    """A class that is kept with probability a and otherwise redrawn: q(x_t = k | x_s) = a x_s + (1
    - a) pi_k. For two classes it is the binomial kernel of SD15 Tab. App.1.

    x (B, W) holds the one-hot values of G class variables side by side.

    Args:
        schedule: alpha_bar_t for t = 0, ..., T.
        sizes: the number of classes of each variable, G numbers that add up to W.
        stationary: the probabilities pi of a redrawn class, one row of W numbers; None for equal
            probabilities. :meth:`absorbing` puts almost all on one class.

    Raises:
        TypeError: if the schedule is learned.
        ValueError: if the probabilities do not fit, or one is 0 while the schedule leaves some
            signal at T.
    """

    sizes: tuple[int, ...]
    stationary: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule.learns:
            raise TypeError(
                "the schedule of classes cannot be learned by gradient, as x_t is not a "
                "differentiable function of it: use erase_evenly"
            )
        object.__setattr__(self, "sizes", whole_numbers("sizes", self.sizes, 0))
        _ = self.groups  # raises its errors now
        if self.stationary is None:
            return
        pi = numbers_of("stationary", self.stationary)
        if pi.shape != (self.groups.width,) or not (pi >= 0).all():
            raise ValueError(
                f"stationary takes {self.groups.width} probabilities, one for each class of "
                f"{self.sizes}, got shape {tuple(pi.shape)}, the smallest {pi.min():g}"
            )
        if not torch.allclose(self.groups.sum(pi), torch.ones((), dtype=torch.float64), atol=1e-6):
            raise ValueError(
                "the stationary probabilities of each column must sum to 1, got "
                f"{self.groups.sum(pi).tolist()}"
            )
        if not (pi > 0).all() and self.schedule.alpha_bar[-1] > 0:
            raise ValueError(
                f"schedule {self.schedule.kind!r} keeps {self.schedule.alpha_bar[-1]:.2g} of the "
                "data at T, where a class of stationary probability 0 would then still be: use "
                "erase_evenly, or give each class some"
            )

    @classmethod
    def absorbing(cls, schedule: Schedule, sizes: Sequence[int], leak: float = 0.0) -> Self:
        """The kernel whose variables end in their last class, MASK.

        The data have the other classes only: `sizes` count MASK, as `OneHot(counts, masked=True)`
        does.

        Args:
            schedule: alpha_bar_t for t = 0, ..., T.
            sizes: the number of classes of each variable, MASK included.
            leak: the share of redrawn classes that are not MASK. Default 0.
        """
        number_within("leak", leak, 0, 1, "[)")
        columns = [[leak / (size - 1)] * (size - 1) + [1 - leak] for size in sizes]
        return cls(schedule, tuple(sizes), tuple(p for column in columns for p in column))

    @property
    def groups(self) -> OneHotGroups:
        """Which values form one class variable."""
        return OneHotGroups(self.sizes)

    @property
    def _probabilities(self) -> tuple[float, ...]:
        """pi of each class, W numbers."""
        if self.stationary is not None:
            return self.stationary
        return tuple(1 / size for size in self.sizes for _ in range(size))

    @property
    def binary(self) -> bool:
        return False  # one-hot values are 0 or 1, but not independently of each other

    @property
    def support(self) -> OneHotSupport:
        return OneHotSupport(self.groups)

    @property
    def homogeneous(self) -> bool:
        return False

    def accepts(self, levels: Tensor | None) -> bool:
        return False  # one-hot values depend on each other: `OneHot.require` checks the kernel

    def valid_state(self, like: Tensor) -> Tensor:
        first = torch.zeros_like(like)
        first[..., self.groups.first(like)] = 1.0
        return first

    def prior(self, like: Tensor) -> Categorical:
        return self._law(self._pi(like).expand(like.shape), like)

    def marginal(self, x_0: Tensor, t: Tensor) -> Categorical:
        table = self.schedule
        log_a, log_redrawn = self.at(table.log_alpha_bar, t, x_0), self.at(table.log_noise, t, x_0)
        return self._kept(x_0, log_a, log_redrawn)

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Categorical:
        return self._kept(x_s, *self._shares(s, t, x_s))

    def mean_step_entropy(self, mean: Tensor, s: Tensor, t: Tensor) -> Tensor:
        # Class k of x_s adds f(a + r_k) in the place of f(r_k), where r = (1 - a) pi is the law of
        # a redrawn class and f(p) = -p log p.
        log_a, log_redrawn = self._shares(s, t, mean)
        redrawn = (log_redrawn + self._pi(mean)).exp()
        other, kept = (torch.special.entr(p) for p in (redrawn, log_a.exp() + redrawn))
        entropy: Tensor = other + (kept - other) * mean
        return entropy.to(mean.dtype)

    def likelihood_tilt(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        # log q(x_t | x_s = k) for each class k: the class of x_t was kept or redrawn, others
        # redrawn.
        log_a, log_redrawn = self._shares(s, t, x_t)
        drawn = log_redrawn + self._log_pi_of(x_t)
        linear = torch.where(x_t > 0.5, torch.logaddexp(log_a, drawn), drawn)
        return linear.to(x_t.dtype), torch.zeros_like(x_t)

    def bridge(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor) -> Categorical:
        # sum_j b_j q(i | j) q(x_t | i) / q(x_t | j), where q(i | j) = a [i = j] + (1 - a) pi_i: one
        # sum over j instead of a table of K^2. For a class of probability b_j = 0 the likelihood
        # q(x_t | j) may be 0 too.
        table, groups = self.schedule, self.groups
        log_a, log_redrawn = self.at(table.log_alpha_bar, s, x_t), self.at(table.log_noise, s, x_t)
        likelihood, _ = self.likelihood_tilt(x_t.double(), torch.zeros_like(t), t)
        log_b = denoised.log_prob(torch.ones_like(x_t)).double()
        never = log_b == -math.inf
        log_w = torch.where(never, 0.0, log_b) - torch.where(never, 0.0, likelihood)
        whole = groups.logsumexp(torch.where(never, -math.inf, log_w))
        fresh = log_redrawn + self._pi(x_t) + groups.expand(whole)
        mixed = torch.where(never, fresh, torch.logaddexp(log_a + log_w, fresh))
        logits = mixed + self.likelihood_tilt(x_t.double(), s, t)[0]
        return self._law(logits, x_t)

    def kept(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Categorical:
        p = self._kept_mean(x_t, denoised, s, t, eta)
        return self._law(p.clamp(min=0).log(), x_t)

    def from_moments(self, mean: Tensor, variance: Tensor) -> Categorical:
        return Categorical(mean.log(), self.groups)

    def propagate_likelihood(
        self, y: Tensor, variance: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        # log r(k) for each class k; then the mean of r over q(x_0 | x_t = k), which has the form of
        # q(x_t | x_0). An unknown value multiplies all classes by 1.
        groups, table = self.groups, self.schedule
        known = variance.isfinite()
        safe = torch.where(known & (variance > 0), variance, 1.0)
        exact = known & (variance == 0)
        log_r = []
        for bit in (0.0, 1.0):
            each = Gaussian(torch.full_like(y, bit), safe).log_prob(torch.where(known, y, 0.0))
            each = torch.where(exact, torch.where(y == bit, 0.0, -1e30), each)
            log_r.append(torch.where(known, each, 0.0))
        zero, one = log_r
        of_class = (one - zero + groups.expand(groups.sum(zero))).double()
        log_a, log_redrawn = self.at(table.log_alpha_bar, t, y), self.at(table.log_noise, t, y)
        redrawn = groups.expand(groups.logsumexp(of_class + self._pi(y)))
        linear = torch.logaddexp(log_a + of_class, log_redrawn + redrawn)
        return linear.to(y.dtype), torch.zeros_like(y), torch.zeros_like(y)

    def _shares(self, s: Tensor, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """log a and log (1 - a), float64, shape (B, 1)."""
        log_a = self.log_share(s, t, like)
        return log_a, (-torch.expm1(log_a)).log()

    def _pi(self, like: Tensor) -> Tensor:
        """log pi of each class, float64, shape (W,)."""
        return constant(self._probabilities, like, torch.float64).log()

    def _log_pi_of(self, x: Tensor) -> Tensor:
        """log pi of the class that each group of x (B, W) has, shape (B, W)."""
        chosen = torch.where(x > 0.5, self._pi(x), -math.inf)
        return self.groups.expand(self.groups.amax(chosen))

    def _kept(self, x: Tensor, log_a: Tensor, log_redrawn: Tensor) -> Categorical:
        """The law of classes x that are kept with probability a and otherwise redrawn."""
        drawn = log_redrawn + self._pi(x)
        return self._law(torch.where(x > 0.5, torch.logaddexp(log_a, drawn), drawn), x)

    def _law(self, logits: Tensor, like: Tensor) -> Categorical:
        return Categorical(logits.to(like.dtype), self.groups)
