"""The U-Net of the diffusers library, `UNet2DModel`, with the same names of its weights."""

__all__ = ["DiffusersUNet"]

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers
from .diffusers_blocks import (
    ACTIVATIONS,
    Blocks,
    Level,
    Middle,
    NormActivation,
    Residual,
    Sampler,
    double,
    halve,
)
from .given import condition_field
from .image_layout import Grid
from .time import sinusoids_of, sinusoids_of_steps


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
        parts = Blocks(
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
            Middle(parts, widths[-1], self.middle_attention, self.middle_groups, self.middle_scale)
            if self.middle
            else None
        )
        self.up_blocks = nn.ModuleList(self._up(parts))
        self.conv_norm_out = NormActivation(widths[0], self.groups, self.epsilon, "silu")
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

    def _down(self, parts: Blocks) -> list[Level]:
        """The blocks on the way down, the finest resolution first."""
        levels, inside, deepest = [], self.widths[0], len(self.widths) - 1
        for depth, width in enumerate(self.widths):
            insides = [inside] + [width] * (self.blocks - 1)
            level = Level(parts, insides, width, depth in self.down_attention)
            if depth < deepest:
                level.downsamplers = nn.ModuleList(
                    [
                        Residual(parts, width, width, halve)
                        if depth in self.down_residual
                        else Sampler(width, False, self.padding)
                    ]
                )
            levels.append(level)
            inside = width
        return levels

    def _up(self, parts: Blocks) -> list[Level]:
        """The blocks on the way up, the coarsest resolution first."""
        levels, inside = [], self.widths[-1]
        for depth in range(len(self.widths) - 1, -1, -1):
            width, below = self.widths[depth], self.widths[max(0, depth - 1)]
            skipped = [width] * self.blocks + [below]
            before = [inside] + [width] * self.blocks
            insides = [a + b for a, b in zip(before, skipped, strict=True)]
            level = Level(parts, insides, width, depth in self.up_attention)
            if depth:
                level.upsamplers = nn.ModuleList(
                    [
                        Residual(parts, width, width, double)
                        if depth in self.up_residual
                        else Sampler(width, True)
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
    def _levels(blocks: nn.ModuleList) -> Iterator[Level]:
        for level in blocks:
            assert isinstance(level, Level)
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
