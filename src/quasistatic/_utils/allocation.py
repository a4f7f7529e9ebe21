"""A network from a file is compared with its weights before it takes any memory."""

__all__ = ["Misfit", "require_weights"]

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

MOST_VALUES, FREE_VALUES, VALUES_PER_WEIGHT = 2**28, 2**22, 2**8
"""The largest number of values of an example that a model from a file may have: so many in any
case, so many for free, and so many more for each of its weights."""


class Misfit(ValueError):
    """A network's description does not fit its weights."""


def require_weights(
    build: Callable[[], nn.Module], weights: Mapping[str, Tensor], state: tuple[int, ...]
) -> None:
    """Builds a network without memory for its weights and compares it with weights that exist.

    A damaged or crafted `config.json` may describe a network of any size. Building it would take
    the memory before anything notices that the weights do not fit.

    Args:
        build: builds the network.
        weights: the tensors of the network in a file, by name.
        state: the shape of x_0 by the same description.

    Raises:
        Misfit: if the names or shapes differ, or an example is larger than the number of weights
            allows.
    """
    count_weights = sum(each.numel() for each in weights.values())
    most = min(MOST_VALUES, FREE_VALUES + VALUES_PER_WEIGHT * count_weights)
    if math.prod(state) > most:
        raise Misfit(
            f"an example of shape {state} has more than {most:,} values, the most for a network of "
            f"{count_weights:,} weights"
        )
    parts = 0

    def count(*_: object) -> None:
        # A network has a few modules for each of its tensors.
        nonlocal parts
        parts += 1
        if parts > 1000 + 100 * len(weights):
            raise Misfit(
                f"it describes a network of more than {parts:,} parts, and the file holds "
                f"{len(weights)} tensors"
            )

    handle = hooks.register_module_module_registration_hook(count)
    try:
        with torch.device("meta"):
            expected = {k: tuple(v.shape) for k, v in build().state_dict().items()}
    finally:
        handle.remove()
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() ^ found.keys()):
        holder = "its description" if name in found else "the file"
        raise Misfit(f"{holder} has no tensor {name!r}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise Misfit(f"{name} should have shape {shape}, and the file holds {found[name]}")
