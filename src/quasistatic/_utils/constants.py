"""Small constants as tensors, made once for each device."""

__all__ = ["constant", "host_decides", "on_device"]

from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

Nested: TypeAlias = int | float | tuple["Nested", ...]

_KEPT: dict[tuple[Nested, torch.dtype, torch.device], Tensor] = {}
_MOST = 256


def constant(values: Nested, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A number or a nested tuple of numbers as a tensor on the device of `like`.

    A tuple is copied to a device once and then kept, as each copy makes the host wait.

    Args:
        values: the numbers.
        like: gives the device, and the dtype unless `dtype` is given.
        dtype: the dtype of the result.
    """
    dtype = dtype or like.dtype
    if isinstance(values, (int, float)):
        return torch.full((), values, dtype=dtype, device=like.device)
    # A plain dict, as torch.compile reads no `lru_cache`, and would copy the numbers at each call.
    kept = _KEPT.get((values, dtype, like.device))
    if kept is None:
        kept = torch.tensor(values, dtype=dtype, device=like.device)
        if not torch.compiler.is_compiling():
            if len(_KEPT) >= _MOST:
                _KEPT.clear()
            _KEPT[values, dtype, like.device] = kept
    return kept


def host_decides(x: Tensor) -> bool:
    """Whether Python code may branch on the values of x. On a GPU the host would wait for the
    values, and compiled code cannot branch on them."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


_MOVED: WeakIdKeyDictionary = WeakIdKeyDictionary()


def on_device(fixed: Tensor, like: Tensor | torch.device) -> Tensor:
    """A tensor that never changes, on the device of `like`: it is copied there once and kept as
    long as the tensor lives.

    Args:
        fixed: the tensor; its dtype is kept.
        like: a device, or a tensor on it.
    """
    device = like.device if isinstance(like, Tensor) else like
    if fixed.device == device:
        return fixed
    if torch.compiler.is_compiling():
        return fixed.to(device)
    copies: dict[torch.device, Tensor] = cast(Any, _MOVED).setdefault(fixed, {})
    if device not in copies:
        copies[device] = fixed.to(device)
    return copies[device]
