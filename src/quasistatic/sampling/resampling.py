"""Weights of particles: how many of them count, and drawing anew in proportion to them."""

__all__ = ["effective", "systematic"]

import torch
from torch import Tensor

from .._utils.randomness import uniform


def effective(log_weight: Tensor) -> Tensor:
    """The effective sample size of each row of (groups, n), from 1 to n; 0 if all weights are 0."""
    share = log_weight.softmax(1).nan_to_num()
    return torch.where(share.sum(1) > 0, (share**2).sum(1).clamp(min=1e-300).reciprocal(), 0.0)


def systematic(share: Tensor, n: int, rng: torch.Generator | None) -> Tensor:
    """n places in each row of probabilities (rows, k), by systematic resampling: (rows, n)."""
    start = uniform((len(share), 1), rng, share, torch.float64)
    points = (torch.arange(n, device=share.device) + start) / n
    return torch.searchsorted(share.cumsum(1), points).clamp(max=share.shape[1] - 1)
