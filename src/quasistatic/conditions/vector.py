"""A condition of real numbers."""

__all__ = ["Vector"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._utils.validation import as_tensor, numbers_of, whole_number
from .condition import Condition

FARTHEST = 1e4
"""The largest standardised value: beyond it a network answers nothing sensible."""


@dataclass(frozen=True)
class Vector(Condition):
    """y is `size` real numbers, which are standardised: (y - mean) / scale. A number that is NaN is
    not given. The code has two numbers for each: the standardised value, and 1 where it is given.

    Args:
        size: how many numbers y has.
        mean: of each number, or one for all. Default 0.
        scale: the standard deviation of each, or one for all. Default 1. :meth:`of` takes both from
            data.

    Raises:
        TypeError: if `size` is no whole number, or the others are no numbers.
        ValueError: if a shape is another, or a scale is not positive.

    Example:
        >>> Vector(2, mean=(10.0, 0.0), scale=(5.0, 1.0)).encode([20.0, float("nan")]).tolist()
        [[2.0, 0.0, 1.0, 0.0]]
    """

    size: int
    mean: float | Sequence[float] = 0.0
    scale: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", whole_number("size", self.size))
        for name in ("mean", "scale"):
            value = numbers_of(name, getattr(self, name))
            if value.ndim > 1 or (value.ndim == 1 and len(value) != self.size):
                raise ValueError(
                    f"{name} must be one number, or one for each of {self.size}, got shape "
                    f"{tuple(value.shape)}"
                )
            if not value.isfinite().all() or (name == "scale" and not (value > 0).all()):
                raise ValueError(f"{name} must be finite, and a scale positive, got {value}")
            kept = value.tolist()
            object.__setattr__(self, name, tuple(kept) if isinstance(kept, list) else kept)

    @classmethod
    def of(cls, y: object) -> "Vector":
        """The condition whose mean and scale are those of the data.

        Args:
            y: shape (N, size), or (N,) for one number each; NaN is left out.

        Raises:
            ValueError: if a column has fewer than two different numbers.
        """
        rows = _rows(as_tensor(y, "given").cpu().double(), None)
        known = rows.isfinite()
        count = known.sum(0).clamp(min=1)
        mean = torch.where(known, rows, 0.0).sum(0) / count
        variance = torch.where(known, (rows - mean) ** 2, 0.0).sum(0) / count
        if not (variance > 0).all():
            at = int((~(variance > 0)).nonzero()[0])
            raise ValueError(f"column {at} of the condition is constant: leave it out")
        return cls(rows.shape[1], tuple(mean.tolist()), tuple(variance.sqrt().tolist()))

    @property
    def width(self) -> int:
        return 2 * self.size

    def text(self, code: Tensor) -> str:
        mean, scale = (numbers_of(name, getattr(self, name)) for name in ("mean", "scale"))
        values = code[: self.size].double() * scale + mean
        known = code[self.size :] > 0
        each = [f"{v:.4g}" if k else "nan" for v, k in zip(values.tolist(), known, strict=True)]
        return each[0] if self.size == 1 else f"({', '.join(each)})"

    def encode(self, y: object) -> Tensor:
        rows = _rows(as_tensor(y, "given").detach().cpu().double(), self.size)
        known = ~rows.isnan()
        mean, scale = (numbers_of(name, getattr(self, name)) for name in ("mean", "scale"))
        values = torch.where(known, (rows - mean) / scale, 0.0)
        wild = ~(values.abs() <= FARTHEST)
        if wild.any():
            where = tuple(wild.nonzero()[0].tolist())
            raise ValueError(
                f"the condition is {rows[where].item():g} at {where}, more than {FARTHEST:g} "
                "standard deviations from its mean: check its units, or make the condition with "
                "Vector.of(y)"
            )
        return torch.cat([values, known.double()], 1)


def _rows(y: Tensor, size: int | None) -> Tensor:
    """y as rows (N, size)."""
    if y.ndim == 2 and size in (None, y.shape[1]):
        return y
    if y.ndim == 1 and (size is None or (size == 1 and len(y) != 1)):
        return y[:, None]
    if y.ndim < 2 and y.numel() == size:
        return y.reshape(1, -1)
    raise ValueError(
        f"the condition must have shape (examples, {size}), or ({size},) for one example, got "
        f"{tuple(y.shape)}"
    )
