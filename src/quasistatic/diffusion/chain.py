"""What all verbs share: the times of a chain, the condition of its examples, and the precision."""

__all__ = ["Chain"]

from collections.abc import Sequence
from typing import Self

from torch import Tensor

from .._utils.validation import as_tensor
from ..model import Model
from ..sampling import Times
from ..sampling.time_grids import TimeGrid


class Chain(Model):
    """A model whose verbs also take time grids."""

    def times(self, times: Times = None) -> Tensor:
        """The times of a chain, rising to T; see :meth:`Model.times`. A time grid chooses them:
        `EvenLogSNR(10)`."""
        return super().times(self._listed(times))

    def _listed(self, times: Times) -> int | Sequence[int] | Tensor | None:
        """The times of a grid; other times as they are."""
        return times(self) if isinstance(times, TimeGrid) else times

    def _for(self, given: object, x: object) -> Self:
        """The model of p(x | y) for the examples x, for one value of y or as many as examples."""
        if given is None:
            return self
        array = as_tensor(x, "x")
        return self.given_each(given, len(array) if array.ndim else 1)

    def _require_precision(self, verb: str) -> None:
        """TypeError if the weights are of 16 bits: log-probabilities need more digits."""
        dtype = self.blank(1).dtype
        if dtype.itemsize < 4:
            raise TypeError(
                f"{verb} needs weights in float32 or float64, got {dtype}: call model.float() first"
            )
