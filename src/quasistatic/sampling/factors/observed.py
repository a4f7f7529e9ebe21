"""Measurements of single values: exact, noisy, or missing."""

__all__ = ["Observed"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.validation import as_tensor
from ...distributions import Family, Gaussian, total
from ...kernels import Kernel
from ...spaces import Space
from .factor import Factor, of_each

SURE = 1e10
"""The precision by which a law is tilted to a known value, in units of x_0. The variance that it
leaves is below the digits of a weight in float64."""


@dataclass(frozen=True)
class Observed(Factor):
    r"""r(x) = N(y; x, variance), coordinate by coordinate: known exactly at variance 0, noisy in
    between, missing at infinity. Inpainting and denoising differ in the variance only (SD15
    Sec. 2.5). In spaces of levels and bits the noise is on the number.

    Args:
        y: the measurements, with shape (N, *). Ignored where missing.
        variance: of their noise, in the square of y's units, broadcasting to (N, *).
        log_unit: log of y's unit in units of the raw data; for internal use.

    Raises:
        ValueError: if the shapes do not fit, a variance is negative or NaN, or a measurement is
            not finite.
    """

    y: Tensor
    variance: Tensor | float = 0.0
    log_unit: Tensor | float = 0.0

    def __post_init__(self) -> None:
        y = as_tensor(self.y, "y")
        variance = as_tensor(self.variance, "variance").to(y.device)
        variance = variance if variance.is_floating_point() else variance.float()
        variance = of_each(variance, y)
        if not (variance >= 0).all():
            where = tuple((~(variance >= 0)).nonzero()[0].tolist())
            raise ValueError(f"the variance at {where} is {variance[where].item()}: give 0 or more")
        wrong = variance.isfinite() & ~y.isfinite()
        if wrong.any():
            where = tuple(wrong.nonzero()[0].tolist())
            raise ValueError(
                f"the measurement at {where} is {y[where].item()}: give an infinite variance where "
                "a value is missing"
            )
        object.__setattr__(self, "y", torch.where(variance.isfinite(), y, torch.zeros_like(y)))
        object.__setattr__(self, "variance", variance)

    @property
    def examples(self) -> int:
        return len(self.y)

    @property
    def known(self) -> Tensor | None:
        sure = self._variance == 0
        return torch.where(sure, self.y, math.nan) if sure.any() else None

    @property
    def only_known(self) -> bool:
        return not self._noisy.any()

    def on(self, space: Space, rng: torch.Generator | None = None) -> "Observed":
        if tuple(self.y.shape[1:]) != space.shape:
            raise ValueError(
                f"the measurements have shape {tuple(self.y.shape)}, and the data have (N, "
                f"{', '.join(map(str, space.shape))}): give a row for each example"
            )
        sure = self._variance == 0
        noisy = self._noisy
        filled = torch.where(sure, self.y, space.placeholder.to(self.y))
        encoded = space.encode(space.check(filled, "y"), rng).double()
        if not noisy.any():
            return Observed(encoded, space.expand_to_state(self._variance.double()), 0.0)
        offset, scale = space.affine(encoded)
        y = torch.where(sure, encoded, (self.y.double() - offset) / scale)
        variance = torch.where(sure, 0.0, self._variance.double() / scale**2)
        return Observed(y, variance, scale.abs().log().expand_as(y))

    def take(self, rows: Tensor) -> "Observed":
        unit = self.log_unit
        unit = unit[rows] if isinstance(unit, Tensor) and unit.ndim == self.y.ndim else unit
        return Observed(self.y[rows], self._variance[rows], unit)

    def log_prob(self, x_0: Tensor) -> Tensor:
        noisy, unit = self._noisy.to(x_0.device), self._unit(x_0)
        law = Gaussian(x_0, torch.where(self._noisy, self._variance, 1.0).to(x_0))
        return total(torch.where(noisy, law.log_prob(self.y.to(x_0)) - unit, 0.0))

    def log_mean(self, space: Space, law: Family) -> Tensor:
        like = law.mean
        y, variance = self.y.to(like), self._variance.to(like)
        sure, noisy = variance == 0, variance.isfinite() & (variance > 0)
        safe = torch.where(noisy, variance, 1.0)
        tilted = law.tilt(*self._tilt(like, noisy))
        constant = -0.5 * (y**2 / safe + (2 * math.pi * safe).log()) - self._unit(like)
        mean = tilted.log_partition() - law.log_partition() + constant
        at = torch.where(sure, y, like.detach())
        return total(torch.where(sure, space.log_prob(law, at), torch.where(noisy, mean, 0.0)))

    def update(self, law: Family) -> Family:
        return law.tilt(*self._tilt(law.mean, self._variance.isfinite()))

    def power(self, exponent: float) -> "Observed":
        return Observed(self.y, self._variance / exponent, self.log_unit)

    def matched(self, kernel: Kernel, p: Family, t: Tensor) -> Family:
        linear, precision, _ = kernel.propagate_likelihood(
            self.y.to(p.mean), self._variance.to(p.mean), t
        )
        return p.tilt(linear, precision.clamp(max=SURE))

    def _tilt(self, like: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """The linear term and the precision of the tilt of a law, where a mask holds."""
        variance, where = self._variance.to(like.device), where.to(like.device)
        precision = torch.where(where, 1 / variance.clamp(min=1 / SURE), 0.0).to(like)
        return precision * self.y.to(like), precision

    def _unit(self, like: Tensor) -> Tensor | float:
        unit = self.log_unit
        return unit.to(like.device) if isinstance(unit, Tensor) else unit

    @property
    def _variance(self) -> Tensor:
        assert isinstance(self.variance, Tensor)  # since it was built
        return self.variance

    @property
    def _noisy(self) -> Tensor:
        return self._variance.isfinite() & (self._variance > 0)
