"""Features of time, for networks that share their weights over all steps."""

__all__ = ["fourier_features", "sinusoids"]

import math

import torch
from torch import Tensor


def fourier_features(time: Tensor, octaves: int) -> Tensor:
    """time in (0, 1], shape (B,), and the sine and cosine of pi k time for k = 1..octaves:
    (B, 2 octaves + 1). Half a period over the range keeps both ends apart."""
    k = torch.arange(1, octaves + 1, device=time.device, dtype=time.dtype) * math.pi
    angle = time[:, None] * k
    return torch.cat([time[:, None], angle.sin(), angle.cos()], 1)


def sinusoids(time: Tensor, width: int) -> Tensor:
    """time in (0, 1], shape (B,), at `width` / 2 frequencies from 1 down to 1e-4 a thousandth,
    sines and cosines: (B, width) (DDPM App. B). Early and late times differ in all of them, near
    neighbours in the fastest only."""
    half = width // 2
    exponent = torch.arange(half, device=time.device, dtype=time.dtype) / half
    angle = 1000 * time[:, None] * 1e-4**exponent
    features = torch.cat([angle.sin(), angle.cos()], 1)
    return torch.nn.functional.pad(features, (0, width - 2 * half))
