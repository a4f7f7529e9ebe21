r"""How the values of one time of a chain become symbols, whatever their law is."""

__all__ = ["Alphabet", "BinAlphabet", "FiniteAlphabet", "GroupedAlphabet", "ProductAlphabet"]

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family, OneHotSupport
from .bins import UniformBins, pop_bins, push_bins
from .stack import Stack
from .windows import finite

ROWS = 2**20
"""Probabilities of a finite alphabet that are held at once."""


class Alphabet(abc.ABC):
    """Codes values of shape (B, *) on a stack, by a law of the same examples.

    `push` and `pop` undo each other if both have the law's parameters alike: to the last bit, or
    within the stack's margin if it rounds. A value that is NaN is missing: it takes no part, and
    the reader knows beforehand that it is missing.
    """

    @abc.abstractmethod
    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        """Pushes x (B, *), which costs its -log2 probability in bits."""

    @abc.abstractmethod
    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        """Pops values with the shape of `like`, which is NaN where one is missing. Where nothing
        was pushed, they are draws of the law."""


@dataclass(frozen=True)
class FiniteAlphabet(Alphabet):
    """Finitely many values, none of which may be missing.

    Args:
        values: ascending, with shape (L,).
        log_prob: of a value (B, *) by a law, in nats, with shape (B, *).
    """

    values: Tensor
    log_prob: Callable[[Family, Tensor], Tensor]

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        stack.arithmetic.next_law()
        chosen = (x[..., None].double() - self.values).abs().argmin(-1).flatten().numpy()
        weights = stack.arithmetic.weights(self._probs(law, x))
        for rows in reversed(self._rows(len(chosen))):
            stack.push_choices(weights[rows], chosen[rows])

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        stack.arithmetic.next_law()
        weights = stack.arithmetic.weights(self._probs(law, like))
        chosen = [stack.pop_choices(weights[rows]) for rows in self._rows(len(weights))]
        return self.values[torch.from_numpy(np.concatenate(chosen)).long()].to(like).view_as(like)

    def _probs(self, law: Family, like: Tensor) -> np.ndarray:
        each = [self.log_prob(law, torch.full_like(like, value)) for value in self.values.tolist()]
        probs = torch.stack([log_p.flatten() for log_p in each], -1).double().softmax(-1)
        return np.asarray(finite(probs).numpy())

    def _rows(self, n: int) -> list[slice]:
        at_once = max(1, ROWS // len(self.values))
        return [slice(start, start + at_once) for start in range(0, n, at_once)]


@dataclass(frozen=True)
class BinAlphabet(Alphabet):
    """Real numbers in bins of one width. A value is the middle of its bin."""

    width: float

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        bins = UniformBins(self.width)
        push_bins(stack, bins, law, bins.position(x).floor(), ~x.isnan())

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        present = ~like.isnan()
        index = pop_bins(stack, UniformBins(self.width), law, present)
        return torch.where(present, (index + 0.5) * self.width, torch.nan).to(like)


@dataclass(frozen=True)
class GroupedAlphabet(Alphabet):
    """One-hot values (B, W), of which each group is one symbol. Groups with equally many classes
    are coded together."""

    support: OneHotSupport

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        stack.arithmetic.next_law()
        chosen = self.support.groups.index(x.nan_to_num())
        # All weights come first: a stack that rounds counts them in the reader's order.
        for columns, weights, present in reversed(list(self._by_size(stack, law, x))):
            stack.push_choices(weights, chosen[:, columns][present].long().numpy())

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        stack.arithmetic.next_law()
        groups = self.support.groups
        chosen = torch.zeros(len(like), len(groups.sizes), dtype=torch.long)
        for columns, weights, present in self._by_size(stack, law, like):
            part = torch.zeros_like(present, dtype=torch.long)
            part[present] = torch.from_numpy(stack.pop_choices(weights))
            chosen[:, columns] = part
        return torch.where(like.isnan(), like, groups.one_hot(chosen).to(like))

    def _by_size(
        self, stack: Stack, law: Family, like: Tensor
    ) -> Iterator[tuple[Tensor, np.ndarray, Tensor]]:
        """For each number of classes L: the columns with so many (g,), their weights (n, L), and
        where there is a value (B, g)."""
        log_p = law.log_prob(torch.ones_like(like)).double()
        for columns, places in self._sizes:
            present = ~like[:, places[:, 0]].isnan()
            probs = finite(log_p[:, places].softmax(-1)[present])
            yield columns, stack.arithmetic.weights(probs.numpy()), present

    @cached_property
    def _sizes(self) -> list[tuple[Tensor, Tensor]]:
        """For each number of classes L: the columns (g,), and where their values are, (g, L)."""
        groups = self.support.groups
        sizes, found = torch.tensor(groups.sizes), []
        for size in sorted(set(groups.sizes)):
            columns = (sizes == size).nonzero()[:, 0]
            found.append((columns, groups.first(sizes)[columns, None] + torch.arange(size)))
        return found


@dataclass(frozen=True)
class ProductAlphabet(Alphabet):
    """Alphabets for parts of the values, each with its own part of a law.

    Args:
        parts: the alphabets, in the order of the law's parts.
        values: an index of the values of an example that each has.
    """

    parts: tuple[Alphabet, ...]
    values: tuple[Any, ...]

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        for part, values, piece in self._each(law):
            part.push(stack, piece, x[:, values])

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        x = like.clone()
        for part, values, piece in reversed(self._each(law)):
            x[:, values] = part.pop(stack, piece, like[:, values])
        return x

    def _each(self, law: Family) -> list[tuple[Alphabet, Any, Family]]:
        return list(zip(self.parts, self.values, law.independent_parts, strict=True))
