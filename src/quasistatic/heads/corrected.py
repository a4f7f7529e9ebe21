"""The head of a network that knows a denoiser in closed form and learns what is wrong with it."""

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
"""The most by which a log-variance is changed, in nats: a belief neither collapses nor bursts."""


@dataclass(frozen=True)
class Corrected(DenoisingHead):
    r"""The network says the mean m and the variance V that a known law has for x_0 given x_t, and
    two corrections f and g: the belief is N(m + sqrt(V) f, V exp(3 tanh(g / 3))).

    A shift is told in deviations of the known denoised, so that it is of one size at all times, and
    small where that belief is sure. Zeros mean that it stands as it is.
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
        """The output (B, *, 4) of a network that has nothing to correct."""
        return torch.cat([output[..., :2], torch.zeros_like(output[..., 2:])], -1)
