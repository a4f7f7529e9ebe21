"""The head for data with levels: a prior over levels, times the known likelihood of x_t."""

__all__ = ["Levels"]

import abc
import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from .._utils.constants import constant
from .._utils.validation import whole_number
from ..distributions import Family, Lattice, LogisticMixture
from ..kernels import Kernel
from ..spaces import Space
from .head import DenoisingHead

SHARPEST = 1 / 16
"""The smallest scale of a logistic, in cells: one at the middle of a cell has 0.07 % outside."""


@dataclass(frozen=True)
class Levels(DenoisingHead):
    """The network returns a prior over the levels of each value of x_0. It is multiplied by q(x_t |
    x_0 = level), which is known: at high SNR the estimate then rounds to a level exactly, which no
    network learns by regression. For bits this is the head `Clean` with the likelihood of x_t
    multiplied in.

    Args:
        mixtures: 0 for one logit for each level. Otherwise the number of logistics, with three
            outputs each (logit of the weight, location, log-scale), whose mass in the cell of each
            level is the prior (SKCK17 Eq. 2); use them for hundreds of levels. Zero outputs are
            logistics spread evenly over the range. Default 0.
        values: the levels, shape (L,); set by :meth:`bind`.
        levels: the same as numbers; set by :meth:`bind`.

    Raises:
        ValueError: if `mixtures` is negative.
    """

    denoised_has_levels = True

    mixtures: int = 0
    values: Tensor | None = field(default=None, repr=False, compare=False)
    levels: tuple[Any, ...] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole_number("mixtures (0 for one logit a level)", self.mixtures, 0)
        if self.values is not None and self.levels is None:
            object.__setattr__(self, "levels", tuple(self.values.tolist()))
        if self.levels is not None:  # made here, as torch.compile makes no such object in a graph
            made = _Logistics(self.levels, self.mixtures) if self.mixtures else _Table(self.levels)
            object.__setattr__(self, "_made", made)

    @property
    def outputs(self) -> int:
        return self._prior.outputs

    @property
    def _prior(self) -> "_Prior":
        if self.levels is None:
            raise TypeError(
                "a Levels head has its levels from the space: build a Model with it first"
            )
        made: _Prior = vars(self)["_made"]
        return made

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if space.levels is None:
            raise TypeError(
                f"Levels needs a space with levels (Binary, Quantized), got "
                f"{type(space).__name__}: use Clean, Noise or Velocity"
            )
        if 3 * self.mixtures > len(space.levels):
            raise TypeError(
                f"{self.mixtures} logistics take {3 * self.mixtures} outputs a value, and "
                f"{type(space).__name__} has {len(space.levels)} levels only: use Levels(), "
                "with one logit a level, or fewer"
            )
        return replace(self, values=space.levels, levels=None)

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        # Bayes' rule: the likelihood of x_t is a tilt, for every kernel.
        prior = self._prior.law(output.to(x_t.dtype))
        return prior.tilt(*kernel.likelihood_tilt(x_t, torch.zeros_like(t), t))


@dataclass(frozen=True)
class _Prior(abc.ABC):
    """How a network's output (B, *, outputs) becomes a law over `values` (L,)."""

    values: tuple[float, ...]

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """How many numbers it needs for each value of x."""

    @abc.abstractmethod
    def law(self, output: Tensor) -> Family:
        """The law that the output describes."""


@dataclass(frozen=True)
class _Table(_Prior):
    """One logit for each level."""

    @property
    def outputs(self) -> int:
        return len(self.values)

    def law(self, output: Tensor) -> Lattice:
        return Lattice(output, constant(self.values, output))


@dataclass(frozen=True)
class _Logistics(_Prior):
    """Logits, locations and log-scales of `count` logistics. A zero output puts them at different
    places, so that a network whose last layer starts at zero can move them apart."""

    count: int

    @property
    def outputs(self) -> int:
        return 3 * self.count

    def law(self, output: Tensor) -> LogisticMixture:
        values = constant(self.values, output)
        logits, loc, log_scale = torch.unflatten(output, -1, (3, self.count)).unbind(-2)
        cell = self.values[1] - self.values[0]
        reach = len(self.values) * cell  # from end to end
        places = (
            torch.arange(self.count, dtype=output.dtype, device=output.device) + 0.5
        ) / self.count - 0.5
        middle = (values[0] + values[-1]) / 2
        # tanh bounds the log-scale: down to SHARPEST, and up by the same amount.
        broad = reach / (4 * self.count)
        room = math.log(broad / (SHARPEST * cell))
        log_scale = math.log(broad) + room * (log_scale / room).tanh()
        return LogisticMixture(logits, middle + reach * (places + loc / 2), log_scale, values)
