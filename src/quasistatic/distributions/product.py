"""A product of families along the last axis; some values may be missing."""

__all__ = ["Product"]

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .family import Family


@dataclass(frozen=True)
class Product(Family):
    """Batches of scalars of different families, side by side along the last axis.

    A value may be missing, as in an incomplete row of a table. Where a method returns a value (a
    draw, a mean) it is then NaN; where a method returns nats (a log-probability, an entropy, a
    divergence) it is zero.

    Args:
        parts: the families, with shapes (B, W_i).
        widths: each W_i.
        present: False where a value is missing, shape (B, W); None if no value is.
    """

    parts: tuple[Family, ...]
    widths: tuple[int, ...]
    present: Tensor | None = None

    @property
    def independent_parts(self) -> tuple[Family, ...]:
        return self.parts

    @property
    def mean(self) -> Tensor:
        return self._joined((part.mean for part in self.parts), math.nan)

    @property
    def variance(self) -> Tensor:  # type: ignore[override]
        return self._joined((part.variance.expand_as(part.mean) for part in self.parts), math.nan)

    def sample(self, rng: torch.Generator | None = None) -> Tensor:
        return self._joined((part.sample(rng) for part in self.parts), math.nan)

    def icdf(self, u: Tensor) -> Tensor:
        pairs = zip(self.parts, torch.split(u, list(self.widths), -1), strict=True)
        return self._joined((part.icdf(each) for part, each in pairs), math.nan)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._nats((part.log_prob(each) for part, each in self._with(x)))

    def log_mass(self, lower: Tensor, upper: Tensor) -> Tensor:
        return self._nats(part.log_mass(*ends) for part, *ends in self._with(lower, upper))

    def entropy(self) -> Tensor:
        return self._nats(part.entropy() for part in self.parts)

    def kl(self, other: Self) -> Tensor:
        return self._nats(p.kl(q) for p, q in zip(self.parts, other.parts, strict=True))

    def log_partition(self) -> Tensor:
        return self._nats(part.log_partition() for part in self.parts)

    def extrapolate(self, other: Self, weight: Tensor) -> "Product":
        pairs = zip(self.parts, other.parts, strict=True)
        parts = tuple(p.extrapolate(q, weight) for p, q in pairs)
        return Product(parts, self.widths, self.present)

    def tilt(self, linear: Tensor, precision: Tensor) -> "Product":
        tilted = tuple(part.tilt(*by) for part, *by in self._with(linear, precision))
        return Product(tilted, self.widths, self.present)

    def all_in_group(self, mask: Tensor) -> Tensor:
        pairs = zip(self.parts, torch.split(mask, list(self.widths), -1), strict=True)
        return torch.cat([part.all_in_group(each) for part, each in pairs], -1)

    def to(self, dtype: torch.dtype) -> "Product":
        return Product(tuple(part.to(dtype) for part in self.parts), self.widths, self.present)

    def _with(self, *tensors: Tensor) -> Iterable[tuple[Any, ...]]:
        """Each part with its own values of the tensors, zero where a value is missing."""
        filled = (x if self.present is None else torch.where(self.present, x, 0.0) for x in tensors)
        return zip(
            self.parts, *(torch.split(x, list(self.widths), -1) for x in filled), strict=True
        )

    def _nats(self, each: Iterable[Tensor]) -> Tensor:
        return self._joined(each, 0.0)

    def _joined(self, each: Iterable[Tensor], absent: float) -> Tensor:
        whole = torch.cat(list(each), -1)
        return whole if self.present is None else torch.where(self.present, whole, absent)
