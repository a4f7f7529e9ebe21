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

    Those that have it already are views of the file: they take memory when they are first used.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no safetensors file or cut short.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}): restore a copy"
        ) from None
    dtype = torch.get_default_dtype()
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in found.items()
    }


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
