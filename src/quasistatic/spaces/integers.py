"""Whole numbers, with a range, a shift and a scale for each column."""

__all__ = ["Integers"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.row_errors import RowError
from .._utils.validation import as_array, numbers_of, whole_numbers
from ..distributions import Family, IntegerSupport
from .space import OnLevels

MOST = 1024
"""The largest number of levels of a column that :meth:`Integers.log_total_mass` sums over."""


@dataclass(frozen=True)
class Integers(OnLevels):
    """Whole numbers (B, n): x_0 = (raw - shift) / scale is the middle of a cell, and p(raw | x_1)
    is the mass of the last step in the cell. The outer cells reach to infinity (DDPM Eq. 13).

    Args:
        shape: n, the number of columns.
        low: the smallest number of each column.
        high: the largest number of each column.
        shift: of each column.
        scale: of each column, positive.

    Raises:
        ValueError: if a range has fewer than two numbers, a scale is not positive and finite, or
            the lengths differ.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if {len(self.low), len(self.high), len(self.shift), len(self.scale)} != {self.dims}:
            raise ValueError(
                f"data of shape {self.shape} need one low, high, shift and scale for each column"
            )
        for name in ("low", "high"):
            whole_numbers(name, getattr(self, name), least=-(2**53))
        for name in ("shift", "scale"):
            if not numbers_of(name, getattr(self, name)).isfinite().all():
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"a range needs two numbers or more, got {self.low} to {self.high}")
        if not all(0 < scale < math.inf for scale in self.scale):
            raise ValueError(f"a scale must be positive and finite, got {self.scale}")

    @property
    def levels(self) -> None:
        return None  # they differ between columns

    @property
    def support(self) -> IntegerSupport:
        return IntegerSupport(self.low, self.high)

    @property
    def placeholder(self) -> Tensor:
        return torch.tensor(self.low, dtype=torch.float64)

    def _of(self, like: Tensor) -> list[Tensor]:
        """low, high, shift and scale, float64."""
        each = (self.low, self.high, self.shift, self.scale)
        return [torch.tensor(x, dtype=torch.float64, device=like.device) for x in each]

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        if not array.is_floating_point():
            array = array.to(torch.get_default_dtype())
        low, high, *_ = self._of(array)
        wrong = (array != array.round()) | (array < low) | (array > high)
        if wrong.any():
            row, column = wrong.nonzero()[0].tolist()
            raise RowError(
                f"{name} must hold whole numbers from {self.low[column]} to {self.high[column]} in "
                f"column {column}, got {array[row, column].item():g}",
                row,
                ": round it, or build the space with a wider range",
            )
        return array

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        _, _, shift, scale = self._of(raw)
        return ((raw - shift) / scale).to(raw.dtype)

    def decode(self, x_0: Tensor) -> Tensor:
        low, high, shift, scale = self._of(x_0)
        return (x_0 * scale + shift).round().clamp(low, high).to(x_0.dtype)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        _, _, shift, scale = self._of(x_0)
        return (x_0 * scale + shift).to(x_0.dtype)

    def log_volume(self, x_0: Tensor) -> Tensor:
        *_, scale = self._of(x_0)
        return -scale.log().to(x_0.dtype).expand_as(x_0)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        low, high, _, scale = self._of(x_0)
        raw, half = self.decode(x_0), (0.5 / scale).to(x_0.dtype)
        lower = torch.where(raw == low, -math.inf, x_0 - half)
        upper = torch.where(raw == high, math.inf, x_0 + half)
        return p.log_mass(lower, upper)

    def log_total_mass(self, p: Family, like: Tensor) -> Tensor:
        """As :meth:`Space.log_total_mass`. Columns with more than MOST numbers are not summed and
        count as normalised."""
        low, high, *_ = self._of(like)
        few = high - low < MOST
        each = []
        for k in range(int((high - low)[few].max().item() if few.any() else 0) + 1):
            raw = torch.minimum(low + k, high).expand_as(like)
            mass = self.log_prob(p, self.encode(raw).to(like.dtype))
            each.append(torch.where(low + k <= high, mass, -math.inf))
        return torch.where(few, torch.stack(each).logsumexp(0), 0.0)
