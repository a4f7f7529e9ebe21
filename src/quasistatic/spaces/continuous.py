"""Real data, by a shift and a scale."""

__all__ = ["Continuous"]

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.validation import as_array
from ..distributions import Family, RealSupport
from .space import OnContinuum


@dataclass(frozen=True)
class Continuous(OnContinuum):
    """Real data: x_0 = (raw - shift) / scale, where shift and scale are one number or one for
    each value, nested as the data are. `Continuous.standardize` takes them from data."""

    shift: float | tuple = 0.0
    scale: float | tuple = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shift", "scale"):
            value = torch.as_tensor(getattr(self, name), dtype=torch.float64)
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
        """The space in which `raw` (B, *) has mean 0 and variance 1: each value by itself, or
        (each=False) all by one shift and one scale. A constant column keeps scale 1."""
        array = np.asarray(raw, dtype=np.float64)
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

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) - self._affine(x_0)[1].log()


def _nested(value: float | list) -> float | tuple:
    return tuple(map(_nested, value)) if isinstance(value, list) else value
