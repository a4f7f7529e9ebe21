"""A network for examples whose sides do not divide as it wants: it sees them with a margin."""

__all__ = ["Padded"]

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(eq=False, init=False)
class Padded(nn.Module):
    """A network that sees x with zeros behind the end of its axes, and whose word on the margin is
    not asked for.

    Args:
        shape: of one example.
        network: of examples with as many axes, each as long or longer, as its `shape` says.

    Raises:
        ValueError: if the network's examples are smaller, or have other axes.
    """

    shape: Any
    network: Any

    # Written out, as a module takes no part before it is one itself.
    def __init__(self, shape: Any, network: Any) -> None:
        super().__init__()
        self.shape, self.network = tuple(shape), network
        whole = tuple(network.shape)
        self.margins = [a - b for a, b in zip(whole, self.shape, strict=False)]
        if len(whole) != len(self.shape) or min(self.margins) < 0:
            raise ValueError(
                f"a network for shape {whole} cannot hold examples of shape {self.shape}: give one "
                "with as many axes, each as long or longer"
            )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        # Axes are padded from the last one to the first.
        pads = [end for margin in reversed(self.margins) for end in (0, margin)]
        out = self.network(F.pad(x, pads), time)
        for axis, size in enumerate(self.shape, 1):
            out = out.narrow(axis, 0, size)
        return out
