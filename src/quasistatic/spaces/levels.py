"""Data with the same levels for every value: bits, and whole numbers from zero."""

__all__ = ["Binary", "Dequantized", "Quantized"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.randomness import uniform
from .._utils.validation import as_array, number_within, whole_number
from ..distributions import Family, OnLattice
from .space import OnContinuum, OnLevels

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
class _Cells:
    """`count` cells of equal width on [-spread, spread]; cell k stands for the raw whole number
    k."""

    count: int
    spread: float

    def __post_init__(self) -> None:
        whole_number("count, the number of levels,", self.count, 2, MOST_LEVELS)
        number_within("spread", self.spread, 0, ends="()")

    @property
    def width(self) -> float:
        return 2 * self.spread / self.count

    def place(self, raw: Tensor) -> Tensor:
        """The position of a raw number; a whole number is the lower end of its cell."""
        return (raw / self.count * 2 - 1) * self.spread

    def unrounded(self, x: Tensor) -> Tensor:
        """The raw number of a position; it is whole in the middle of a cell."""
        return (x / self.spread + 1) / 2 * self.count - 0.5

    def raw(self, x: Tensor) -> Tensor:
        """The whole number of the cell that holds x."""
        index = ((x / self.spread + 1) / 2 * self.count).floor()
        return index.clamp(0, self.count - 1)


@dataclass(frozen=True)
class Quantized(OnLevels):
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

    count: int = 256
    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _Cells(self.count, self.spread)

    @property
    def levels(self) -> Tensor:
        cells = _Cells(self.count, self.spread)
        return cells.place(torch.arange(self.count, dtype=torch.float64) + 0.5)

    def check(self, raw: object, name: str = "x") -> Tensor:
        return _check_levels(raw, self.shape, self.count, name, "Quantized")

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        index = torch.arange(self.count, dtype=torch.float64, device=raw.device)
        return _Cells(self.count, self.spread).place(index + 0.5).to(raw)[raw.long()]

    def decode(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).raw(x_0)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).unrounded(x_0)

    def log_volume(self, x_0: Tensor) -> Tensor:
        return torch.full_like(x_0, math.log(_Cells(self.count, self.spread).width))

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        cells = _Cells(self.count, self.spread)
        if isinstance(p, OnLattice):  # a cell has one level
            return p.log_prob(x_0)
        raw, half = cells.raw(x_0), cells.width / 2
        lower = torch.where(raw == 0, -math.inf, x_0 - half)
        upper = torch.where(raw == self.count - 1, math.inf, x_0 + half)
        return p.log_mass(lower, upper)


@dataclass(frozen=True)
class Dequantized(OnContinuum):
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

    count: int = 256
    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _Cells(self.count, self.spread)

    def check(self, raw: object, name: str = "x") -> Tensor:
        return _check_levels(raw, self.shape, self.count, name, "Dequantized")

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        u = uniform(raw.shape, rng, raw)
        return _Cells(self.count, self.spread).place(raw + u)

    def decode(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).raw(x_0)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).unrounded(x_0)

    def log_volume(self, x_0: Tensor) -> Tensor:
        return torch.full_like(x_0, math.log(_Cells(self.count, self.spread).width))

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
