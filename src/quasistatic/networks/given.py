"""The embedding of a condition, beside that of the time."""

__all__ = ["GivenEmbedding", "condition_field"]

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.validation import whole_number


def condition_field() -> Any:
    """The field of a network for the numbers of a condition's code; 0 for no condition."""
    # A network without a condition is described as it was before there were conditions.
    return dataclasses.field(default=0, metadata={"added": True})


class GivenEmbedding(nn.Module):
    """Two layers without biases: a code of zeros, for a condition that is not given, gives
    zeros.

    Args:
        inside: numbers of a code.
        outside: of the embedding.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        whole_number("condition", inside, 0)
        self.inside = inside
        if inside:
            self.widen = nn.Linear(inside, outside, bias=False)
            self.mix = nn.Linear(outside, outside, bias=False)

    def forward(self, time: Tensor, given: Tensor | None) -> Tensor:
        """The time's embedding (B, outside) and that of the codes (B, inside), summed.

        Raises:
            TypeError: if codes are given to a network that has no condition.
        """
        if given is None:
            return time
        if not self.inside:
            raise TypeError(
                "codes of a condition are given to a network without one: build it with "
                f"condition={given.shape[-1]}"
            )
        embedded: Tensor = time + self.mix(torch.nn.functional.silu(self.widen(given)))
        return embedded
