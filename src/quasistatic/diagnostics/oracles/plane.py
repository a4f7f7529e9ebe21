r"""Oracles in the plane: the shapes on which generative models are usually shown, each a mixture of
Gaussians with a known density, a known score and an exact denoiser."""

__all__ = ["CheckerboardOracle", "PinwheelOracle", "RingOracle", "SwissRollOracle"]

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ...data.synthetic import roll_curve
from .mixtures import GaussianMixture, OnMixture


@dataclass(frozen=True)
class SwissRollOracle(OnMixture):
    """The spiral of :func:`quasistatic.data.swiss_roll` with Gaussian noise, with variance 1 a
    value in all.

    Args:
        noise: the standard deviation of the noise, in these final units. scikit-learn's argument of
            that name is 6.79 times as large, because it is added before the roll is scaled.

    Raises:
        ValueError: if the noise is not between 0 and 1.
    """

    noise: float = 0.1

    @cached_property
    def mixture(self) -> GaussianMixture:
        if not 0 < self.noise < 1:
            raise ValueError(
                f"the noise is part of a variance of 1: give 0 < noise < 1, got {self.noise}"
            )
        # Gauss-Legendre on pieces of the curve at most eight deviations long: the integral over
        # u is good to nine digits everywhere, the two ends of the roll included.
        nodes, weights = (
            torch.from_numpy(each) / 2 for each in np.polynomial.legendre.leggauss(16)
        )
        pieces = math.ceil(2.5 / self.noise)
        u = (torch.arange(pieces)[:, None] + nodes + 0.5).flatten() / pieces
        curve = torch.from_numpy(roll_curve((1.5 * math.pi * (1 + 2 * u)).numpy()))
        mean = math.sqrt(1 - self.noise**2) * curve
        weight = (weights / pieces).repeat(pieces)
        return GaussianMixture(weight.log(), mean, torch.full_like(mean, self.noise**2))


@dataclass(frozen=True)
class RingOracle(OnMixture):
    """Normals of equal weight on a circle about the origin.

    Args:
        count: the number of normals.
        radius: of the circle.
        deviation: the standard deviation of each, in both directions.

    Raises:
        ValueError: if there is no normal, or a size is not positive.
    """

    count: int = 8
    radius: float = 1.4
    deviation: float = 0.1

    @cached_property
    def mixture(self) -> GaussianMixture:
        _positive("a ring", count=self.count, radius=self.radius, deviation=self.deviation)
        angle = 2 * math.pi * torch.arange(self.count, dtype=torch.float64) / self.count
        mean = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        return _even(mean, self.deviation)


@dataclass(frozen=True)
class PinwheelOracle(OnMixture):
    """Bent arms about the origin. Each arm is a row of normals that get wider outwards.

    Args:
        arms: the number of arms.
        normals: the number of normals along an arm.
        bend: by which angle an arm turns from its inner to its outer end, in radians.

    Raises:
        ValueError: if there is no arm, or fewer than two normals to an arm.
    """

    arms: int = 5
    normals: int = 20
    bend: float = 1.2

    @cached_property
    def mixture(self) -> GaussianMixture:
        _positive("a pinwheel", arms=self.arms, normals=self.normals - 1)
        along = torch.linspace(0, 1, self.normals, dtype=torch.float64)
        start = 2 * math.pi * torch.arange(self.arms, dtype=torch.float64) / self.arms
        angle = start[:, None] + self.bend * along
        radius = (0.3 + 1.7 * along).expand_as(angle)
        mean = torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(0, 1)
        deviation = (0.05 + 0.1 * along).repeat(self.arms)[:, None].expand_as(mean)
        return GaussianMixture(_log_even(len(mean)), mean, deviation**2)


@dataclass(frozen=True)
class CheckerboardOracle(OnMixture):
    """The dark squares of a board from -2 to 2. Each square is a grid of equal normals, so that the
    density is nearly flat inside.

    Args:
        squares: along each side of the board.
        grid: the number of normals along the side of a square.

    Raises:
        ValueError: if a number is not positive.
    """

    squares: int = 4
    grid: int = 6

    @cached_property
    def mixture(self) -> GaussianMixture:
        _positive("a board", squares=self.squares, grid=self.grid)
        cells = self.squares * self.grid
        side = 4 / cells
        middle = (torch.arange(cells, dtype=torch.float64) + 0.5) * side - 2
        square = torch.arange(cells) // self.grid
        dark = (square[:, None] + square) % 2 == 0
        mean = torch.cartesian_prod(middle, middle)[dark.flatten()]
        return _even(mean, side / 2)


def _even(mean: torch.Tensor, deviation: float) -> GaussianMixture:
    """Normals of equal weight and equal width at means (K, D)."""
    return GaussianMixture(_log_even(len(mean)), mean, torch.full_like(mean, deviation**2))


def _log_even(count: int) -> torch.Tensor:
    return torch.full((count,), -math.log(count), dtype=torch.float64)


def _positive(what: str, **sizes: float) -> None:
    for name, size in sizes.items():
        if not 0 < size < math.inf:
            raise ValueError(f"{what} needs positive sizes, got {name} = {size}")
