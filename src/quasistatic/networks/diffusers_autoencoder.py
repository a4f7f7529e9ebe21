"""The autoencoders of the diffusers library, `AutoencoderKL` and `VQModel`, with the same names of
their weights."""

__all__ = ["DiffusersAutoencoder", "DiffusersVQ"]

import abc
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.constants import constant
from .._utils.printing import ShortRepr
from .._utils.validation import number_within, whole_number, whole_numbers
from .diffusers_blocks import ACTIVATIONS, Blocks, Level, Middle, NormActivation, Sampler
from .image_layout import Grid

EPSILON = 1e-6
"""What the group norms of diffusers' autoencoders add to a variance."""

LOWEST, HIGHEST = -30.0, 20.0
"""The limits of the logarithm of a variance that an encoder returns."""


class _Encoder(nn.Module):
    """Images to features of a coarse grid."""

    def __init__(self, coder: "_Coder", parts: Blocks, inside: int, outside: int) -> None:
        super().__init__()
        widths, blocks = coder.widths, coder.blocks
        self.conv_in = nn.Conv2d(inside, widths[0], 3, padding=1)
        levels, before = [], widths[0]
        for depth, width in enumerate(widths):
            insides = [before] + [width] * (blocks - 1)
            level = Level(parts, insides, width, depth in coder.down_attention)
            if depth < len(widths) - 1:
                level.downsamplers = nn.ModuleList([Sampler(width, False, 0)])
            levels.append(level)
            before = width
        self.down_blocks = nn.ModuleList(levels)
        self.mid_block = Middle(parts, before, coder.middle_attention, coder.groups, 1.0)
        self.conv_norm_out = NormActivation(before, coder.groups, EPSILON, "silu")
        self.conv_out = nn.Conv2d(before, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down_blocks:
            assert isinstance(level, Level)
            for number in range(len(level.resnets)):
                h = level.block(number, h)
            if level.downsamplers is not None:
                h = level.downsamplers[0](h)
        found: Tensor = self.conv_out(self.conv_norm_out(self.mid_block(h)))
        return found


class _Decoder(nn.Module):
    """Features of a coarse grid to images."""

    def __init__(self, coder: "_Coder", parts: Blocks, inside: int, outside: int) -> None:
        super().__init__()
        widths, blocks = coder.widths, coder.blocks
        before = widths[-1]
        self.conv_in = nn.Conv2d(inside, before, 3, padding=1)
        self.mid_block = Middle(parts, before, coder.middle_attention, coder.groups, 1.0)
        levels = []
        for depth in range(len(widths) - 1, -1, -1):
            width = widths[depth]
            insides = [before] + [width] * blocks
            level = Level(parts, insides, width, depth in coder.up_attention)
            if depth:
                level.upsamplers = nn.ModuleList([Sampler(width, True)])
            levels.append(level)
            before = width
        self.up_blocks = nn.ModuleList(levels)
        self.conv_norm_out = NormActivation(before, coder.groups, EPSILON, "silu")
        self.conv_out = nn.Conv2d(before, outside, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            assert isinstance(level, Level)
            for number in range(len(level.resnets)):
                h = level.block(number, h)
            if level.upsamplers is not None:
                h = level.upsamplers[0](h)
        found: Tensor = self.conv_out(self.conv_norm_out(h))
        return found


@dataclass(eq=False, repr=False)
class _Coder(nn.Module, abc.ABC):
    """What both autoencoders share. The arguments are those of :class:`DiffusersAutoencoder`."""

    shape: Any
    channels: int = 4
    widths: Any = (64,)
    blocks: int = 1
    down_attention: Any = ()
    up_attention: Any = ()
    groups: int = 32
    activation: str = "silu"
    middle_attention: bool = True
    scaling: float = 0.18215
    shift: float = 0.0
    decoder_scale: Any = None

    def __repr__(self) -> str:
        return ShortRepr.__repr__(self)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        super().__init__()
        self._check()
        self.grid = grid = Grid.of(self.shape, 2)
        grid.require(self.down)
        parts = Blocks(0, self.groups, EPSILON, False, self.activation, 0.0, None, None)
        self.encoder = _Encoder(self, parts, grid.channels, self._encoded)
        self.decoder = _Decoder(self, parts, self.channels, grid.channels)

    def _check(self) -> None:
        self.shape = whole_numbers("shape", self.shape)
        self.widths = whole_numbers("widths", self.widths)
        if len(self.shape) not in (2, 3) or not self.widths:
            raise ValueError(
                "an autoencoder of images needs a shape (H, W) or (C, H, W) and widths of one "
                f"resolution or more, got shape {self.shape} and widths {self.widths}"
            )
        for name in ("channels", "blocks", "groups"):
            whole_number(name, getattr(self, name))
        for name in ("down_attention", "up_attention"):
            levels = whole_numbers(name, getattr(self, name), 0)
            setattr(self, name, levels)
            if any(level >= len(self.widths) for level in levels):
                raise ValueError(
                    f"{name}={levels} must name resolutions from 0 to {len(self.widths) - 1}, "
                    f"those of widths {self.widths}"
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        number_within("scaling", self.scaling, 0, ends="()")
        number_within("shift", self.shift, -math.inf, ends="()")
        self._check_scale()

    def _check_scale(self) -> None:
        scale = self.decoder_scale
        if scale is None:
            return
        each = list(scale) if isinstance(scale, list | tuple) else [scale]
        channels = self.shape[0] if len(self.shape) == 3 else 1
        if isinstance(scale, list | tuple) and len(each) != channels:
            raise ValueError(
                f"decoder_scale is one number, or one for each of the {channels} channels of an "
                f"image, got {len(each)} numbers"
            )
        for number in each:
            number_within("decoder_scale", number, 0, ends="()")
        self.decoder_scale = tuple(each) if isinstance(scale, list | tuple) else scale

    @property
    @abc.abstractmethod
    def _encoded(self) -> int:
        """Channels that the encoder returns."""

    @property
    @abc.abstractmethod
    def latent_channels(self) -> int:
        """Channels of the latents."""

    @property
    def down(self) -> int:
        """By how much the sides of the latents are shorter than those of the images."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one image: (channels, H / down, W / down), or without the
        first axis where there is one channel."""
        sides = tuple(size // self.down for size in self.grid.sizes)
        return sides if self.latent_channels == 1 else (self.latent_channels, *sides)

    def mean_of_patch(self, each: Tensor) -> Tensor:
        """The mean over the pixels above each place of the latents of numbers (B, *shape), shape
        (B, *latent_shape)."""
        mean = F.avg_pool2d(self.grid.gather(each).mean(1, keepdim=True), self.down)
        mean = mean.expand(-1, self.latent_channels, -1, -1)
        return mean.reshape(len(each), *self.latent_shape)

    def _standardized(self, latents: Tensor) -> Tensor:
        """Latents of the encoder (B, C, h, w) in the units of the chain."""
        found = (latents - self.shift) * self.scaling
        return found.reshape(len(latents), *self.latent_shape)

    def _own_units(self, z: Tensor) -> Tensor:
        """The inverse of :meth:`_standardized`."""
        sides = self.latent_shape[-2:]
        return z.reshape(len(z), self.latent_channels, *sides) / self.scaling + self.shift

    def _decoded(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        out = self.decoder(latents)
        location = self.grid.scatter(out, 1).reshape(len(out), *self.shape)
        if self.decoder_scale is None:
            return location, None
        scale = constant(self.decoder_scale, location)
        if scale.ndim:  # one for each channel
            scale = scale.reshape(-1, *[1] * (len(self.shape) - 1))
        return location, scale.log().expand_as(location)


@dataclass(eq=False, repr=False)
class DiffusersAutoencoder(_Coder):
    """`AutoencoderKL` of the diffusers library: the same function, and the same names of its
    weights. :func:`quasistatic.from_diffusers` builds it and loads the weights; for a new model
    :class:`Autoencoder` is the one to take.

    Its decoder returns an image and no distribution. `decoder_scale` makes one of it: the law of a
    value about what the decoder returns, a discretised logistic for levels, or a normal
    distribution for real numbers.

    Args:
        shape: of one image, (H, W) or with channels first (C, H, W).
        channels: of the latents. Default 4.
        widths: channels of each resolution, the finest first; each but the last halves the sides.
        blocks: residual blocks at each resolution of the encoder; the decoder has one more. Default
            1.
        down_attention: the resolutions of the encoder with self-attention, counted from 0, the
            finest. Default none.
        up_attention: those of the decoder, counted likewise. Default none.
        groups: of each group norm. Default 32.
        activation: of residual blocks: silu, swish, mish, gelu or relu. Default silu.
        middle_attention: whether there is attention at the coarsest resolution. Default True.
        scaling: what latents are multiplied by, so that they have variance one. Default 0.18215.
        shift: what is subtracted from latents before. Default 0.
        decoder_scale: of the law of a value about the output of the decoder, in its units, where
            images reach from -1 to 1: one number, or one for each channel. None where it is not
            known; raw data then have no density. Default None.
        has_quant_conv: whether a convolution follows the encoder. Default True.
        has_post_quant_conv: whether one precedes the decoder. Default True.

    Raises:
        ValueError: if the sides cannot be halved so often (the message names sizes that fit), or an
            argument is out of range.
    """

    has_quant_conv: bool = True
    has_post_quant_conv: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        encoded, own = self._encoded, self.channels
        self.quant_conv = nn.Conv2d(encoded, encoded, 1) if self.has_quant_conv else None
        self.post_quant_conv = nn.Conv2d(own, own, 1) if self.has_post_quant_conv else None

    @property
    def _encoded(self) -> int:
        return 2 * self.channels

    @property
    def latent_channels(self) -> int:
        return self.channels

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of the latents given images from -1 to 1, (B,
        *shape), each of shape (B, *latent_shape)."""
        h = self.encoder(self.grid.gather(x))
        if self.quant_conv is not None:
            h = self.quant_conv(h)
        mean, log_variance = h.chunk(2, 1)
        deviation = self.scaling * (0.5 * log_variance.clamp(LOWEST, HIGHEST)).exp()
        return self._standardized(mean), deviation.reshape(len(x), *self.latent_shape)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """The images that the decoder returns for latents (B, *latent_shape), and the logarithm of
        the scale about them, each of shape (B, *shape); None for a scale that is not known."""
        latents = self._own_units(z)
        if self.post_quant_conv is not None:
            latents = self.post_quant_conv(latents)
        return self._decoded(latents)


@dataclass(eq=False, repr=False)
class DiffusersVQ(_Coder):
    """`VQModel` of the diffusers library: the same function, and the same names of its weights.
    :func:`quasistatic.from_diffusers` builds it and loads the weights.

    A latent is what the encoder returns before it is replaced by the nearest vector of the
    codebook, which is the first thing that the decoder does. The encoder returns one point and no
    distribution, so that a bound of log p(raw) is infinitely low. With `encoder_scale` latents are
    drawn from a normal distribution about that point, and the bound is a true one.

    Args:
        shape: see :class:`DiffusersAutoencoder`, as the arguments up to `decoder_scale`.
        codes: the vectors of the codebook. Default 256.
        code_width: numbers of such a vector, the channels of the latents; None for `channels`.
        encoder_scale: the standard deviation of latents about the output of the encoder, in the
            units of latents of variance one; None for none, and nothing can be encoded then.

    Raises:
        ValueError: see :class:`DiffusersAutoencoder`.
    """

    codes: int = 256
    code_width: int | None = None
    encoder_scale: float | None = None

    def __post_init__(self) -> None:
        whole_number("codes", self.codes)
        if self.code_width is not None:
            whole_number("code_width", self.code_width)
        if self.encoder_scale is not None:
            number_within("encoder_scale", self.encoder_scale, 0, ends="()")
        super().__post_init__()
        width = self.latent_channels
        self.quant_conv = nn.Conv2d(self.channels, width, 1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(self.codes, width)})
        self.post_quant_conv = nn.Conv2d(width, self.channels, 1)

    @property
    def _encoded(self) -> int:
        return self.channels

    @property
    def latent_channels(self) -> int:
        return self.channels if self.code_width is None else self.code_width

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latents of images from -1 to 1, (B, *shape), and their standard deviation, each of
        shape (B, *latent_shape); None for a deviation that is not given."""
        mean = self._standardized(self.quant_conv(self.encoder(self.grid.gather(x))))
        if self.encoder_scale is None:
            return mean, None
        return mean, torch.full_like(mean, self.encoder_scale)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """The images that the decoder returns for the vectors of the codebook that are nearest to
        latents (B, *latent_shape), and the logarithm of the scale about them, each of shape (B,
        *shape); None for a scale that is not known."""
        table: Any = self.quantize["embedding"]
        latents = self._own_units(z).movedim(1, -1)
        nearest = torch.cdist(latents.flatten(0, -2), table.weight).argmin(1)
        chosen = table(nearest).reshape(latents.shape).movedim(-1, 1)
        return self._decoded(self.post_quant_conv(chosen))
