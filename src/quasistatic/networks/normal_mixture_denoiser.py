"""What the denoisers of mixtures of normals share: their noise level, and what they return."""

__all__ = ["NormalMixtureDenoiser", "noise_level", "require_one"]

import abc
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..distributions.mixtures import Mixture, NoiseLevel
from ..distributions.mixtures.block import Block
from ..distributions.mixtures.spectral_block import Denoised

B = TypeVar("B", bound=Block)


class NormalMixtureDenoiser(nn.Module, abc.ABC):
    """E[x_0 | x_t] and Var[x_0 | x_t] of a mixture of normals. Base class: the buffer `log_snr`
    holds the schedule."""

    @abc.abstractmethod
    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the law gives for x_t (B, *) at t / T (B,)."""

    def level(self, time: Tensor) -> NoiseLevel:
        """The noise level at t / T (B,)."""
        return noise_level(self.get_buffer("log_snr"), time)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """The mean and the variance of x_0 given x_t (B, *) at t / T (B,): (B, *, 2)."""
        found = self.denoise(x, time)
        return torch.stack([found.mean, found.variance], -1)


def require_one(law: Mixture, kind: type[B]) -> B:
    """The only block of a law.

    Raises:
        TypeError: if the law has other blocks.
    """
    block = law.blocks[0]
    if len(law.blocks) != 1 or not isinstance(block, kind):
        kinds = ", ".join(type(each).__name__ for each in law.blocks)
        raise TypeError(f"a law of one {kind.__name__} is needed, got blocks {kinds}")
    return block


def noise_level(log_snr: Tensor, time: Tensor) -> NoiseLevel:
    """The noise level at t / T (B,), for log-SNRs (T,) of the times 1..T."""
    index = (time * len(log_snr)).round().long() - 1
    at = log_snr[index, None]
    signal, noise = at.sigmoid().sqrt(), (-at).sigmoid().sqrt()
    return NoiseLevel(signal, noise, torch.ones_like(signal), at.new_zeros(0))
