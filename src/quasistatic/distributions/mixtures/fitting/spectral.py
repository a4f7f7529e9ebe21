"""Spectral laws fitted to pictures and signals by expectation maximisation."""

__all__ = ["SpectralCandidate", "SpectralChoice", "SpectralFit"]

import math
import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..cosine_basis import CosineBasis
from ..mixture import Mixture
from .full_normals import FullNormals
from .groups import ByClusters, ByEnergy, Groups
from .spectral_em import PRIOR_COUNT, CoefficientRows, directed

ROUNDS, TRIED = 25, 8
"""The most rounds of expectation maximisation, for the law and for a candidate."""

COMPONENTS, FIRST = (1, 8, 32, 64), 8
"""The numbers of components that are tried, and the one with which bases are compared."""

EACH = 20
"""Examples for each component, at least."""

MOST_VALUES = 2**26
"""Numbers of the examples that a law is fitted to; of more, evenly spaced examples are taken."""

CHOSEN_BY, JUDGED_BY = 2000, 500
"""The most examples that candidates are fitted to, and the most held-out ones that judge them."""

LARGEST_WHOLE = 1024
"""The most values of an example for which a basis of whole examples is tried."""

LARGEST_FULL, FULL, SHRUNK = 256, (2, 8, 16, 32), (20.0, 80.0)
"""The most samples of a signal for which full covariance matrices are tried, the numbers of
components of such laws, and the weights of their common covariance besides the default one."""


@dataclass(frozen=True)
class SpectralCandidate:
    """One way to fit a spectral law.

    Args:
        components: K, the number of components.
        axes: how many of the last axes have cosines; with 0 the basis is of whole examples.
        groups: how the examples are grouped at first.
    """

    components: int
    axes: int
    groups: Groups

    def __str__(self) -> str:
        basis = "principal components" if self.axes == 0 else "cosines"
        return f"{self.components} components in {basis}"


@dataclass(frozen=True, eq=False)
class SpectralChoice:
    """A spectral law that held-out examples chose.

    Args:
        law: of all examples, with one :class:`SpectralBlock`; or for signals with one
            :class:`GaussianBlock`, where full covariance matrices are better.
        candidate: the best of those that were tried.
        held_out: mean log p of the held-out examples by that candidate, fitted to the others, in
            nats an example; NaN if there were too few to hold any out.
        seconds: CPU time of the choice and of the fit.
    """

    law: Mixture
    candidate: "SpectralCandidate | FullNormals"
    held_out: float
    seconds: float

    def __repr__(self) -> str:
        kind = "law" if isinstance(self.candidate, FullNormals) else "spectral law"
        return (
            f"{kind}: {self.candidate}, log p = {self.held_out:.2f} nats an example on "
            f"held-out ones, after {self.seconds:.1f} CPU seconds"
        )


