"""Data with the same levels for every value: bits, and whole numbers from zero."""

__all__ = ["Binary", "Dequantized", "Quantized"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.randomness import uniform
from .._utils.validation import as_array, number_within, whole_number
from ..distributions import Family, OnLattice
from .space import OnContinuum, OnLevels, Space

MOST_LEVELS = 2**20
"""The largest number of levels: their positions are a table."""


@dataclass(frozen=True)
class Binary(OnLevels):
    """Bits: x_0 is the raw 0 or 1.

    Args:
        shape: of one example; a whole number means one axis.
    """

    @property
    def levels(self) -> Tensor:
        return torch.tensor([0.0, 1.0], dtype=torch.float64)

    def check(self, raw: object, name: str = "x") -> Tensor:
        return _check_levels(raw, self.shape, 2, name, "Binary")

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return raw

    def decode(self, x_0: Tensor) -> Tensor:
        return (x_0 > 0.5).to(x_0.dtype)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return x_0

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        if isinstance(p, OnLattice):
            return p.log_prob(x_0)
        # The mass of one half of the line, so that a step on the real line gives probabilities too.
        one, half = x_0 > 0.5, torch.full_like(x_0, 0.5)
        return p.log_mass(half.where(one, -math.inf), half.where(~one, math.inf))


@dataclass(frozen=True)
class _OnCells(Space):
    """Whole numbers 0, ..., count - 1. Each stands for one of `count` cells of equal width on
    [-spread, spread].

    Args:
        shape: of one example; a whole number means one axis.
        count: the number of levels, at least 2. Default 256.
        spread: half the range of x_0, positive. Default 1.

    Raises:
        ValueError: if `count` or `spread` is out of range.
    """

    count: int = 256
    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("count, the number of levels,", self.count, 2, MOST_LEVELS)
        number_within("spread", self.spread, 0, ends="()")

    @property
    def _width(self) -> float:
        """The width of a cell."""
        return 2 * self.spread / self.count

    def _place(self, raw: Tensor) -> Tensor:
        """The position of a raw number; a whole number is the lower end of its cell."""
        return (raw / self.count * 2 - 1) * self.spread

    def check(self, raw: object, name: str = "x") -> Tensor:
        return _check_levels(raw, self.shape, self.count, name, type(self).__name__)

    def decode(self, x_0: Tensor) -> Tensor:
        index = ((x_0 / self.spread + 1) / 2 * self.count).floor()
        return index.clamp(0, self.count - 1)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return (x_0 / self.spread + 1) / 2 * self.count - 0.5

    def log_volume(self, x_0: Tensor) -> Tensor:
        return torch.full_like(x_0, math.log(self._width))


@dataclass(frozen=True)
class Quantized(_OnCells, OnLevels):
    """Whole numbers 0, ..., count - 1, such as 8-bit images: x_0 is the middle of a cell on
    [-spread, spread], and p(raw | x_1) is the mass of the last step in the cell. The outer cells
    reach to infinity (DDPM Eq. 13).

    Args:
        shape: of one example; a whole number means one axis.
        count: the number of levels, at least 2. Default 256.
        spread: half the range of x_0, positive. Default 1.

    Raises:
        ValueError: if `count` or `spread` is out of range.
    """

    @property
    def levels(self) -> Tensor:
        return self._place(torch.arange(self.count, dtype=torch.float64) + 0.5)

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        index = torch.arange(self.count, dtype=torch.float64, device=raw.device)
        return self._place(index + 0.5).to(raw)[raw.long()]

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        if isinstance(p, OnLattice):  # a cell has one level
            return p.log_prob(x_0)
        raw, half = self.decode(x_0), self._width / 2
        lower = torch.where(raw == 0, -math.inf, x_0 - half)
        upper = torch.where(raw == self.count - 1, math.inf, x_0 + half)
        return p.log_mass(lower, upper)


@dataclass(frozen=True)
class Dequantized(_OnCells, OnContinuum):
    """Whole numbers 0, ..., count - 1, dequantised: x_0 is raw + u with u uniform on [0, 1), scaled
    to [-spread, spread]. The density of raw + u is a lower bound of the mass of raw (SD15 footnote
    3); u itself has entropy 0.

    Args:
        shape: of one example; a whole number means one axis.
        count: the number of levels, at least 2. Default 256.
        spread: half the range of x_0, positive. Default 1.

    Raises:
        ValueError: if `count` or `spread` is out of range.
    """

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return self._place(raw + uniform(raw.shape, rng, raw))

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) + self.log_volume(x_0)


def _check_levels(raw: object, shape: tuple[int, ...], count: int, name: str, kind: str) -> Tensor:
    array = as_array(raw, shape, name)
    if not array.is_floating_point():  # comparisons of uint8 wrap around, and bool has none
        array = array.to(torch.get_default_dtype())
    valid = (array == array.round()) & (array >= 0) & (array < count)
    if not valid.all():
        where = tuple((~valid).nonzero()[0].tolist())
        raise ValueError(
            f"{name} must hold whole numbers from 0 to {count - 1}, got {array[where].item():g} at "
            f"{where}: round or rescale the data, or use another space than {kind}"
        )
    return array
