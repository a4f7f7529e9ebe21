"""Real-valued data with skewed columns, made nearly normal by a power transform."""

__all__ = ["YeoJohnson", "likeliest_power"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._utils.validation import as_array, numbers_of, unmasked
from ..distributions import Family, RealSupport
from ..kernels import Kernel
from .continuous import Continuous
from .space import Space

ROWS_FOR_FIT = 2000
"""The largest number of rows that powers are fitted to."""


@dataclass(frozen=True)
class YeoJohnson(Space):
    """Real-valued data, each value transformed by a power of its own (Yeo and Johnson, Biometrika,
    2000). With u = (raw - shift) / scale,

            z = ((1 + u)^power - 1) / power                   where u >= 0,
            z = -((1 - u)^(2 - power) - 1) / (2 - power)      where u < 0,

    and x_0 = (z - centre) / spread. Powers from 0 to 2 map the real line onto itself; at 0 and 2
    one side is a logarithm, and 1 is the identity.

    Args:
        shape: of one example.
        power: one number, or one for each value, nested as the data are; from 0 to 2. Default 1.
        shift: likewise. Default 0.
        scale: likewise, positive. Default 1.
        centre: likewise. Default 0.
        spread: likewise, positive. Default 1.

    Raises:
        ValueError: if a power is not from 0 to 2, or for the reasons of :class:`Continuous`.
    """

    power: float | tuple[Any, ...] = 1.0
    shift: float | tuple[Any, ...] = 0.0
    scale: float | tuple[Any, ...] = 1.0
    centre: float | tuple[Any, ...] = 0.0
    spread: float | tuple[Any, ...] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._before, self._after  # raises their errors now
        power = numbers_of("power", self.power)
        if not ((power >= 0) & (power <= 2)).all():
            raise ValueError(
                f"powers must be from 0 to 2, got {self.power}: with others, some x_0 have no raw "
                "value"
            )

    @classmethod
    def fit(cls, raw: object) -> "YeoJohnson":
        """The powers of maximum likelihood for a normal law, and the shifts and scales that
        standardise before and after.

        Args:
            raw: an array (N, D).

        Returns:
            A space with the shape of a row. Constant columns have power 1.
        """
        array = np.asarray(unmasked(raw), dtype=np.float64)
        from sklearn.preprocessing import PowerTransformer  # it takes long to import

        before = Continuous.standardize(array)
        u = before.encode(torch.from_numpy(array))
        some = u[:: max(1, -(-len(u) // ROWS_FOR_FIT))].numpy()
        found = PowerTransformer(standardize=False).fit(some).lambdas_
        power = tuple(np.where(array.std(0) > 0, found.clip(0, 2), 1.0).tolist())
        bent = cls(array.shape[1:], power)
        after = Continuous.standardize(bent.encode(u).numpy())
        return cls(after.shape, power, before.shift, before.scale, after.shift, after.scale)

    @property
    def levels(self) -> None:
        return None

    @property
    def support(self) -> RealSupport:
        return RealSupport()

    @property
    def _before(self) -> Continuous:
        return Continuous(self.shape, self.shift, self.scale)

    @property
    def _after(self) -> Continuous:
        return Continuous(self.shape, self.centre, self.spread)

    def check(self, raw: object, name: str = "x") -> Tensor:
        array = as_array(raw, self.shape, name)
        return array if array.is_floating_point() else array.to(torch.get_default_dtype())

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        u = self._before.encode(raw)
        far = u.abs().log1p()
        return self._after.encode(torch.where(u < 0, -1.0, 1.0) * _boxed(far, self._exponent(u)))

    def decode(self, x_0: Tensor) -> Tensor:
        return self._before.decode(self._unbent(x_0))

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self.decode(x_0)

    def log_volume(self, x_0: Tensor) -> Tensor:
        return self._after.log_volume(x_0) + self._log_slope(x_0)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        return self._after.log_prob(p, x_0) + self._log_slope(x_0)

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        return self._after.edge(kernel, x_0, t) + self._log_slope(x_0)

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        return self._after.last(kernel, x_t, t, learned)

    def _unbent(self, x_0: Tensor) -> Tensor:
        z = self._after.decode(x_0)
        exponent = self._exponent(z)
        near = exponent.abs() < 1e-6
        safe = torch.where(near, 1.0, exponent)
        far = torch.where(near, z.abs(), (safe * z.abs()).log1p() / safe)
        return torch.where(z < 0, -1.0, 1.0) * far.expm1()

    def _log_slope(self, x_0: Tensor) -> Tensor:
        """log |dz / draw|, shape (B, *)."""
        u = self._unbent(x_0)
        slope = (self._exponent(u) - 1) * u.abs().log1p()
        return slope - torch.as_tensor(self.scale, dtype=torch.float64).log().to(u)

    def _exponent(self, like: Tensor) -> Tensor:
        """The power on the side of zero where `like` (u or z) is; 2 - power on the negative
        side."""
        power = torch.as_tensor(self.power, dtype=torch.float64).to(like)
        return torch.where(like < 0, 2 - power, power.expand_as(like))


def likeliest_power(u: Tensor) -> float:
    """The power from 0 to 2 under which numbers u (N,) of about unit scale are likeliest to be
    normal."""
    far, below = u.abs().log1p()[:, None], (u < 0)[:, None]
    sign = torch.where(below, -1.0, 1.0)
    slope = (sign * far).mean()
    middle, step = 1.0, 0.1
    while step > 1e-4:  # the log-likelihood has one maximum
        power = (middle + step * torch.arange(-10.0, 11.0, dtype=u.dtype)).clamp(0, 2)
        bent = sign * _boxed(far, torch.where(below, 2 - power, power))
        log_p = (power - 1) * slope - bent.var(0, correction=0).log() / 2
        middle, step = power[log_p.nan_to_num(-math.inf).argmax()].item(), step / 10
    return middle


def _boxed(far: Tensor, exponent: Tensor) -> Tensor:
    """((1 + |u|)^exponent - 1) / exponent, given far = log (1 + |u|)."""
    near = exponent.abs() < 1e-6
    safe = torch.where(near, 1.0, exponent)
    return torch.where(near, far, (safe * far).expm1() / safe)
