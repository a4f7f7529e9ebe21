"""DDPM's U-Net, for sequences and images of any size and any number of channels."""

__all__ = ["UNet"]

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .image_layout import Grid
from .norms import Norm, NormSiLU
from .time import sinusoids

_RISE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _Residual(nn.Module):
    """Two convolutions behind group norms; time scales and shifts what the second one sees."""

    def __init__(self, grid: Grid, inside: int, width: int, told: int, dropout: float) -> None:
        super().__init__()
        self.first_norm, self.first = NormSiLU(inside), grid.conv(inside, width)
        self.told = nn.Linear(told, 2 * width)
        self.norm, self.second = NormSiLU(width), grid.conv(width, width)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inside == width else grid.conv(inside, width, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        inner = self.norm(self.first(self.first_norm(h)), self.told(time))
        return self.skip(h) + self.second(self.dropout(inner))


class _Attention(nn.Module):
    """Every place looks at every other."""

    def __init__(self, grid: Grid, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the {width} channels of a level")
        self.heads = heads
        self.norm, self.read = Norm(width), grid.conv(width, 3 * width, 1)
        self.write = grid.conv(width, width, 1)
        nn.init.zeros_(self.write.weight)

    def forward(self, h: Tensor) -> Tensor:
        read = self.read(self.norm(h)).flatten(2).unflatten(1, (3, self.heads, -1))
        query, key, value = read.transpose(-1, -2).unbind(1)
        seen = F.scaled_dot_product_attention(query, key, value)
        return h + self.write(seen.transpose(-1, -2).reshape(h.shape))


class _Level(nn.Module):
    """A residual block, and attention behind it at the resolutions that have it."""

    def __init__(self, residual: _Residual, attention: _Attention | None) -> None:
        super().__init__()
        self.residual, self.attention = residual, attention or nn.Identity()

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return self.attention(self.residual(h, time))


@dataclass(eq=False)
class UNet(nn.Module):
    """Residual blocks on a pyramid of resolutions, each half the one before, and back up with
    the blocks on the way down beside (DDPM App. B).

    Args:
        shape: the shape of one example: (L,), (H, W), or with the channels first, (C, H, W); a
            whole number means one axis.
        width: channels at the finest resolution.
        multiples: of `width`, the channels at each resolution; their number is that of the
            resolutions.
        blocks: residual blocks at each resolution on the way down, and one more on the way up.
        attention: the resolutions with self-attention, counted from 0, the finest.
        heads: of the attention.
        outputs: numbers for each value of x, as the head needs.
        dropout: share of hidden channels dropped in training.
        patch: edge of the squares of values that the finest resolution takes as channels; 2
            makes a network four times cheaper on images.
        framed: whether it learns a number of its own for each output of each value, a start for
            data that are framed alike, as digits in the middle are. Without, the network knows no
            place, and fits data of any size.
        axes: how many of the last axes are places and not channels; by default all of a shape of
            one or two axes, else two.

    Raises:
        ValueError: if the resolutions do not divide the size; the message says what sizes fit.
    """

    shape: Any
    width: int = 64
    multiples: Any = (1, 2, 2, 2)
    blocks: int = 2
    attention: Any = (1,)
    heads: int = 1
    outputs: int = 1
    dropout: float = 0.0
    patch: int = 1
    framed: bool = False
    axes: int | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        self.multiples, self.attention = tuple(self.multiples), tuple(self.attention)
        depth, told = len(self.multiples), 4 * self.width
        strange = [level for level in self.attention if not 0 <= level < depth]
        if strange or not depth:
            raise ValueError(
                f"attention {self.attention} must name resolutions from 0 to {depth - 1}, those of "
                f"multiples {self.multiples}"
            )
        self.grid = grid = Grid.of(self.shape, self.axes, self.patch)
        grid.require(self.patch * 2 ** (depth - 1))
        self.time = nn.Sequential(
            nn.Linear(self.width, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU()
        )
        self.read_in = grid.conv(grid.channels, self.width)
        widths = [multiple * self.width for multiple in self.multiples]
        self._build(grid, widths, told)
        self.norm = NormSiLU(widths[0])
        self.read_out = grid.conv(widths[0], grid.channels * self.outputs)
        if self.framed:
            self.bias = nn.Parameter(torch.zeros(*self.shape, self.outputs))
        with torch.no_grad():
            self.read_out.weight *= 0.1
            nn.init.zeros_(self.read_out.bias)
        self.to(memory_format=grid.memory_format)  # type: ignore[call-overload]

    def _build(self, grid: Grid, widths: list[int], told: int) -> None:
        def level(inside: int, depth: int) -> _Level:
            residual = _Residual(grid, inside, widths[depth], told, self.dropout)
            if depth not in self.attention:
                return _Level(residual, None)
            return _Level(residual, _Attention(grid, widths[depth], self.heads))

        deepest, inside, beside = len(widths) - 1, self.width, [self.width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for depth, width in enumerate(widths):
            for _ in range(self.blocks):
                self.down.append(level(inside, depth))
                inside = width
                beside.append(width)
            if depth < deepest:
                self.down.append(grid.conv(width, width, stride=2))
                beside.append(width)
        self.middle = level(inside, deepest)
        self.last = _Level(_Residual(grid, inside, inside, told, self.dropout), None)
        for depth in range(deepest, -1, -1):
            for _ in range(self.blocks + 1):
                self.up.append(level(inside + beside.pop(), depth))
                inside = widths[depth]
            if depth:
                self.up.append(_Rise(grid, inside))

    def start_at(self, output: Tensor) -> "UNet":
        """Starts near this output (*, outputs) for every input, before any training.

        Raises:
            TypeError: if the network is not framed.
        """
        if not self.framed:
            raise TypeError(
                "only a framed network has outputs of its own for each value: framed=True"
            )
        with torch.no_grad():
            self.bias.copy_(output)
        return self

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        told = self.time(sinusoids(time, self.width))
        h = self.read_in(self.grid.gather(x))
        beside = [h]
        for module in self.down:
            h = module(h, told) if isinstance(module, _Level) else module(h)
            beside.append(h)
        h = self.last(self.middle(h, told), told)
        for module in self.up:
            if isinstance(module, _Level):
                h = module(torch.cat([h, beside.pop()], 1), told)
            else:
                h = module(h)
        out = self.read_out(self.norm(h))
        out = self.grid.scatter(out, self.outputs).reshape(*x.shape, self.outputs)
        return out + self.bias if self.framed else out


class _Rise(nn.Module):
    """Twice the resolution: each place repeated, then a convolution.

    The two are one transposed convolution of stride 2, whose kernel of 4 places sums the taps that
    fall on the same place: less than half of the multiplications, and nothing repeated in memory.
    """

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.conv = grid.conv(width, width)

    def forward(self, h: Tensor) -> Tensor:
        kernel = self.conv.weight.transpose(0, 1)
        for axis in range(2, kernel.ndim):  # (a, b, c) becomes (c, c + b, b + a, a)
            pad = [0, 0] * (kernel.ndim - 1 - axis)
            kernel = kernel.flip(axis)
            kernel = F.pad(kernel, [*pad, 0, 1]) + F.pad(kernel, [*pad, 1, 0])
        return _RISE[h.ndim - 2](h, kernel, self.conv.bias, stride=2, padding=1)
