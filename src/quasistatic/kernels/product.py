"""Several kernels side by side, for examples with values of several kinds."""

__all__ = ["ProductKernel"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .._utils.constants import host_decides
from .._utils.validation import instance_of, whole_numbers
from ..distributions import Family, Product, ProductSupport
from .kernel import Kernel
from .schedules import Schedule


@dataclass(frozen=True)
class ProductKernel(Kernel):
    """Several kernels side by side along the last axis of x (B, W), with the same number of steps.
    Each part diffuses its own values, so every identity of a kernel holds part by part.

    A missing value is NaN in x_0 and in every x_t that comes from it. It has no law and contributes
    nothing to the bound, which is then a bound on the log-probability of the values that are
    present.

    Args:
        parts: the kernels, all with the same number of steps.
        widths: how many values of x each part has, adding up to W.

    Raises:
        ValueError: if there are not as many widths as parts, or the parts differ in their steps.
        TypeError: if a part has a learned schedule.
    """

    parts: tuple[Kernel, ...]
    widths: tuple[int, ...]
    schedule: Schedule = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", whole_numbers("widths", self.widths))
        for part in self.parts:
            instance_of("each part", part, Kernel, "GaussianKernel(schedules.cosine(1000))")
        if not self.parts or len(self.parts) != len(self.widths):
            raise ValueError(
                f"a ProductKernel needs one width for each part, got {len(self.parts)} parts and "
                f"{len(self.widths)} widths"
            )
        steps = [part.steps for part in self.parts]
        if len(set(steps)) > 1:
            raise ValueError(f"the parts have {steps} steps: give all the same number")
        if any(part.schedule.learns for part in self.parts):
            raise TypeError(
                "a part with a learned schedule would not stay in step with the others: use a "
                "fixed one"
            )
        object.__setattr__(self, "schedule", self.parts[0].schedule)

    @property
    def binary(self) -> bool:
        return all(part.binary for part in self.parts)

    @property
    def support(self) -> ProductSupport:
        return ProductSupport(tuple(part.support for part in self.parts), self.widths)

    @property
    def homogeneous(self) -> bool:
        return False

    def evaluation_density(self, ends: Tensor) -> Tensor:
        return torch.stack([part.evaluation_density(ends) for part in self.parts]).mean(0)

    def accepts(self, levels: Tensor | None) -> bool:
        return False  # `Table.require` checks the kernel

    def split(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """The values of each part, (B, W_i) for each x (B, W). A missing value is replaced by a
        valid one."""
        filled = (self._filled(x) for x in tensors)
        return list(zip(*(torch.split(x, list(self.widths), -1) for x in filled), strict=True))

    def present(self, x: Tensor) -> Tensor | None:
        """False where a value of x (B, W) is missing; None if no value is."""
        missing = x.isnan()
        return None if host_decides(x) and not missing.any() else ~missing

    def join(self, laws: list[Any], like: Tensor) -> Product:
        """The product of the parts' laws; x = `like` says which values are missing."""
        return Product(tuple(laws), self.widths, self.present(like))

    def valid_state(self, like: Tensor) -> Tensor:
        pieces = zip(self.parts, torch.split(like, list(self.widths), -1), strict=True)
        return torch.cat([part.valid_state(piece) for part, piece in pieces], -1)

    def prior(self, like: Tensor) -> Product:
        return self._laws(lambda part, x: part.prior(x), like)

    def marginal(self, x_0: Tensor, t: Tensor) -> Product:
        return self._laws(lambda part, x: part.marginal(x, t), x_0)

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Product:
        return self._laws(lambda part, x: part.step(x, s, t), x_s)

    def mean_step_entropy(self, mean: Tensor, s: Tensor, t: Tensor) -> Tensor:
        return self._numbers(lambda part, m: (part.mean_step_entropy(m, s, t),), mean)[0]

    def likelihood_tilt(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        linear, precision = self._numbers(lambda part, x: part.likelihood_tilt(x, s, t), x_t)
        return linear, precision

    def bridge(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor) -> Product:
        denoised_parts = iter(_parts(denoised))
        return self._laws(lambda part, x: part.bridge(x, next(denoised_parts), s, t), x_t)

    def kept(self, x_t: Tensor, denoised: Family, s: Tensor, t: Tensor, eta: float) -> Product:
        denoised_parts = iter(_parts(denoised))
        return self._laws(lambda part, x: part.kept(x, next(denoised_parts), s, t, eta), x_t)

    def divergence(
        self, x_t: Tensor, x_0: Tensor, denoised: Family, s: Tensor, t: Tensor
    ) -> Tensor:
        denoised_parts = iter(_parts(denoised))
        return self._numbers(
            lambda part, x, y: (part.divergence(x, y, next(denoised_parts), s, t),), x_t, x_0
        )[0]

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Product:
        laws = iter(_parts(p))
        like = variance.expand_as(p.mean)
        return self._laws(lambda part, v: part.widen(next(laws), v, s, t), like)

    def from_moments(self, mean: Tensor, variance: Tensor) -> Product:
        return self._laws(lambda part, m, v: part.from_moments(m, v), mean, variance)

    def conditional_variance(self, mean: Tensor, t: Tensor) -> Tensor:
        return self._numbers(lambda part, m: (part.conditional_variance(m, t),), mean)[0]

    def propagate_likelihood(
        self, y: Tensor, variance: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        linear, precision, constant = self._numbers(
            lambda part, x, v: part.propagate_likelihood(x, v, t), y, variance
        )
        return linear, precision, constant

    def _filled(self, x: Tensor) -> Tensor:
        present = self.present(x)
        return x if present is None else torch.where(present, x, self.valid_state(x))

    def _laws(self, law: Callable[..., Family], *tensors: Tensor) -> Product:
        pieces = zip(self.parts, self.split(*tensors), strict=True)
        return self.join([law(part, *piece) for part, piece in pieces], tensors[0])

    def _numbers(self, numbers: Callable[..., tuple[Any, ...]], *tensors: Tensor) -> list[Tensor]:
        """Numbers for each value, from each part; zero where a value is missing."""
        pieces = zip(self.parts, self.split(*tensors), strict=True)
        each = zip(*(numbers(part, *piece) for part, piece in pieces), strict=True)
        joined, present = [torch.cat(parts, -1) for parts in each], self.present(tensors[0])
        return joined if present is None else [torch.where(present, x, 0.0) for x in joined]


def _parts(p: Family) -> tuple[Family, ...]:
    assert isinstance(p, Product)  # the laws of a product kernel are products
    return p.parts
