"""The orthonormal basis of a spectral law: cosines along some axes, and directions of the other
axes for each frequency."""

__all__ = ["CosineBasis", "cosines"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


def cosines(n: int) -> Tensor:
    """The orthonormal DCT-II of n values, with shape (n, n), in float64: row f is frequency f."""
    k = torch.arange(n, dtype=torch.float64)
    table = torch.cos(math.pi * (k + 0.5) * k[:, None] / n) * math.sqrt(2 / n)
    table[0] /= math.sqrt(2)
    return table


@dataclass(frozen=True, eq=False)
class CosineBasis:
    r"""An orthonormal basis of examples: the cosines of the last axes, times directions of the
    other values at each frequency.

    The last `axes` axes are places, with F frequencies in all. The C values at a place (colours, or
    channels of a signal) are mixed at each frequency by an orthogonal matrix. With no axis of
    places there is one frequency, and the matrix is a basis of whole examples.

    Args:
        shape: of one example, D values.
        axes: how many of the last axes are places: 0, 1 or 2.
        directions: an orthogonal matrix for each frequency, with shape (F, C, C); its columns are
            the directions.

    Raises:
        ValueError: if `axes` or the shape of `directions` does not fit.
    """

    shape: tuple[int, ...]
    axes: int
    directions: Tensor

    def __post_init__(self) -> None:
        if not 0 <= self.axes <= min(2, len(self.shape)):
            raise ValueError(
                f"cosines run along 0, 1 or 2 of the axes of shape {self.shape}, got "
                f"axes={self.axes}"
            )
        expected = (self.frequencies, self.channels, self.channels)
        if tuple(self.directions.shape) != expected:
            raise ValueError(
                f"directions of shape {self.shape} with {self.axes} axes of places have shape "
                f"{expected}, got {tuple(self.directions.shape)}"
            )

    @classmethod
    def plain(cls, shape: Sequence[int], axes: int) -> "CosineBasis":
        """Cosines alone: each channel is a direction of its own."""
        shape = tuple(shape)
        frequencies = math.prod(shape[len(shape) - axes :])
        channels = math.prod(shape) // frequencies
        eye = torch.eye(channels, dtype=torch.float64)
        return cls(shape, axes, eye.repeat(frequencies, 1, 1))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the axes of places."""
        return self.shape[len(self.shape) - self.axes :]

    @property
    def frequencies(self) -> int:
        """F, the number of frequencies."""
        return math.prod(self.sizes)

    @property
    def channels(self) -> int:
        """C, the number of values at a place."""
        return math.prod(self.shape) // self.frequencies

    @property
    def width(self) -> int:
        """D, the number of values of an example."""
        return math.prod(self.shape)

    def to(self, like: Tensor) -> "CosineBasis":
        """The same basis in the type and on the device of a tensor."""
        return CosineBasis(self.shape, self.axes, self.directions.to(like))

    def turn(self, x: Tensor) -> Tensor:
        """Examples (*, D) as coefficients (*, D): for each frequency, its directions."""
        z = self._along_axes(x.reshape(-1, self.channels, *self.sizes), forward=True)
        z = z.reshape(-1, self.channels, self.frequencies)
        if self.channels > 1:
            # As a batch of matrix products over frequencies.
            z = torch.bmm(z.permute(2, 0, 1), self.directions).permute(1, 0, 2)
        return z.reshape(x.shape)

    def back(self, z: Tensor) -> Tensor:
        """Coefficients (*, D) as examples (*, D); the inverse of :meth:`turn`."""
        x = z.reshape(-1, self.frequencies, self.channels)
        if self.channels > 1:
            x = torch.bmm(x.permute(1, 0, 2), self.directions.mT).permute(1, 0, 2)
        x = x.transpose(1, 2).reshape(-1, self.channels, *self.sizes)
        return self._along_axes(x, forward=False).reshape(z.shape)

    def value_variance(self, variance: Tensor) -> Tensor:
        """The variance of each value (*, D) where the coefficients are independent and have these
        variances (*, D)."""
        v = variance.reshape(-1, self.frequencies, self.channels)
        if self.channels > 1:
            v = torch.bmm(v.permute(1, 0, 2), self._squares.mT).permute(1, 0, 2)
        v = v.transpose(1, 2).reshape(-1, self.channels, *self.sizes)
        return self._along_axes(v, forward=False, squared=True).reshape(variance.shape)

    def matrix(self) -> Tensor:
        """The basis as an orthogonal matrix (D, D): row i is the i-th basis vector."""
        eye = torch.eye(self.width, dtype=self.directions.dtype, device=self.directions.device)
        return self.back(eye)

    def _along_axes(self, x: Tensor, forward: bool, squared: bool = False) -> Tensor:
        """Multiplies each axis of places of x (N, C, *sizes) by the table of its cosines."""
        tables = self._squared_tables if squared else self._tables
        for axis, table in enumerate(tables, 2):
            matrix = table if forward else table.mT
            x = x @ matrix.mT if axis == x.ndim - 1 else matrix @ x
        return x

    @cached_property
    def _tables(self) -> list[Tensor]:
        return [cosines(size).to(self.directions) for size in self.sizes]

    @cached_property
    def _squared_tables(self) -> list[Tensor]:
        return [table.square() for table in self._tables]

    @cached_property
    def _squares(self) -> Tensor:
        return self.directions.square()
