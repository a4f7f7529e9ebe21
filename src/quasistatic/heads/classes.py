"""The head for categories: what x_t says of each class is known, and is multiplied in."""

__all__ = ["Classes", "prior_times_evidence"]

import math
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from ..distributions import Categorical, Groups
from ..kernels import Kernel
from ..spaces import OneHot, Space
from .head import BeliefHead


@dataclass(frozen=True)
class Classes(BeliefHead):
    """The network gives the logits of a prior over the classes of each column, one number for each
    one-hot value, and q(x_t | x_0 = class), which is known, multiplies it. The step that follows
    is the exact mixture over classes."""

    groups: Groups | None = field(default=None, repr=False, compare=False)
    excluded: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def alike(self) -> bool:
        return False

    @property
    def outputs(self) -> int:
        return 1

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(space, OneHot):
            raise TypeError(
                f"Classes needs a space of categories (OneHot), got {type(space).__name__}: use "
                "Levels for data with levels, and Clean, Noise or Velocity for others"
            )
        return replace(self, groups=space.groups, excluded=space.excluded)

    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Categorical:
        assert self.groups is not None  # bound heads know them
        assert self.excluded is not None
        return prior_times_evidence(kernel, output[..., 0], x_t, t, self.groups, self.excluded)


def prior_times_evidence(
    kernel: Kernel, logits: Tensor, x_t: Tensor, t: Tensor, groups: Groups, excluded: Tensor
) -> Categorical:
    """The law of each class of x_0 (B, W) by the logits of a prior and by q(x_t | x_0 = class);
    `excluded` marks classes that data never have, with shape (W,)."""
    logits = torch.where(excluded.to(logits.device), -math.inf, logits.to(x_t.dtype))
    # Bayes' rule: the likelihood of x_t is a tilt.
    prior = Categorical(logits, groups)
    return prior.tilt(*kernel.evidence(x_t, torch.zeros_like(t), t))
