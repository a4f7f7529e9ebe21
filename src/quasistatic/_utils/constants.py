"""Numbers that are the same at every step, kept where they are needed."""

__all__ = ["constant"]

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def constant(values: Any, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A number, or a nested tuple of them, where `like` is: no copy waits for it."""
    if isinstance(values, (int, float)):
        return torch.full((), values, dtype=dtype or like.dtype, device=like.device)
    if torch.compiler.is_compiling():
        return torch.tensor(values, dtype=dtype or like.dtype, device=like.device)
    return _kept(values, dtype or like.dtype, like.device)


@lru_cache(maxsize=64)
def _kept(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
