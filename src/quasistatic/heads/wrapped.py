"""Heads that wrap another head: the same network with another reverse step."""

__all__ = ["Clipped", "Exact", "Spread"]

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from .._utils.validation import instance_of, number_within
from ..distributions import Family, Gaussian, OnLattice
from ..kernels import Kernel
from ..spaces import Space
from .estimates import EstimateHead
from .head import DenoisingHead, Head, require_signal_noise
from .levels import Levels
from .variances import Variance


@dataclass(frozen=True)
class Clipped(DenoisingHead):
    """Another head's law of x_0 with its mean limited to the range of the data, as DDPM draws and
    scores (`clip_denoised` in its code, `clip_sample` in diffusers). The limited model is a model:
    its bound, its draws and its codes belong together.

    It has no regression target: train with the inner head, or by the bound.

    Args:
        inner: the head that the network was trained with: Clean, Noise or Velocity.
        largest: x_0 is within -largest and largest. Default 1.
    """

    inner: EstimateHead
    largest: float = 1.0

    def __post_init__(self) -> None:
        instance_of("inner", self.inner, EstimateHead, "Noise()")
        number_within("largest", self.largest, 0, ends="()")

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.inner.jumps

    @property
    def homogeneous(self) -> bool:
        return self.inner.homogeneous

    @property
    def outputs(self) -> int:
        return self.inner.outputs

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise("Clipped", kernel)
        return replace(self, inner=self.inner.bind(space, kernel))

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        p = self.inner.denoise(kernel, output, x_t, t)
        return Gaussian(p.mean.clamp(-self.largest, self.largest), p.variance)


@dataclass(frozen=True)
class Exact(DenoisingHead):
    """The exact reverse step of a law over levels: the mixture of q(x_s | x_t, x_0), where the
    inner head uses the member of the kernel's family with the mixture's mean and variance. The two
    agree for short steps; the mixture is better for long ones. For bits they are equal.

    Args:
        inner: the head that the network was trained with.
    """

    inner: Levels

    def __post_init__(self) -> None:
        instance_of("inner", self.inner, Head, "Levels()")

    @property
    def outputs(self) -> int:
        return self.inner.outputs

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(self.inner, Levels):
            raise TypeError(
                f"Exact mixes over levels, and {type(self.inner).__name__} has none: give it a "
                "Levels head"
            )
        return replace(self, inner=self.inner.bind(space, kernel))

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.inner.denoise(kernel, output, x_t, t)

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Family:
        denoised = self.denoise(kernel, output, x_t, t)
        assert isinstance(denoised, OnLattice)  # as that of every Levels head
        return kernel.mixture(x_t, denoised, s, t)

    def divergence_of(
        self, kernel: Kernel, denoised: Family, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        assert isinstance(denoised, OnLattice)
        return kernel.mixture_divergence(x_t, x_0, denoised, s, t)


@dataclass(frozen=True)
class Spread(DenoisingHead):
    """Another head's estimate of x_0 with a variance of your choice. Where the space has levels,
    the last step stays that of the inner head.

    Args:
        inner: the head that the network was trained with.
        variance: one without outputs of the network (`FixedSmall`, `FixedLarge`, `Analytic`).
    """

    inner: DenoisingHead
    variance: Variance

    def __post_init__(self) -> None:
        instance_of("inner", self.inner, DenoisingHead, "Clean()")
        instance_of("variance", self.variance, Variance, "FixedLarge()")

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return self.variance.jumps

    @property
    def homogeneous(self) -> bool:
        return False  # a variance may differ between values

    @property
    def outputs(self) -> int:
        return self.inner.outputs

    def bind(self, space: Space, kernel: Kernel) -> Self:
        require_signal_noise(f"Spread({type(self.variance).__name__}())", kernel)
        if self.variance.outputs:
            raise TypeError(
                f"{type(self.variance).__name__} needs outputs of the network, and all of them "
                f"belong to {type(self.inner).__name__}: use FixedSmall, FixedLarge or Analytic"
            )
        return replace(self, inner=self.inner.bind(space, kernel))

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        mean = self.inner.estimate(kernel, output, x_t, t)
        spread = self.variance(kernel, output[..., :0], t, x_t)
        return Gaussian(mean, spread.expand_as(mean))

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Family:
        return self.inner.last(kernel, output, x_t, t)
