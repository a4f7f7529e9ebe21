r"""Bits-back coding of a batch of examples along a chain: the code is about as long as -K."""

__all__ = ["Chain", "each_at", "on_host"]

import copy
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
from .alphabets import Alphabet, BinAlphabet, FiniteAlphabet, GroupedAlphabet, ProductAlphabet
from .arithmetic import Arithmetic
from .portability import Native, Portability
from .raw_alphabets import raw_alphabet
from .raw_values import DeterminedValues, DrawnValues, RawValues
from .stack import Stack
from .values import Values, values_of


class Chain:
    r"""Pushes batches of examples on a stack and pops them, along some times of a model's chain.

    From data to noise, x_t is popped by q(x_t | x_s): a draw that uses up bits of the stack. Then
    x_s is pushed by p(x_s | x_t), and so on for each step; x_T is pushed by the prior. So the stack
    grows by log q(x_1..T | x_0) - log p(x_0..T), of which -K is the mean (SD15 Eq. 9). It never
    needs more bits than one x_t takes, since the forward process, unlike its posteriors, needs no
    x_T first. Reading goes the other way and returns every bit.

    Args:
        model: which computes the laws.
        times: of the chain, see :meth:`Model.times`.
        values: what is known of the raw values beforehand; by default what the space allows.
        portability: whether laws are rounded.
        listed: of a reader, what the header lists of the rounding of bin widths; None for a writer.
        bins: of a latent value to its least standard deviation; by default as many as the
            portability writes.

    Raises:
        TypeError: if raw values are not determined by x_0, so that they have no code.
        ValueError: if the times make no chain, or `listed` is malformed.
    """

    def __init__(
        self,
        model: Model,
        times: int | Sequence[int] | Tensor | None = None,
        values: Values | None = None,
        portability: Portability | None = None,
        listed: bytes | None = None,
        bins: float | None = None,
    ) -> None:
        self.portability = portability or Native()
        self.bins = self.portability.bins if bins is None else bins
        self.times: list[int] = model.times(times).tolist()
        self.model = self.portability.computing(model)
        self.values = values or values_of(model.space)
        way = self.portability
        arithmetic = way.writer() if listed is None else way.reader(listed)
        arithmetic.next_law()
        pieces, first = model.space.independent_parts(model.kernel), torch.tensor(self.times[:1])
        blanks = [self.blank(1)[:, p.values] for p in pieces]
        self.raw_values: RawValues
        if model.space.exact:
            self.raw_values = DeterminedValues(
                ProductAlphabet(
                    tuple(
                        raw_alphabet(p, self.values.grids(p.columns), blank, first, arithmetic)
                        for p, blank in zip(pieces, blanks, strict=True)
                    ),
                    tuple(p.columns for p in pieces),
                )
            )
        else:
            self.raw_values = _drawn(model, blanks[0], first, arithmetic, self.bins)
        index = tuple(p.values for p in pieces)
        self.latents: list[Alphabet] = [
            ProductAlphabet(
                tuple(
                    self._latent(k, p.kernel, blank, arithmetic)
                    for p, blank in zip(pieces, blanks, strict=True)
                ),
                index,
            )
            for k in range(len(self.times))
        ]
        self.listed = way.listed(arithmetic)

    @property
    def raw_alphabet(self) -> Alphabet:
        """The alphabet of raw values that the last step codes.

        Raises:
            TypeError: if x_0 is a draw, and does not follow from the raw values.
        """
        if not isinstance(self.raw_values, DeterminedValues):
            raise TypeError(
                f"a layered stream needs raw values that determine x_0, and those of "
                f"{type(self.model.space).__name__} do not: compress by Codec, in the order of "
                "the examples"
            )
        return self.raw_values.alphabet

    def scan(self, x: np.ndarray) -> "Chain":
        """The same chain, for what is true of the values of x (N, *shape)."""
        values = self.values.scan(x)
        return Chain(self.model, self.times, values, self.portability, bins=self.bins)

    def take(self, rows: slice) -> "Chain":
        """The chain for some of the examples, by :meth:`Model.take`; itself where all examples have
        the same condition, or none."""
        if self.model.given_rows <= 1:
            return self
        other = copy.copy(self)
        other.model = self.model.take(rows)
        return other

    def push(self, stack: Stack, raw: Tensor) -> None:
        """Pushes a batch of raw values (B, *shape), float64, NaN where one is missing."""
        x_s, alphabet, values = self.raw_values.push(stack, self.model, raw, self.blank(len(raw)))
        s = 0
        for latent, t in zip(self.latents, self.times, strict=True):
            x_t = latent.pop(stack, self._forward(x_s, s, t), x_s)
            alphabet.push(stack, self.reverse(x_t, s, t), values)
            alphabet, values, x_s, s = latent, x_t, x_t, t
        alphabet.push(stack, self.model.kernel.prior(x_s), x_s)

    def pop(self, stack: Stack, missing: Tensor) -> Tensor:
        """Pops the batch that was pushed last, (B, *shape), float64.

        Args:
            stack: which holds the batch.
            missing: which of its values are missing, (B, *shape).
        """
        space, blank = self.model.space, self.blank(len(missing))
        hidden = space.expand_to_state(missing.to(blank)) > 0
        x_t = torch.where(hidden, torch.nan, blank)
        x_t = self.latents[-1].pop(stack, self.model.kernel.prior(x_t), x_t)
        for k in range(len(self.times) - 1, 0, -1):
            s, t = self.times[k - 1], self.times[k]
            x_s = self.latents[k - 1].pop(stack, self.reverse(x_t, s, t), x_t)
            self.latents[k].push(stack, self._forward(x_s, s, t), x_t)
            x_t = x_s
        t, unknown = self.times[0], torch.where(missing, torch.nan, space.placeholder.double())
        law = self.reverse(x_t, 0, t)
        reached = self.raw_values.pop(stack, self.model, law, unknown, blank)
        self.latents[0].push(stack, self._forward(reached.x_0, 0, t), x_t)
        return self.raw_values.finish(stack, self.model, reached, unknown)

    def blank(self, n: int) -> Tensor:
        """Zeros like n examples of x, on the host, where symbols are, and in the type that laws are
        computed in."""
        blank = self.model.blank(n).cpu()
        return blank.to(self.portability.dtype or blank.dtype)

    def _forward(self, x_s: Tensor, s: int, t: int) -> Family:
        """q(x_t | x_s), where s = 0 is data."""
        return _step(self.model.kernel, x_s, s, t)

    def reverse(self, x_t: Tensor, s: int, t: int) -> Family:
        """p(x_s | x_t) on the host, where s = 0 is data."""
        x_t = x_t.to(self.model.blank(1).device)
        at = partial(each_at, x_t)
        law = self.model.reverse(x_t, at(s), at(t)) if s else self.model.last(x_t, at(t))
        moved: Family = on_host(law)
        return moved

    def _latent(self, k: int, kernel: Kernel, blank: Tensor, arithmetic: Arithmetic) -> Alphabet:
        """The alphabet of the values of x_t that a kernel diffuses, at the k-th time."""
        width = partial(self._width, k, kernel, blank.double(), arithmetic)
        return _LATENTS[type(kernel.support)](kernel.support, width)

    def _width(self, k: int, kernel: Kernel, blank: Tensor, arithmetic: Arithmetic) -> float:
        """Of the bins of x_t: a fraction of the smaller of two deviations, that of the forward step
        to t, and the least that a step of the model from the next time can have."""
        s, t = (self.times[k - 1] if k else 0), self.times[k]
        laws = [_step(kernel, blank, s, t)]
        if k + 1 < len(self.times):
            after = each_at(blank, self.times[k + 1])
            laws.append(kernel.posterior(blank, blank, each_at(blank, t), after))
        least = torch.stack([law.variance.min() for law in laws]).min()
        # A power of two: an index times the width is exact.
        return float(arithmetic.power_of_two(torch.tensor(least.sqrt().item() / self.bins)))


def _drawn(
    model: Model, blank: Tensor, first: Tensor, arithmetic: Arithmetic, bins: float
) -> RawValues:
    """Raw values of which x_0 is a draw, in bins of a fraction of a deviation of the last step."""
    space, support = model.space, model.space.support
    assert isinstance(support, FiniteSupport)  # else the space has refused
    step = model.kernel.step(blank.double(), torch.zeros_like(first), first)
    width = arithmetic.power_of_two(step.variance.min().sqrt() / bins)
    numbers = torch.arange(len(support.values), dtype=torch.float64)
    raw = FiniteAlphabet(numbers, space.log_decoder)  # type: ignore[attr-defined]
    return DrawnValues(BinAlphabet(float(width)), raw, on_host)


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
    FiniteSupport: lambda support, width: FiniteAlphabet(support.values, _mass),
    OneHotSupport: lambda support, width: GroupedAlphabet(support),
    RealSupport: lambda support, width: BinAlphabet(width()),
}
"""The alphabet of each kind of x_t; `width` gives the width of its bins."""


def each_at(like: Tensor, t: int) -> Tensor:
    """One time for each example of `like` (B, *), with shape (B,)."""
    return torch.full((len(like),), t, device=like.device)
