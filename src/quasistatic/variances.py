r"""How wide a Gaussian reverse step is, told as what it supposes of x_0: Var[x_0 | x_t].

beta_tilde_t supposes that x_0 is known, beta_t that it is standard normal (DDPM Sec. 3.2).
"""

__all__ = ["FixedLarge", "FixedSmall", "Sigmoid", "Variance"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from .kernels import GaussianKernel, Kernel


class Variance(abc.ABC):
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
    r"""sigma_t^2 = beta_tilde_t: right if x_0 were known (DDPM Sec. 3.2)."""

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return torch.zeros((), dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class FixedLarge(Variance):
    r"""sigma_t^2 = beta_t: right if x_0 were standard normal (DDPM Sec. 3.2)."""

    outputs = 0

    def __call__(self, kernel: Kernel, extra: Tensor, t: Tensor, like: Tensor) -> Tensor:
        return kernel.at(kernel.schedule.log_noise, t, like).exp().to(like.dtype)


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
        least, weight = kernel.spread(t - 1, t, like)
        return (step - least) / weight
