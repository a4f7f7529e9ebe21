"""Examples as channels on a grid of places, as convolutions need them."""

__all__ = ["Grid"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class Grid:
    """How an example lies on a grid.

    Args:
        sizes: of the grid's axes, in values.
        own: the data's own channels: the product of the axes before those of the grid.
        patch: the edge of the squares of values that become channels. Default 1.
    """

    sizes: tuple[int, ...]
    own: int
    patch: int = 1

    @classmethod
    def of(cls, shape: tuple[int, ...], axes: int | None, patch: int = 1) -> "Grid":
        """The grid for a shape.

        Args:
            shape: of one example.
            axes: how many of the last axes are spatial; None for all of one or two axes, else two.
            patch: the edge of the squares of values that become channels. Default 1.

        Raises:
            ValueError: if `axes` or `patch` is out of range.
        """
        axes = min(len(shape), 2) if axes is None else axes
        if axes not in _CONV or axes > len(shape):
            raise ValueError(
                f"a grid has 1 to {min(3, len(shape))} of the axes of shape {shape}, got "
                f"axes={axes}: the axes before them are channels"
            )
        if patch < 1:
            raise ValueError(f"a patch holds at least one value, got patch={patch}")
        split = len(shape) - axes
        return cls(tuple(shape[split:]), math.prod(shape[:split]), patch)

    @property
    def channels(self) -> int:
        """Channels that a convolution reads: the data's own, times the values of a patch."""
        return self.own * int(self.patch ** len(self.sizes))

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory layout that is fastest for convolutions, on CPUs and GPUs."""
        return torch.channels_last if len(self.sizes) == 2 else torch.contiguous_format

    def require(self, factor: int) -> None:
        """ValueError unless `factor` divides every size; the message names sizes that fit."""
        if any(size % factor for size in self.sizes):
            fit = [
                (size // factor * factor or factor, -(-size // factor) * factor)
                for size in self.sizes
            ]
            near = " by ".join(f"{low} or {high}" if low != high else f"{low}" for low, high in fit)
            raise ValueError(
                f"a network that divides each axis by {factor} does not fit data of "
                f"{' by '.join(map(str, self.sizes))}: sizes that fit are multiples of {factor} "
                f"(the nearest: {near}); pad or crop the data, or use fewer resolutions or a "
                "smaller patch"
            )

    def conv(self, inside: int, outside: int, kernel: int = 3, stride: int = 1) -> Any:
        """A convolution that keeps the size, up to its stride."""
        return _CONV[len(self.sizes)](inside, outside, kernel, stride, padding=kernel // 2)

    def gather(self, x: Tensor) -> Tensor:
        """Examples (B, *shape) as channels on the grid, (B, channels, *sizes / patch)."""
        x = x.reshape(len(x), self.own, *self.sizes)
        if self.patch > 1:
            n = len(self.sizes)
            for axis in range(n):  # split each axis into places and values of a patch
                x = torch.unflatten(x, 2 + 2 * axis, (-1, self.patch))
            x = x.permute(0, 1, *range(3, 3 + 2 * n, 2), *range(2, 2 + 2 * n, 2))
            x = x.flatten(1, 1 + n)
        return x.contiguous(memory_format=self.memory_format)

    def scatter(self, out: Tensor, outputs: int) -> Tensor:
        """Channels on the grid as outputs of examples; the inverse of :meth:`gather`.

        Args:
            out: shape (B, outputs * channels, *sizes / patch).
            outputs: numbers for each value.

        Returns:
            Shape (B, own, *sizes, outputs).
        """
        n = len(self.sizes)
        out = torch.unflatten(out, 1, (outputs, self.own, *[self.patch] * n))
        # (B, outputs, own, *patches, *places) -> (B, own, place, patch, ..., outputs)
        pairs = [axis for i in range(n) for axis in (3 + n + i, 3 + i)]
        out = out.permute(0, 2, *pairs, 1)
        return out.reshape(len(out), self.own, *self.sizes, outputs)
