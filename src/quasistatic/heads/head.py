"""What every head is, what it may be besides, and what it needs of a space and a kernel."""

__all__ = ["DenoisingHead", "Head", "Regression", "WithVariance", "checked", "require_signal_noise"]

import abc
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from .._utils.printing import ShortRepr
from ..distributions import Family
from ..kernels import Kernel, SignalNoise
from ..spaces import Space
from .variances import FixedSmall, Variance


class Head(ShortRepr, abc.ABC):
    """Reads a network's output of shape (B, *, outputs). x has shape (B, *), t shape (B,)."""

    jumps: bool = True
    """Whether the reverse step is defined between any two times, or between neighbours only."""

    @property
    def homogeneous(self) -> bool:
        """Whether an output means the same at each value of an example."""
        return True

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """How many numbers for each value of x the network must give."""

    @abc.abstractmethod
    def bind(self, space: Space, kernel: Kernel) -> Self:
        """This head for that space and kernel; TypeError if it cannot serve them."""

    @abc.abstractmethod
    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """E[x_0 | x_t] by the model, with shape (B, *)."""

    @abc.abstractmethod
    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        """p(x_s | x_t)."""

    @abc.abstractmethod
    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """p(x_0 | x_t), the step that ends a chain where x_0 is discrete."""

    @abc.abstractmethod
    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        """KL(q(x_s | x_t, x_0) || p(x_s | x_t)), with shape (B, *), in nats."""


class Regression(abc.ABC):
    """The capability of a head whose output has a target, for :class:`Simple` to compare."""

    @abc.abstractmethod
    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """How far the output is from what would be right, with shape (B, *)."""


class DenoisingHead(Head):
    """A head that states a law of x_0 given x_t, and so can step to any earlier time."""

    denoised_has_levels: bool = False
    """Whether the belief is a law on the levels of x_0 at every t, so that it also serves as the
    last step."""

    @abc.abstractmethod
    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """The law of each coordinate of x_0 given x_t, as the model has it."""

    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.denoise(kernel, output, x_t, t).mean

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        return kernel.bridge(x_t, self.denoise(kernel, output, x_t, t), s, t)

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.denoise(kernel, output, x_t, t)

    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        return self.divergence_of(kernel, self.denoise(kernel, output, x_t, t), x_t, x_0, s, t)

    def divergence_of(
        self, kernel: Kernel, denoised: Family, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        """:meth:`divergence` by a belief that is at hand, which serves every s."""
        return kernel.divergence(x_t, x_0, denoised, s, t)


@dataclass(frozen=True)
class WithVariance(Head):
    """A head with one output for the mean, the first, and those that its variance takes."""

    variance: Variance = FixedSmall()

    @property
    def outputs(self) -> int:
        return 1 + self.variance.outputs

    def variance_only(self, output: Tensor) -> Tensor:
        """The same output (B, *, outputs), with a gradient to the variance and none to the mean
        (IDDPM Sec. 3.1)."""
        return torch.cat([output[..., :1].detach(), output[..., 1:]], -1)


W = TypeVar("W", bound=WithVariance)


def require_signal_noise(name: str, kernel: Kernel) -> None:
    if not isinstance(kernel, SignalNoise):
        raise TypeError(
            f"{name} needs a kernel with signal and noise scales (GaussianKernel), got "
            f"{type(kernel).__name__}: use Clean, Levels, Mean or Natural"
        )


def checked(head: W, kernel: Kernel) -> W:
    """The head, whose variance the kernel can have; TypeError if it cannot."""
    if head.variance.outputs:
        require_signal_noise(f"{type(head).__name__}({type(head.variance).__name__}())", kernel)
    return head
