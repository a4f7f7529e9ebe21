"""Kernels side by side, each on its own values of an example; some values may be absent."""

__all__ = ["ProductKernel"]

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..distributions import Family, Product, Support
from .kernel import Kernel
from .schedules import Schedule


@dataclass(frozen=True)
class ProductKernel(Kernel):
    r"""Several kernels, one after the other along the last axis of x (B, W), in step with each
    other. Each value diffuses by itself, so that all identities hold part by part.

    A value that is absent is NaN in x_0, and in every x_t that comes from it. It has no law, and
    costs nothing: what is left of the bound is that of the values that are there.

    Args:
        parts: the kernels, with as many steps each.
        widths: how many values each has, adding up to W.

    Raises:
        ValueError: if there are not as many widths as parts, or the parts differ in their steps.
        TypeError: if a schedule is learned, or a part is a product itself.
    """

    parts: tuple[Kernel, ...]
    widths: tuple[int, ...]
    schedule: Schedule = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.parts or len(self.parts) != len(self.widths):
            raise ValueError(
                f"a product has a width for each part, got {len(self.parts)} parts and "
                f"{len(self.widths)} widths"
            )
        steps = [part.steps for part in self.parts]
        if len(set(steps)) > 1:
            raise ValueError(f"the parts take {steps} steps: give all the same number")
        if any(part.schedule.learns for part in self.parts):
            raise TypeError("a part with a learned schedule would leave the others behind: fix it")
        object.__setattr__(self, "schedule", self.parts[0].schedule)

    @property
    def binary(self) -> bool:
        return all(part.binary for part in self.parts)

    @property
    def support(self) -> Support:
        raise TypeError("the values of a product have no one support: ask its parts")

    @property
    def alike(self) -> bool:
        return False

    def accepts(self, levels: Tensor | None) -> bool:
        return False  # a space of several parts says itself that it fits

    def split(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Each part's values of x's (B, W): where one is absent, some value that can be."""
        present = (self._filled(x) for x in tensors)
        return list(zip(*(x.split(self.widths, -1) for x in present), strict=True))

    def seen(self, x: Tensor) -> Tensor | None:
        """False where a value of x (B, W) is absent, None if all are there."""
        absent = x.isnan()
        return ~absent if absent.any() else None

    def join(self, laws: list, like: Tensor) -> Product:
        """The parts' laws as one, of x like that."""
        return Product(tuple(laws), self.widths, self.seen(like))

    def anywhere(self, like: Tensor) -> Tensor:
        pieces = zip(self.parts, like.split(self.widths, -1), strict=True)
        return torch.cat([part.anywhere(piece) for part, piece in pieces], -1)

    def prior(self, like: Tensor) -> Product:
        return self._laws(lambda part, x: part.prior(x), like)

    def marginal(self, x_0: Tensor, t: Tensor) -> Product:
        return self._laws(lambda part, x: part.marginal(x, t), x_0)

    def step(self, x_s: Tensor, s: Tensor, t: Tensor) -> Product:
        return self._laws(lambda part, x: part.step(x, s, t), x_s)

    def evidence(self, x_t: Tensor, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        linear, precision = self._numbers(lambda part, x: part.evidence(x, s, t), x_t)
        return linear, precision

    def bridge(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor) -> Product:
        beliefs = iter(_parts(belief))
        return self._laws(lambda part, x: part.bridge(x, next(beliefs), s, t), x_t)

    def kept(self, x_t: Tensor, belief: Family, s: Tensor, t: Tensor, eta: float) -> Product:
        beliefs = iter(_parts(belief))
        return self._laws(lambda part, x: part.kept(x, next(beliefs), s, t, eta), x_t)

    def divergence(self, x_t: Tensor, x_0: Tensor, belief: Family, s: Tensor, t: Tensor) -> Tensor:
        beliefs = iter(_parts(belief))
        return self._numbers(
            lambda part, x, y: (part.divergence(x, y, next(beliefs), s, t),), x_t, x_0
        )[0]

    def widen(self, p: Family, variance: Tensor, s: Tensor, t: Tensor) -> Product:
        laws = iter(_parts(p))
        like = variance.expand_as(p.mean)
        return self._laws(lambda part, v: part.widen(next(laws), v, s, t), like)

    def member(self, mean: Tensor, variance: Tensor) -> Product:
        return self._laws(lambda part, m, v: part.member(m, v), mean, variance)

    def doubt(self, mean: Tensor, t: Tensor) -> Tensor:
        return self._numbers(lambda part, m: (part.doubt(m, t),), mean)[0]

    def lift(self, y: Tensor, variance: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        linear, precision, constant = self._numbers(
            lambda part, x, v: part.lift(x, v, t), y, variance
        )
        return linear, precision, constant

    def _filled(self, x: Tensor) -> Tensor:
        seen = self.seen(x)
        return x if seen is None else torch.where(seen, x, self.anywhere(x))

    def _laws(self, law: Callable[..., Family], *tensors: Tensor) -> Product:
        pieces = zip(self.parts, self.split(*tensors), strict=True)
        return self.join([law(part, *piece) for part, piece in pieces], tensors[0])

    def _numbers(self, numbers: Callable[..., tuple], *tensors: Tensor) -> list[Tensor]:
        """Numbers for each value by the parts, zero where a value is absent."""
        pieces = zip(self.parts, self.split(*tensors), strict=True)
        each = zip(*(numbers(part, *piece) for part, piece in pieces), strict=True)
        whole, seen = [torch.cat(parts, -1) for parts in each], self.seen(tensors[0])
        return whole if seen is None else [torch.where(seen, x, 0.0) for x in whole]


def _parts(p: Family) -> tuple[Family, ...]:
    assert isinstance(p, Product)  # a product's laws and beliefs are products
    return p.parts
