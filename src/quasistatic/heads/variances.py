r"""How wide a Gaussian reverse step is, told as what it supposes of x_0: Var[x_0 | x_t].

beta_tilde_t supposes that x_0 is known, beta_t that it is standard normal (DDPM Sec. 3.2). Told of
x_0, a width serves every step from t, long or short: the kernel turns it into the step's own.
The step from 1 to 0, which data with levels have, would be a point if x_0 were known: there
beta_tilde_2 stands for beta_tilde_1 = 0, as in the code that DDPM and IDDPM published.
"""

__all__ = ["Analytic", "FixedLarge", "FixedSmall", "Interpolated", "Sigmoid", "Variance"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.printing import ShortRepr
from ..kernels import GaussianKernel, Kernel


class Variance(ShortRepr, abc.ABC):
    """How wide a Gaussian reverse step is, told as Var[x_0 | x_t]."""

    outputs: int
    """How many numbers for each value of x it takes from the network."""

    jumps: bool = True
    """Whether it is a variance for steps between any two times, or between neighbours only."""

    @abc.abstractmethod
    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Var[x_0 | x_t], broadcasting against x (B, *); `extra` has shape (B, *, outputs)."""


@dataclass(frozen=True)
class FixedSmall(Variance):
    r"""sigma_t^2 = beta_tilde_t: right if x_0 were known (DDPM Sec. 3.2), and beta_tilde_2 at
    t = 1. A chain on levels that ends at a later time has a point mass for its last step, and
    all that it misses is scored at minus infinity."""

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        width = torch.zeros_like(kernel.schedule.log_noise)
        width[1] = _log_least_at_the_end(kernel).exp()
        return kernel.at(width, t, like).to(like.dtype)


@dataclass(frozen=True)
class FixedLarge(Variance):
    r"""sigma_t^2 = beta_t: right if x_0 were standard normal (DDPM Sec. 3.2)."""

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return kernel.at(kernel.schedule.log_noise, t, like).exp().to(like.dtype)


@dataclass(frozen=True)
class Analytic(Variance):
    r"""What is best for each coordinate if all examples have the same: Var[x_0 | x_t] = the mean
    over data of (x_0 - x_0_hat)^2, measured (BLZZ22 Thm. 1, there one number for a whole image).
    :func:`quasistatic.sampling.timesteps.analytic_variance` measures it. Between measured times it
    is interpolated.

    Args:
        times: at which it was measured, rising.
        table: a variance for each value of an example at each of them, nested as the data are.
    """

    times: tuple
    table: tuple

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        times = torch.tensor(self.times, device=like.device)
        table = torch.tensor(self.table, dtype=like.dtype, device=like.device)
        after = torch.bucketize(t, times).clamp(1, len(times) - 1)
        low, high = times[after - 1], times[after]
        share = ((t - low) / (high - low)).clamp(0, 1).to(like.dtype)
        share = share.reshape(-1, *[1] * (like.ndim - 1))
        return torch.lerp(table[after - 1], table[after], share)


@dataclass(frozen=True)
class Interpolated(Variance):
    r"""sigma_t^2 = exp(v log beta_t + (1 - v) log beta_tilde_t), v = sigmoid(z) and z learned
    (IDDPM Eq. 15); beta_tilde_2 at t = 1.

    IDDPM leaves v free. Within (0, 1) the width is one that x_0 could have, and so it serves longer
    steps too: they follow from what v says of x_0, as IDDPM's do not, which interpolates anew
    between beta and beta_tilde of the longer step. At v = 0 and at v = 1 the two are the same.
    """

    outputs = 1

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        v = extra[..., 0].sigmoid()
        known, normal = (each(kernel, extra, t, like) for each in (FixedSmall(), FixedLarge()))
        # log beta_t / beta_tilde_t, where beta_t / beta_tilde_t = noise_t^2 / noise_{t-1}^2. The
        # step's width is affine in Var[x_0 | x_t]: what is a share of one is a share of the other.
        table = kernel.schedule
        ratio = torch.nn.functional.pad(table.log_noise.diff(), (1, 0))
        ratio[1] = table.log_noise[1] - _log_least_at_the_end(kernel)
        ratio = kernel.at(ratio.clamp(min=1e-30), t, like).to(like.dtype)  # 0 / 0 if they agree
        return known + (normal - known) * torch.expm1(v * ratio) / torch.expm1(ratio)


@dataclass(frozen=True)
class Sigmoid(Variance):
    r"""sigma_t^2 = sigmoid(z + logit beta_t), z learned: a perturbation about the forward step
    that stays within (0, 1) (SD15 Eq. 64). Below beta_tilde_t it is no variance that x_0 could
    have, and says nothing of longer steps."""

    outputs = 1
    jumps = False

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        assert isinstance(kernel, GaussianKernel)  # bound heads have checked it
        beta = kernel.at(torch.nn.functional.pad(kernel.schedule.beta, (1, 0)), t, like)
        step = (extra[..., 0] + beta.logit().to(like.dtype)).sigmoid()
        least, weight = kernel.variance_terms(t - 1, t, like)
        return (step - least) / weight


def _log_least_at_the_end(kernel: Kernel) -> Tensor:
    """log beta_tilde_2, in float64: the width that the last step borrows from the one before."""
    table = kernel.schedule
    return table.beta[1].log() + table.log_noise[1] - table.log_noise[2]
