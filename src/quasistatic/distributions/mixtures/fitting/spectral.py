"""Spectral laws fitted to pictures and signals by expectation maximisation."""

__all__ = ["SpectralCandidate", "SpectralChoice", "SpectralFit"]

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..cosine_basis import CosineBasis
from ..mixture import Mixture
from ..spectral_block import SpectralBlock
from .full_normals import FullNormals
from .groups import ByClusters, ByEnergy, Groups

PRIOR_COUNT = 10.0
"""A component's spectrum is drawn to the common one, at its own scale, with the weight of so many
examples."""

ROUNDS, TRIED, ENOUGH = 25, 8, 2e-5
"""The most rounds of expectation maximisation, for the law and for a candidate; and the gain of a
round, in nats a value, below which it stops."""

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

AT_ONCE = 2**21
"""Numbers of the examples that are converted to float64 at once."""


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
            law = self._prepared(x, chosen.axes).law(chosen, ROUNDS)
        return SpectralChoice(law, chosen, nats, time.process_time() - began)

    def law(self, x: Tensor, candidate: SpectralCandidate, rounds: int = ROUNDS) -> Mixture:
        """The law that so many rounds of expectation maximisation find for examples x (N, *shape).

        Raises:
            ValueError: if there are no examples, or a value is not finite.
        """
        return self._prepared(self._checked(x), candidate.axes).law(candidate, rounds)

    def _chosen(
        self, x: Tensor, judges: Tensor, components: int | None
    ) -> tuple[SpectralCandidate, float]:
        """The candidate fitted to examples x that gives other examples the most, and their mean
        log p: the basis and the groups first, then the number of components."""
        whole = [0] * (1 < x.shape[1] <= LARGEST_WHOLE)
        prepared = {axes: self._prepared(x, axes) for axes in (self.places, *whole)}

        def judged(candidate: SpectralCandidate) -> tuple[float, SpectralCandidate]:
            law = prepared[candidate.axes].law(candidate, TRIED)
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

    def _prepared(self, x: Tensor, axes: int) -> "_Prepared":
        """Examples as coefficients of the basis with so many axes of cosines."""
        center = self._center(x, axes)
        basis = _directed(x - center, CosineBasis.plain(self.shape, axes).to(x))
        z = basis.turn(x - center)
        common = z.square().mean(0)
        if axes == 0:  # the examples gave the basis too, in which others have other variances
            common = (len(z) * common + PRIOR_COUNT * common.mean()) / (len(z) + PRIOR_COUNT)
        floor = self.floor or max(1e-6 * common.mean().item(), 1e-30)
        return _Prepared(basis, center, z, common.clamp_min(floor), floor, self.seed)

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


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Examples as coefficients.

    Args:
        basis: of the coefficients.
        center: the mean example, with shape (D,).
        z: the coefficients of the examples without their mean, with shape (N, D).
        common: the variance of each coefficient, with shape (D,).
        floor: the least variance.
        seed: of the groups.
    """

    basis: CosineBasis
    center: Tensor
    z: Tensor
    common: Tensor
    floor: float
    seed: int

    def law(self, candidate: SpectralCandidate, rounds: int) -> Mixture:
        """What so many rounds of expectation maximisation find."""
        count = min(candidate.components, len(self.z))
        labels = torch.zeros(len(self.z), dtype=torch.long, device=self.z.device)
        if count > 1:
            labels = candidate.groups.labels(self.z, self.common, count, self.seed)
        share = torch.nn.functional.one_hot(labels, count).to(self.z)
        found = _maximised(self.z, share, self.common, self.floor, rounds)
        log_weight, mean, variance = (each.to(self.z) for each in found)
        mean = self.basis.turn(self.center) + mean
        return Mixture(log_weight, (SpectralBlock(self.basis, mean, variance),))


def _directed(x: Tensor, basis: CosineBasis) -> CosineBasis:
    """The basis whose directions are, for each frequency, the principal ones of examples x (N, D)
    without their mean."""
    z = basis.turn(x).reshape(len(x), basis.channels, basis.frequencies).permute(2, 0, 1)
    covariance = torch.bmm(z.mT, z).double() / len(x)
    # Where all directions are alike, the axes themselves.
    tiny = 1e-9 * covariance.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)
    order = torch.arange(basis.channels, dtype=torch.float64, device=x.device)
    covariance = covariance + torch.diag(tiny * order / basis.channels)
    return CosineBasis(basis.shape, basis.axes, torch.linalg.eigh(covariance)[1].to(x))


def _maximised(
    z: Tensor, share: Tensor, common: Tensor, floor: float, rounds: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weights (K,), means and variances (K, D) of coefficients z (N, D), from shares (N, K)."""
    before, found = -math.inf, _likeliest(_sums(z, share), len(z), common, floor)
    if share.shape[1] == 1:
        return found
    for _ in range(rounds):
        sums, now = _expected(z, *found)
        found = _likeliest(sums, len(z), common, floor)
        if now - before < ENOUGH * z.numel():
            break
        before = now
    return found


_Sums = tuple[Tensor, Tensor, Tensor]
"""The count (K,) of each component, and the sums (K, D) of its values and of their squares."""


def _sums(z: Tensor, share: Tensor) -> _Sums:
    return share.sum(0).double(), (share.T @ z).double(), (share.T @ z.square()).double()


def _likeliest(
    sums: Sequence[Tensor], n: int, common: Tensor, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The parameters that maximise the penalised likelihood."""
    count, first, second = sums[0][:, None], sums[1], sums[2]
    mean = first / (count + PRIOR_COUNT)
    square = second / count.clamp_min(1e-6)
    scale = (square / common).mean(1, keepdim=True)
    shrunk = (count * square + PRIOR_COUNT * scale * common) / (count + PRIOR_COUNT)
    variance = (shrunk - mean.square() * count / (count + PRIOR_COUNT)).clamp_min(floor)
    log_weight = ((sums[0] + 1) / (n + len(sums[0]))).log()
    return log_weight.to(common), mean.to(common), variance.to(common)


def _expected(z: Tensor, log_weight: Tensor, mean: Tensor, variance: Tensor) -> tuple[_Sums, float]:
    """The sums of each component by the shares that a law gives, and the sum of log p."""
    block = SpectralBlock.log_p_of_coefficients
    total, log_p = None, 0.0
    for some in torch.split(z, max(1, AT_ONCE // z.shape[1])):
        joint = log_weight.double() + block(some, mean, variance).T
        log_p += joint.logsumexp(1).sum().item()
        found = _sums(some, joint.softmax(1).to(z))
        total = found if total is None else _added(total, found)
    assert total is not None  # there is at least one example
    return total, log_p


def _added(a: _Sums, b: _Sums) -> _Sums:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
