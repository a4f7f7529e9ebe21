"""The transformer of the diffusers library, `DiTTransformer2DModel`, with the same names of its
weights."""

__all__ = ["DiffusersDiT"]

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers
from .image_layout import Grid
from .time import sinusoids_of, sinusoids_of_steps

FEATURES = 256
"""Features of the time."""

OF_ATTENTION = 1e-6
"""What the layer norms before attention and before the output add to a variance."""


class _Conditioning(nn.Module):
    """The embedding of the time and of the class; the last class stands for none."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.timestep_embedder = nn.ModuleDict(
            {"linear_1": nn.Linear(FEATURES, width), "linear_2": nn.Linear(width, width)}
        )
        self.class_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(classes + 1, width)})

    def forward(self, features: Tensor, given: Tensor | None) -> Tensor:
        first, second = (self.timestep_embedder[name] for name in ("linear_1", "linear_2"))
        rows: Any = self.class_embedder["embedding_table"]
        table: Tensor = rows.weight
        time: Tensor = second(F.silu(first(features)))
        if given is None:
            return time + table[-1]
        none = 1 - given.sum(1, keepdim=True)
        return time + torch.cat([given, none], 1) @ table


class _Modulation(nn.Module):
    """The scales, the shifts and the gates of a block."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.emb = _Conditioning(width, classes)
        self.linear = nn.Linear(width, 6 * width)

    def forward(self, features: Tensor, given: Tensor | None) -> tuple[Tensor, ...]:
        embedded = self.linear(F.silu(self.emb(features, given)))
        return tuple(part[:, None] for part in embedded.chunk(6, 1))


