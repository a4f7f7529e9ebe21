"""What an identity is held against, and what it finds."""

__all__ = ["Finding", "Identity", "NotApplicable", "Subject", "largest"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import uniform
from ...diffusion import Diffusion

POINTS = 20
"""Times of the chain where one is walked, if the head allows for that few."""


class NotApplicable(Exception):
    """Why an identity says nothing of a model."""


@dataclass(frozen=True)
class Finding:
    """How far a model is from an identity, how far it may be, and a word on where."""

    error: float
    allowed: float
    note: str = ""


@dataclass(frozen=True)
class Subject:
    """A model, a few of its raw data, checked, (N, *), and how much may be spent on an identity.

    Args:
        evaluations: of the network on one example, the most that a single identity may cost.
    """

    model: Diffusion
    raw: Tensor
    rng: torch.Generator
    evaluations: int

    @property
    def rounding(self) -> float:
        """What two ways to compute one number may differ by, relative to it: half the digits of
        the network's type."""
        return torch.finfo(self.raw.dtype).eps ** 0.5

    @property
    def chain(self) -> Tensor | None:
        """The times of a chain that is cheap to walk; all where the head needs neighbours."""
        few = min(POINTS, self.model.steps)
        return self.model.times(few) if self.model.head.jumps else None

    @property
    def terms(self) -> int:
        """The terms of that chain which a network decides."""
        return len(self.model.times(self.chain)) - self.model.space.first_term

    def encoded(self, n: int | None = None) -> Tensor:
        """x_0 of n examples, with shape (n, *): those there are, again and again."""
        rows = torch.arange(len(self.raw) if n is None else n) % len(self.raw)
        return self.model.space.encode(self.raw[rows.to(self.raw.device)], self.rng)

    def ascending(self, n: int, count: int, first: int) -> list[Tensor]:
        """`count` rising times from `first` to T, n of each, (n,)."""
        scores = uniform((n, self.model.steps + 1 - first), self.rng, self.raw)
        return list((scores.argsort(1)[:, :count].sort(1).values + first).unbind(1))

    def pair(self, n: int) -> tuple[Tensor, Tensor]:
        """Times 1 <= s < t, neighbours where the head needs them, with shape (n,) each."""
        s, t = self.ascending(n, 2, 1)
        return (s if self.model.head.jumps else t - 1), t

    def noisy(self, n: int) -> tuple[Tensor, Tensor]:
        """x_t of n examples, (n, *), at random times t, (n,)."""
        t = self.ascending(n, 1, 1)[0]
        return self.model.kernel.marginal(self.encoded(n), t).sample(self.rng), t


@dataclass(frozen=True)
class Identity:
    """What must be true, and how to measure it.

    Args:
        needs: names of identities without which this one has nothing to say.
    """

    name: str
    says: str
    measure: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()


def largest(gap: Tensor, scale: Tensor) -> float:
    """The largest |gap| in units of 1 + |scale|; not a number if one of them is not."""
    return (gap.abs() / (1 + scale.abs())).max().item()
