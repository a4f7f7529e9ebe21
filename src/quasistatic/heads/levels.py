"""The head for data with levels: what x_t says of each level is known, and is multiplied in."""

__all__ = ["Levels"]

from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor

from ..families import Lattice
from ..kernels import Kernel
from ..spaces import Space
from .head import BeliefHead, checked


@dataclass(frozen=True)
class Levels(BeliefHead):
    """The network gives a prior over the levels of each coordinate, and q(x_t | x_0 = level),
    which is known, multiplies it: at high SNR the belief rounds exactly, which no network
    learns by regression. For bits this is the Clean head with what x_t says put in."""

    values: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def outputs(self) -> int:
        if self.values is None:
            raise TypeError("Levels learns how many levels there are when a model is built")
        return len(self.values)

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if space.levels is None:
            raise TypeError(
                f"Levels needs a space with levels (Binary, Quantized), got "
                f"{type(space).__name__}: use Clean, Noise or Velocity"
            )
        return replace(checked(self, space, kernel), values=space.levels)

    def belief(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Lattice:
        values = self.values.to(x_t)  # type: ignore[union-attr]
        # The levels ride along the batch: the axes behind it are the kernel's own.
        each = values.repeat_interleave(len(x_t)).reshape(-1, *[1] * (x_t.ndim - 1))
        again = x_t.repeat(len(values), *[1] * (x_t.ndim - 1))
        seen = kernel.marginal(each.expand_as(again), t.repeat(len(values))).log_prob(again)
        return Lattice(output + seen.unflatten(0, (len(values), -1)).movedim(0, -1), values)
