"""The model that identities are tested on, and the result of a test."""

__all__ = ["Finding", "Identity", "NotApplicable", "Subject", "largest"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import uniform
from ...diffusion import Diffusion
from ...likelihood.terms import count_terms

POINTS = 20
"""Times of a chain on which identities are tested, if the head allows for that few."""


class NotApplicable(Exception):
    """Raised by an identity that does not apply to a model, with the reason."""


@dataclass(frozen=True)
class Finding:
    """The result of a test.

    Args:
        error: how far the model is from the identity.
        allowed: how far it may be.
        note: where the error is.
    """

    error: float
    allowed: float
    note: str = ""


@dataclass(frozen=True)
class Subject:
    """A model, and what its identities are tested with.

    Args:
        model: in evaluation mode or not.
        raw: a few checked raw data, with shape (N, *).
        rng: for all draws.
        evaluations: the most network evaluations on one example that an identity may take.
    """

    model: Diffusion
    raw: Tensor
    rng: torch.Generator
    evaluations: int

    @property
    def rounding(self) -> float:
        """The relative difference allowed between two ways to compute a number: half the digits of
        the network's type."""
        return float(torch.finfo(self.raw.dtype).eps ** 0.5)

    @property
    def chain(self) -> Tensor | None:
        """The times of a short chain. None stands for all times, where the head needs neighbouring
        times."""
        few = min(POINTS, self.model.steps)
        return self.model.times(few) if self.model.head.jumps else None

    @property
    def terms(self) -> int:
        """The number of terms of that chain that the network decides."""
        return count_terms(self.model, self.chain)

    def encoded(self, n: int | None = None) -> Tensor:
        """x_0 of n examples, with shape (n, *): the raw data, repeated as often as needed."""
        rows = torch.arange(len(self.raw) if n is None else n) % len(self.raw)
        return self.model.space.encode(self.raw[rows.to(self.raw.device)], self.rng)

    def ascending(self, n: int, count: int, first: int) -> list[Tensor]:
        """`count` rising times from `first` to T, n of each, (n,)."""
        scores = uniform((n, self.model.steps + 1 - first), self.rng, self.raw)
        return list((scores.argsort(1)[:, :count].sort(1).values + first).unbind(1))

    def pair(self, n: int) -> tuple[Tensor, Tensor]:
        """Times 1 <= s < t with shape (n,) each, neighbours where the head needs that."""
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
        name: of the identity.
        says: what must be true, in a sentence.
        measure: the test.
        needs: names of identities that must hold for the test to make sense.
    """

    name: str
    says: str
    measure: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()


def largest(gap: Tensor, scale: Tensor) -> float:
    """The largest |gap| in units of 1 + |scale|; NaN if one of them is NaN."""
    return float((gap.abs() / (1 + scale.abs())).max())
