r"""Each column of a row given the other columns, in closed form: its log-probability and its law.

Given component k the blocks are independent, and within a normal block the law of one value given
the others follows from the precision matrix. So the cost of every column is found in one pass:
log p(x_c | x_others) = log p(x) - log sum_k p(k, x) / p(x_c | x_others, k).
"""

__all__ = [
    "AtomUnits",
    "ClassLaw",
    "ClassUnits",
    "GaussianUnits",
    "RealLaw",
    "RowsGivenOthers",
    "UnitLaws",
]

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .atom_block import AtomBlock
    from .categorical_block import CategoricalBlock
    from .gaussian_block import GaussianBlock
    from .mixture import Mixture

GRID, TAIL, HALVINGS = 2048, 1e-4, 50
"""Points on which the most probable values are looked for, the probability beyond their ends, and
how often an interval that holds a quantile is halved."""

HALF_LOG_2PI = math.log(2 * math.pi) / 2


@dataclass(frozen=True, eq=False)
class RealLaw:
    """Laws of single real values: mixtures of K normals, for each of n cases.

    Args:
        share: the weights, with shape (K, n).
        mean: the means, (K, n).
        deviation: the standard deviations, (K, n).
    """

    share: Tensor
    mean: Tensor
    deviation: Tensor

    def cdf(self, x: Tensor) -> Tensor:
        """The probability of values up to x (n, m), with shape (n, m)."""
        z = (x - self.mean[..., None]) / self.deviation[..., None]
        return cast(Tensor, (self.share[..., None] * torch.special.ndtr(z)).sum(0))

    def density(self, x: Tensor) -> Tensor:
        """p(x) of x (n, m), with shape (n, m)."""
        z = (x - self.mean[..., None]) / self.deviation[..., None]
        p = torch.exp(-(z**2) / 2 - HALF_LOG_2PI) / self.deviation[..., None]
        return (self.share[..., None] * p).sum(0)

    def quantile(self, p: Sequence[float]) -> Tensor:
        """The quantiles at m probabilities, with shape (n, m), by bisection."""
        level = self.mean.new_tensor(list(p))
        z = torch.special.ndtri(level)
        # A quantile of a mixture lies between the least and the largest of its components.
        each = self.mean[..., None] + self.deviation[..., None] * z
        low, high = each.amin(0), each.amax(0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.cdf(middle) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return cast(Tensor, (low + high) / 2)

    def regions(self, share: float) -> list[list[tuple[float, float]]]:
        """For each case the intervals of the most probable values, which together hold `share` of
        the probability."""
        ends = self.quantile([TAIL, 1 - TAIL])
        place = torch.linspace(0, 1, GRID, dtype=ends.dtype, device=ends.device)
        at = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * place
        p = self.density(at)
        order = p.argsort(1, descending=True)
        mass = p.gather(1, order)
        before = mass.cumsum(1) / mass.sum(1, keepdim=True) - mass / mass.sum(1, keepdim=True)
        inside = torch.zeros_like(p, dtype=torch.bool).scatter(1, order, before < share)
        return [_intervals(x, take) for x, take in zip(at, inside, strict=True)]


def _intervals(at: Tensor, inside: Tensor) -> list[tuple[float, float]]:
    """The first and the last value of each run of True."""
    edge = torch.nn.functional.pad(inside.to(torch.int8), (1, 1)).diff()
    first, last = (edge == 1).nonzero()[:, 0], (edge == -1).nonzero()[:, 0] - 1
    return list(zip(at[first].tolist(), at[last].tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class ClassLaw:
    """Laws of one class, for each of n cases.

    Args:
        p: the probability of each class, with shape (n, classes).
    """

    p: Tensor


class UnitLaws(abc.ABC):
    """The units of a block (its real values, or its columns of classes), each given the component
    and the other observed units of the block.

    `log_p` (K, B, U) is the log-probability of each unit; a unit that is not observed has 0.
    """

    log_p: Tensor

    @property
    @abc.abstractmethod
    def places(self) -> list[int]:
        """The first value of each unit within the block."""

    @abc.abstractmethod
    def law(self, unit: int, rows: Tensor, share: Tensor) -> RealLaw | ClassLaw:
        """The law of a unit in some rows (n,), given shares (K, n) of the components."""


@dataclass(frozen=True, eq=False)
class GaussianUnits(UnitLaws):
    """Values of a normal block.

    Args:
        log_p: as in :class:`UnitLaws`, (K, B, D).
        mean: of each value given the component and the other observed values, (K, B, D).
        variance: of the same, (K, B, D).
    """

    log_p: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, block: "GaussianBlock", x: Tensor) -> Self:
        """The values of rows x (B, D)."""
        mean = x.new_empty(block.components, *x.shape)
        variance = torch.empty_like(mean)
        eye = torch.eye(block.width, dtype=x.dtype, device=x.device)
        for batch in block.arranged(x):
            there, rows = batch.there, batch.rows[batch.real]
            both = there[:, :, None] & there[:, None]
            covariance = block.covariance[:, None]
            root = torch.linalg.cholesky(torch.where(both, covariance, eye))
            inverse = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False)
            precision = inverse.mT @ inverse  # of the observed values; 1 for the others
            off = torch.where(there[:, None], x[batch.rows], 0.0)
            off = off - (block.mean[:, None] * there)[:, :, None]
            weighted = off @ precision
            left = 1 / precision.diagonal(dim1=2, dim2=3)
            middle = x[batch.rows] - weighted * left[:, :, None]
            if not batch.whole:
                across = torch.where(there[:, :, None], covariance, 0.0)
                regressed = block.mean[:, None, None] + weighted @ across
                middle = torch.where(there[:, None], middle, regressed)
                gained = (across * (precision @ across)).sum(2)
                unseen = covariance.diagonal(dim1=2, dim2=3) - gained
                left = torch.where(there, left, unseen)
            pattern = batch.real.nonzero()[:, 0]
            mean[:, rows] = middle[:, batch.real]
            variance[:, rows] = left[:, pattern].clamp(min=torch.finfo(x.dtype).tiny)
        log_p = -((x - mean) ** 2) / (2 * variance) - variance.log() / 2 - HALF_LOG_2PI
        return cls(torch.where(x.isnan(), 0.0, log_p), mean, variance)

    @property
    def places(self) -> list[int]:
        return list(range(self.mean.shape[2]))

    def law(self, unit: int, rows: Tensor, share: Tensor) -> RealLaw:
        return RealLaw(share, self.mean[:, rows, unit], self.variance[:, rows, unit].sqrt())


@dataclass(frozen=True, eq=False)
class ClassUnits(UnitLaws):
    """Columns of classes, which are independent given the component.

    Args:
        log_p: as in :class:`UnitLaws`, (K, B, G).
        table: log-probabilities of classes, (K, V).
        sizes: how many classes each column has.
    """

    log_p: Tensor
    table: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, block: "CategoricalBlock", x: Tensor) -> Self:
        """The columns of rows x (B, V)."""
        return cls(block.evidence(x).log_p, block.log_p, block.sizes)

    @property
    def places(self) -> list[int]:
        return [sum(self.sizes[:g]) for g in range(len(self.sizes))]

    def law(self, unit: int, rows: Tensor, share: Tensor) -> ClassLaw:
        first = self.places[unit]
        return ClassLaw(share.T @ self.table[:, first : first + self.sizes[unit]].exp())


