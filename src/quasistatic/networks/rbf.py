"""SD15's radial basis function network, with separate output weights for each time."""

__all__ = ["RBF"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers


@dataclass(eq=False)
class RBF(nn.Module):
    """Normalised radial basis functions. The hidden units are a softmax of -|x - centre|^2 / (2
    radius^2), the same at all times; each time has its own output weights (SD15 D.1.1).

    Args:
        shape: of one example; a whole number means one axis.
        hidden: the number of basis functions.
        steps: T of the schedule.
        outputs: numbers for each value of x, as the head needs. Default 1.
        reach: the centres start uniform in [-reach, reach]. Default 2.

    Raises:
        ValueError: if a size is not a positive whole number, or `reach` is not positive and finite.
    """

    shape: Any
    hidden: int
    steps: int
    outputs: int = 1
    reach: float = 2.0

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("hidden", "steps", "outputs"):
            whole_number(name, getattr(self, name))
        number_within("reach", self.reach, 0, ends="()")
        dims = math.prod(self.shape)
        self.centre = nn.Parameter((2 * torch.rand(self.hidden, dims) - 1) * self.reach)
        radius = self.reach * self.hidden ** (-1 / dims)
        self.log_radius = nn.Parameter(torch.full((self.hidden,), math.log(radius)))
        self.read_out = nn.Parameter(torch.zeros(self.steps, self.hidden, dims * self.outputs))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        step = (time * self.steps).round().long() - 1
        square = (x.flatten(1)[:, None] - self.centre).square().sum(-1)
        unit = (-square / (2 * (2 * self.log_radius).exp())).softmax(-1)
        out = torch.bmm(unit[:, None], self.read_out[step])
        return out.reshape(*x.shape, self.outputs)
