"""The head for a network that corrects a denoiser in closed form."""

__all__ = ["Corrected"]

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..distributions import Gaussian
from ..kernels import Kernel
from ..spaces import Space
from .head import DenoisingHead, require_signal_noise

FARTHEST = 3.0
"""The largest change of a log-variance, in nats: it bounds the corrected variance on both sides."""


@dataclass(frozen=True)
class Corrected(DenoisingHead):
    """The network returns four numbers for each value: the mean m and the variance V that a known
    law gives to x_0 given x_t, and two corrections f and g. The law of x_0 is N(m + sqrt(V) f, V
    exp(3 tanh(g / 3))).

    The shift is in standard deviations of the known law, so that it has the same order of magnitude
    at all times and vanishes where that law is certain. Zero corrections leave the known law as it
    is.
    """

    @property
    def outputs(self) -> int:
        return 4

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Corrected", kernel)
        return self

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        mean, variance, shift, widening = output.unbind(-1)
        change = FARTHEST * (widening / FARTHEST).tanh()
        return Gaussian(mean + variance.sqrt() * shift, variance * change.exp())

    def uncorrected(self, output: Tensor) -> Tensor:
        """The same output with both corrections zero.

        Args:
            output: shape (B, *, 4).
        """
        return torch.cat([output[..., :2], torch.zeros_like(output[..., 2:])], -1)
