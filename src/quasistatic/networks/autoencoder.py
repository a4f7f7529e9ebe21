"""A convolutional autoencoder, whose encoder and decoder are distributions."""

__all__ = ["Autoencoder"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.validation import whole_number, whole_numbers
from .image_layout import Grid
from .norms import NormSiLU

DOWN = (2, 4, 8, 16)
"""The factors by which the sides of latents may be smaller than those of the data."""

NARROWEST, WIDEST = -7.0, 3.0
"""The range of the logarithm of a standard deviation or scale: softly limited, so that a step of
training cannot make a probability vanish."""


class _Residual(nn.Module):
    """Two convolutions behind group norms, added to the input; zero at the start."""

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        self.first_norm, self.first = NormSiLU(width), grid.conv(width, width)
        self.norm, self.second = NormSiLU(width), grid.conv(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor) -> Tensor:
        found: Tensor = h + self.second(self.norm(self.first(self.first_norm(h))))
        return found


@dataclass(eq=False)
class Autoencoder(nn.Module):
    """Latents with sides that are `down` times shorter, as a normal distribution given the data;
    and the location and scale of each value of the data given its latents (KW14; RBLEO22 Sec. 3.1).

    :class:`.Latent` makes a space of it, and `Evidence` trains it. It sees patches of `down` values
    an axis as channels, so that all convolutions work on the short sides. Both directions are a
    linear map of each patch plus a network whose output starts at zero. :meth:`start_at` sets the
    linear maps to the principal components of patches, in closed form.

    Args:
        shape: of one example: (L,), (H, W), or with the channels first, (C, H, W); a whole number
            means one axis.
        channels: of the latents. Default 4.
        down: by how much the sides of the latents are shorter: 2, 4, 8 or 16. Default 4.
        width: channels inside. Default 64.
        blocks: residual blocks in the encoder, and in the decoder. Default 2.
        axes: how many of the last axes are places and not channels; None for all axes of a shape of
            one or two axes, else two.

    Raises:
        ValueError: if `down` does not divide a side (the message gives sides that fit), or a number
            is out of range.
    """

    shape: Any
    channels: int = 4
    down: int = 4
    width: int = 64
    blocks: int = 2
    axes: int | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("channels", "width", "blocks"):
            whole_number(name, getattr(self, name))
        if self.down not in DOWN:
            raise ValueError(f"down must be one of {', '.join(map(str, DOWN))}, got {self.down}")
        self.grid = grid = Grid.of(self.shape, self.axes, self.down)
        _require_division(grid, self.down)
        self.read, self.encoder = self._pair(grid.channels, 2 * self.channels)
        self.write, self.decoder = self._pair(self.channels, 2 * grid.channels)
        self.shift: Tensor
        self.scale: Tensor
        ones = torch.ones(self.channels, *[1] * len(grid.sizes))
        self.register_buffer("shift", torch.zeros_like(ones))
        self.register_buffer("scale", ones)

    def _pair(self, inside: int, outside: int) -> tuple[nn.Module, nn.Module]:
        """A linear map at each place, and a network whose output is zero at the start."""
        grid, width = self.grid, self.width
        last = grid.conv(width, outside)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        blocks = (_Residual(grid, width) for _ in range(self.blocks))
        network = nn.Sequential(grid.conv(inside, width), *blocks, NormSiLU(width), last)
        return grid.conv(inside, outside, 1), network

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one example, (channels, *sides / down)."""
        return (self.channels, *(size // self.down for size in self.grid.sizes))

    def mean_of_patch(self, each: Tensor) -> Tensor:
        """The mean over each patch of numbers (B, *shape), shape (B, *latent_shape)."""
        mean = self.grid.gather(each).mean(1, keepdim=True)
        return mean.expand(len(each), *self.latent_shape)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of the latents given x.

        Args:
            x: shape (B, *shape), with a scale of about one.

        Returns:
            Each of shape (B, *latent_shape), in the units of the standardized latents.
        """
        patches = self.grid.gather(x)
        mean, log_deviation = (self.read(patches) + self.encoder(patches)).chunk(2, 1)
        deviation = _limited(log_deviation).exp()
        return (mean - self.shift) / self.scale, deviation / self.scale

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The location and the logarithm of the scale of each value of x given its latents.

        Args:
            z: standardized latents, shape (B, *latent_shape).

        Returns:
            Each of shape (B, *shape), in the units of x.
        """
        latents = z * self.scale + self.shift
        out = self.write(latents) + self.decoder(latents)
        location, log_scale = self.grid.scatter(out, 2).reshape(len(z), *self.shape, 2).unbind(-1)
        return location, _limited(log_scale)

    @torch.no_grad()
    def start_at(self, x: Tensor, floor: float = 0.0, logistic: bool = True) -> "Autoencoder":
        """Sets the linear maps to probabilistic principal components of the patches of some data,
        the most likely linear autoencoder of them with standard normal latents.

        Args:
            x: data as the encoder sees them, shape (N, *shape).
            floor: the least variance of the decoder; that of rounding to levels, for example.
            logistic: whether the scale that :meth:`decode` gives is that of a logistic, as for
                levels, and not a standard deviation.
        """
        places = 2 + len(self.grid.sizes)
        patches = self.grid.gather(x.double()).movedim(1, -1).flatten(0, places - 2)
        mean = patches.mean(0)
        variance, directions = torch.linalg.eigh(torch.cov((patches - mean).T))
        variance, directions = variance.flip(0).clamp(min=1e-12), directions.flip(1)
        count, own = self.channels, min(self.channels, len(mean))
        rest = variance[own:] if own < len(mean) else variance[-1:]
        noise = rest.mean().clamp(min=max(floor, 1e-12))
        kept = torch.full((count,), noise.item(), dtype=torch.float64)
        kept[:own] = variance[:own].clamp(min=noise.item())
        basis = patches.new_zeros(len(mean), count)
        basis[:, :own] = directions[:, :own]
        loading = basis * (kept - noise).clamp(min=0).sqrt()
        back = loading / kept
        zeros = torch.zeros_like
        self._set(
            self.read,
            torch.cat([back.T, zeros(back.T)]),
            torch.cat([-mean @ back, _unlimited(0.5 * (noise / kept).log())]),
        )
        square = noise * (3 / math.pi**2 if logistic else 1.0)
        log_scale = 0.5 * square.log().expand_as(mean)
        # The network's outputs for a value, then for its scale: channels in this order.
        self._set(
            self.write,
            torch.cat([loading, zeros(loading)]),
            torch.cat([mean, _unlimited(log_scale)]),
        )
        return self

    def _set(self, conv: Any, weight: Tensor, bias: Tensor) -> None:
        conv.weight.copy_(weight.reshape(conv.weight.shape))
        conv.bias.copy_(bias)

    def standardize(self, mean: Tensor, deviation: Tensor) -> "Autoencoder":
        """Changes the units of the latents, so that those with these moments have variance one.

        Args:
            mean: of each channel in today's units, shape (channels,).
            deviation: likewise, positive.
        """
        by = [each.reshape(self.scale.shape).to(self.scale) for each in (mean, deviation)]
        with torch.no_grad():
            self.shift.add_(self.scale * by[0])
            self.scale.mul_(by[1])
        return self


def _limited(log_scale: Tensor) -> Tensor:
    """The logarithm of a scale, softly kept within its range; about itself in the middle."""
    half, middle = (WIDEST - NARROWEST) / 2, (WIDEST + NARROWEST) / 2
    return middle + half * torch.tanh((log_scale - middle) / half)


def _unlimited(log_scale: Tensor) -> Tensor:
    """The inverse of :func:`_limited`, within a little of the ends."""
    half, middle = (WIDEST - NARROWEST) / 2, (WIDEST + NARROWEST) / 2
    return middle + half * torch.atanh(((log_scale - middle) / half).clamp(-0.999, 0.999))


def _require_division(grid: Grid, down: int) -> None:
    """ValueError unless `down` divides every side; the message names sides that fit."""
    if not any(size % down for size in grid.sizes):
        return
    fit = [(size // down * down or down, math.ceil(size / down) * down) for size in grid.sizes]
    near = " by ".join(f"{low} or {high}" if low != high else f"{low}" for low, high in fit)
    raise ValueError(
        f"an autoencoder with latents {down} times shorter does not fit data of "
        f"{' by '.join(map(str, grid.sizes))}: sides that fit are multiples of {down} (the "
        f"nearest: {near}); crop or resize the data, or choose a smaller `down`"
    )
