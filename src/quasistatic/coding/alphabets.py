r"""How the values of one time of a chain are symbols, whatever the law they have."""

__all__ = ["Alphabet", "Cells", "Choices", "Classes", "SideBySide"]

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..distributions import Family, OneHotSupport
from .bins import Even, finite, pop_cells, push_cells
from .stack import Stack

ROWS = 2**20
"""Probabilities of choices that are held at once."""


class Alphabet(abc.ABC):
    """Values of shape (B, *) on a stack, by a law of the same examples. `push` and `pop` undo each
    other if the law's parameters are the same to the last bit. A value that is NaN is absent: it
    takes no part, and the reader knows of it beforehand."""

    @abc.abstractmethod
    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        """Writes x, which costs its -log2 probability in bits."""

    @abc.abstractmethod
    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        """Reads values with the shape of `like`, which is NaN where one is absent; where nothing
        was written, they are draws."""


@dataclass(frozen=True)
class Choices(Alphabet):
    """Finitely many values, for which no value is absent.

    Args:
        values: ascending, with shape (L,).
        log_prob: of a value (B, *) by a law, in nats, with shape (B, *).
    """

    values: Tensor
    log_prob: Callable[[Family, Tensor], Tensor]

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        chosen = (x[..., None].double() - self.values).abs().argmin(-1).flatten().numpy()
        probs = self._probs(law, x)
        for rows in reversed(self._rows(len(chosen))):
            stack.push_choices(probs[rows], chosen[rows])

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        probs = self._probs(law, like)
        chosen = [stack.pop_choices(probs[rows]) for rows in self._rows(len(probs))]
        return self.values[torch.from_numpy(np.concatenate(chosen)).long()].to(like).view_as(like)

    def _probs(self, law: Family, like: Tensor) -> np.ndarray:
        each = [self.log_prob(law, torch.full_like(like, value)) for value in self.values.tolist()]
        probs = torch.stack([log_p.flatten() for log_p in each], -1).double().softmax(-1)
        return finite(probs).numpy()

    def _rows(self, n: int) -> list[slice]:
        at_once = max(1, ROWS // len(self.values))
        return [slice(start, start + at_once) for start in range(0, n, at_once)]


@dataclass(frozen=True)
class Cells(Alphabet):
    """The reals, in cells of one width; a value is the middle of its cell."""

    width: float

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        scale = Even(self.width)
        push_cells(stack, scale, law, scale.place(x).floor(), ~x.isnan())

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        there = ~like.isnan()
        index = pop_cells(stack, Even(self.width), law, there)
        return torch.where(there, (index + 0.5) * self.width, torch.nan).to(like)


@dataclass(frozen=True)
class Classes(Alphabet):
    """One-hot values (B, W), of which each group is one symbol. Groups with as many classes are
    written together."""

    support: OneHotSupport

    def push(self, stack: Stack, law: Family, x: Tensor) -> None:
        chosen = self.support.groups.index(x.nan_to_num())
        for columns, probs, there in reversed(list(self._by_size(law, x))):
            index = chosen[:, columns][there].long()
            stack.push_choices(finite(probs[there]).numpy(), index.numpy())

    def pop(self, stack: Stack, law: Family, like: Tensor) -> Tensor:
        groups = self.support.groups
        chosen = torch.zeros(len(like), len(groups.sizes), dtype=torch.long)
        for columns, probs, there in self._by_size(law, like):
            part = torch.zeros_like(there, dtype=torch.long)
            part[there] = torch.from_numpy(stack.pop_choices(finite(probs[there]).numpy()))
            chosen[:, columns] = part
        return torch.where(like.isnan(), like, groups.one_hot(chosen).to(like))

    def _by_size(self, law: Family, like: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each number of classes L: the columns that have so many (g,), their probabilities
        (B, g, L), and where there is a value (B, g)."""
        log_p = law.log_prob(torch.ones_like(like)).double()
        for columns, places in self._sizes:
            yield columns, log_p[:, places].softmax(-1), ~like[:, places[:, 0]].isnan()

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
class SideBySide(Alphabet):
    """Alphabets for parts of the values, each with its own piece of a law.

    Args:
        parts: the alphabets, in the order of the law's pieces.
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
