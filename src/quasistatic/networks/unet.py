"""DDPM's U-Net, for sequences and images of any size and any number of channels."""

__all__ = ["UNet"]

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers
from .given import GivenEmbedding, condition_field
from .image_layout import Grid
from .norms import Norm, NormSiLU
from .time import sinusoids

_RISE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _Residual(nn.Module):
    """Two convolutions behind group norms; the time scales and shifts the input of the second
    one."""

    def __init__(
        self, grid: Grid, inside: int, width: int, time_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.first_norm, self.first = NormSiLU(inside), grid.conv(inside, width)
        # Scales and shifts; the weights are stored by this name.
        self.told = nn.Linear(time_width, 2 * width)
        self.norm, self.second = NormSiLU(width), grid.conv(width, width)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if inside == width else grid.conv(inside, width, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        inner = self.norm(self.first(self.first_norm(h)), self.told(time))
        found: Tensor = self.skip(h) + self.second(self.dropout(inner))
        return found


class _Attention(nn.Module):
    """Self-attention over all places."""

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
        mixed = F.scaled_dot_product_attention(query, key, value)
        found: Tensor = h + self.write(mixed.transpose(-1, -2).reshape(h.shape))
        return found


class _Level(nn.Module):
    """A residual block, followed by attention at the resolutions that have it."""

    def __init__(self, residual: _Residual, attention: _Attention | None) -> None:
        super().__init__()
        self.residual, self.attention = residual, attention or nn.Identity()

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        found: Tensor = self.attention(self.residual(h, time))
        return found


@dataclass(eq=False)
class UNet(nn.Module):
    """Residual blocks at several resolutions, each half the one before, down and up again with skip
    connections (DDPM App. B).

    Args:
        shape: of one example: (L,), (H, W), or with channels first (C, H, W); a whole number means
            one axis.
        width: channels at the finest resolution. Default 64.
        multiples: for each resolution, its channels as a multiple of `width`. Default (1, 2, 2, 2).
        blocks: residual blocks at each resolution on the way down; there is one more on the way up.
            Default 2.
        attention: the resolutions with self-attention, counted from 0, the finest. Default (1,).
        heads: attention heads. Default 1.
        outputs: numbers for each value of x, as the head needs. Default 1.
        dropout: the share of hidden channels that training drops. Default 0.
        patch: the edge of the squares of values that the finest resolution takes as channels; 2
            makes a network for images four times cheaper. Default 1.
        framed: whether each output of each value has a learned offset, for data whose values have
            different roles, such as centred digits. Without it the network is the same at every
            place and takes data of any size. Default False.
        axes: how many of the last axes are spatial and not channels; None for all axes of a shape
            of one or two axes, else two. Default None.
        condition: numbers of the condition's code, `condition.width`; 0 for a model of p(x) alone.
            Default 0.

    Raises:
        ValueError: if the sizes cannot be halved so often (the message names sizes that fit), or an
            argument is out of range.
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
    condition: int = condition_field()

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        self.multiples = whole_numbers("multiples", self.multiples)
        self.attention = tuple(self.attention)
        for name in ("width", "blocks", "heads", "outputs"):
            whole_number(name, getattr(self, name))
        number_within("dropout", self.dropout, 0, 1, "[)")
        depth, time_width = len(self.multiples), 4 * self.width
        unknown = [level for level in self.attention if not 0 <= level < depth]
        if unknown or not depth:
            raise ValueError(
                f"attention {self.attention} must name resolutions from 0 to {depth - 1}, those of "
                f"multiples {self.multiples}"
            )
        self.grid = grid = Grid.of(self.shape, self.axes, self.patch)
        grid.require(self.patch * 2 ** (depth - 1))
        self.time = nn.Sequential(
            nn.Linear(self.width, time_width),
            nn.SiLU(),
            nn.Linear(time_width, time_width),
            nn.SiLU(),
        )
        self.read_in = grid.conv(grid.channels, self.width)
        widths = [multiple * self.width for multiple in self.multiples]
        self._build(grid, widths, time_width)
        self.norm = NormSiLU(widths[0])
        self.read_out = grid.conv(widths[0], grid.channels * self.outputs)
        if self.framed:
            self.bias = nn.Parameter(torch.zeros(*self.shape, self.outputs))
        with torch.no_grad():
            self.read_out.weight *= 0.1
            nn.init.zeros_(self.read_out.bias)
        self.given = GivenEmbedding(self.condition, time_width)
        self.to(memory_format=grid.memory_format)  # type: ignore[call-overload]

    def _build(self, grid: Grid, widths: list[int], time_width: int) -> None:
        def level(inside: int, depth: int) -> _Level:
            residual = _Residual(grid, inside, widths[depth], time_width, self.dropout)
            if depth not in self.attention:
                return _Level(residual, None)
            return _Level(residual, _Attention(grid, widths[depth], self.heads))

        deepest, inside, skipped = len(widths) - 1, self.width, [self.width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for depth, width in enumerate(widths):
            for _ in range(self.blocks):
                self.down.append(level(inside, depth))
                inside = width
                skipped.append(width)
            if depth < deepest:
                self.down.append(grid.conv(width, width, stride=2))
                skipped.append(width)
        self.middle = level(inside, deepest)
        self.last = _Level(_Residual(grid, inside, inside, time_width, self.dropout), None)
        for depth in range(deepest, -1, -1):
            for _ in range(self.blocks + 1):
                self.up.append(level(inside + skipped.pop(), depth))
                inside = widths[depth]
            if depth:
                self.up.append(_Rise(grid, inside))

    def start_at(self, output: Tensor) -> "UNet":
        """Sets the initial output for every input.

        Args:
            output: shape (*, outputs).

        Returns:
            The network itself.

        Raises:
            TypeError: if the network is not framed.
        """
        if not self.framed:
            raise TypeError(
                "only a framed network has an offset for each value: build it with framed=True"
            )
        with torch.no_grad():
            self.bias.copy_(output)
        return self

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        embedding = self.given(self.time(sinusoids(time, self.width)), given)
        h = self.read_in(self.grid.gather(x))
        skipped = [h]
        for module in self.down:
            h = module(h, embedding) if isinstance(module, _Level) else module(h)
            skipped.append(h)
        h = self.last(self.middle(h, embedding), embedding)
        for module in self.up:
            if isinstance(module, _Level):
                h = module(torch.cat([h, skipped.pop()], 1), embedding)
            else:
                h = module(h)
        out = self.read_out(self.norm(h))
        out = self.grid.scatter(out, self.outputs).reshape(*x.shape, self.outputs)
        return out + self.bias if self.framed else out


class _Rise(nn.Module):
    """Twice the resolution: each place repeated, then a convolution.

    Both are computed as one transposed convolution of stride 2. Its kernel of 4 places adds the
    weights that apply to the same place: less than half of the multiplications, and no repeated
    copy in memory.
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
