"""Features of the time, for networks that share their weights over all steps."""

__all__ = ["fourier_features", "sinusoids"]

import math

import torch
from torch import Tensor


def fourier_features(time: Tensor, octaves: int) -> Tensor:
    """The time, and the sine and cosine of pi k time for k = 1, ..., octaves. Half a period over
    the range keeps both ends apart.

    Args:
        time: t / T in (0, 1], shape (B,).
        octaves: the number of frequencies.

    Returns:
        Shape (B, 2 octaves + 1).
    """
    k = torch.arange(1, octaves + 1, device=time.device, dtype=time.dtype) * math.pi
    angle = time[:, None] * k
    return torch.cat([time[:, None], angle.sin(), angle.cos()], 1)


def sinusoids(time: Tensor, width: int) -> Tensor:
    """Sines and cosines of 1000 time at `width` / 2 frequencies from 1 down to 1e-4 (DDPM App. B).

    Args:
        time: t / T in (0, 1], shape (B,).
        width: the number of features.

    Returns:
        Shape (B, width).
    """
    half = width // 2
    exponent = torch.arange(half, device=time.device, dtype=time.dtype) / half
    angle = 1000 * time[:, None] * 1e-4**exponent
    features = torch.cat([angle.sin(), angle.cos()], 1)
    return torch.nn.functional.pad(features, (0, width - 2 * half))
