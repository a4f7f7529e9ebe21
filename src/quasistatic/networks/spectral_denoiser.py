r"""A spectral law of pictures and signals as a denoiser."""

__all__ = ["SpectralDenoiser"]

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.validation import whole_number, whole_numbers
from ..distributions.mixtures import CosineBasis, Mixture, NoiseLevel, SpectralBlock
from ..distributions.mixtures.spectral_block import Denoised, SpectralEvidence
from .buffers import fill_buffers
from .normal_mixture_denoiser import NormalMixtureDenoiser, require_one

ON_HOST, ON_DEVICE = 2**18, 2**26
"""Numbers of a table over rows, components and values that are computed at once: on a CPU so few
that they stay in its cache."""


@dataclass(eq=False)
class SpectralDenoiser(NormalMixtureDenoiser):
    r"""E[x_0 | x_t] and Var[x_0 | x_t] if x_0 has a spectral law, exactly: a mixture of normals
    that are diagonal in a basis of cosines.

    It starts with standard normal components; :meth:`start_at` gives it its law. It has no weights
    to train: its numbers are buffers in float64, which are saved with a model.

    Args:
        shape: of x_0. A whole number means one axis.
        axes: how many of the last axes have cosines; 0 for a basis of whole examples.
        components: K, the number of components.
        steps: T of the schedule.
    """

    shape: Any
    axes: int
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
            "directions": CosineBasis.plain(self.shape, self.axes).directions,
            "log_snr": torch.zeros(self.steps, dtype=double),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self._kept: tuple[Any, dict[torch.dtype, Mixture]] = (None, {})

    @property
    def law(self) -> Mixture:
        """The law of x_0, in the type of the buffers."""
        return self._law(self.get_buffer("log_weight").dtype)

    def start_at(self, law: Mixture, log_snr: Tensor) -> Self:
        """Takes the law of x_0 and the schedule.

        Args:
            law: with one block, a :class:`SpectralBlock`.
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            TypeError: if the law is none of a single spectral block.
            ValueError: if a shape is another, or a number is not finite.
        """
        block = require_one(law, SpectralBlock)
        found = {
            "log_weight": law.log_weight,
            "mean": block.mean,
            "variance": block.variance,
            "directions": block.basis.directions,
            "log_snr": log_snr,
        }
        fill_buffers(self, found)
        return self

    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the law gives for x_t (B, *) at t / T (B,). It has no condition, and `given` changes
        nothing."""
        return self.denoise_with_evidence(x, time)[0]

    def denoise_with_evidence(self, x: Tensor, time: Tensor) -> tuple[Denoised, Tensor]:
        """What the law gives for x_t (B, *) at t / T (B,), and log p(x_t), with shape (B,)."""
        law, flat = self._law(x.dtype), x.flatten(1)
        on_host = x.device.type == "cpu" and not torch.compiler.is_compiling()
        at_once = ON_HOST if on_host else ON_DEVICE
        alike = on_host and bool((time == time[:1]).all())  # as in a draw; a GPU would wait
        level = self.level((time[:1] if alike else time).to(self.get_buffer("log_snr"))).to(x)
        rows = max(1, at_once // (self.components * flat.shape[1]))
        with torch.autocast(x.device.type, enabled=False):
            pieces = [slice(i, i + rows) for i in range(0, max(len(flat), 1), rows)]
            found = [
                _denoised(law, flat[piece], level if alike else level.rows(piece))
                for piece in pieces
            ]
        *each, log_p = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Denoised(*(part.reshape(x.shape) for part in each)), log_p

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p of x_0 (B, *), with shape (B,), in nats, in its type. `given` changes nothing."""
        return self._law(x_0.dtype).log_prob(x_0.flatten(1))

    def _law(self, dtype: torch.dtype) -> Mixture:
        """The law in a type; made once, and again when a buffer has changed."""
        if torch.compiler.is_compiling() and dtype in self._kept[1]:
            return self._kept[1][dtype]  # an eager call made it; torch.compile reads no addresses
        buffers = dict(self.named_buffers())
        key = tuple((b.data_ptr(), b._version, b.dtype) for b in buffers.values())
        if self._kept[0] != key:
            self._kept = key, {}
        kept = self._kept[1]
        if dtype not in kept:
            kept[dtype] = self._made(buffers, dtype)
        return kept[dtype]

    def _made(self, buffers: dict[str, Tensor], dtype: torch.dtype) -> Mixture:
        basis = CosineBasis(self.shape, self.axes, buffers["directions"])
        block = SpectralBlock(basis, buffers["mean"], buffers["variance"])
        law = Mixture(buffers["log_weight"], (block,))
        return law.to(buffers["log_weight"].to(dtype))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": (None, {})}


def _denoised(law: Mixture, x: Tensor, level: NoiseLevel) -> tuple[Tensor, ...]:
    """What a law gives for some rows x_t (B, D), and their log p (B,)."""
    block = law.blocks[0]
    assert isinstance(block, SpectralBlock)  # as it was made
    # Not block.evidence, which looks for missing values: a GPU would wait for the answer.
    evidence = SpectralEvidence(block, x, level)
    joint = law.log_weight[:, None] + evidence.total
    return *evidence.denoised(joint), joint.logsumexp(0)