@dataclass(frozen=True, eq=False)
class SpectralFit:
    """Fits spectral laws to examples of a shape.

    Args:
        shape: of one example: (L,), (C, L), (H, W) or (C, H, W).
        axes: how many of the last axes are places; None for all axes of a shape of one or two axes,
            else two. A signal of several channels (C, L) needs 1.
        floor: the least variance of a coefficient; None for a millionth of the mean variance. For
            dequantised data it is 1/12 of the square of a cell.
        seed: of clusters and of the held-out examples.

    Raises:
        ValueError: if `axes` does not fit the shape, or `floor` is not positive.
    """

    shape: tuple[int, ...]
    axes: int | None = None
    floor: float | None = None
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if not 1 <= self.places <= min(2, len(self.shape)):
            raise ValueError(
                f"a picture or signal of shape {self.shape} has 1 or 2 axes of places, got "
                f"axes={self.axes}"
            )
        if self.floor is not None and not self.floor > 0:
            raise ValueError(f"floor is the least variance, which is positive, got {self.floor}")

    @property
    def places(self) -> int:
        """How many of the last axes are places."""
        return min(2, len(self.shape)) if self.axes is None else self.axes

    def best(self, x: Tensor, components: int | None = None) -> SpectralChoice:
        """The law that held-out examples choose, fitted to all examples x (N, *shape).

        Args:
            x: the examples.
            components: how many components it has; None for as many as held-out examples choose.

        Raises:
            ValueError: if there are no examples, or a value is not finite.
        """
        began = time.process_time()
        x = self._checked(x)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))
        order = order.to(x.device)
        judges = x[order[: min(len(x) // 5, JUDGED_BY)]]
        nats = math.nan
        chosen: SpectralCandidate | FullNormals = SpectralCandidate(1, self.places, ByEnergy())
        if len(judges) >= 2:
            used = x[order[len(judges) :][:CHOSEN_BY]]
            found: list[tuple[SpectralCandidate | FullNormals, float]] = [
                self._chosen(used, judges, components),
                *self._full(used, judges, components),
            ]
            chosen, nats = max(found, key=lambda pair: pair[1])
        if isinstance(chosen, FullNormals):
            law = chosen.law(x, ROUNDS, self.floor, self.seed)
        else:
            law = self._prepared(x, chosen.axes).law(chosen.components, chosen.groups, ROUNDS)
        return SpectralChoice(law, chosen, nats, time.process_time() - began)

    def law(self, x: Tensor, candidate: SpectralCandidate, rounds: int = ROUNDS) -> Mixture:
        """The law that so many rounds of expectation maximisation find for examples x (N, *shape).

        Raises:
            ValueError: if there are no examples, or a value is not finite.
        """
        return self._prepared(self._checked(x), candidate.axes).law(
            candidate.components, candidate.groups, rounds
        )

    def _chosen(
        self, x: Tensor, judges: Tensor, components: int | None
    ) -> tuple[SpectralCandidate, float]:
        """The candidate fitted to examples x that gives other examples the most, and their mean
        log p: the basis and the groups first, then the number of components."""
        whole = [0] * (1 < x.shape[1] <= LARGEST_WHOLE)
        prepared = {axes: self._prepared(x, axes) for axes in (self.places, *whole)}

        def judged(candidate: SpectralCandidate) -> tuple[float, SpectralCandidate]:
            law = prepared[candidate.axes].law(candidate.components, candidate.groups, TRIED)
            return law.log_prob(judges).mean().item(), candidate

        asked = COMPONENTS if components is None else (components,)
        counts = [count for count in asked if count == 1 or count * EACH <= len(x)] or [1]
        first = min(FIRST, counts[-1])
        groups: list[Groups] = [ByEnergy(), ByClusters()]
        found = [judged(SpectralCandidate(first, axes, g)) for axes in prepared for g in groups]
        best = max(found, key=lambda pair: pair[0])[1]
        found += [
            judged(SpectralCandidate(count, best.axes, best.groups))
            for count in counts
            if count != first
        ]
        nats, candidate = max(found, key=lambda pair: pair[0])
        return candidate, nats

    def _full(
        self, x: Tensor, judges: Tensor, components: int | None
    ) -> list[tuple[FullNormals, float]]:
        """Laws of full normals of signals x, and their mean log p of other ones."""
        if self.places != 1 or x.shape[1] > LARGEST_FULL:
            return []

        def judged(candidate: FullNormals) -> tuple[FullNormals, float]:
            law = candidate.law(x, TRIED, self.floor, self.seed)
            return candidate, law.log_prob(judges.double()).mean().item()

        asked = FULL if components is None else (components,)
        found = [judged(FullNormals(count)) for count in asked if count * EACH <= len(x)]
        if found:  # the number of components first, then how far their covariances are shrunk
            best = max(found, key=lambda pair: pair[1])[0]
            found += [judged(replace(best, count=weight)) for weight in SHRUNK]
        return found

    def _prepared(self, x: Tensor, axes: int) -> "CoefficientRows":
        """Examples as coefficients of the basis with so many axes of cosines."""
        center = self._center(x, axes)
        basis = directed(x - center, CosineBasis.plain(self.shape, axes).to(x))
        z = basis.turn(x - center)
        common = z.square().mean(0)
        if axes == 0:  # the examples gave the basis too, in which others have other variances
            common = (len(z) * common + PRIOR_COUNT * common.mean()) / (len(z) + PRIOR_COUNT)
        floor = self.floor or max(1e-6 * common.mean().item(), 1e-30)
        return CoefficientRows(basis, center, z, common.clamp_min(floor), floor, self.seed)

    def _checked(self, x: Tensor) -> Tensor:
        """Examples as rows (N, D), not more than fit."""
        if tuple(x.shape[1:]) not in (self.shape, (math.prod(self.shape),)) or not len(x):
            raise ValueError(
                f"examples of shape (N, {', '.join(map(str, self.shape))}) were expected, got "
                f"{tuple(x.shape)}"
            )
        x = x.flatten(1)
        most = max(1, MOST_VALUES // x.shape[1])
        if len(x) > most:
            x = x[torch.linspace(0, len(x) - 1, most).round().long().to(x.device)]
        if not x.isfinite().all():
            raise ValueError("a spectral law is fitted to examples without NaN or infinity")
        return x

    def _center(self, x: Tensor, axes: int) -> Tensor:
        """The mean example (D,): one number for each channel, as places are alike."""
        sizes = self.shape[len(self.shape) - axes :]
        by_channel = x.mean(0).reshape(-1, math.prod(sizes)).mean(1, keepdim=True)
        return by_channel.expand(-1, math.prod(sizes)).flatten()
