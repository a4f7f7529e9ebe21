"""Variances of a Gaussian reverse step, stated as Var[x_0 | x_t].

beta_tilde_t is right if x_0 is known, beta_t if it is standard normal (DDPM Sec. 3.2). A variance
of x_0 serves every step from t, long or short: the kernel turns it into the variance of the step.
The step from 1 to 0, which data with levels have, would be a point mass if x_0 were known: there
beta_tilde_2 is used instead of beta_tilde_1 = 0, as in the code that DDPM and IDDPM published.
"""

__all__ = [
    "Analytic",
    "FixedLarge",
    "FixedSmall",
    "Interpolated",
    "LearnedRange",
    "Sigmoid",
    "Variance",
]

import abc
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.printing import ShortRepr
from .._utils.validation import numbers_of
from ..kernels import GaussianKernel, Kernel


class Variance(ShortRepr, abc.ABC):
    """The variance of a Gaussian reverse step, stated as Var[x_0 | x_t]. Base class."""

    outputs: int
    """How many outputs of the network it needs for each value of x."""

    jumps: bool = True
    """Whether it serves steps between any two times; if not, from t to t - 1 only."""

    @abc.abstractmethod
    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Var[x_0 | x_t].

        Args:
            kernel: of the model.
            extra: the network's outputs for the variance, shape (B, *, outputs).
            t: shape (B,).
            like: a tensor of shape (B, *); gives the number of axes, the type and the device.

        Returns:
            Broadcasting to (B, *).
        """


@dataclass(frozen=True)
class FixedSmall(Variance):
    """sigma_t^2 = beta_tilde_t, which is right if x_0 is known (DDPM Sec. 3.2); beta_tilde_2 at t =
    1.

    For data with levels, a chain whose first time is later than 1 has a point mass as its last
    step, and any error is scored as minus infinity.
    """

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        last = t.reshape(-1, *[1] * (like.ndim - 1)) == 1
        return torch.where(last, _log_last_variance(kernel).exp(), 0.0).to(like.dtype)


@dataclass(frozen=True)
class FixedLarge(Variance):
    """sigma_t^2 = beta_t, which is right if x_0 is standard normal (DDPM Sec. 3.2)."""

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return kernel.at(kernel.schedule.log_noise, t, like).exp().to(like.dtype)


@dataclass(frozen=True)
class Analytic(Variance):
    """The best variance that is the same for all examples: Var[x_0 | x_t] = E[(x_0 - x_0_hat)^2],
    measured on data for each value (BLZZ22 Thm. 1, where one number serves a whole image).
    Interpolated between the measured times.
    :func:`quasistatic.sampling.timesteps.analytic_variance` measures it.

    Args:
        times: where it was measured, ascending.
        table: for each of the times one variance for each value of an example, nested as the data
            are.
    """

    times: tuple[Any, ...]
    table: tuple[Any, ...]

    outputs = 0

    def __post_init__(self) -> None:
        times, table = numbers_of("times", self.times), numbers_of("table", self.table)
        rising = times.ndim == 1 and len(times) > 1 and bool((times.diff() > 0).all())
        if not rising or len(table) != len(times) or not (table >= 0).all():
            raise ValueError(
                "an Analytic variance needs two times or more, ascending, and as many rows of "
                f"variances, got {len(times)} times and a table of shape {tuple(table.shape)}"
            )

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        times = constant(self.times, like, torch.long)
        table = constant(self.table, like)
        after = torch.bucketize(t, times).clamp(1, len(times) - 1)
        low, high = times[after - 1], times[after]
        share = ((t - low) / (high - low)).clamp(0, 1).to(like.dtype)
        share = share.reshape(-1, *[1] * (like.ndim - 1))
        return torch.lerp(table[after - 1], table[after], share)


@dataclass(frozen=True)
class Interpolated(Variance):
    """sigma_t^2 = exp(v log beta_t + (1 - v) log beta_tilde_t) with v = sigmoid(z) and z from the
    network (IDDPM Eq. 15); beta_tilde_2 at t = 1.

    IDDPM does not bound v. Within (0, 1) the variance is one that x_0 can have, so that it serves
    longer steps too. For those IDDPM interpolates again between beta and beta_tilde of the longer
    step, and here they follow from Var[x_0 | x_t]; at v = 0 and v = 1 the two agree.
    """

    outputs = 1

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return _interpolated(extra[..., 0].sigmoid(), kernel, extra, t, like)


@dataclass(frozen=True)
class LearnedRange(Variance):
    """sigma_t^2 as that of :class:`Interpolated`, with v = (z + 1) / 2 and z from the network, as
    in the code that IDDPM published and in diffusers (`variance_type="learned_range"`).

    v is limited to [0, 1], which that code does not do. IDDPM Sec. 3.1 did not see a network that
    leaves the range, and beyond it the variance of longer steps would not be one that x_0 can have.
    """

    outputs = 1

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        v = ((extra[..., 0] + 1) / 2).clamp(0, 1)
        return _interpolated(v, kernel, extra, t, like)


@dataclass(frozen=True)
class Sigmoid(Variance):
    """sigma_t^2 = sigmoid(z + logit beta_t) with z from the network: a perturbation of the forward
    step's variance that stays within (0, 1) (SD15 Eq. 64). Below beta_tilde_t it is no variance
    that x_0 can have, so it is defined for steps from t to t - 1 only."""

    outputs = 1
    jumps = False

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        assert isinstance(kernel, GaussianKernel)  # bound heads have checked it
        beta = -torch.expm1(kernel.log_share(t - 1, t, like))
        step = (extra[..., 0] + beta.logit().to(like.dtype)).sigmoid()
        least, weight = kernel.variance_terms(t - 1, t, like)
        return (step - least) / weight


def _log_last_variance(kernel: Kernel) -> Tensor:
    """log beta_tilde_2, float64: the variance that the last step takes from the one before it."""
    table = kernel.schedule
    return table.beta[1].log() + table.log_noise[1] - table.log_noise[2]


def _interpolated(v: Tensor, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Var[x_0 | x_t] of the step's variance exp(v log beta_t + (1 - v) log beta_tilde_t)."""
    known, normal = (each(kernel, extra, t, like) for each in (FixedSmall(), FixedLarge()))
    # log beta_t / beta_tilde_t, where beta_t / beta_tilde_t = noise_t^2 / noise_{t-1}^2. The
    # step's variance is affine in Var[x_0 | x_t], so that the same v interpolates both.
    table = kernel.schedule
    before = kernel.at(table.log_noise, (t - 1).clamp(min=1), like)
    last = t.reshape(-1, *[1] * (like.ndim - 1)) == 1
    before = torch.where(last, _log_last_variance(kernel), before)
    ratio = kernel.at(table.log_noise, t, like) - before
    ratio = ratio.clamp(min=1e-30).to(like.dtype)  # 0 / 0 if they agree
    return known + (normal - known) * torch.expm1(v * ratio) / torch.expm1(ratio)
