"""Real-valued columns, each made normal by its quantiles, with ends that are kept."""

__all__ = ["QuantileMap"]

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .._utils.constants import on_device
from .._utils.validation import as_array, numbers_of
from ..distributions import Family, RealSupport
from .space import OnContinuum, no_affine

LEAST = 1e-9
"""The least probability on either side of a number inside the range."""


@dataclass(frozen=True)
class QuantileMap(OnContinuum):
    """Real-valued data (B, n): x_0 is the standard normal quantile of a distribution function that
    rises along straight lines through knots. An end where the function is 0 or 1 is kept: every x_0
    decodes to a number inside. Beyond an end that is open, x_0 continues along a straight line.
    Log-densities are in units of the raw column.

    Args:
        shape: n, the number of columns.
        at: raw values of the knots of each column, ascending, two or more.
        u: the distribution function there, from 0 to 1, ascending.
        slopes: of x_0 below the first and above the last knot of each column; 0 at an end that is
            kept.

    Raises:
        ValueError: if the knots of a column do not rise, do not pair up, or an open end has no
            slope.
    """

    at: tuple[tuple[float, ...], ...]
    u: tuple[tuple[float, ...], ...]
    slopes: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.at) == len(self.u) == len(self.slopes) == self.dims:
            raise ValueError(
                f"data of shape {self.shape} need knots for each column, got {len(self.at)}, "
                f"{len(self.u)} and {len(self.slopes)}"
            )
        for column, (at, u, slopes) in enumerate(zip(self.at, self.u, self.slopes, strict=True)):
            pair = [numbers_of("knots", each) for each in (at, u)]
            rising = all(each.isfinite().all() and (each.diff() > 0).all() for each in pair)
            if len(at) != len(u) or len(at) < 2 or not rising or u[0] < 0 or u[-1] > 1:
                raise ValueError(
                    f"column {column} needs two knots or more, which rise in raw values and from "
                    f"0 to 1, got {at} and {u}"
                )
            for end, slope in ((u[0], slopes[0]), (1 - u[-1], slopes[1])):
                if (end > 0) != (slope > 0):
                    raise ValueError(
                        f"column {column} needs a positive slope at each end where the "
                        f"distribution function is not 0 or 1, and 0 at the others, got {slopes}"
                    )

    @property
    def support(self) -> RealSupport:
        return RealSupport()

    @cached_property
    def _knots(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Raw values and the distribution function at knots, (n, K) each, x_0 at the first and the
        last of them, (n, 2), and the slopes beyond, (n, 2)."""
        count = max(map(len, self.at))
        at = torch.stack([_lengthened(each, count) for each in self.at])
        u = torch.stack([_lengthened(each, count) for each in self.u])
        ends = torch.tensor([(each[0], each[-1]) for each in self.u], dtype=torch.float64)
        outer = torch.tensor([(each[0], each[-1]) for each in self.at], dtype=torch.float64)
        z = torch.special.ndtri(ends)
        slopes = torch.tensor(self.slopes, dtype=torch.float64)
        return at, u, torch.stack([outer, z], 2), slopes

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        return array if array.is_floating_point() else array.to(torch.get_default_dtype())

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        at, u, ends, slopes = (on_device(each, raw) for each in self._knots)
        x = raw.double()
        k = _segment(at, x)
        share = (x - _of(at, k)) / (_of(at, k + 1) - _of(at, k))
        inside = _of(u, k) + share * (_of(u, k + 1) - _of(u, k))
        z: Tensor = torch.special.ndtri(inside.clamp(LEAST, 1 - LEAST))
        for side, sign in ((0, -1.0), (1, 1.0)):
            off = sign * (x - ends[:, side, 0])
            open_ = (off > 0) & (slopes[:, side] > 0)
            z = torch.where(open_, ends[:, side, 1] + sign * off * slopes[:, side], z)
        return z.to(raw.dtype)

    def decode(self, x_0: Tensor) -> Tensor:
        at, u, ends, slopes = (each.to(x_0.device) for each in self._knots)
        z = x_0.double()
        p = torch.special.ndtr(z)
        k = _segment(u, p)
        share = ((p - _of(u, k)) / (_of(u, k + 1) - _of(u, k))).clamp(0, 1)
        x: Tensor = _of(at, k) + share * (_of(at, k + 1) - _of(at, k))
        for side, sign in ((0, -1.0), (1, 1.0)):
            off = sign * (z - ends[:, side, 1])
            open_ = (off > 0) & (slopes[:, side] > 0)
            beyond = ends[:, side, 0] + sign * off / slopes[:, side].clamp(min=1e-300)
            x = torch.where(open_, beyond, x)
        return x.to(x_0.dtype)

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self.decode(x_0)

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        raise no_affine(self)

    def log_volume(self, x_0: Tensor) -> Tensor:
        at, u, ends, slopes = (each.to(x_0.device) for each in self._knots)
        z = x_0.detach().double()
        k = _segment(u, torch.special.ndtr(z))
        rate = (_of(u, k + 1) - _of(u, k)) / (_of(at, k + 1) - _of(at, k))
        found = rate.clamp(min=1e-300).log() + z**2 / 2 + math.log(2 * math.pi) / 2
        for side, sign in ((0, -1.0), (1, 1.0)):
            open_ = (sign * (z - ends[:, side, 1]) > 0) & (slopes[:, side] > 0)
            found = torch.where(open_, slopes[:, side].clamp(min=1e-300).log(), found)
        return found.to(x_0.dtype)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return p.log_prob(x_0) + self.log_volume(x_0)


def _lengthened(knots: tuple[float, ...], count: int) -> Tensor:
    """The knots, with more of them after the last one, which no number reaches."""
    row = torch.tensor(knots, dtype=torch.float64)
    more = torch.full((count - len(row),), math.inf, dtype=torch.float64)
    return torch.cat([row, more])


def _segment(knots: Tensor, x: Tensor) -> Tensor:
    """The index of the line for each value of x (B, n) among knots (n, K), shape (n, B)."""
    found = torch.searchsorted(knots, x.T.contiguous(), right=True) - 1
    last = knots.isfinite().sum(1, keepdim=True) - 2
    return torch.minimum(found.clamp(min=0), last)


def _of(table: Tensor, k: Tensor) -> Tensor:
    """Entries k (n, B) of the rows of a table (n, K), shape (B, n)."""
    return table.gather(1, k).T
