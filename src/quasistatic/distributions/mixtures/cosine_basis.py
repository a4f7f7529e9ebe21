"""The orthonormal basis of a spectral law: cosines along some axes, and directions of the other
axes for each frequency."""

__all__ = ["CosineBasis", "cosines"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

FEW = 4
"""Channels up to which they are mixed one by one, and not as a product of matrices."""


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

    def resized(self, sizes: Sequence[int]) -> tuple["CosineBasis", Tensor]:
        """The basis for examples with other sizes of the axes of places.

        Args:
            sizes: of these axes.

        Returns:
            A basis with the directions of the nearest frequency in cycles a place; and the number
            of that frequency for each of the new ones, shape (new F,).
        """
        sizes = tuple(sizes)
        index = torch.zeros((), dtype=torch.long)
        for new, old in zip(sizes, self.sizes, strict=True):
            nearest = (torch.arange(new) * old / new).round().long().clamp(max=old - 1)
            index = index[..., None] * old + nearest
        index = index.flatten().to(self.directions.device)
        shape = (*self.shape[: len(self.shape) - self.axes], *sizes)
        return CosineBasis(shape, self.axes, self.directions[index]), index

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
        """Examples (*, D) as coefficients (*, D), the directions one after the other."""
        z = self._to_frequencies(x.reshape(-1, self.channels, *self.sizes))
        return self._mixed(z, self._into).reshape(x.shape)

    def back(self, z: Tensor) -> Tensor:
        """Coefficients (*, D) as examples (*, D); the inverse of :meth:`turn`."""
        mixed = self._mixed(z.reshape(-1, self.channels, self.frequencies), self._out_of)
        return self._to_places(mixed, self._tables).reshape(z.shape)

    def value_variance(self, variance: Tensor) -> Tensor:
        """The variance of each value (*, D) where the coefficients are independent and have these
        variances (*, D)."""
        v = variance.reshape(-1, self.channels, self.frequencies)
        tables, out_of = self._squares
        return self._to_places(self._mixed(v, out_of), tables).reshape(variance.shape)

    def matrix(self) -> Tensor:
        """The basis as an orthogonal matrix (D, D): row i is the i-th basis vector."""
        eye = torch.eye(self.width, dtype=self.directions.dtype, device=self.directions.device)
        return self.back(eye)

    def _mixed(self, z: Tensor, matrices: Tensor) -> Tensor:
        """The channels of z (N, C, F), mixed at each frequency by matrices (C, C, F), or (F, C, C)
        if there are more than `FEW` channels."""
        channels = self.channels
        if channels == 1:
            return z * matrices[0, 0]
        if channels <= FEW:  # vectors along the frequencies
            out = z[:, :1] * matrices[0]
            for channel in range(1, channels):
                out = torch.addcmul(out, z[:, channel, None], matrices[channel])
            return out
        # Copies to contiguous memory: products of strided matrices take several times as long.
        mixed = torch.bmm(z.permute(2, 0, 1).contiguous(), matrices)
        return mixed.permute(1, 2, 0).contiguous()

    def _to_frequencies(self, x: Tensor) -> Tensor:
        """x (N, C, *sizes) as cosines (N, C, F), frequencies in the order of the places."""
        for table in reversed(self._tables):
            x = (x @ table.mT).movedim(-1, 2)
        return x.reshape(len(x), self.channels, self.frequencies)

    def _to_places(self, z: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """Cosines (N, C, F) as values (N, C, *sizes); with the squares of the tables, variances."""
        x = z.reshape(len(z), self.channels, *self.sizes)
        for table in tables:
            x = x.movedim(2, -1) @ table
        return x

    @cached_property
    def _tables(self) -> list[Tensor]:
        return [cosines(size).to(self.directions) for size in self.sizes]

    @cached_property
    def _squares(self) -> tuple[list[Tensor], Tensor]:
        """The squares of the tables, and of the transposed directions."""
        return [table.square() for table in self._tables], self._out_of.square()

    @cached_property
    def _into(self) -> Tensor:
        """The directions as :meth:`_mixed` takes them."""
        return self._laid_out(self.directions)

    @cached_property
    def _out_of(self) -> Tensor:
        """The transposed directions as :meth:`_mixed` takes them."""
        return self._laid_out(self.directions.mT)

    def _laid_out(self, matrices: Tensor) -> Tensor:
        """Matrices (F, C, C) with the frequencies last, if there are few channels."""
        few = self.channels <= FEW
        return (matrices.permute(1, 2, 0) if few else matrices).contiguous()
