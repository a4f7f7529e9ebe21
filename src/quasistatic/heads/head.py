"""The interface of every head, and what a head may need of a space and a kernel."""

__all__ = ["DenoisingHead", "Head", "Regression", "WithVariance", "checked", "require_signal_noise"]

import abc
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from .._utils.printing import ShortRepr
from .._utils.validation import instance_of
from ..distributions import Family
from ..kernels import Kernel, SignalNoise
from ..spaces import Space
from .variances import FixedSmall, Variance


class Head(ShortRepr, abc.ABC):
    """The meaning of a network's output of shape (B, *, outputs). Base class.

    In every method x_t and x_0 have shape (B, *), times have shape (B,), and `output` is what the
    network returned for x_t and t.

    To write a head, make a frozen dataclass. A head that states a law of x_0 derives from
    :class:`DenoisingHead` and defines `outputs`, `bind` and `denoise`. Another derives from `Head`
    and defines all abstract members. What must hold: `divergence` is the KL from q(x_s | x_t, x_0)
    to the head's own `reverse`. `docs/extending.md` has a complete example.
    """

    jumps: bool = True
    """Whether the reverse step is defined between any two times; if not, from t to t - 1 only."""

    @property
    def homogeneous(self) -> bool:
        """Whether an output means the same at each value of an example, so that a random subset of
        the values represents all."""
        return True

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """How many numbers the network must return for each value of x."""

    @abc.abstractmethod
    def bind(self, space: Space, kernel: Kernel) -> Self:
        """This head for a space and a kernel; called once, when a model is built.

        Returns:
            The head itself or a copy that knows what it needs of them.

        Raises:
            TypeError: if the head cannot serve them; the message names heads that can.
        """

    @abc.abstractmethod
    def estimate(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The model's E[x_0 | x_t], shape (B, *)."""

    @abc.abstractmethod
    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        """The reverse step p(x_s | x_t).

        Args:
            kernel: of the model.
            output: of the network, shape (B, *, outputs).
            x_t: shape (B, *).
            s: shape (B,), 1 <= s < t.
            t: shape (B,).
        """

    @abc.abstractmethod
    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """The law p(x_0 | x_t) of the last step of a chain whose x_0 is discrete."""

    @abc.abstractmethod
    def divergence(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        """KL(q(x_s | x_t, x_0) || p(x_s | x_t)): a term of the bound.

        Returns:
            Shape (B, *), in nats.
        """


class Regression(abc.ABC):
    """A head whose output has a target, so that the objective :class:`Simple` can train it."""

    @abc.abstractmethod
    def error(self, kernel: Any, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """The squared or other error of the output, which training with :class:`Simple` minimises.

        Returns:
            Shape (B, *).
        """


class DenoisingHead(Head):
    """A head that states a law of x_0 given x_t. From it the kernel makes a step to any earlier
    time. Base class."""

    denoised_has_levels: bool = False
    """Whether the law of x_0 is one on its levels at every t, so that it is also the last step."""

    @abc.abstractmethod
    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        """The model's law of each value of x_0 given x_t.

        Args:
            kernel: of the model.
            output: of the network, shape (B, *, outputs).
            x_t: shape (B, *).
            t: shape (B,).

        Returns:
            A batch (B, *).
        """

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
        """:meth:`divergence` of a law of x_0 that was computed before; one law serves every s.

        Args:
            kernel: of the model.
            denoised: what :meth:`denoise` returned.
            x_t: shape (B, *).
            x_0: shape (B, *).
            s: shape (B,).
            t: shape (B,).

        Returns:
            Shape (B, *), in nats.
        """
        return kernel.divergence(x_t, x_0, denoised, s, t)


@dataclass(frozen=True)
class WithVariance(Head):
    """A head whose first output is about the mean, and whose other outputs belong to its variance.
    Base class.

    Args:
        variance: the variance of the reverse step.
    """

    variance: Variance = FixedSmall()

    def __post_init__(self) -> None:
        instance_of("variance", self.variance, Variance, "FixedSmall()")

    @property
    def outputs(self) -> int:
        return 1 + self.variance.outputs

    def variance_only(self, output: Tensor) -> Tensor:
        """The output with a gradient to the variance and none to the mean (IDDPM Sec. 3.1).

        Args:
            output: shape (B, *, outputs).
        """
        return torch.cat([output[..., :1].detach(), output[..., 1:]], -1)


W = TypeVar("W", bound=WithVariance)


def require_signal_noise(name: str, kernel: Kernel) -> None:
    """TypeError unless the kernel has signal and noise scales."""
    if not isinstance(kernel, SignalNoise):
        raise TypeError(
            f"{name} needs a kernel with signal and noise scales (GaussianKernel), got "
            f"{type(kernel).__name__}: use Clean, Levels, Mean or Natural"
        )


def checked(head: W, kernel: Kernel) -> W:
    """The head itself; TypeError if its variance does not fit the kernel."""
    if head.variance.outputs:
        require_signal_noise(f"{type(head).__name__}({type(head.variance).__name__}())", kernel)
    return head
