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
    r"""The network gives the mean and the variance that a known law has for x_0 given x_t, and two
    corrections f and g. The prior over levels is a discretised logistic, which the known likelihood
    of x_t multiplies, as in :class:`Levels`.

    The known law has used the value's own x_t already. So its likelihood is divided out of the
    normal of that mean and variance; what is left is the law of the value given all others, and the
    logistic has its mean and deviation. f moves the mean, in deviations; exp(3 tanh(g / 3)) scales
    the deviation. Zeros leave the known law as it is.

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
        linear, precision = kernel.likelihood_tilt(x_t, torch.zeros_like(t), t)
        return self.prior(output.to(x_t), linear, precision).tilt(linear, precision)

    def prior(self, output: Tensor, linear: Tensor, precision: Tensor) -> LogisticMixture:
        """The law of each value given the other values of x_t.

        Args:
            output: of the network, with shape (B, *, 4).
            linear, precision: the likelihood of the value's own x_t, with shape (B, *).
        """
        assert self.levels is not None  # bound heads know them
        values = constant(self.levels, output)
        cell = self.levels[1] - self.levels[0]
        reach = cell * len(self.levels)
        mean, variance, shift, widening = output.unbind(-1)
        # No wider than the range of the levels, though rounding may make the difference zero.
        rest = (1 / variance - precision).clamp_min(1 / reach**2)
        middle = ((mean / variance - linear) / rest).clamp(self.levels[0], self.levels[-1])
        deviation = rest.rsqrt().clamp_min(SHARPEST * cell)
        loc = middle + deviation * shift
        log_scale = (deviation * math.sqrt(3) / math.pi).log()
        log_scale = log_scale + FARTHEST * (widening / FARTHEST).tanh()
        least = torch.full_like(log_scale, math.log(SHARPEST * cell))
        log_scale = torch.logaddexp(log_scale, least)
        logits = torch.zeros_like(loc)
        return LogisticMixture(logits[..., None], loc[..., None], log_scale[..., None], values)
