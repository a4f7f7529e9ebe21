r"""Bits-back coding of a batch of examples along a chain: its code is as long as -K."""

__all__ = ["CELLS", "Chain", "each_at", "on_host"]

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family, FiniteSupport, OneHotSupport, RealSupport, Support
from ..kernels import Kernel
from ..model import Model
from .alphabets import Alphabet, Cells, Choices, Classes, SideBySide
from .raw_alphabets import raw_alphabet
from .stack import Stack
from .values import Values, values_of

CELLS = 2
"""Cells of a latent value to a deviation of the narrowest law that it has."""


class Chain:
    r"""What a model makes of examples on a stack, along some of its times.

    Walking from data to noise, x_t is popped by q(x_t | x_s), a draw that spends bits of what is
    on the stack already, and x_s pushed by p(x_s | x_t), in turn for each step; x_T is pushed by
    pi. So the stack grows by log q(x_1..T | x_0) - log p(x_0..T), of which -K is the mean
    (SD15 Eq. 9), and needs no more bits at a time than those of one x_t (the forward process,
    unlike its posteriors, needs no x_T first). Reading walks back and returns every bit.

    Args:
        values: what is known of the raw values beforehand; by default, what the space says.

    Raises:
        TypeError: if x_0 is more than the raw values say, so that they have no code by it.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | None = None,
        values: Values | None = None,
    ) -> None:
        self.model, self.times = model, model.times(times).tolist()
        self.values = values or values_of(model.space)
        pieces, first = model.space.independent_parts(model.kernel), torch.tensor(self.times[:1])
        self.raw: Alphabet = SideBySide(
            tuple(
                raw_alphabet(p, self.values.grids(p.columns), self._blank(1)[:, p.values], first)
                for p in pieces
            ),
            tuple(p.columns for p in pieces),
        )
        kernels = [(p.kernel, self._blank(1)[:, p.values]) for p in pieces]
        index = tuple(p.values for p in pieces)
        self.latents: list[Alphabet] = [
            SideBySide(tuple(self._latent(k, *each) for each in kernels), index)
            for k in range(len(self.times))
        ]

    def seeing(self, x: np.ndarray) -> "Chain":
        """The same chain, for what is true of the values of x (N, *shape)."""
        return Chain(self.model, self.times, self.values.seen(x))

    def push(self, stack: Stack, raw: Tensor) -> None:
        """Writes a batch of raw values (B, *shape) in float64, NaN where one is missing."""
        x_s = self.model.space.encode(raw.to(self._blank(1)))
        alphabet, values, s = self.raw, raw, 0
        for latent, t in zip(self.latents, self.times, strict=True):
            x_t = latent.pop(stack, self._forward(x_s, s, t), x_s)
            alphabet.push(stack, self._reverse(x_t, s, t), values)
            alphabet, values, x_s, s = latent, x_t, x_t, t
        alphabet.push(stack, self.model.kernel.prior(x_s), x_s)

    def pop(self, stack: Stack, absent: Tensor) -> Tensor:
        """Reads the batch that was written last, (B, *shape) in float64, where `absent`, of that
        shape, says which values are missing."""
        space, blank = self.model.space, self._blank(len(absent))
        hidden = space.expand_to_state(absent.to(blank)) > 0
        x_t = torch.where(hidden, torch.nan, blank)
        x_t = self.latents[-1].pop(stack, self.model.kernel.prior(x_t), x_t)
        for k in range(len(self.times) - 1, 0, -1):
            s, t = self.times[k - 1], self.times[k]
            x_s = self.latents[k - 1].pop(stack, self._reverse(x_t, s, t), x_t)
            self.latents[k].push(stack, self._forward(x_s, s, t), x_t)
            x_t = x_s
        t, unknown = self.times[0], torch.where(absent, torch.nan, space.placeholder.double())
        raw = self.raw.pop(stack, self._reverse(x_t, 0, t), unknown)
        x_0 = space.encode(raw.to(blank))
        self.latents[0].push(stack, self._forward(x_0, 0, t), x_t)
        return raw

    def _blank(self, n: int) -> Tensor:
        """Zeros like n examples of x, where symbols are: on the host."""
        return self.model.blank(n).cpu()

    def _forward(self, x_s: Tensor, s: int, t: int) -> Family:
        """q(x_t | x_s), where s = 0 is data."""
        return _step(self.model.kernel, x_s, s, t)

    def _reverse(self, x_t: Tensor, s: int, t: int) -> Family:
        """p(x_s | x_t), where s = 0 is data."""
        x_t = x_t.to(self.model.blank(1).device)
        at = partial(each_at, x_t)
        law = self.model.reverse(x_t, at(s), at(t)) if s else self.model.last(x_t, at(t))
        return on_host(law)

    def _latent(self, k: int, kernel: Kernel, blank: Tensor) -> Alphabet:
        """That of the values of x_t that a kernel diffuses, at the k-th time."""
        support = kernel.support
        return _LATENTS[type(support)](support, partial(self._width, k, kernel, blank.double()))

    def _width(self, k: int, kernel: Kernel, blank: Tensor) -> float:
        """Of the cells of x_t: a fraction of the deviation that the forward step to t has, and of
        the least that a step of the model from the time after it could have."""
        s, t = (self.times[k - 1] if k else 0), self.times[k]
        laws = [_step(kernel, blank, s, t)]
        if k + 1 < len(self.times):
            after = each_at(blank, self.times[k + 1])
            laws.append(kernel.posterior(blank, blank, each_at(blank, t), after))
        least = min(law.variance.min().item() for law in laws)
        # A power of two: an index times the width is exact.
        return float(2.0 ** torch.tensor(least**0.5 / CELLS).log2().floor())


def on_host(law: Any) -> Any:
    """The same law, with its parameters on the CPU."""
    if isinstance(law, Tensor):
        return law.cpu()
    if isinstance(law, tuple):
        return tuple(on_host(each) for each in law)
    if not isinstance(law, Family):
        return law
    moved = {f.name: on_host(getattr(law, f.name)) for f in fields(law)}  # type: ignore[arg-type]
    return replace(law, **moved)  # type: ignore[type-var]


def _step(kernel: Kernel, x_s: Tensor, s: int, t: int) -> Family:
    at = partial(each_at, x_s)
    return kernel.step(x_s, at(s), at(t)) if s else kernel.marginal(x_s, at(t))


def _mass(law: Family, x: Tensor) -> Tensor:
    return law.log_prob(x)


_LATENTS: dict[type[Support], Callable[[Any, Callable[[], float]], Alphabet]] = {
    FiniteSupport: lambda support, width: Choices(support.values, _mass),
    OneHotSupport: lambda support, width: Classes(support),
    RealSupport: lambda support, width: Cells(width()),
}
"""The alphabet of each kind of x_t; `width` is that of its cells."""


def each_at(like: Tensor, t: int) -> Tensor:
    """One time for each example of `like` (B, *), with shape (B,)."""
    return torch.full((len(like),), t, device=like.device)
