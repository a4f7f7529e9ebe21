"""A residual multilayer perceptron, for vectors and small arrays of any shape."""

__all__ = ["MLP"]

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.validation import number_within, whole_number, whole_numbers
from .given import GivenEmbedding, condition_field
from .time import fourier_features


class _Block(nn.Module):
    """Two layers with a residual connection; features of the time scale and shift its normalised
    input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.told = nn.Linear(width, 2 * width)  # scale and shift; weights are stored by this name
        self.widen = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(width, width)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.told(time).chunk(2, -1)
        inner = nn.functional.silu(self.widen(self.norm(h) * (1 + scale) + shift))
        found: Tensor = h + self.narrow(self.dropout(inner))
        return found


@dataclass(eq=False)
class MLP(nn.Module):
    """Residual blocks with layer norm and SiLU. Fourier features of the time scale and shift the
    input of each block.

    The output layer starts at a tenth of its usual size, so that training starts near the prior.

    Args:
        shape: of one example; a whole number means one axis.
        width: hidden units of each layer. Default 128.
        depth: residual blocks, of two layers each. Default 3.
        outputs: numbers for each value of x, as the head needs. Default 1.
        dropout: the share of hidden units that training drops. Default 0.
        octaves: frequencies of the time features. Default 8.
        detail: octaves of Fourier features of x, for data with structure at fine scales (VDM Sec.
            5.1), with periods 2, 1, ..., 4 / 2^detail. Octaves much finer than the noise at most
            times make the model worse. Default 0.
        holes: whether NaN in x is a missing value, which the network also sees as an input of its
            own. Default False.
        condition: numbers of the condition's code, `condition.width`; 0 for a model of p(x) alone.
            Default 0.

    Raises:
        ValueError: if a size is not a positive whole number, or `dropout` is not in [0, 1).
    """

    shape: Any
    width: int = 128
    depth: int = 3
    outputs: int = 1
    dropout: float = 0.0
    octaves: int = 8
    detail: int = 0
    holes: bool = False
    condition: int = condition_field()

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("width", "outputs"):
            whole_number(name, getattr(self, name))
        for name in ("depth", "octaves", "detail"):
            whole_number(name, getattr(self, name), 0)
        number_within("dropout", self.dropout, 0, 1, "[)")
        dims, width = math.prod(self.shape), self.width
        self.time = nn.Sequential(
            nn.Linear(2 * self.octaves + 1, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.read_in = nn.Linear(dims * (1 + 2 * self.detail + self.holes), width)
        self.blocks = nn.ModuleList(_Block(width, self.dropout) for _ in range(self.depth))
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, dims * self.outputs)
        with torch.no_grad():
            self.read_out.weight *= 0.1
            self.read_out.bias.zero_()
        self.given = GivenEmbedding(self.condition, width)

    def start_at(self, output: Tensor) -> "MLP":
        """Sets the initial output for every input.

        Args:
            output: shape (*, outputs).

        Returns:
            The network itself.
        """
        with torch.no_grad():
            self.read_out.bias.copy_(output.flatten())
        return self

    def zero_output(self) -> "MLP":
        """Sets the output layer to zero: the output is zero until the network is trained. Returns
        the network."""
        with torch.no_grad():
            self.read_out.weight.zero_()
            self.read_out.bias.zero_()
        return self

    @property
    def gives_output(self) -> bool:
        """Whether the output layer has a weight that is not zero."""
        return bool(self.read_out.weight.any() or self.read_out.bias.any())

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.read_in(self._features(x.flatten(1)))
        embedding = self.given(self.time(fourier_features(time, self.octaves)), given)
        for block in self.blocks:
            h = block(h, embedding)
        found: Tensor = self.read_out(self.norm(h)).reshape(*x.shape, self.outputs)
        return found

    def _features(self, x: Tensor) -> Tensor:
        """The features of x (B, D): its values, finer features, and which values are missing."""
        if not self.holes:
            return _with_detail(x, self.detail)
        missing = x.isnan()
        filled = _with_detail(torch.where(missing, 0.0, x), self.detail)
        return torch.cat([filled, missing.to(x.dtype)], 1)


def _with_detail(x: Tensor, octaves: int) -> Tensor:
    """x (B, D) with the sines and cosines of 2^k pi x for k = 0, ..., octaves - 1."""
    angles = [2**k * math.pi * x for k in range(octaves)]
    return torch.cat([x, *(a.sin() for a in angles), *(a.cos() for a in angles)], 1)
