"""A spectral law for each class of labelled examples."""

__all__ = [
    "PerClassCandidate",
    "LawPerClassChoice",
    "LawPerClassFit",
    "ShrunkNormals",
    "SpectralMixtures",
]

import abc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cosine_basis import CosineBasis
from ..law_per_class import LawPerClass
from ..mixture import Mixture
from ..spectral_block import SpectralBlock
from .groups import ByClusters
from .spectral import (
    CHOSEN_BY,
    EACH,
    JUDGED_BY,
    LARGEST_WHOLE,
    SpectralCandidate,
    SpectralFit,
)

COUNTS = (5.0, 20.0, 80.0)
"""The weights of the common covariance matrix that are tried, in examples."""

COMPONENTS = (1, 4, 16)
"""The numbers of components of a class that are tried."""


class PerClassCandidate(abc.ABC):
    """One way to fit a law to each class."""

    @abc.abstractmethod
    def laws(self, fit: SpectralFit, parts: Sequence[Tensor]) -> tuple[Mixture, ...]:
        """The law of each class.

        Args:
            fit: the shape and the least variance.
            parts: the examples of each class, with shape (N_k, D).
        """


@dataclass(frozen=True)
class ShrunkNormals(PerClassCandidate):
    """A normal law for each class in its own principal components. Its covariance matrix is drawn
    to the one that is common to all classes (regularised discriminant analysis).

    Args:
        count: the weight of the common matrix, in examples.
    """

    count: float

    def laws(self, fit: SpectralFit, parts: Sequence[Tensor]) -> tuple[Mixture, ...]:
        means = [part.double().mean(0) for part in parts]
        scatters = []
        for part, mean in zip(parts, means, strict=True):
            off = part.double() - mean
            scatters.append(off.T @ off)
        whole = sum(len(part) for part in parts)
        common = torch.stack(scatters).sum(0) / whole
        return tuple(
            self._normal(fit, mean, (scatter + self.count * common) / (len(part) + self.count))
            for part, mean, scatter in zip(parts, means, scatters, strict=True)
        )

    def _normal(self, fit: SpectralFit, mean: Tensor, covariance: Tensor) -> Mixture:
        variance, directions = torch.linalg.eigh(covariance)
        floor = fit.floor or max(1e-6 * float(variance.mean()), 1e-30)
        basis = CosineBasis(fit.shape, 0, directions[None])
        block = SpectralBlock(basis, basis.turn(mean)[None], variance.clamp_min(floor)[None])
        return Mixture(variance.new_zeros(1), (block,))

    def __str__(self) -> str:
        return "a normal law in its own principal components"


@dataclass(frozen=True)
class SpectralMixtures(PerClassCandidate):
    """A spectral law for each class.

    Args:
        candidate: how each is fitted.
    """

    candidate: SpectralCandidate

    def laws(self, fit: SpectralFit, parts: Sequence[Tensor]) -> tuple[Mixture, ...]:
        return tuple(fit.law(part, self.candidate) for part in parts)

    def __str__(self) -> str:
        return str(self.candidate)


@dataclass(frozen=True, eq=False)
class LawPerClassChoice:
    """The laws of labelled examples that held-out ones chose.

    Args:
        law: of all examples.
        candidate: the best of those that were tried.
        held_out: mean log p(x | y) of the held-out examples by that candidate, fitted to the
            others, in nats an example; NaN if there were too few to hold any out.
        seconds: CPU time of the choice and of the fit.
    """

    law: LawPerClass
    candidate: PerClassCandidate
    held_out: float
    seconds: float

    def __repr__(self) -> str:
        return (
            f"spectral laws of {self.law.classes} classes, each {self.candidate}: log p(x | y) = "
            f"{self.held_out:.2f} nats an example on held-out ones, after {self.seconds:.1f} CPU "
            "seconds"
        )


@dataclass(frozen=True, eq=False)
class LawPerClassFit:
    """Fits a spectral law to each class.

    Args:
        fit: the shape, the least variance and the seed.
        classes: how many classes there are.
    """

    fit: SpectralFit
    classes: int

    def best(self, x: Tensor, labels: Tensor) -> LawPerClassChoice:
        """The laws that held-out examples choose, fitted to all examples.

        Args:
            x: examples with shape (N, *shape).
            labels: the class of each, from 0, with shape (N,).

        Raises:
            ValueError: if a class has fewer than two examples, or a value is not finite.
        """
        began = time.process_time()
        x, counts = x.flatten(1), labels.bincount(minlength=self.classes)
        if counts.min() < 2:
            raise ValueError(
                f"class {int(counts.argmin())} has {int(counts.min())} examples, and a law for "
                "each class needs two of each at least"
            )
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.fit.seed))
        held = order[: min(len(x) // 5, JUDGED_BY)]
        used = order[len(held) :][: CHOSEN_BY * 2]
        few = labels[used].bincount(minlength=self.classes).min()
        if few < EACH:
            chosen: tuple[float, PerClassCandidate] = math.nan, ShrunkNormals(COUNTS[-1])
        else:
            parts = self._parts(x[used], labels[used])
            candidates = self._candidates(x.shape[1], int(few))
            judged = [
                (self._judged(each, parts, x[held], labels[held]), each) for each in candidates
            ]
            chosen = max(judged, key=lambda pair: pair[0])
        laws = chosen[1].laws(self.fit, self._parts(x, labels))
        prior = ((counts.double() + 1) / (len(x) + self.classes)).log()
        seconds = time.process_time() - began
        return LawPerClassChoice(LawPerClass(prior, laws), chosen[1], chosen[0], seconds)

    def _parts(self, x: Tensor, labels: Tensor) -> list[Tensor]:
        return [x[labels == k] for k in range(self.classes)]

    def _candidates(self, width: int, few: int) -> list[PerClassCandidate]:
        counts = [k for k in COMPONENTS if k == 1 or k * EACH <= few]
        whole = [0] * (1 < width <= LARGEST_WHOLE)
        found: list[PerClassCandidate] = [
            SpectralMixtures(SpectralCandidate(k, axes, ByClusters()))
            for axes in (self.fit.places, *whole)
            for k in counts
        ]
        return found + [ShrunkNormals(count) for count in COUNTS if whole]

    def _judged(
        self, candidate: PerClassCandidate, parts: list[Tensor], x: Tensor, labels: Tensor
    ) -> float:
        """Mean log p(x | y) of other examples."""
        law = LawPerClass(x.new_zeros(self.classes), candidate.laws(self.fit, parts))
        return float(law.log_prob_of_classes(x.double()).gather(1, labels[:, None]).mean())
