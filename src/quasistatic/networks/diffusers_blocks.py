"""The blocks of the networks of the diffusers library, with the same names of their weights."""

__all__ = [
    "ACTIVATIONS",
    "Attention",
    "Blocks",
    "Level",
    "Middle",
    "NormActivation",
    "Residual",
    "Sampler",
    "double",
    "halve",
]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .norms import NormSiLU

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "relu": F.relu,
}
"""The activations of residual blocks, by diffusers' names."""


@dataclass(frozen=True)
class Blocks:
    """What all blocks of a network share.

    Args:
        time_width: features of the time; 0 for blocks that do not see the time.
        groups: of each group norm.
        epsilon: that group norms add to a variance.
        scale_shift: whether the time scales and shifts, or is added.
        activation: its name.
        dropout: the share of hidden channels that training drops.
        head_width: channels of an attention head; None for one head.
        heads: of attention, in place of `head_width`; None for that.
    """

    time_width: int
    groups: int
    epsilon: float
    scale_shift: bool
    activation: str
    dropout: float
    head_width: int | None
    heads: int | None

    def heads_of(self, width: int) -> tuple[int, int]:
        """How many attention heads so many channels have, and the channels of each.

        Raises:
            ValueError: if the heads do not fit the channels.
        """
        if self.heads is not None:
            if width % self.heads:
                raise ValueError(f"{self.heads} heads do not divide {width} channels")
            return self.heads, width // self.heads
        head_width = self.head_width or width
        if width < head_width:
            raise ValueError(
                f"attention heads of {head_width} channels are wider than the {width} channels of "
                "their resolution"
            )
        return width // head_width, head_width

    def norm(self, width: int) -> "NormActivation":
        return NormActivation(width, self.groups, self.epsilon, self.activation)


def _require_divisor(groups: int, width: int) -> None:
    """ValueError unless so many groups divide the channels of a group norm."""
    if width % groups:
        raise ValueError(f"{groups} groups do not divide the {width} channels of a group norm")


class NormActivation(NormSiLU):
    """Group norm, a scale and a shift, and an activation."""

    def __init__(self, width: int, groups: int, epsilon: float, activation: str) -> None:
        _require_divisor(groups, width)
        nn.GroupNorm.__init__(self, groups, width, epsilon)
        self.activation = activation

    def forward(self, input: Tensor, modulation: Tensor | None = None) -> Tensor:
        if ACTIVATIONS[self.activation] is F.silu:
            return super().forward(input, modulation)
        x = F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
        if modulation is not None:
            scale, shift = modulation[:, :, None, None].chunk(2, 1)
            x = x * (1 + scale) + shift
        return ACTIVATIONS[self.activation](x)


class Residual(nn.Module):
    """Two convolutions behind group norms, with the time between them; it may halve or double the
    resolution."""

    def __init__(
        self, parts: Blocks, inside: int, width: int, resample: Any = None, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.resample, self.scale, self.scale_shift = resample, scale, parts.scale_shift
        self.activation = parts.activation
        self.norm1, self.conv1 = parts.norm(inside), nn.Conv2d(inside, width, 3, padding=1)
        if parts.time_width:
            out = 2 * width if parts.scale_shift else width
            self.time_emb_proj = nn.Linear(parts.time_width, out)
        self.norm2, self.conv2 = parts.norm(width), nn.Conv2d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(parts.dropout)
        self.conv_shortcut = None if inside == width else nn.Conv2d(inside, width, 1)

    def forward(self, h: Tensor, time: Tensor | None = None) -> Tensor:
        inner = self.norm1(h)
        if self.resample is not None:
            h, inner = self.resample(h), self.resample(inner)
        inner = self.conv1(inner)
        inner = self.conv2(self.dropout(self._normed(inner, time)))
        if self.conv_shortcut is not None:
            h = self.conv_shortcut(h)
        found: Tensor = (h + inner) / self.scale
        return found

    def _normed(self, inner: Tensor, time: Tensor | None) -> Tensor:
        """The second norm, with the time added before it, or as its scale and shift."""
        found: Tensor
        if time is None:
            found = self.norm2(inner)
            return found
        about = self.time_emb_proj(ACTIVATIONS[self.activation](time))
        if self.scale_shift:
            found = self.norm2(inner, about)
        else:
            found = self.norm2(inner + about[:, :, None, None])
        return found


class Attention(nn.Module):
    """Self-attention over all places."""

    def __init__(self, parts: Blocks, width: int, groups: int | None, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, head_width = parts.heads_of(width)
        self.scale, inner = scale, self.heads * head_width
        if groups is not None:
            _require_divisor(groups, width)
        self.group_norm = None if groups is None else nn.GroupNorm(groups, width, parts.epsilon)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, inner) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])

    def forward(self, h: Tensor) -> Tensor:
        x = h if self.group_norm is None else self.group_norm(h)
        x = x.flatten(2).transpose(1, 2)
        query, key, value = (
            torch.unflatten(read(x), 2, (self.heads, -1)).transpose(1, 2)
            for read in (self.to_q, self.to_k, self.to_v)
        )
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        out = self.to_out[0](mixed).transpose(1, 2).reshape(h.shape)
        found: Tensor = (h + out) / self.scale
        return found


class Sampler(nn.Module):
    """A convolution that halves the resolution, or that follows the doubled one."""

    def __init__(self, width: int, up: bool, padding: int = 1) -> None:
        super().__init__()
        self.up, self.padding = up, padding
        stride, padding = (1, 1) if up else (2, padding)
        self.conv = nn.Conv2d(width, width, 3, stride, padding)

    def forward(self, h: Tensor, time: Tensor | None = None) -> Tensor:
        if self.up:
            h = double(h)
        elif self.padding == 0:  # the window of the last place reaches one beyond the border
            h = F.pad(h, (0, 1, 0, 1))
        found: Tensor = self.conv(h)
        return found


def double(h: Tensor) -> Tensor:
    """Each place twice along both axes."""
    return F.interpolate(h, scale_factor=2.0, mode="nearest")


def halve(h: Tensor) -> Tensor:
    """The mean of each square of two by two places."""
    return F.avg_pool2d(h, 2)


class Level(nn.Module):
    """The blocks of one resolution, on the way down or up."""

    def __init__(self, parts: Blocks, insides: list[int], width: int, attends: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Residual(parts, inside, width) for inside in insides)
        if attends:
            self.attentions = nn.ModuleList(Attention(parts, width, parts.groups) for _ in insides)
        self.attends = attends
        self.downsamplers: nn.ModuleList | None = None
        self.upsamplers: nn.ModuleList | None = None

    def block(self, number: int, h: Tensor, time: Tensor | None = None) -> Tensor:
        """One residual block, followed by attention if the resolution has it."""
        h = self.resnets[number](h, time)
        found: Tensor = self.attentions[number](h) if self.attends else h
        return found


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution, with attention between them or without."""

    def __init__(
        self, parts: Blocks, width: int, attends: bool, groups: int | None, scale: float
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Residual(parts, width, width, scale=scale) for _ in range(2))
        if attends:
            self.attentions = nn.ModuleList([Attention(parts, width, groups, scale)])
        self.attends = attends

    def forward(self, h: Tensor, time: Tensor | None = None) -> Tensor:
        h = self.resnets[0](h, time)
        if self.attends:
            h = self.attentions[0](h)
        found: Tensor = self.resnets[1](h, time)
        return found
