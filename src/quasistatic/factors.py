r"""Factors r(x_0): what is known about one example, to be multiplied into the model.

A factor says what it knows at every time of a chain as a quadratic in x_t, so that multiplying
it into a step is a tilt, for a Gaussian and for a bit alike (SD15 Sec. 2.5).
"""

__all__ = ["Anything", "Factor", "Observed"]

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import Family
from .kernels import Kernel
from .spaces import Space


class Factor(abc.ABC):
    """r(x_0) >= 0, a product over coordinates; x has shape (B, *)."""

    @abc.abstractmethod
    def lift(self, kernel: Kernel, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""The (linear, precision, constant) of x_t -> log E[r(x_0) | x_t] if the data were pi,
        each (B, *). At T nothing is left of it but the constant."""

    @abc.abstractmethod
    def condition(
        self, space: Space, p: Family, rng: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        r"""A draw of x_0 from p(x_0) r(x_0) and log E_p[r], both (B, *)."""


@dataclass(frozen=True)
class Anything(Factor):
    """r(x) = 1: nothing is known."""

    def lift(self, kernel: Kernel, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nothing = torch.zeros_like(like)
        return nothing, nothing, nothing

    def condition(
        self, space: Space, p: Family, rng: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        x_0 = p.sample(rng)
        return x_0, torch.zeros_like(x_0)


@dataclass(frozen=True)
class Observed(Factor):
    r"""r(x) = N(y; x, variance), coordinate by coordinate: known exactly at variance 0, noisy in
    between, missing at infinity. Denoising and inpainting are two values of one number.

    Args:
        y: what was seen, in the units of x_0, with shape (B, *). Ignored where missing.
        variance: of the noise on it, in the same units, broadcasting to (B, *).

    Raises:
        ValueError: if the shapes do not fit, or a variance is negative or NaN.
    """

    y: Tensor
    variance: Tensor

    def __post_init__(self) -> None:
        try:
            variance = self.variance.expand_as(self.y)
        except RuntimeError:
            raise ValueError(
                f"the variance has shape {tuple(self.variance.shape)}, which does not fit what was "
                f"seen, {tuple(self.y.shape)}: give one number for each value, or one for all"
            ) from None
        if not (variance >= 0).all():
            where = tuple((~(variance >= 0)).nonzero()[0].tolist())
            raise ValueError(f"the variance at {where} is {variance[where].item()}: give 0 or more")
        object.__setattr__(self, "variance", variance)

    def lift(self, kernel: Kernel, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return kernel.lift(self.y, self.variance, t)

    def condition(
        self, space: Space, p: Family, rng: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        known = self.variance == 0
        noisy = self.variance.isfinite() & ~known
        variance = torch.where(noisy, self.variance, 1.0)
        y = torch.where(noisy, self.y, 0.0)
        linear = torch.where(noisy, y / variance, 0.0)
        tilted = p.tilt(linear, torch.where(noisy, 1 / variance, 0.0))
        constant = -0.5 * (y**2 / variance + (2 * torch.pi * variance).log())
        log_mean = tilted.log_partition() - p.log_partition() + constant
        safe = torch.where(known, self.y, p.sample(rng))  # a value that p can have, everywhere
        log_known = space.log_prob(p, safe)
        x_0 = torch.where(known, self.y, tilted.sample(rng))
        return x_0, torch.where(known, log_known, torch.where(noisy, log_mean, 0.0))
