"""Features of time, for networks that share their weights over all steps."""

__all__ = ["fourier_features"]

import math

import torch
from torch import Tensor


def fourier_features(time: Tensor, octaves: int) -> Tensor:
    """time in (0, 1], shape (B,), and the sine and cosine of pi k time for k = 1..octaves:
    (B, 2 octaves + 1). Half a period over the range keeps both ends apart."""
    k = torch.arange(1, octaves + 1, device=time.device, dtype=time.dtype) * math.pi
    angle = time[:, None] * k
    return torch.cat([time[:, None], angle.sin(), angle.cos()], 1)