class _Attention(nn.Module):
    """Self-attention over all patches."""

    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, h: Tensor) -> Tensor:
        query, key, value = (
            read(h).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for read in (self.to_q, self.to_k, self.to_v)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        found: Tensor = self.to_out[0](mixed)
        return found


class _Block(nn.Module):
    """Attention and a perceptron, each behind a layer norm that the time and the class modulate."""

    def __init__(
        self, width: int, heads: int, bias: bool, classes: int, epsilon: float, dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = _Modulation(width, classes)
        self.attn1 = _Attention(width, heads, bias)
        net = [
            nn.ModuleDict({"proj": nn.Linear(width, 4 * width)}),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        ]
        self.ff = nn.ModuleDict({"net": nn.ModuleList(net)})
        self.epsilon = epsilon

    def forward(self, h: Tensor, features: Tensor, given: Tensor | None) -> Tensor:
        shift, scale, gate, shift_of_net, scale_of_net, gate_of_net = self.norm1(features, given)
        seen = F.layer_norm(h, h.shape[-1:], eps=OF_ATTENTION) * (1 + scale) + shift
        h = h + gate * self.attn1(seen)
        seen = F.layer_norm(h, h.shape[-1:], eps=self.epsilon)
        net: Any = self.ff["net"]
        inner = net[0]["proj"](seen * (1 + scale_of_net) + shift_of_net)
        found: Tensor = h + gate_of_net * net[2](net[1](F.gelu(inner, approximate="tanh")))
        return found


@dataclass(eq=False)
class DiffusersDiT(nn.Module):
    """`DiTTransformer2DModel` of the diffusers library: the same function, and the same names of
    its weights. :func:`quasistatic.from_diffusers` builds it and loads the weights; for a new model
    :class:`DiT` is the one to take.

    A condition that is not given is one more class of the network, which it was trained with.

    Args:
        shape: of one example, (H, W) or with channels first (C, H, W); square.
        steps: T; the network sees t - 1, from 0 to T - 1. Default 1000.
        condition: the classes. Default 1000.
        width: features of a patch; an even number of times 4. Default 1152.
        depth: blocks. Default 28.
        heads: of attention. Default 16.
        patch: the edge of a patch. Default 2.
        outputs: numbers for each value of x, as the head needs. Default 1.
        epsilon: what the layer norms before the perceptrons add to a variance. Default 1e-5.
        attention_bias: whether queries, keys and values have biases. Default True.
        dropout: the share of hidden features that training drops. Default 0.
        of_noise: whether the time argument is a number that the features are made of, as that of
            :class:`NoiseScaled`, and not t / T. Default False.

    Raises:
        ValueError: if the patch does not divide the sides, the image is not square, or a number is
            out of range.
    """

    shape: Any
    steps: int = 1000
    condition: int = 1000
    width: int = 1152
    depth: int = 28
    heads: int = 16
    patch: int = 2
    outputs: int = 1
    epsilon: float = 1e-5
    attention_bias: bool = True
    dropout: float = 0.0
    of_noise: bool = dataclasses.field(default=False, metadata={"added": True})

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("steps", "condition", "width", "depth", "heads", "patch", "outputs"):
            whole_number(name, getattr(self, name))
        number_within("dropout", self.dropout, 0, 1, "[)")
        number_within("epsilon", self.epsilon, 0)
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                f"a width is a multiple of 4 and of the {self.heads} heads, got {self.width}"
            )
        self.grid = Grid.of(self.shape, 2)
        sides = self.grid.sizes
        if sides[0] != sides[1] or sides[0] % self.patch:
            raise ValueError(
                f"the images are square, with sides that patches of {self.patch} divide, got "
                f"{tuple(sides)}"
            )
        channels, width = self.grid.channels, self.width
        project = nn.Conv2d(channels, width, self.patch, self.patch)
        self.pos_embed = nn.ModuleDict({"proj": project})
        self.transformer_blocks = nn.ModuleList(
            _Block(
                width, self.heads, self.attention_bias, self.condition, self.epsilon, self.dropout
            )
            for _ in range(self.depth)
        )
        self.proj_out_1 = nn.Linear(width, 2 * width)
        self.proj_out_2 = nn.Linear(width, self.patch**2 * channels * self.outputs)
        self.place: Tensor
        place = _places(sides[0] // self.patch, width).to(torch.get_default_dtype())
        self.register_buffer("place", place, persistent=False)

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        if self.of_noise:
            features = sinusoids_of(time, FEATURES, True, 1.0)
        else:
            features = sinusoids_of_steps(time, self.steps, FEATURES, True, 1.0)
        features = features.to(x.dtype)
        h = self.pos_embed["proj"](self.grid.gather(x)).flatten(2).transpose(1, 2) + self.place
        for block in self.transformer_blocks:
            h = block(h, features, given)
        first: Any = self.transformer_blocks[0]
        embedded = self.proj_out_1(F.silu(first.norm1.emb(features, given)))
        shift, scale = (part[:, None] for part in embedded.chunk(2, 1))
        h = F.layer_norm(h, h.shape[-1:], eps=OF_ATTENTION) * (1 + scale) + shift
        edge = self.grid.sizes[0] // self.patch
        out = self.proj_out_2(h).unflatten(2, (self.patch, self.patch, -1))
        out = out.unflatten(1, (edge, edge)).permute(0, 5, 1, 3, 2, 4)
        out = out.reshape(len(x), -1, *self.grid.sizes)
        return self.grid.scatter(out, self.outputs).reshape(*x.shape, self.outputs)


def _places(edge: int, width: int) -> Tensor:
    """Sines and cosines of the column and of the row of each patch, with shape (edge^2, width)."""
    # On the CPU even where a network is built without memory, to compare its weights first.
    at = torch.arange(edge, dtype=torch.float64, device="cpu")
    share = torch.arange(width // 4, dtype=torch.float64, device="cpu") / (width // 4)
    omega = 10000**-share
    angle = at[:, None] * omega
    each = torch.cat([angle.sin(), angle.cos()], 1)
    column = each[None].expand(edge, -1, -1)
    row = each[:, None].expand(-1, edge, -1)
    return torch.cat([column, row], 2).reshape(edge**2, width)
