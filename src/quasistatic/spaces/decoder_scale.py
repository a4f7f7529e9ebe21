"""The scale of a decoder that returns an image and no distribution, from images."""

__all__ = ["measured_scale"]

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .latent import Latent

LOWEST, HIGHEST = math.log(1e-4), math.log(10.0)
"""Where the logarithm of the scale is sought, in the units of x_0 of the raw data."""

HALVINGS = 40
"""Rounds of the search; each keeps 0.618 of the interval."""


@torch.no_grad()
def measured_scale(
    space: Latent, raw: Tensor, rng: torch.Generator | None = None, batch: int = 8
) -> tuple[float, ...]:
    """The most likely scale of p(raw | z) for each channel, with z drawn from q(z | raw): that
    which makes the bound on these data the highest.

    Args:
        space: whose autoencoder returns an image.
        raw: checked raw data, shape (N, *shape); a few hundred images are enough.
        rng: of the draws of z.
        batch: images in memory at once.

    Returns:
        One number a channel, in the units of the x_0 of the raw data.
    """
    channels = raw.shape[1] if raw.ndim == 4 else 1
    parts, locations = torch.split(raw, batch), []
    for rows in parts:
        z = space.encoder(rows).sample(rng)
        locations.append(space.autoencoder.decode(z)[0])

    def gain(log_scale: Tensor) -> Tensor:
        """The mean log-probability of a value in each channel, (channels,), in nats."""
        total = torch.zeros(channels, dtype=torch.float64)
        for rows, location in zip(parts, locations, strict=True):
            wide = log_scale.to(location) if raw.ndim < 4 else log_scale.to(location)[:, None, None]
            each = space.log_decoder(space.law(location, wide.expand_as(location)), rows)
            total += each.double().reshape(len(rows), channels, -1).sum((0, 2)).cpu()
        return total / (raw.numel() / channels)

    found = _highest(gain, channels)
    return tuple(found.exp().tolist())


def _highest(gain: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """Where functions of one number each, (count,), are highest, by golden sections."""
    share = (5**0.5 - 1) / 2
    low = torch.full((count,), LOWEST, dtype=torch.float64)
    high = torch.full((count,), HIGHEST, dtype=torch.float64)
    left, right = high - share * (high - low), low + share * (high - low)
    of_left, of_right = gain(left), gain(right)
    for _ in range(HALVINGS):
        keep = of_left > of_right  # the highest point is left of `right`
        low, high = torch.where(keep, low, left), torch.where(keep, right, high)
        left, right = (
            torch.where(keep, high - share * (high - low), right),
            torch.where(keep, left, low + share * (high - low)),
        )
        fresh = gain(torch.where(keep, left, right))
        of_left, of_right = torch.where(keep, fresh, of_right), torch.where(keep, of_left, fresh)
    return (low + high) / 2
