"""Heads side by side, one for each part of a product kernel."""

__all__ = ["ProductHead"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from .._utils.validation import instance_of
from ..distributions import Family, Product
from ..kernels import Kernel, ProductKernel
from ..spaces import Space
from .corrected import Correcting
from .head import DenoisingHead, Head


@dataclass(frozen=True)
class ProductHead(DenoisingHead, Correcting):
    """A head for each part of a :class:`ProductKernel`, in the same order. A network gives each
    value as many outputs as the part that asks for most, and the others leave some unread.

    Args:
        parts: heads that state a law of x_0.
    """

    parts: tuple[DenoisingHead, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        for part in self.parts:
            instance_of("each part", part, Head, "Velocity()")

    @property
    def jumps(self) -> bool:  # type: ignore[override]
        return all(part.jumps for part in self.parts)

    @property
    def homogeneous(self) -> bool:
        return False

    @property
    def outputs(self) -> int:
        return max(part.outputs for part in self.parts)

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(kernel, ProductKernel) or len(kernel.parts) != len(self.parts):
            raise TypeError(
                f"a ProductHead of {len(self.parts)} parts needs a ProductKernel of as many, got "
                f"{type(kernel).__name__}: give one head for each part"
            )
        wrong = [part for part in self.parts if not isinstance(part, DenoisingHead)]
        if wrong:
            raise TypeError(
                f"{type(wrong[0]).__name__} states no law of x_0: use Clean, Noise, "
                "Velocity, Levels or Classes as a part"
            )
        pieces = zip(self.parts, space.independent_parts(kernel), strict=True)
        return replace(self, parts=tuple(p.bind(piece.space, piece.kernel) for p, piece in pieces))

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Product:
        return self._laws(kernel, output, x_t, lambda head, k, out, x: head.denoise(k, out, x, t))

    def reverse(self, kernel: Kernel, output: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Product:
        return self._laws(
            kernel, output, x_t, lambda head, k, out, x: head.reverse(k, out, x, s, t)
        )

    def last(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Product:
        return self._laws(kernel, output, x_t, lambda head, k, out, x: head.last(k, out, x, t))

    def divergence_of(
        self, kernel: Kernel, denoised: Family, x_t: Tensor, x_0: Tensor, s: Tensor, t: Tensor
    ) -> Tensor:
        kernel = _product(kernel)
        assert isinstance(denoised, Product)
        pieces = zip(self.parts, kernel.parts, denoised.parts, kernel.split(x_t, x_0), strict=True)
        joined = torch.cat([h.divergence_of(k, b, x, y, s, t) for h, k, b, (x, y) in pieces], -1)
        present = kernel.present(x_t)
        return joined if present is None else torch.where(present, joined, 0.0)

    @property
    def corrects(self) -> bool:
        """Whether each part corrects a known law, so that :meth:`gain` is defined."""
        return all(isinstance(part, Correcting) for part in self.parts)

    def gain(self, kernel: Kernel, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        kernel = _product(kernel)
        outputs = torch.split(output, list(kernel.widths), -2)
        pieces = zip(self.parts, kernel.parts, outputs, kernel.split(x_t, x_0), strict=True)
        each = []
        for head, part, out, (x, y) in pieces:
            assert isinstance(head, Correcting)  # as `corrects` says
            each.append(head.gain(part, out, x, y, t))
        joined, present = torch.cat(each, -1), kernel.present(x_t)
        return joined if present is None else torch.where(present, joined, 0.0)

    def _laws(
        self, kernel: Kernel, output: Tensor, x_t: Tensor, law: Callable[..., Family]
    ) -> Product:
        """The law that each head makes of its outputs, as one product."""
        kernel = _product(kernel)
        outputs = torch.split(output, list(kernel.widths), -2)
        pieces = zip(self.parts, kernel.parts, outputs, kernel.split(x_t), strict=True)
        laws = [law(head, part, out[..., : head.outputs], x) for head, part, out, (x,) in pieces]
        return kernel.join(laws, x_t)


def _product(kernel: Kernel) -> ProductKernel:
    assert isinstance(kernel, ProductKernel)  # bound heads have checked it
    return kernel
