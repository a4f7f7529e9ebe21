"""Limits on the estimates of x_0 that a stepper works with."""

__all__ = ["Clip", "DynamicThreshold", "Limits"]

import abc
import warnings
from dataclasses import dataclass

from torch import Tensor

from ...distributions import Family
from ...kernels import Kernel, SignalNoise
from ...model import Model


class Limits(abc.ABC):
    """A map of the estimates of x_0, which keeps them where data can be.

    A limit changes the model: the draws no longer have the law that `score` bounds, nor follow its
    probability flow. It helps where guidance or few steps push the estimates out of range.
    """

    @abc.abstractmethod
    def __call__(self, x_0: Tensor) -> Tensor:
        """Estimates with shape (n, *) within the limits."""

    def law(self, kernel: Kernel, denoised: Family) -> Family:
        """A law of x_0 whose mean is within the limits."""
        return kernel.from_moments(self(denoised.mean), denoised.variance)

    def require(self, model: Model) -> None:
        """Checks that a limit has a meaning for a model, and warns that it changes the draws.

        Raises:
            TypeError: if x_0 is not a real number to the kernel.
        """
        if not isinstance(model.kernel, SignalNoise):
            raise TypeError(
                f"{self} limits real estimates, and {type(model.kernel).__name__} has bits or "
                "classes, whose estimates are probabilities: leave the limits out"
            )
        warnings.warn(
            f"{self} changes the estimates of x_0: the draws do not have the law that score bounds",
            stacklevel=5,
        )


@dataclass(frozen=True)
class Clip(Limits):
    """Estimates are cut at two ends, in units of x_0 (`clip_sample` in other libraries).

    Args:
        low: the lower end.
        high: the upper end.

    Raises:
        ValueError: if low is not below high.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"Clip needs low < high, got {self.low} and {self.high}")

    def __call__(self, x_0: Tensor) -> Tensor:
        return x_0.clamp(self.low, self.high)


@dataclass(frozen=True)
class DynamicThreshold(Limits):
    """Each example is cut at a quantile of its own absolute values and divided by it, if that is
    beyond `high` (Saharia et al. 2022, Sec. 2.3). For data in [-high, high].

    Args:
        share: of the absolute values that lie below the cut.
        high: the largest absolute value of the data, in units of x_0.

    Raises:
        ValueError: if the share is not between 0 and 1, or high is not positive.
    """

    share: float = 0.995
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.high > 0):
            raise ValueError(
                "DynamicThreshold needs a share between 0 and 1 and a positive high, got "
                f"{self.share} and {self.high}"
            )

    def __call__(self, x_0: Tensor) -> Tensor:
        cut = x_0.flatten(1).abs().quantile(self.share, 1).clamp(min=self.high)
        cut = cut.reshape(-1, *[1] * (x_0.ndim - 1))
        return self.high * x_0.clamp(-cut, cut) / cut
