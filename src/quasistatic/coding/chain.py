r"""Bits-back coding of a batch of examples along a chain: its code is as long as -K."""

__all__ = ["CELLS", "Chain", "each_at"]

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ..families import Family
from ..model import Model
from .alphabets import Alphabet, Cells, Choices
from .stack import Stack

CELLS = 2
"""Cells of a latent value to a deviation of the narrowest law that it has."""


class Chain:
    r"""What a model makes of examples on a stack, along some of its times.

    Walking from data to noise, x_t is popped by q(x_t | x_s), a draw that spends bits of what is
    on the stack already, and x_s pushed by p(x_s | x_t), in turn for each step; x_T is pushed by
    pi. So the stack grows by log q(x_1..T | x_0) - log p(x_0..T), of which -K is the mean
    (SD15 Eq. 9), and needs no more bits at a time than those of one x_t (the forward process,
    unlike its posteriors, needs no x_T first). Reading walks back and returns every bit.

    Raises:
        TypeError: if the space has no levels that all its values share.
    """

    def __init__(self, model: Model, times: int | Sequence[int] | Tensor | None = None) -> None:
        if model.space.levels is None:
            raise TypeError(
                f"{type(model.space).__name__} is no space of whole numbers that are alike: real "
                "numbers have no code of finite length, and compress takes Binary and Quantized"
            )
        self.model, self.times = model, model.times(times).tolist()
        raw = Choices(model.space.levels, model.space.log_prob)
        self.alphabets: list[Alphabet] = [raw, *self._latents()]

    def push(self, stack: Stack, x_0: Tensor) -> None:
        """Writes a batch x_0 (B, *)."""
        x_s, s = x_0, 0
        for k, t in enumerate(self.times):
            x_t = self.alphabets[k + 1].pop(stack, self._forward(x_s, s, t), x_s)
            self.alphabets[k].push(stack, self._reverse(x_t, s, t), x_s)
            x_s, s = x_t, t
        self.alphabets[-1].push(stack, self.model.kernel.prior(x_s), x_s)

    def pop(self, stack: Stack, n: int) -> Tensor:
        """Reads a batch of n examples x_0, the one that was written last."""
        blank = self.model.blank(n)
        x_t = self.alphabets[-1].pop(stack, self.model.kernel.prior(blank), blank)
        for k in range(len(self.times) - 1, -1, -1):
            s, t = (self.times[k - 1] if k else 0), self.times[k]
            x_s = self.alphabets[k].pop(stack, self._reverse(x_t, s, t), blank)
            self.alphabets[k + 1].push(stack, self._forward(x_s, s, t), x_t)
            x_t = x_s
        return x_t

    def _forward(self, x_s: Tensor, s: int, t: int) -> Family:
        """q(x_t | x_s), where s = 0 is data."""
        kernel, at = self.model.kernel, partial(each_at, x_s)
        return kernel.step(x_s, at(s), at(t)) if s else kernel.marginal(x_s, at(t))

    def _reverse(self, x_t: Tensor, s: int, t: int) -> Family:
        """p(x_s | x_t), where s = 0 is data."""
        at = partial(each_at, x_t)
        return self.model.reverse(x_t, at(s), at(t)) if s else self.model.last(x_t, at(t))

    def _latents(self) -> list[Alphabet]:
        """Those of x_t at each time."""
        if self.model.kernel.binary:
            bits = torch.tensor([0.0, 1.0], dtype=torch.float64)
            return [Choices(bits, _mass)] * len(self.times)
        return [Cells(self._width(k)) for k in range(len(self.times))]

    def _width(self, k: int) -> float:
        """Of the cells of x_t: a fraction of the deviation that the forward step to t has, and of
        the least that a step of the model from the time after it could have."""
        kernel, blank = self.model.kernel, self.model.blank(1).double()
        s, t = (self.times[k - 1] if k else 0), self.times[k]
        laws = [self._forward(blank, s, t)]
        if k + 1 < len(self.times):
            after = each_at(blank, self.times[k + 1])
            laws.append(kernel.posterior(blank, blank, each_at(blank, t), after))
        least = min(law.variance.min().item() for law in laws)
        # A power of two: an index times the width is exact.
        return float(2.0 ** torch.tensor(least**0.5 / CELLS).log2().floor())


def _mass(law: Family, x: Tensor) -> Tensor:
    return law.log_prob(x)


def each_at(like: Tensor, t: int) -> Tensor:
    """One time for each example of `like` (B, *), with shape (B,)."""
    return torch.full((len(like),), t, device=like.device)
