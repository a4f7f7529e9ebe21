"""The head for class variables: a prior over classes, times the known likelihood of x_t."""

__all__ = ["ClassHead", "Classes"]

import abc
import math
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from .._utils.constants import on_device
from ..distributions import Categorical, OneHotGroups
from ..kernels import Kernel
from ..spaces import OneHot, Space
from .head import DenoisingHead


@dataclass(frozen=True)
class ClassHead(DenoisingHead, abc.ABC):
    """A head of class variables: a prior over the classes, times q(x_t | x_0 = class), which is
    known.

    Args:
        groups: set by :meth:`bind`: which values form one class variable.
        excluded: set by :meth:`bind`: True for a class that no data have, shape (W,).
    """

    groups: OneHotGroups | None = field(default=None, repr=False, compare=False)
    excluded: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def homogeneous(self) -> bool:
        return False

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(space, OneHot):
            raise TypeError(
                f"{type(self).__name__} needs a space of classes (OneHot), got "
                f"{type(space).__name__}: use Levels for data with levels, and Clean, Noise or "
                "Velocity for others"
            )
        return replace(self, groups=space.groups, excluded=space.excluded)

    @abc.abstractmethod
    def logits(self, output: Tensor) -> Tensor:
        """The logits of the prior, (B, W), from the network's output (B, W, outputs)."""

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Categorical:
        assert self.groups is not None  # set by `bind`
        assert self.excluded is not None
        logits = self.logits(output).to(x_t.dtype)
        prior = Categorical(
            torch.where(on_device(self.excluded, logits), -math.inf, logits), self.groups
        )
        # Bayes' rule: the likelihood of x_t is a tilt.
        return prior.tilt(*kernel.likelihood_tilt(x_t, torch.zeros_like(t), t))


@dataclass(frozen=True)
class Classes(ClassHead):
    """The network returns logits of a prior over the classes, one number for each one-hot value.
    They are multiplied by q(x_t | x_0 = class), which is known. The reverse step that follows is
    the exact mixture over classes.

    Args:
        groups: set by :meth:`bind`: which values form one class variable.
        excluded: set by :meth:`bind`: True for a class that no data have, shape (W,).
    """

    @property
    def outputs(self) -> int:
        return 1

    def logits(self, output: Tensor) -> Tensor:
        return output[..., 0]
