"""Features of the time, for networks that share their weights over all steps."""

__all__ = ["fourier_features", "sinusoids", "sinusoids_of", "sinusoids_of_steps"]

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


def sinusoids_of_steps(
    time: Tensor, steps: int, width: int, cosine_first: bool, shift: float, scale: float = 1.0
) -> Tensor:
    """Sines and cosines of the step t - 1 as the diffusers library computes them, in float32: this
    is what the networks that it trained have seen.

    Args:
        time: t / T in (0, 1], shape (B,).
        steps: T.
        width: the number of features.
        cosine_first: whether the cosines stand before the sines.
        shift: what is subtracted from the number of frequencies where these are spread.
        scale: by which t - 1 is multiplied. Default 1.

    Returns:
        Shape (B, width), in float32.
    """
    # t / T in float32 times T is not whole, and the angles are as large as T.
    t = time * steps
    whole = t.round()
    t = torch.where((t - whole).abs() < 1e-3, whole, t) - 1
    return sinusoids_of(t.float() * scale, width, cosine_first, shift)


def sinusoids_of(values: Tensor, width: int, cosine_first: bool, shift: float) -> Tensor:
    """Sines and cosines of numbers as the diffusers library computes them, in float32; see
    :func:`sinusoids_of_steps`.

    Args:
        values: shape (B,).
        width, cosine_first, shift: of :func:`sinusoids_of_steps`.

    Returns:
        Shape (B, width), in float32.
    """
    half = width // 2
    exponent = -math.log(10000) * torch.arange(half, device=values.device, dtype=torch.float32)
    angle = values.float()[:, None] * (exponent / (half - shift)).exp()
    pair = (angle.cos(), angle.sin()) if cosine_first else (angle.sin(), angle.cos())
    return torch.nn.functional.pad(torch.cat(pair, 1), (0, width - 2 * half))
