"""The head for levels of a network that knows a closed-form denoiser and corrects it."""

__all__ = ["CorrectedLevels"]

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.constants import constant
from ..distributions import Family, LogisticMixture
from ..kernels import Kernel
from ..spaces import Space
from .corrected import FARTHEST
from .head import DenoisingHead, require_signal_noise
from .levels import SHARPEST


@dataclass(frozen=True)
class CorrectedLevels(DenoisingHead):
    r"""The network gives the law that is known of each value of x_0 given the other values of x_t,
    a normal proportional to exp(linear x - precision x^2 / 2), and two corrections f and g. The
    prior over levels is a discretised logistic with the mean and the deviation of that normal,
    which the known likelihood of x_t multiplies, as in :class:`Levels`.

    f moves the mean, in deviations; exp(3 tanh(g / 3)) scales the deviation. Zeros leave the known
    law as it is. :class:`SpectralResidual` gives these numbers with `leave_out=True`.

    Args:
        levels: the levels as numbers; set by :meth:`bind`.
    """

    denoised_has_levels = True

    levels: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)

    @property
    def outputs(self) -> int:
        return 4

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("CorrectedLevels", kernel)
        if space.levels is None:
            raise TypeError(
                f"CorrectedLevels needs a space with levels (Quantized), got "
                f"{type(space).__name__}: use Corrected"
            )
        return replace(self, levels=tuple(space.levels.tolist()))

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        likelihood = kernel.likelihood_tilt(x_t, torch.zeros_like(t), t)
        return self.prior(output.to(x_t)).tilt(*likelihood)

    def prior(self, output: Tensor) -> LogisticMixture:
        """The law of each value given the other values of x_t, for an output (B, *, 4)."""
        assert self.levels is not None  # bound heads know them
        values = constant(self.levels, output)
        cell = self.levels[1] - self.levels[0]
        linear, precision, shift, widening = output.unbind(-1)
        # No wider than the range of the levels, and no narrower than a part of a cell.
        precision = precision.clamp_min(1 / (cell * len(self.levels)) ** 2)
        middle = (linear / precision).clamp(self.levels[0], self.levels[-1])
        deviation = precision.rsqrt().clamp_min(SHARPEST * cell)
        log_scale = (deviation * math.sqrt(3) / math.pi).log()
        log_scale = log_scale + FARTHEST * (widening / FARTHEST).tanh()
        least = torch.full_like(log_scale, math.log(SHARPEST * cell))
        log_scale = torch.logaddexp(log_scale, least)
        loc = middle + deviation * shift
        logits = torch.zeros_like(loc)
        return LogisticMixture(logits[..., None], loc[..., None], log_scale[..., None], values)
