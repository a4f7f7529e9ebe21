"""Weights by name: read from safetensors, and older names as those that diffusers has now."""

__all__ = ["present_names", "read_tensors"]

import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor

EARLIER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""The layers of attention as diffusers named them before release 0.15."""

_EARLIER = re.compile(r"(attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)$")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating-point ones in the default type.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no safetensors file, cut short, or holds NaN.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = {name: _owned(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}): restore a copy"
        ) from None
    for name, tensor in found.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{path} holds NaN or infinite values in {name}: restore a copy")
    return found


def _owned(tensor: Tensor) -> Tensor:
    """The tensor in memory of its own and in the default type: what was read may be a view of the
    file, which can change."""
    dtype = torch.get_default_dtype() if tensor.is_floating_point() else tensor.dtype
    return tensor.to(dtype, copy=True)


def present_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a `UNet2DModel` by the names that diffusers has now."""
    found = {}
    for name, tensor in tensors.items():
        match = _EARLIER.search(name)
        if match:
            name = _EARLIER.sub(rf"\1.{EARLIER[match[2]]}.\3", name)
            if tensor.ndim > 2:  # convolutions of one place
                tensor = tensor.flatten(1)
        found[name] = tensor
    return found
