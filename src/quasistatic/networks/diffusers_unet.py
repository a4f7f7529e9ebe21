"""The U-Net of the diffusers library, `UNet2DModel`, with the same names of its weights."""

__all__ = ["DiffusersUNet"]

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers
from .given import condition_field
from .image_layout import Grid
from .norms import NormSiLU
from .time import sinusoids_of, sinusoids_of_steps

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "relu": F.relu,
}
"""The activations of residual blocks, by diffusers' names."""


@dataclass(frozen=True)
class _Blocks:
    """What all blocks of a network share.

    Args:
        time_width: features of the time.
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

    def norm(self, width: int) -> "_NormActivation":
        return _NormActivation(width, self.groups, self.epsilon, self.activation)


def _require_divisor(groups: int, width: int) -> None:
    """ValueError unless so many groups divide the channels of a group norm."""
    if width % groups:
        raise ValueError(f"{groups} groups do not divide the {width} channels of a group norm")


class _NormActivation(NormSiLU):
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


class _Residual(nn.Module):
    """Two convolutions behind group norms, with the time between them; it may halve or double the
    resolution."""

    def __init__(
        self, parts: _Blocks, inside: int, width: int, resample: Any = None, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.resample, self.scale, self.scale_shift = resample, scale, parts.scale_shift
        self.activation = parts.activation
        self.norm1, self.conv1 = parts.norm(inside), nn.Conv2d(inside, width, 3, padding=1)
        out = 2 * width if parts.scale_shift else width
        self.time_emb_proj = nn.Linear(parts.time_width, out)
        self.norm2, self.conv2 = parts.norm(width), nn.Conv2d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(parts.dropout)
        self.conv_shortcut = None if inside == width else nn.Conv2d(inside, width, 1)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        inner = self.norm1(h)
        if self.resample is not None:
            h, inner = self.resample(h), self.resample(inner)
        inner = self.conv1(inner)
        about = self.time_emb_proj(ACTIVATIONS[self.activation](time))
        if self.scale_shift:
            inner = self.norm2(inner, about)
        else:
            inner = self.norm2(inner + about[:, :, None, None])
        inner = self.conv2(self.dropout(inner))
        if self.conv_shortcut is not None:
            h = self.conv_shortcut(h)
        found: Tensor = (h + inner) / self.scale
        return found


class _Attention(nn.Module):
    """Self-attention over all places."""

    def __init__(self, parts: _Blocks, width: int, groups: int | None, scale: float = 1.0) -> None:
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


class _Sampler(nn.Module):
    """A convolution that halves the resolution, or that follows the doubled one."""

    def __init__(self, width: int, up: bool, padding: int = 1) -> None:
        super().__init__()
        self.up, self.padding = up, padding
        stride, padding = (1, 1) if up else (2, padding)
        self.conv = nn.Conv2d(width, width, 3, stride, padding)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        if self.up:
            h = _double(h)
        elif self.padding == 0:  # the window of the last place reaches one beyond the border
            h = F.pad(h, (0, 1, 0, 1))
        found: Tensor = self.conv(h)
        return found


def _double(h: Tensor) -> Tensor:
    """Each place twice along both axes."""
    return F.interpolate(h, scale_factor=2.0, mode="nearest")


def _halve(h: Tensor) -> Tensor:
    """The mean of each square of two by two places."""
    return F.avg_pool2d(h, 2)


class _Level(nn.Module):
    """The blocks of one resolution, on the way down or up."""

    def __init__(self, parts: _Blocks, insides: list[int], width: int, attends: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(parts, inside, width) for inside in insides)
        if attends:
            self.attentions = nn.ModuleList(_Attention(parts, width, parts.groups) for _ in insides)
        self.attends = attends
        self.downsamplers: nn.ModuleList | None = None
        self.upsamplers: nn.ModuleList | None = None

    def block(self, number: int, h: Tensor, time: Tensor) -> Tensor:
        """One residual block, followed by attention if the resolution has it."""
        h = self.resnets[number](h, time)
        found: Tensor = self.attentions[number](h) if self.attends else h
        return found


class _Middle(nn.Module):
    """Two residual blocks at the coarsest resolution, with attention between them or without."""

    def __init__(
        self, parts: _Blocks, width: int, attends: bool, groups: int | None, scale: float
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(parts, width, width, scale=scale) for _ in range(2))
        if attends:
            self.attentions = nn.ModuleList([_Attention(parts, width, groups, scale)])
        self.attends = attends

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        h = self.resnets[0](h, time)
        if self.attends:
            h = self.attentions[0](h)
        found: Tensor = self.resnets[1](h, time)
        return found


@dataclass(eq=False)
class DiffusersUNet(nn.Module):
    """`UNet2DModel` of the diffusers library: the same function, and the same names of its weights.
    :func:`quasistatic.from_diffusers` builds it and loads the weights. In comparison with
    :class:`UNet` it has the group norms, the attention and the places of attention that published
    models have; for a new model `UNet` is faster.

    Args:
        shape: of one example, (H, W) or with channels first (C, H, W).
        steps: T; the network sees t - 1, from 0 to T - 1. Default 1000.
        widths: channels of each resolution, the finest first.
        blocks: residual blocks at each resolution on the way down; there is one more on the way up.
            Default 2.
        down_attention: the resolutions with self-attention on the way down, counted from 0, the
            finest. Default none.
        up_attention: those on the way up. Default none.
        head_width: channels of an attention head; None for one head. Default 8.
        outputs: numbers for each value of x, as the head needs. Default 1.
        groups: of each group norm. Default 32.
        epsilon: what group norms add to a variance. Default 1e-5.
        scale_shift: whether the time scales and shifts the hidden channels, or is added to them.
            Default False.
        padding: of the convolutions that halve the resolution: 1, or 0 for one row and one column
            at the far ends alone. Default 1.
        down_residual: the resolutions that a residual block halves, and not a convolution.
        up_residual: the resolutions that a residual block doubles.
        middle: whether there are blocks at the coarsest resolution between down and up. Default
            True.
        middle_attention: whether attention stands between them. Default True.
        middle_groups: of the group norm of that attention; None for no norm. Default 32.
        middle_scale: by which the blocks in the middle divide their sum. Default 1.
        time_width: hidden features of the time; None for 4 widths[0].
        cosine_first: whether the cosines of the time stand before the sines. Default True.
        frequency_shift: what is subtracted from the number of frequencies; 1 makes the lowest one
            exactly 1e-4. Default 0.
        activation: of residual blocks: silu, swish, mish, gelu or relu. Default silu.
        centred: whether x is mapped to 2 x - 1 first. Default False.
        dropout: the share of hidden channels that training drops. Default 0.
        heads: of attention at every resolution, in place of `head_width`; None for that.
        rescaled: whether the network sees 1000 (t - 1) / T in place of t - 1. Default False.
        of_noise: whether the time argument is a number that the features are made of, as that of
            :class:`NoiseScaled`, and not t / T. Default False.
        condition: the classes of a condition, each with an embedding that is added to that of the
            time; 0 for no condition. Default 0.

    Raises:
        ValueError: if the sizes cannot be halved so often (the message names sizes that fit), or an
            argument is out of range.
    """

    shape: Any
    steps: int = 1000
    widths: Any = (224, 448, 672, 896)
    blocks: int = 2
    down_attention: Any = ()
    up_attention: Any = ()
    head_width: int | None = 8
    outputs: int = 1
    groups: int = 32
    epsilon: float = 1e-5
    scale_shift: bool = False
    padding: int = 1
    down_residual: Any = ()
    up_residual: Any = ()
    middle: bool = True
    middle_attention: bool = True
    middle_groups: int | None = 32
    middle_scale: float = 1.0
    time_width: int | None = None
    cosine_first: bool = True
    frequency_shift: float = 0.0
    activation: str = "silu"
    centred: bool = False
    dropout: float = 0.0
    heads: int | None = None
    rescaled: bool = False
    of_noise: bool = dataclasses.field(default=False, metadata={"added": True})
    condition: int = condition_field()

    def __post_init__(self) -> None:
        super().__init__()
        self._check()
        widths = self.widths
        self.grid = grid = Grid.of(self.shape, 2)
        grid.require(2 ** (len(widths) - 1))
        time_width = self.time_width or 4 * widths[0]
        parts = _Blocks(
            time_width,
            self.groups,
            self.epsilon,
            self.scale_shift,
            self.activation,
            self.dropout,
            self.head_width,
            self.heads,
        )
        self.conv_in = nn.Conv2d(grid.channels, widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {
                "linear_1": nn.Linear(widths[0], time_width),
                "linear_2": nn.Linear(time_width, time_width),
            }
        )
        if self.condition:
            self.class_embedding = nn.Embedding(self.condition, time_width)
        self.down_blocks = nn.ModuleList(self._down(parts))
        self.mid_block = (
            _Middle(parts, widths[-1], self.middle_attention, self.middle_groups, self.middle_scale)
            if self.middle
            else None
        )
        self.up_blocks = nn.ModuleList(self._up(parts))
        self.conv_norm_out = _NormActivation(widths[0], self.groups, self.epsilon, "silu")
        self.conv_out = nn.Conv2d(widths[0], grid.channels * self.outputs, 3, padding=1)

    def _check(self) -> None:
        self.shape = whole_numbers("shape", self.shape)
        self.widths = whole_numbers("widths", self.widths)
        depth = len(self.widths)
        if len(self.shape) < 2 or not depth:
            raise ValueError(
                f"a network of images needs a shape (H, W) or (C, H, W) and widths of one "
                f"resolution or more, got shape {self.shape} and widths {self.widths}"
            )
        for name in ("down_attention", "up_attention", "down_residual", "up_residual"):
            levels = whole_numbers(name, getattr(self, name), 0)
            setattr(self, name, levels)
            unknown = [level for level in levels if level not in range(depth)]
            if unknown:
                raise ValueError(
                    f"{name}={levels} must name resolutions from 0 to {depth - 1}, those of widths "
                    f"{self.widths}"
                )
        for name in ("steps", "blocks", "outputs", "groups"):
            whole_number(name, getattr(self, name))
        whole_number("padding", self.padding, 0, 1)
        whole_number("condition", self.condition, 0)
        for name in ("head_width", "heads", "middle_groups", "time_width"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name))
        number_within("dropout", self.dropout, 0, 1, "[)")
        number_within("epsilon", self.epsilon, 0)
        number_within("middle_scale", self.middle_scale, 0, ends="()")
        number_within("frequency_shift", self.frequency_shift, 0, self.widths[0] // 2, "[)")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )

    def _down(self, parts: _Blocks) -> list[_Level]:
        """The blocks on the way down, the finest resolution first."""
        levels, inside, deepest = [], self.widths[0], len(self.widths) - 1
        for depth, width in enumerate(self.widths):
            insides = [inside] + [width] * (self.blocks - 1)
            level = _Level(parts, insides, width, depth in self.down_attention)
            if depth < deepest:
                level.downsamplers = nn.ModuleList(
                    [
                        _Residual(parts, width, width, _halve)
                        if depth in self.down_residual
                        else _Sampler(width, False, self.padding)
                    ]
                )
            levels.append(level)
            inside = width
        return levels

    def _up(self, parts: _Blocks) -> list[_Level]:
        """The blocks on the way up, the coarsest resolution first."""
        levels, inside = [], self.widths[-1]
        for depth in range(len(self.widths) - 1, -1, -1):
            width, below = self.widths[depth], self.widths[max(0, depth - 1)]
            skipped = [width] * self.blocks + [below]
            before = [inside] + [width] * self.blocks
            insides = [a + b for a, b in zip(before, skipped, strict=True)]
            level = _Level(parts, insides, width, depth in self.up_attention)
            if depth:
                level.upsamplers = nn.ModuleList(
                    [
                        _Residual(parts, width, width, _double)
                        if depth in self.up_residual
                        else _Sampler(width, True)
                    ]
                )
            levels.append(level)
            inside = width
        return levels

    def _features(self, time: Tensor) -> Tensor:
        """The features of the time (B,), with shape (B, widths[0]), in float32."""
        how = self.widths[0], self.cosine_first, self.frequency_shift
        if self.of_noise:
            return sinusoids_of(time, *how)
        return sinusoids_of_steps(
            time, self.steps, *how, 1000 / self.steps if self.rescaled else 1.0
        )

    @staticmethod
    def _levels(blocks: nn.ModuleList) -> Iterator[_Level]:
        for level in blocks:
            assert isinstance(level, _Level)
            yield level

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.grid.gather(2 * x - 1 if self.centred else x)
        features = self._features(time)
        first, second = self.time_embedding["linear_1"], self.time_embedding["linear_2"]
        embedding = second(F.silu(first(features.to(h.dtype))))
        if given is not None:
            if not self.condition:
                raise TypeError(
                    "codes of a condition are given to a network without one: build it with "
                    f"condition={given.shape[-1]}"
                )
            embedding = embedding + given @ self.class_embedding.weight
        h = self.conv_in(h)
        skipped = [h]
        for level in self._levels(self.down_blocks):
            for number in range(self.blocks):
                h = level.block(number, h, embedding)
                skipped.append(h)
            if level.downsamplers is not None:
                h = level.downsamplers[0](h, embedding)
                skipped.append(h)
        if self.mid_block is not None:
            h = self.mid_block(h, embedding)
        for level in self._levels(self.up_blocks):
            for number in range(self.blocks + 1):
                h = level.block(number, torch.cat([h, skipped.pop()], 1), embedding)
            if level.upsamplers is not None:
                h = level.upsamplers[0](h, embedding)
        out = self.conv_out(self.conv_norm_out(h))
        return self.grid.scatter(out, self.outputs).reshape(*x.shape, self.outputs)
