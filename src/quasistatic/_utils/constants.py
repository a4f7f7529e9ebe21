"""Small constants as tensors, made once for each device."""

__all__ = ["constant"]

from functools import lru_cache

import torch
from torch import Tensor

Nested = int | float | tuple["Nested", ...]


def constant(values: Nested, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A number or a nested tuple of numbers as a tensor on the device of `like`.

    A tuple is copied to a device once and then kept, as each copy makes the host wait.

    Args:
        values: the numbers.
        like: gives the device, and the dtype unless `dtype` is given.
        dtype: the dtype of the result.
    """
    if isinstance(values, (int, float)):
        return torch.full((), values, dtype=dtype or like.dtype, device=like.device)
    if torch.compiler.is_compiling():  # the compiler makes a constant of it, and reads no cache
        return torch.tensor(values, dtype=dtype or like.dtype, device=like.device)
    return _kept(values, dtype or like.dtype, like.device)


@lru_cache(maxsize=64)
def _kept(values: Nested, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
