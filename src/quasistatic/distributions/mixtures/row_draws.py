"""Sources of random numbers for a batch of rows: one generator, or one for each row."""

__all__ = ["Draws", "RowDraws", "SharedDraws"]

import abc
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._utils.randomness import normal, uniform


class Draws(abc.ABC):
    """A source of uniform and normal draws for rows; shapes are (B, *) for B rows."""

    @abc.abstractmethod
    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Uniform draws from [0, 1) in float64, where `like` is."""

    @abc.abstractmethod
    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Standard normal draws, where `like` is and in its type."""

    @abc.abstractmethod
    def rows(self, index: slice) -> "Draws":
        """The source of some of the rows."""


@dataclass(frozen=True, eq=False)
class SharedDraws(Draws):
    """All rows draw from one generator, so that the draws of a row depend on its place.

    Args:
        rng: the generator.
    """

    rng: torch.Generator | None

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return uniform(shape, self.rng, like, torch.float64)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return normal(shape, self.rng, like)

    def rows(self, index: slice) -> "SharedDraws":
        return self


@dataclass(frozen=True, eq=False)
class RowDraws(Draws):
    """Each row draws from a generator of its own, so that its draws do not depend on the rows
    beside it.

    Args:
        generators: one CPU generator for each row.
    """

    generators: tuple[torch.Generator, ...]

    @classmethod
    def of(cls, x: np.ndarray, seed: int, distinct: bool = False) -> "RowDraws":
        """Generators for rows x (N, C), each seeded by `seed` and by the values of its row.

        Args:
            distinct: whether equal rows get different generators, by their order among themselves.
        """
        seen: dict[bytes, int] = {}
        made = []
        for row in np.ascontiguousarray(x, dtype=np.float64) + 0.0:  # -0.0 is 0.0
            key = row.tobytes()
            place = seen[key] = seen.get(key, -1) + 1
            text = key + f"{seed}:{place if distinct else 0}".encode()
            number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
            made.append(torch.Generator().manual_seed(number >> 1))
        return cls(tuple(made))

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        each = [torch.rand(*shape[1:], generator=g, dtype=torch.float64) for g in self.generators]
        return self._stacked(each, shape).to(like.device)

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        each = [torch.randn(*shape[1:], generator=g, dtype=like.dtype) for g in self.generators]
        return self._stacked(each, shape).to(like.device)

    def rows(self, index: slice) -> "RowDraws":
        return RowDraws(self.generators[index])

    def _stacked(self, each: list[Tensor], shape: Sequence[int]) -> Tensor:
        if len(each) != shape[0]:
            raise ValueError(f"there are generators for {len(each)} rows, got shape {tuple(shape)}")
        return torch.stack(each)
