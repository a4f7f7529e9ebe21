r"""What the raw data are, and the last step p(raw | x_1) of the reverse walk.

A space maps raw values to the x_0 on which a kernel acts, accounts for the volume that the map
changes, and owns the end of the chain: SD15's edge where x_0 is continuous, the model's own
reverse step where x_0 is discrete. Likelihoods therefore come out in the raw data's own units.
"""

__all__ = ["Binary", "Continuous", "Dequantized", "Quantized", "Space"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checks import as_array
from .families import Family
from .kernels import Kernel


def _as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"a space needs at least one axis of at least one value, got {shape}")
    return sizes


@dataclass(frozen=True)
class Space(abc.ABC):
    """The raw data of one example have shape `shape`; a whole number means one axis."""

    shape: Any  # a tuple of sizes once built

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _as_shape(self.shape))

    @property
    def dims(self) -> int:
        """The number of values in an example."""
        return math.prod(self.shape)

    @property
    @abc.abstractmethod
    def levels(self) -> Tensor | None:
        """The values that x_0 can take, ascending, with shape (L,); None on a continuum."""

    @property
    def first_term(self) -> int:
        """The first term of the bound that a network decides: 0 is p(raw | x_1), 1 the first
        transition, where p(raw | x_1) is fixed in advance."""
        return int(self.levels is None)

    @abc.abstractmethod
    def check(self, raw: object, name: str = "x") -> Tensor:
        """The raw data as a floating tensor (B, *shape), or an error that says what is wrong."""

    @abc.abstractmethod
    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Checked raw data to x_0, both (B, *shape); `rng` where the map is a random one."""

    @abc.abstractmethod
    def decode(self, x_0: Tensor) -> Tensor:
        """x_0 to raw data, both (B, *shape)."""

    def settle(self, x_0: Tensor) -> Tensor:
        """The x_0 that data at x_0 have, (B, *): the level that it decodes to, where there are
        levels."""
        return x_0 if self.levels is None else self.encode(self.decode(x_0))

    @abc.abstractmethod
    def in_raw_units(self, x_0: Tensor) -> Tensor:
        """An estimate of x_0 on the raw data's scale, not rounded to a raw value, (B, *shape)."""

    @abc.abstractmethod
    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        """log p(raw) where x_0 has the law p, (B, *), in nats of the raw data's own units."""

    @abc.abstractmethod
    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        """E_q[log p(raw | x_t)] for the first time t of a chain, (B, *), in nats, where the last
        step is fixed in advance; zero where the network decides it."""

    @abc.abstractmethod
    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        """p(x_0 | x_t), the last step from the first time t of a chain."""


class _OnContinuum(Space):
    """Continuous x_0: the last step is the forward step in reverse (SD15 B.2)."""

    @property
    def levels(self) -> None:
        return None

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        # E log T(x_0 | x_t) = E log q(x_t | x_0) + log pi(x_0) - E log pi(x_t). SD15 B.2 takes
        # the last two for equal, which holds for data of unit variance only: both are kept.
        prior = kernel.prior(x_0)
        return self.log_prob(prior, x_0) + kernel.marginal(x_0, t).kl(prior)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return kernel.step(x_t, torch.zeros_like(t), t)


class _OnLevels(Space):
    """Discrete x_0: the last step is the model's own reverse step."""

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x_0)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return learned()


@dataclass(frozen=True)
class Continuous(_OnContinuum):
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

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shift = torch.as_tensor(self.shift, dtype=torch.float64).to(like)
        return shift, torch.as_tensor(self.scale, dtype=torch.float64).to(like)

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


@dataclass(frozen=True)
class Binary(_OnLevels):
    """Bits: x_0 is the raw 0 or 1."""

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
        # The mass of its half of the line: a step on the reals has a probability then, too.
        one, half = x_0 > 0.5, torch.full_like(x_0, 0.5)
        return p.log_mass(half.where(one, -math.inf), half.where(~one, math.inf))


@dataclass(frozen=True)
class _Cells:
    """`count` equal cells from -spread to spread, each a raw whole number from 0."""

    count: int
    spread: float

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"data with levels need at least 2 of them, got {self.count}")
        if not 0 < self.spread < math.inf:
            raise ValueError(f"spread must be positive and finite, got {self.spread}")

    @property
    def width(self) -> float:
        return 2 * self.spread / self.count

    def place(self, raw: Tensor) -> Tensor:
        """The position of raw, where a whole number is the lower end of its cell."""
        return (raw / self.count * 2 - 1) * self.spread

    def unrounded(self, x: Tensor) -> Tensor:
        """The raw number at a position, whole in the middle of a cell."""
        return (x / self.spread + 1) / 2 * self.count - 0.5

    def raw(self, x: Tensor) -> Tensor:
        index = ((x / self.spread + 1) / 2 * self.count).floor()
        return index.clamp(0, self.count - 1)


@dataclass(frozen=True)
class Quantized(_OnLevels):
    """Whole numbers 0 .. count - 1 (8-bit images have 256): x_0 is the middle of its cell on
    [-spread, spread], and p(raw | x_1) is the mass that the last step gives to the cell, the
    outer cells reaching to infinity (DDPM Eq. 13)."""

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
        return self.levels.to(raw)[raw.long()]

    def decode(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).raw(x_0)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).unrounded(x_0)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        cells = _Cells(self.count, self.spread)
        raw, half = cells.raw(x_0), cells.width / 2
        lower = torch.where(raw == 0, -math.inf, x_0 - half)
        upper = torch.where(raw == self.count - 1, math.inf, x_0 + half)
        return p.log_mass(lower, upper)


@dataclass(frozen=True)
class Dequantized(_OnContinuum):
    """Whole numbers 0 .. count - 1, spread evenly over their cells: x_0 is raw + u, u uniform on
    [0, 1), scaled to [-spread, spread]. The density of raw + u bounds the mass of raw from below
    (SD15 footnote 3), and u has no entropy to account for."""

    count: int = 256
    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _Cells(self.count, self.spread)

    def check(self, raw: object, name: str = "x") -> Tensor:
        return _check_levels(raw, self.shape, self.count, name, "Dequantized")

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        u = torch.rand(raw.shape, generator=rng, dtype=raw.dtype, device=raw.device)
        return _Cells(self.count, self.spread).place(raw + u)

    def decode(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).raw(x_0)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return _Cells(self.count, self.spread).unrounded(x_0)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) + math.log(_Cells(self.count, self.spread).width)


def _nested(value: float | list) -> float | tuple:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _check_levels(raw: object, shape: tuple[int, ...], count: int, name: str, kind: str) -> Tensor:
    array = as_array(raw, shape, name)
    if not array.is_floating_point():  # bytes compare by their own arithmetic, bools by none
        array = array.to(torch.get_default_dtype())
    valid = (array == array.round()) & (array >= 0) & (array < count)
    if not valid.all():
        where = tuple((~valid).nonzero()[0].tolist())
        raise ValueError(
            f"{name} must hold whole numbers from 0 to {count - 1}, got {array[where].item():g} at "
            f"{where}: round or rescale the data, or use another space than {kind}"
        )
    return array
