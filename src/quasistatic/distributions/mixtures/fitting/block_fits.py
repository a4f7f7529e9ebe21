"""The M-step of each kind of block."""

__all__ = ["BlockFit", "CategoricalFit", "GaussianFit", "Sums", "at_least", "oas", "parts_of"]

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..block import Block, Evidence
from ..categorical_block import CategoricalBlock
from ..gaussian_block import GaussianBlock
from ..gaussian_evidence import GaussianEvidence

Sums = tuple[Tensor, ...]
"""Sufficient statistics of weighted rows; those of different rows can be added."""

FAR, RARE = 1e3, 0.1
"""The pooled covariance leaves out components with fewer than the share RARE of the rows and, in
some column, a variance over FAR times the median of all components."""

LOOKED_AT, QUARTERS = 5000, torch.tensor([0.25, 0.5, 0.75])
"""Rows, about, that the quartiles of a column are taken from."""

RIDGE, TINY, OWN = 1e-9, 1e-14, 1e-12
"""The least variance of a value given all others, in units of the pooled one, of x_0, and of the
value's own variance in its component: a row far out stretches a component until rounding loses the
rest."""


class BlockFit(abc.ABC):
    """The M-step of expectation maximisation for one block."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """How many values the block has."""

    @abc.abstractmethod
    def alone(self, x: Tensor) -> Block:
        """A block of one component for rows x (N, W), each column by itself."""

    @abc.abstractmethod
    def points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows x (N, W) in units that suit clusters, a hole at the middle of its column; and
        without the correlations that all rows share."""

    @abc.abstractmethod
    def sums(self, block: Any, evidence: Any, x: Tensor, share: Tensor) -> Sums:
        """Sufficient statistics of rows.

        Args:
            block: the present block, with K components or one for all.
            evidence: of this block for the rows; it gives the moments of holes.
            x: rows with shape (b, W).
            share: p(k | row), with shape (K, b).
        """

    @abc.abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The sufficient statistics of rows x (n, W) in which no real value is missing, (n, F)."""

    @abc.abstractmethod
    def coefficients(self, block: Any) -> tuple[Tensor, Tensor]:
        """c (K,) and A (K, F), so that log p(x | k) = c_k + A_k features(x)."""

    @abc.abstractmethod
    def sums_of_features(self, block: Any, count: Tensor, found: Tensor) -> Sums:
        """As :meth:`sums`, from the weight (K,) of each component and the sums of features by these
        weights (K, F)."""

    @abc.abstractmethod
    def likeliest(self, sums: Sums, block: Any, mixtures: int = 1) -> Block:
        """The most likely block for such statistics, shrunk towards the pooled one.

        Args:
            sums: of all components.
            block: the one that the sums belong to.
            mixtures: how many mixtures the components form, those of one next to each other. Each
                has a pooled block of its own.
        """


@dataclass(frozen=True, eq=False)
class GaussianFit(BlockFit):
    r"""Covariances (S_k + nu T) / (n_k + nu): S_k is the scatter of a component's n_k rows and T
    the covariance within components, pooled over them and shrunk (:func:`oas`).

    Args:
        floor: the least variance of each real value given all others, with shape (D,): what
            numbers that were rounded leave open.
        nu: how many rows' worth of T each covariance has; infinity means that T serves all.
        classes: for each real value, columns of the rows with class values that say whether a row
            has the value, -1 for none; shape (D, n). Where one of them is not missing, and the
            value is, the row lacks nothing. None if there are no such values.
    """

    floor: Tensor
    nu: float = math.inf
    classes: Tensor | None = None

    @property
    def width(self) -> int:
        return len(self.floor)

    def alone(self, x: Tensor) -> GaussianBlock:
        mean = x.nanmean(0).nan_to_num()
        variance = (x - mean).square().nanmean(0).nan_to_num(1.0)
        return GaussianBlock.full(mean[None], torch.diag(variance + self.floor + 1e-12)[None])

    def points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """In robust units, so that a value far out cannot squash the others."""
        if not self.width:
            return x, x
        some = x[:: max(1, x.shape[0] // LOOKED_AT)]
        low, middle, high = some.nanquantile(QUARTERS.to(x), 0).nan_to_num()
        deviation = (x - x.nanmean(0)).square().nanmean(0).sqrt().nan_to_num() + 1e-12
        scale = torch.where(high > low, (high - low) / 1.35, deviation)
        y = ((x - middle) / scale).asinh().nan_to_num()
        centred = y - y.mean(0)
        variance, basis = torch.linalg.eigh(centred.T @ centred / x.shape[0])
        least = 1e-4 * variance[-1] + 1e-12
        return y, centred @ basis / variance.clamp(min=least).sqrt()

    def sums(
        self, block: GaussianBlock, evidence: GaussianEvidence, x: Tensor, share: Tensor
    ) -> Sums:
        count, dims = share.sum(1), self.width
        first = x.new_zeros(len(share), dims)
        square = x.new_zeros(len(share), dims, dims)
        for given in evidence.given:
            batch = given.batch
            s = share[:, batch.rows] * batch.real  # (K, P, n)
            # About the last means, which keeps the digits of components far from zero.
            off = given.off_mean(x).flatten(1, 2)
            weighted = s.flatten(1)[:, None] * off.mT  # (K, D, P n)
            first = first + (s.flatten(1)[:, None] @ off)[:, 0]
            square = square + weighted @ off
            left = given.left()
            if left is not None:
                square = square + torch.einsum(
                    "kp,kpde->kde", s.sum(2), left.expand(len(s), -1, -1, -1)
                )
        return count, first, square

    def missing(self, values: Tensor, x: Tensor) -> Tensor:
        """Which of the values (N, D) of rows x (N, W) are missing: NaN, and not because a class of
        the row says that it has no such value."""
        absent = values.isnan()
        if self.classes is None or not absent.any():
            return absent
        known = ~x[:, self.classes.clamp(min=0)].isnan() & (self.classes >= 0)
        return absent & ~known.any(2)

    @cached_property
    def _pairs(self) -> Tensor:
        """The pairs of values d <= e, with shape (2, pairs)."""
        return torch.triu_indices(self.width, self.width)

    @cached_property
    def _of_pair(self) -> Tensor:
        """The place of each pair of values in a list of pairs, with shape (D * D,)."""
        (d, e), place = self._pairs, torch.empty(self.width, self.width, dtype=torch.long)
        place[d, e] = place[e, d] = torch.arange(len(d))
        return place.flatten()

    def features(self, x: Tensor) -> Tensor:
        """The values, and the products of two of them."""
        d, e = self._pairs
        return torch.cat([x, x[:, d] * x[:, e]], 1)

    def coefficients(self, block: GaussianBlock) -> tuple[Tensor, Tensor]:
        root = torch.linalg.cholesky(block.matrix)
        precision = torch.cholesky_inverse(root)[block.of] / block.scale[:, None, None]
        volume = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1)[block.of]
        volume = volume + self.width * (block.scale.log() + math.log(2 * math.pi))
        linear = (precision @ block.mean[..., None])[..., 0]
        constant = -((linear * block.mean).sum(1) + volume) / 2
        d, e = self._pairs
        twice = torch.where(d == e, -0.5, -1.0).to(precision)
        return constant, torch.cat([linear, precision[:, d, e] * twice], 1)

    def sums_of_features(self, block: GaussianBlock, count: Tensor, found: Tensor) -> Sums:
        raw, pairs = found[:, : self.width], found[:, self.width :]
        square = pairs[:, self._of_pair].view(len(raw), self.width, self.width)
        mean, n = block.mean, count[:, None]
        across = raw[:, :, None] * mean[:, None]
        outer = n[..., None] * (mean[:, :, None] * mean[:, None])
        return count, raw - n * mean, square - across - across.mT + outer

    def likeliest(self, sums: Sums, block: GaussianBlock, mixtures: int = 1) -> GaussianBlock:
        count, first, square = sums
        n = count + 1e-9
        size = n.shape[0] // mixtures
        shift = first / n[:, None]
        scatter = square - n[:, None, None] * (shift[:, :, None] * shift[:, None])
        scatter = (scatter + scatter.mT) / 2
        pooled = self._pooled(
            n.view(mixtures, size), scatter.view(mixtures, size, *scatter.shape[1:])
        )
        least = TINY + self.floor + RIDGE * pooled.diagonal(dim1=1, dim2=2)
        of = torch.arange(size * mixtures)
        if math.isinf(self.nu):
            matrix, of = pooled, of // size
        else:
            each, least = (part.repeat_interleave(size, 0) for part in (pooled, least))
            matrix = (scatter + self.nu * each) / (n + self.nu)[:, None, None]
        least = torch.maximum(least, OWN * matrix.diagonal(dim1=1, dim2=2))
        return GaussianBlock(block.mean + shift, at_least(matrix, least), of, torch.ones_like(n))

    def _pooled(self, n: Tensor, scatter: Tensor) -> Tensor:
        """The covariance within components (E, D, D) of each of E mixtures, of those components
        that are not far wider than the others, for counts (E, K) and scatters (E, K, D, D)."""
        if n.shape[1] == 1:
            return oas(scatter[:, 0] / n[..., None], n[:, 0])
        own = scatter.diagonal(dim1=2, dim2=3).clamp(min=0) / n[..., None]
        # Of each column: a component of sentinels has no variance in one of them.
        by_size, order = own.sort(1)
        whole = n.sum(1, keepdim=True)
        below = (
            n[..., None].expand_as(own).take_along_dim(order, 1).cumsum(1) < whole[..., None] / 2
        )
        place = below.sum(1, keepdim=True).clamp(max=n.shape[1] - 1)
        middle = by_size.take_along_dim(place, 1)
        fair = (own <= FAR * middle + 1e-12).all(2) | (n > RARE * whole)
        # Outlying components are few: where they would be most of the rows, none is left out.
        fair |= (n * fair).sum(1, keepdim=True) < whole / 2
        rows = (n * fair).sum(1)
        kept = (scatter * fair[..., None, None]).sum(1)
        return oas(kept / rows[:, None, None], rows)


def parts_of(x: Tensor, fits: Sequence[BlockFit]) -> list[tuple[BlockFit, Tensor]]:
    """The values of each block, of rows x (N, W)."""
    return list(zip(fits, torch.split(x, [fit.width for fit in fits], 1), strict=True))


def at_least(matrix: Tensor, floor: Tensor) -> Tensor:
    """Covariances (K, D, D) raised to the smallest that are diag(floor) or more, (D,) or (K, D) and
    positive, in the order of positive definite matrices. So the variance of each value given all
    others is its floor or more, and a covariance that is large enough stays as it is."""
    small = torch.linalg.cholesky_ex(matrix - torch.diag_embed(floor))[1] > 0
    if not small.any():
        return matrix
    scale = floor.expand(matrix.shape[:2])[small].sqrt()
    both = scale[:, :, None] * scale[:, None]
    value, vector = torch.linalg.eigh(matrix[small] / both)
    raised = (vector * value.clamp(min=1.0)[:, None]) @ vector.mT
    matrix = matrix.clone()
    matrix[small] = raised * both
    return matrix


def oas(covariance: Tensor, rows: Tensor | float) -> Tensor:
    """The oracle-approximating shrinkage of covariances (*, D, D), each of so many rows (*), to
    their diagonals (Chen et al., IEEE Trans. Signal Process., 2010), by correlations."""
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    deviation = variance.clamp(min=1e-12).sqrt()
    both = deviation[..., :, None] * deviation[..., None, :]
    R, p = covariance / both, covariance.shape[-1]
    own = R.diagonal(dim1=-2, dim2=-1)
    square, trace = R.square().sum((-2, -1)), own.sum(-1)
    below = (rows + 1 - 2 / p) * (square - trace**2 / p)
    above = (1 - 2 / p) * square + trace**2
    share = torch.where(below > 0, (above / below).clamp(0, 1), 1.0)[..., None, None]
    return ((1 - share) * R + share * torch.diag_embed(own)) * both


@dataclass(frozen=True, eq=False)
class CategoricalFit(BlockFit):
    """Probabilities of classes, with the shares of the whole table as one pseudo-row a component.

    Args:
        sizes: how many classes each column has.
        log_pi: the log-probabilities of classes in the whole table, with shape (V,).
    """

    sizes: tuple[int, ...]
    log_pi: Tensor

    @property
    def width(self) -> int:
        return sum(self.sizes)

    def alone(self, x: Tensor) -> CategoricalBlock:
        return CategoricalBlock(self.log_pi[None], self.sizes)

    def points(self, x: Tensor) -> tuple[Tensor, Tensor]:
        known = x.nan_to_num()
        return known, known

    def sums(self, block: CategoricalBlock, evidence: Evidence, x: Tensor, share: Tensor) -> Sums:
        return (share @ x.nan_to_num(),)

    def features(self, x: Tensor) -> Tensor:
        """The one-hot values, zero where a class is missing."""
        return x.nan_to_num()

    def coefficients(self, block: CategoricalBlock) -> tuple[Tensor, Tensor]:
        return block.log_p.new_zeros(len(block.log_p)), block.log_p

    def sums_of_features(self, block: CategoricalBlock, count: Tensor, found: Tensor) -> Sums:
        return (found,)

    def likeliest(self, sums: Sums, block: CategoricalBlock, mixtures: int = 1) -> CategoricalBlock:
        counts = sums[0] + self.log_pi.exp()
        groups = block.groups
        return replace(block, log_p=(counts / groups.expand(groups.sum(counts))).log())
