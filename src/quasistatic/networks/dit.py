"""The diffusion transformer, for sequences and images of any size and any number of channels."""

__all__ = ["DiT", "place_embedding"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .given import GivenEmbedding, condition_field
from .image_layout import Grid
from .time import sinusoids


def place_embedding(sizes: Sequence[int], width: int) -> Tensor:
    """Sine-cosine embedding of the places of a grid (PX23 Sec. 3.2, VSPU17 Sec. 3.5).

    Each axis has an equal, even share of the width. Within a share the wavelengths grow
    geometrically from 2 pi to 20000 pi places. The inner product of two embeddings depends on the
    distance of their places along each axis only.

    Args:
        sizes: number of places along each axis.
        width: of the embedding. What the shares leave over is filled with zeros.

    Returns:
        Tensor of shape (product of sizes, width), float32, in row-major order of the places.

    Raises:
        ValueError: if the width is less than two for each axis.
    """
    share = width // (2 * len(sizes))
    if not share:
        raise ValueError(
            f"{len(sizes)} axes need a width of at least {2 * len(sizes)}, got {width}"
        )
    frequency = 1e-4 ** (torch.arange(share, dtype=torch.float64) / share)
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in sizes), indexing="ij")
    angles = [axis.flatten()[:, None] * frequency for axis in axes]
    features = torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)
    return F.pad(features, (0, width - features.shape[1])).float()


class _Modulation(nn.Module):
    """Shifts, scales and gates as a linear function of the time embedding, zero at the start."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(width, count * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, time: Tensor) -> tuple[Tensor, ...]:
        """`count` tensors of shape (B, 1, width), for a time embedding (B, width)."""
        numbers: Tensor = self.linear(time)[:, None]
        return numbers.chunk(self.count, -1)


def _modulated(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(h, h.shape[-1:], eps=1e-6), 1 + scale)


class _Block(nn.Module):
    """Attention and a perceptron, each behind an adaptive layer norm and a gate (adaLN-Zero)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = _Modulation(width, 6)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        shift, scale, gate, later_shift, later_scale, later_gate = self.modulation(time)
        h = h + gate * self.attend(_modulated(h, shift, scale))
        inner = F.gelu(self.expand(_modulated(h, later_shift, later_scale)), approximate="tanh")
        out: Tensor = h + later_gate * self.contract(self.dropout(inner))
        return out

    def attend(self, h: Tensor) -> Tensor:
        """Multi-head attention over the places of h (B, N, width)."""
        read = self.read(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = read.unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.write(seen.transpose(1, 2).flatten(2))
        return out


@dataclass(eq=False)
class DiT(nn.Module):
    """A transformer over patches, whose layer norms are modulated by the time (PX23 Sec. 3.2).

    Every block starts as the identity and the read-out starts at zero, so that the output is zero
    before training.

    Args:
        shape: of one example: (L,), (H, W), or with the channels first, (C, H, W); a whole number
            means one axis.
        width: of the embedding of each patch.
        depth: number of blocks.
        heads: of the attention; they divide the width.
        outputs: numbers for each value of x, as the head needs.
        patch: edge of the patches, in values. The cost of attention falls with its fourth power on
            images.
        ratio: hidden units of each perceptron, in units of the width.
        dropout: share of hidden units dropped in training.
        framed: whether the network has a free number for each output of each value, added to the
            output. It helps for data that share a frame, such as centred digits.
        axes: how many of the last axes are places; the axes before them are channels. By default
            all axes of a shape of one or two axes, else two.
        condition: numbers of the condition's code, `condition.width`; 0 for a model of p(x) alone.
            Default 0.

    Raises:
        ValueError: if the patch does not divide a size (the message gives sizes that fit), the
            heads do not divide the width, or a number is below 1.
    """

    shape: Any
    width: int = 192
    depth: int = 6
    heads: int = 4
    outputs: int = 1
    patch: int = 2
    ratio: float = 4.0
    dropout: float = 0.0
    framed: bool = False
    axes: int | None = None
    condition: int = condition_field()

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        small = [n for n in ("width", "depth", "heads", "outputs") if getattr(self, n) < 1]
        if small:
            raise ValueError(f"{', '.join(small)} must be at least 1")
        if self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width}: use a multiple of "
                f"{self.heads}, {self.width // self.heads * self.heads or self.heads} for example"
            )
        self.grid = grid = Grid.of(self.shape, self.axes, self.patch)
        grid.require(self.patch)
        width, self.places = self.width, tuple(size // self.patch for size in grid.sizes)
        self.time = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.read_in = nn.Linear(grid.channels, width)
        hidden = max(1, round(self.ratio * width))
        self.blocks = nn.ModuleList(
            _Block(width, self.heads, hidden, self.dropout) for _ in range(self.depth)
        )
        self.modulation = _Modulation(width, 2)
        self.read_out = nn.Linear(width, grid.channels * self.outputs)
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)
        self.place: Tensor
        self.register_buffer("place", place_embedding(self.places, width), persistent=False)
        if self.framed:
            self.bias = nn.Parameter(torch.zeros(*self.shape, self.outputs))
        self.given = GivenEmbedding(self.condition, width)

    def start_at(self, output: Tensor) -> "DiT":
        """Sets the output before training.

        Args:
            output: of shape (*shape, outputs).

        Raises:
            TypeError: if the network is not framed.
        """
        if not self.framed:
            raise TypeError("only a framed network has a free output for each value: framed=True")
        with torch.no_grad():
            self.bias.copy_(output)
        return self

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """The output (B, *shape, outputs) for x (B, *shape), t / T (B,) and the codes of a
        condition (B, condition)."""
        embedded = self.given(self.time(sinusoids(time, self.width)), given)
        h = self.read_in(self.grid.gather(x).flatten(2).transpose(1, 2)) + self.place
        for block in self.blocks:
            h = block(h, embedded)
        out = self.read_out(_modulated(h, *self.modulation(embedded)))
        out = out.transpose(1, 2).unflatten(2, self.places)
        out = self.grid.scatter(out, self.outputs).reshape(*x.shape, self.outputs)
        return out + self.bias if self.framed else out
