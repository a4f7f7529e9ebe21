"""Real-valued columns, each with a piecewise linear map."""

__all__ = ["PiecewiseLinear"]

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .._utils.constants import on_device
from .._utils.validation import as_array, numbers_of
from ..distributions import Family, RealSupport
from .space import OnContinuum, no_affine


@dataclass(frozen=True)
class PiecewiseLinear(OnContinuum):
    """Real-valued data (B, n): x_0 rises along straight lines through the knots of each column; the
    outer lines are extended. Two knots are a shift and a scale. Quantiles as knots make x_0 nearly
    normal. Log-densities include the slope and are in units of the raw column.

    Args:
        shape: n, the number of columns.
        at: raw values of the knots of each column, ascending, two or more.
        to: x_0 of the knots of each column, ascending.

    Raises:
        ValueError: if the knots of a column do not rise, are not finite, or do not pair up.
    """

    at: tuple[tuple[float, ...], ...]
    to: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.at) == len(self.to) == self.dims:
            raise ValueError(
                f"data of shape {self.shape} need knots for each column, got {len(self.at)} and "
                f"{len(self.to)}"
            )
        for column, knots in enumerate(zip(self.at, self.to, strict=True)):
            pair = [numbers_of("knots", each) for each in knots]
            rising = all(each.isfinite().all() and (each.diff() > 0).all() for each in pair)
            if len(pair[0]) != len(pair[1]) or len(pair[0]) < 2 or not rising:
                raise ValueError(
                    f"column {column} needs two knots or more, which rise in raw values and in "
                    f"x_0, got {knots[0]} and {knots[1]}"
                )

    @property
    def support(self) -> RealSupport:
        return RealSupport()

    @cached_property
    def _knots(self) -> tuple[Tensor, Tensor, Tensor]:
        """Raw knots and x_0 knots, shape (n, K) each, and the slopes between them, (n, K - 1)."""
        count = max(map(len, self.at))
        rows = [
            torch.stack([_lengthened(each, count) for each in pair])
            for pair in zip(self.at, self.to, strict=True)
        ]
        at, to = torch.stack(rows, 1)
        return at, to, to.diff() / at.diff()

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        return array if array.is_floating_point() else array.to(torch.get_default_dtype())

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        at, to, slope = (on_device(each, raw) for each in self._knots)
        k = _segment(at, raw)
        return (_of(to, k) + (raw - _of(at, k)) * _of(slope, k)).to(raw.dtype)

    def decode(self, x_0: Tensor) -> Tensor:
        at, to, slope = (each.to(x_0.device) for each in self._knots)
        k = _segment(to, x_0)
        return (_of(at, k) + (x_0 - _of(to, k)) / _of(slope, k)).to(x_0.dtype)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self.decode(x_0)

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if max(map(len, self.at)) > 2:
            raise no_affine(self)
        return super().affine(like)

    def log_volume(self, x_0: Tensor) -> Tensor:
        _, to, slope = (each.to(x_0.device) for each in self._knots)
        return _of(slope.log(), _segment(to, x_0.detach())).to(x_0.dtype)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) + self.log_volume(x_0)


def _lengthened(knots: tuple[float, ...], count: int) -> Tensor:
    """The knots, padded to `count` by extending the last line."""
    row = torch.tensor(knots, dtype=torch.float64)
    more = torch.arange(1, count - len(row) + 1, dtype=torch.float64)
    return torch.cat([row, row[-1] + more * (row[-1] - row[-2])])


def _segment(knots: Tensor, x: Tensor) -> Tensor:
    """The index of the line for each value of x (B, n) among knots (n, K)."""
    found = torch.searchsorted(knots, x.double().T.contiguous(), right=True) - 1
    return found.clamp(0, knots.shape[1] - 2)


def _of(table: Tensor, k: Tensor) -> Tensor:
    """Entries k (n, B) of the rows of a table (n, K), shape (B, n)."""
    return table.gather(1, k).T
