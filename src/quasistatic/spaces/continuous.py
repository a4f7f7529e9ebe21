"""Real-valued data, with a shift and a scale."""

__all__ = ["Continuous"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.validation import as_array, numbers_of, unmasked
from ..distributions import Family, RealSupport
from .space import OnContinuum


@dataclass(frozen=True)
class Continuous(OnContinuum):
    """Real-valued data: x_0 = (raw - shift) / scale.

    Args:
        shape: of one example; a whole number means one axis.
        shift: one number, or one for each value, nested as the data are. Default 0.
        scale: likewise, positive. Default 1.

    Raises:
        ValueError: if a shift or a scale does not fit the shape, is not finite, or a scale is not
            positive.
    """

    shift: float | tuple[Any, ...] = 0.0
    scale: float | tuple[Any, ...] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shift", "scale"):
            value = numbers_of(name, getattr(self, name))
            try:
                value.expand(self.shape)
            except RuntimeError:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, which does not fit data of shape "
                    f"{self.shape}: give one number, or one for each value"
                ) from None
            if not value.isfinite().all() or (name == "scale" and not (value > 0).all()):
                raise ValueError(f"{name} must be finite, and a scale positive, got {value}")

    @classmethod
    def standardize(cls, raw: object, each: bool = True) -> "Continuous":
        """The space in which these data have mean 0 and variance 1.

        Args:
            raw: an array (B, *shape).
            each: whether every value has its own shift and scale; if not, all have the same.
                Default True.

        Returns:
            A space with the shape of an example. A constant value keeps scale 1.
        """
        array = np.asarray(unmasked(raw), dtype=np.float64)
        checked = as_array(array, array.shape[1:]).numpy()
        axis = 0 if each else None
        shift, scale = checked.mean(axis), checked.std(axis)
        scale = np.where(scale > 0, scale, 1.0)
        return cls(array.shape[1:], _nested(shift.tolist()), _nested(scale.tolist()))

    @property
    def support(self) -> RealSupport:
        return RealSupport()

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return constant(self.shift, like), constant(self.scale, like)

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        return array if array.is_floating_point() else array.to(torch.get_default_dtype())

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        shift, scale = self._affine(raw)
        return (raw - shift) / scale

    def decode(self, x_0: Tensor) -> Tensor:
        shift, scale = self._affine(x_0)
        return x_0 * scale + shift

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self.decode(x_0)

    def log_volume(self, x_0: Tensor) -> Tensor:
        return -self._affine(x_0)[1].log().expand_as(x_0)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) + self.log_volume(x_0)


def _nested(value: float | list[Any]) -> float | tuple[Any, ...]:
    return tuple(map(_nested, value)) if isinstance(value, list) else value
