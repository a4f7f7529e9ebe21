"""A network for examples whose sizes it does not divide: it sees them padded."""

__all__ = ["Padded"]

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .._utils.validation import whole_numbers


@dataclass(eq=False, init=False)
class Padded(nn.Module):
    """Pads x with zeros at the end of its axes, applies a network, and crops its output.

    Args:
        shape: of one example.
        network: for examples with as many axes, each as long or longer; its field `shape` says so.

    Raises:
        ValueError: if the network's examples are smaller, or have another number of axes.
    """

    shape: Any
    network: Any

    # Not a dataclass __init__: nn.Module.__init__ has to run before a submodule is assigned.
    def __init__(self, shape: Any, network: Any) -> None:
        super().__init__()
        if not isinstance(network, nn.Module) or not hasattr(network, "shape"):
            raise TypeError(
                f"a padded network needs a field `shape`, as MLP and UNet have, got {network!r}"
            )
        self.shape, self.network = whole_numbers("shape", shape), network
        padded = whole_numbers("the network's shape", network.shape)
        self.margins = [a - b for a, b in zip(padded, self.shape, strict=False)]
        if len(padded) != len(self.shape) or min(self.margins) < 0:
            raise ValueError(
                f"a network for shape {padded} cannot hold examples of shape {self.shape}: it "
                "needs as many axes, each as long or longer"
            )

    @property
    def condition(self) -> int:
        """Numbers of the condition's code that the network takes; 0 for none."""
        return int(getattr(self.network, "condition", 0))

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        # Axes are padded from the last one to the first.
        pads = [end for margin in reversed(self.margins) for end in (0, margin)]
        codes = () if given is None else (given,)
        out = self.network(F.pad(x, pads), time, *codes)
        for axis, size in enumerate(self.shape, 1):
            out = out.narrow(axis, 0, size)
        found: Tensor = out
        return found