@dataclass(frozen=True, eq=False)
class AtomUnits(UnitLaws):
    """One real value that is one of a few numbers.

    Args:
        log_p: as in :class:`UnitLaws`, (K, B, 1).
        table: log-probabilities of the numbers, (K, A).
    """

    log_p: Tensor
    table: Tensor

    @classmethod
    def of(cls, block: "AtomBlock", x: Tensor) -> Self:
        """The value of rows x (B, 1)."""
        return cls(block.evidence(x).log_p, block.log_p)

    @property
    def places(self) -> list[int]:
        return [0]

    def law(self, unit: int, rows: Tensor, share: Tensor) -> ClassLaw:
        return ClassLaw(share.T @ self.table.exp())


@dataclass(frozen=True, eq=False)
class RowsGivenOthers:
    """Columns of rows x (B, W) of x_0, NaN a hole, each given the observed values of the others.

    Args:
        log_joint: log p(k, x) of all observed values, with shape (K, B).
        blocks: the units of each block.
        starts: the first value of each block.
        owner: the column of each value of x_0, with shape (W,); a column may own several.
    """

    log_joint: Tensor
    blocks: tuple[UnitLaws, ...]
    starts: tuple[int, ...]
    owner: Tensor

    @classmethod
    def of(cls, law: "Mixture", x: Tensor, owner: Tensor) -> Self:
        """The columns of rows x (B, W) under a law. The memory is that of K B W numbers."""
        parts = zip(law.blocks, torch.split(x, law.widths, 1), strict=True)
        units = tuple(block.given_others(part) for block, part in parts)
        starts = tuple(sum(law.widths[:b]) for b in range(len(law.blocks)))
        return cls(law.log_joint(x), units, starts, owner)

    @cached_property
    def _log_p(self) -> Tensor:
        """log p of each column given the component and the others, with shape (K, B, C)."""
        whole = self.log_joint.new_zeros(*self.log_joint.shape, int(self.owner.max()) + 1)
        for start, units in zip(self.starts, self.blocks, strict=True):
            place = torch.tensor(units.places, dtype=torch.long, device=self.owner.device)
            whole = whole.index_add(2, self.owner[start + place], units.log_p)
        return whole

    @cached_property
    def without(self) -> Tensor:
        """log p(k, observed values but those of column c), with shape (K, B, C)."""
        return self.log_joint[..., None] - self._log_p

    @property
    def log_prob(self) -> Tensor:
        """log p(x_c | the others) in units of x_0, with shape (B, C), in nats; 0 where column c is
        not observed."""
        return self.log_joint.logsumexp(0)[:, None] - self.without.logsumexp(0)

    def laws(self, column: int, rows: Tensor) -> dict[int, RealLaw | ClassLaw]:
        """The laws of a column's units in some rows (n,) given the other columns, by the place of
        the unit's first value in x_0."""
        share = self.without[:, rows, column].softmax(0)
        found = {}
        for start, units in zip(self.starts, self.blocks, strict=True):
            for unit, place in enumerate(units.places):
                if int(self.owner[start + place]) == column:
                    found[start + place] = units.law(unit, rows, share)
        return found
