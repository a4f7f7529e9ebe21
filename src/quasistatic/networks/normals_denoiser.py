r"""A mixture of normals with full covariance matrices as a denoiser."""

__all__ = ["NormalsDenoiser"]

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.validation import whole_number, whole_numbers
from ..distributions.mixtures import GaussianBlock, Mixture, NoiseLevel
from ..distributions.mixtures.spectral_block import Denoised
from .buffers import fill_buffers
from .normal_mixture_denoiser import NormalMixtureDenoiser, require_one

LOG_2PI = math.log(2 * math.pi)


@dataclass(eq=False)
class NormalsDenoiser(NormalMixtureDenoiser):
    r"""E[x_0 | x_t] and Var[x_0 | x_t] if x_0 is a mixture of normals with full covariance
    matrices, exactly. Each is computed in the matrix's own eigenvectors, which serve all noise
    levels.

    It starts with standard normal components; :meth:`start_at` gives it its law. It has no weights
    to train: its numbers are buffers in float64.

    Args:
        shape: of x_0. A whole number means one axis.
        components: K, the number of components.
        steps: T of the schedule.
    """

    shape: Any
    components: int
    steps: int

    def __post_init__(self) -> None:
        super().__init__()
        self.shape = whole_numbers("shape", self.shape)
        for name in ("components", "steps"):
            whole_number(name, getattr(self, name))
        count, dims, double = self.components, math.prod(self.shape), torch.float64
        buffers = {
            "log_weight": torch.full((count,), -math.log(count), dtype=double),
            "mean": torch.zeros(count, dims, dtype=double),
            "variance": torch.ones(count, dims, dtype=double),
            "vectors": torch.eye(dims, dtype=double).repeat(count, 1, 1),
            "log_snr": torch.zeros(self.steps, dtype=double),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)

    @property
    def law(self) -> Mixture:
        """The law of x_0, in the type of the buffers."""
        vectors = self.get_buffer("vectors")
        matrix = (vectors * self.get_buffer("variance")[:, None]) @ vectors.mT
        block = GaussianBlock.full(self.get_buffer("mean"), (matrix + matrix.mT) / 2)
        return Mixture(self.get_buffer("log_weight"), (block,))

    def start_at(self, law: Mixture, log_snr: Tensor) -> Self:
        """Takes the law of x_0 and the schedule.

        Args:
            law: with one block, a :class:`GaussianBlock`.
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            TypeError: if the law is none of a single block of normals.
            ValueError: if a shape is another, or a number is not finite.
        """
        block = require_one(law, GaussianBlock)
        variance, vectors = block.eigen
        found = {
            "log_weight": law.log_weight,
            "mean": block.mean,
            "variance": variance[block.of] * block.scale[:, None],
            "vectors": vectors[block.of],
            "log_snr": log_snr,
        }
        fill_buffers(self, found)
        return self

    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the law gives for x_t (B, *) at t / T (B,). It has no condition, and `given` changes
        nothing."""
        with torch.autocast(x.device.type, enabled=False):
            found = self._denoised(x.flatten(1), self.level(time.to(torch.float64)).to(x))
        return Denoised(*(part.reshape(x.shape) for part in found))

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of x_0 (B, *), with shape (B,), in nats, in its type. `given` changes nothing."""
        double = torch.float64
        log_weight, mean, variance, vectors = (each.to(double) for each in self._numbers(x_0))
        off = (x_0.flatten(1).to(double) - mean[:, None]) @ vectors  # (K, B, D)
        log_p = -(off.square() / variance[:, None] + variance[:, None].log() + LOG_2PI).sum(-1) / 2
        return (log_weight[:, None] + log_p).logsumexp(0).to(x_0)

    def _denoised(self, x: Tensor, level: NoiseLevel) -> tuple[Tensor, ...]:
        """The fields of :class:`Denoised` for rows x_t (B, D)."""
        signal, noise = level.signal, level.noise
        log_weight, mean, variance, vectors = self._numbers(x)
        # x_t has the laws N(signal m, signal^2 v + noise^2) along the eigenvectors.
        off = (x - signal * mean[:, None]) @ vectors  # (K, B, D)
        spread = torch.addcmul(noise**2, signal**2, variance[:, None])
        log_p = -(off.square() / spread + spread.log() + LOG_2PI).sum(-1) / 2
        share = (log_weight[:, None] + log_p).softmax(0)[..., None]
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            kept = (share > torch.finfo(share.dtype).eps).any(1).nonzero()[:, 0]
            picked = (share, off, spread, mean, variance, vectors)
            share, off, spread, mean, variance, vectors = (each[kept] for each in picked)
        precision = 1 / spread
        gain = variance[:, None] * precision
        along = torch.cat([signal * gain * off, off * precision, off * precision.sqrt()], 1)
        shift, eps, white = (along @ vectors.mT).chunk(3, 1)
        each = mean[:, None] + shift
        middle = (share * each).sum(0)
        between = (share * (each - middle).square()).sum(0)
        squares = torch.cat([gain, precision], 1) @ vectors.mT.square()
        within, free = ((share * part).sum(0) * noise**2 for part in squares.chunk(2, 1))
        return (
            middle,
            within + between,
            (share * eps).sum(0) * noise,
            free - between * (signal / noise) ** 2,
            (share * white).sum(0),
        )

    def _numbers(self, like: Tensor) -> list[Tensor]:
        """The numbers of the law in the type of a tensor."""
        names = ("log_weight", "mean", "variance", "vectors")
        return [self.get_buffer(name).to(like) for name in names]
