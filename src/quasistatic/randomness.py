"""Draws that a generator of any device makes for tensors of any other."""

__all__ = ["below", "choice", "normal", "permutation", "uniform"]

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(
    shape: Sequence[int],
    rng: torch.Generator | None,
    like: Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform draws from [0, 1), where `like` is, and in its type unless another is given."""
    at, dtype = _device(rng, like), dtype or like.dtype
    return torch.rand(tuple(shape), generator=rng, dtype=dtype, device=at).to(like.device)


def normal(shape: Sequence[int], rng: torch.Generator | None, like: Tensor) -> Tensor:
    """Standard normal draws, where `like` is and in its type."""
    at = _device(rng, like)
    return torch.randn(tuple(shape), generator=rng, dtype=like.dtype, device=at).to(like.device)


def permutation(n: int, rng: torch.Generator | None, like: Tensor) -> Tensor:
    """The numbers below n in random order, where `like` is."""
    return torch.randperm(n, generator=rng, device=_device(rng, like)).to(like.device)


def below(n: int, count: int, rng: torch.Generator | None, like: Tensor) -> Tensor:
    """`count` whole numbers below n, where `like` is."""
    at = _device(rng, like)
    return torch.randint(n, (count,), generator=rng, device=at).to(like.device)


def choice(probs: Tensor, rng: torch.Generator | None) -> Tensor:
    """A place in each row of probabilities (n, K), drawn by them, with shape (n,)."""
    here = probs.to(_device(rng, probs))
    return torch.multinomial(here, 1, replacement=True, generator=rng)[:, 0].to(probs.device)


def _device(rng: torch.Generator | None, like: Tensor) -> torch.device:
    return like.device if rng is None else rng.device
