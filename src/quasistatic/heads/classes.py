"""The head for class variables: a prior over classes, times the known likelihood of x_t."""

__all__ = ["Classes", "prior_times_evidence"]

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
class Classes(DenoisingHead):
    """The network returns logits of a prior over the classes, one number for each one-hot value.
    They are multiplied by q(x_t | x_0 = class), which is known. The reverse step that follows is
    the exact mixture over classes.

    Args:
        groups: set by :meth:`bind`: which values form one class variable.
        excluded: set by :meth:`bind`: True for a class that no data have, shape (W,).
    """

    groups: OneHotGroups | None = field(default=None, repr=False, compare=False)
    excluded: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def homogeneous(self) -> bool:
        return False

    @property
    def outputs(self) -> int:
        return 1

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(space, OneHot):
            raise TypeError(
                f"Classes needs a space of classes (OneHot), got {type(space).__name__}: use "
                "Levels for data with levels, and Clean, Noise or Velocity for others"
            )
        return replace(self, groups=space.groups, excluded=space.excluded)

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Categorical:
        assert self.groups is not None  # set by `bind`
        assert self.excluded is not None
        return prior_times_evidence(kernel, output[..., 0], x_t, t, self.groups, self.excluded)


def prior_times_evidence(
    kernel: Kernel, logits: Tensor, x_t: Tensor, t: Tensor, groups: OneHotGroups, excluded: Tensor
) -> Categorical:
    """The law of each class of x_0 (B, W) by the logits of a prior and by q(x_t | x_0 = class);
    `excluded` marks classes that data never have, with shape (W,)."""
    logits = torch.where(on_device(excluded, logits), -math.inf, logits.to(x_t.dtype))
    # Bayes' rule: the likelihood of x_t is a tilt.
    prior = Categorical(logits, groups)
    return prior.tilt(*kernel.likelihood_tilt(x_t, torch.zeros_like(t), t))
