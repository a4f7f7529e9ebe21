r"""A spectral law for each class of pictures or signals as a denoiser."""

__all__ = ["PerClassDenoiser"]

import math
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from .._utils.validation import whole_number
from ..distributions.mixtures import LawPerClass, NoiseLevel
from ..distributions.mixtures.spectral_block import Denoised
from .buffers import fill_buffers
from .spectral_denoiser import SpectralDenoiser


@dataclass(eq=False)
class PerClassDenoiser(nn.Module):
    r"""E[x_0 | x_t, y] and Var[x_0 | x_t, y] if each class y has a spectral law, exactly; for rows
    whose class is not given those of p(x_0 | x_t), the mixture of all classes.

    It starts with standard normal components; :meth:`start_at` gives it its laws. Its numbers are
    buffers in float64.

    Args:
        shape, axes, steps: of :class:`SpectralDenoiser`.
        components: K, the number of components of each class.
        classes: C, how many classes there are.
    """

    shape: Any
    axes: int
    components: int
    steps: int
    classes: int

    def __post_init__(self) -> None:
        super().__init__()
        whole_number("classes", self.classes, 2)
        each = self.shape, self.axes, self.components, self.steps
        self.laws = nn.ModuleList(SpectralDenoiser(*each) for _ in range(self.classes))
        self.shape = self._laws[0].shape
        even = torch.full((self.classes,), -math.log(self.classes), dtype=torch.float64)
        self.register_buffer("log_prior", even)

    @property
    def _laws(self) -> list[SpectralDenoiser]:
        return cast(list[SpectralDenoiser], list(self.laws))

    @property
    def law(self) -> LawPerClass:
        """The laws of x_0, in the type of the buffers."""
        return LawPerClass(self.get_buffer("log_prior"), tuple(each.law for each in self._laws))

    def start_at(self, law: LawPerClass, log_snr: Tensor) -> Self:
        """Takes the laws of x_0 and the schedule.

        Args:
            law: of as many classes, each with one :class:`SpectralBlock`.
            log_snr: of the times 1..T, with shape (T,).

        Raises:
            TypeError: if a law is none of a single spectral block.
            ValueError: if a shape is another, or a number is not finite.
        """
        fill_buffers(self, {"log_prior": law.log_prior})
        for each, of_class in zip(self._laws, law.laws, strict=True):
            each.start_at(of_class, log_snr)
        return self

    def level(self, time: Tensor) -> NoiseLevel:
        """The noise level at t / T (B,)."""
        return self._laws[0].level(time)

    def forward(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """The mean and the variance of x_0 given x_t (B, *) at t / T (B,): (B, *, 2)."""
        found = self.denoise(x, time, given)
        return torch.stack([found.mean, found.variance], -1)

    def denoise(self, x: Tensor, time: Tensor, given: Tensor | None = None) -> Denoised:
        """What the laws give for x_t (B, *) at t / T (B,).

        Args:
            x: x_t.
            time: t / T.
            given: the one-hot class of each row (B, C); zeros where it is not given.
        """
        possible = self._possible(x, given)
        log_joint = x.new_full((self.classes, len(x)), -math.inf)
        each = []
        for k, (law, rows) in enumerate(zip(self._laws, self._rows(possible), strict=True)):
            found, log_p = law.denoise_with_evidence(x[rows], time[rows])
            log_joint[k, rows] = log_p + self.get_buffer("log_prior")[k].to(x)
            each.append((rows, found))
        log_joint = log_joint.masked_fill(~possible.T, -math.inf)
        share = log_joint.softmax(0).reshape(self.classes, len(x), *[1] * (x.ndim - 1))
        sums = [torch.zeros_like(x) for _ in Denoised._fields]
        for k, (rows, found) in enumerate(each):
            for total, part in zip(sums, found, strict=True):
                total[rows] += share[k, rows] * part
        between = torch.zeros_like(x)
        for k, (rows, found) in enumerate(each):
            between[rows] += share[k, rows] * (found.mean - sums[0][rows]).square()
        level = self.level(time.to(torch.float64)).to(x)
        ratio = (level.signal / level.noise).reshape(-1, *[1] * (x.ndim - 1))
        mean, variance, eps, free, white = sums
        return Denoised(mean, variance + between, eps, free - between * ratio**2, white)

    def log_prob(self, x_0: Tensor, given: Tensor | None = None) -> Tensor:
        """log p(x_0 | y) of x_0 (B, *), with shape (B,), in nats, in its type; log p(x_0) where the
        class is not given.

        Args:
            x_0: the examples.
            given: see :meth:`denoise`.
        """
        each = torch.stack([law.log_prob(x_0) for law in self._laws], 1)
        prior = self.get_buffer("log_prior").to(x_0)
        if given is None:
            return (each + prior).logsumexp(1)
        chosen = given.to(x_0)
        alone = (each * chosen).sum(1)
        return torch.where(chosen.any(1), alone, (each + prior).logsumexp(1))

    def _possible(self, x: Tensor, given: Tensor | None) -> Tensor:
        """Which classes a row may have, with shape (B, C)."""
        if given is None:
            return torch.ones(len(x), self.classes, dtype=torch.bool, device=x.device)
        chosen = given > 0
        return chosen | ~chosen.any(1, keepdim=True)

    def _rows(self, possible: Tensor) -> list[Any]:
        """The rows for which each class is evaluated: on a CPU those that may have it; elsewhere,
        and in compiled code, all, so that shapes do not depend on values."""
        if possible.device.type != "cpu" or torch.compiler.is_compiling():
            return [slice(None)] * self.classes
        return [column.nonzero()[:, 0] for column in possible.T]
