"""The M-step of each kind of block."""

__all__ = ["BlockFit", "CategoricalFit", "GaussianFit", "at_least", "oas"]

import abc
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..block import Block, Evidence
from ..categorical_block import CategoricalBlock
from ..gaussian_block import GaussianBlock, GaussianEvidence

Sums = tuple[Tensor, ...]
"""Sufficient statistics of weighted rows; those of different rows can be added."""

FAR, RARE = 1e3, 0.1
"""The pooled covariance leaves out components with fewer than the share RARE of the rows and, in
some column, a variance over FAR times that of the median component."""

NEAR = 1e4
"""Values below it, in deviations, keep the digits of their scatter in sums about a common mean."""

RIDGE = 1e-9
"""The least variance of a value given all others, in units of the pooled one."""


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
    def sums(self, block: Any, evidence: Any, x: Tensor, share: Tensor) -> Sums:
        """Sufficient statistics of rows.

        Args:
            block: the present block, with K components or one for all.
            evidence: of this block for the rows; it gives the moments of holes.
            x: rows with shape (b, W).
            share: p(k | row), with shape (K, b).
        """

    @abc.abstractmethod
    def likeliest(self, sums: Sums, block: Any) -> Block:
        """The most likely block for such statistics, shrunk towards the pooled one."""


@dataclass(frozen=True, eq=False)
class GaussianFit(BlockFit):
    r"""Covariances (S_k + nu T) / (n_k + nu): S_k is the scatter of a component's n_k rows and T
    the covariance within components, pooled over them and shrunk (:func:`oas`).

    Args:
        floor: the least variance of each real value given all others, with shape (D,): what
            numbers that were rounded leave open.
        nu: how many rows' worth of T each covariance has; infinity means that T serves all.
    """

    floor: Tensor
    nu: float = math.inf

    @property
    def width(self) -> int:
        return len(self.floor)

    def alone(self, x: Tensor) -> GaussianBlock:
        mean = x.nanmean(0).nan_to_num()
        variance = (x - mean).square().nanmean(0).nan_to_num(1.0)
        return GaussianBlock.full(mean[None], torch.diag(variance + self.floor + 1e-12)[None])

    def sums(
        self, block: GaussianBlock, evidence: GaussianEvidence, x: Tensor, share: Tensor
    ) -> Sums:
        count, dims = share.sum(1), self.width
        first = x.new_zeros(len(share), dims)
        square = x.new_zeros(len(share), dims, dims)
        for given in evidence.given:
            batch = given.batch
            s = share[:, batch.rows] * batch.real  # (K, P, n)
            if batch.whole and dims <= 2 * len(share) and x.nan_to_num().abs().max() < NEAR:
                found = _moments(x[batch.rows[0]], s[:, 0], block.mean)
                first, square = first + found[0], square + found[1]
                continue
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

    def likeliest(self, sums: Sums, block: GaussianBlock) -> GaussianBlock:
        count, first, square = sums
        n = count + 1e-9
        shift = first / n[:, None]
        scatter = square - n[:, None, None] * shift[:, :, None] * shift[:, None]
        pooled = self._pooled(n, scatter)
        if math.isinf(self.nu):
            matrix = pooled[None]
        else:
            matrix = (scatter + self.nu * pooled) / (n + self.nu)[:, None, None]
        matrix = at_least((matrix + matrix.mT) / 2, self.floor + RIDGE * pooled.diagonal())
        of = torch.zeros(len(n), dtype=torch.long)
        of = of if math.isinf(self.nu) else torch.arange(len(n))
        return GaussianBlock(block.mean + shift, matrix, of, torch.ones_like(n))

    def _pooled(self, n: Tensor, scatter: Tensor) -> Tensor:
        """The covariance within components, of those that are not far wider than the others."""
        own = scatter.diagonal(dim1=1, dim2=2).clamp(min=0) / n[:, None]
        order = own.sum(1).argsort()
        place = (n[order].cumsum(0) < n.sum() / 2).sum().clamp(max=len(n) - 1)
        middle = own[order[place]]  # the component at the weighted median
        fair = (own <= FAR * middle + 1e-12).all(1) | (n > RARE * n.sum())
        return oas(scatter[fair].sum(0) / n[fair].sum(), n[fair].sum().item())


def _moments(x: Tensor, share: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over rows x (n, D) of x - m_k and of its outer product, by shares (K, n) and means
    (K, D) or (1, D): (K, D) and (K, D, D). One product with the squares of rows serves all k."""
    middle = x.mean(0)
    y, m, n = x - middle, mean - middle, share.sum(1)[:, None]
    raw = share @ y
    products = (y[:, :, None] * y[:, None]).flatten(1)
    pairs = (share @ products).reshape(len(share), y.shape[1], -1)
    across = raw[:, :, None] * m[:, None]
    return raw - n * m, pairs - across - across.mT + n[..., None] * m[:, :, None] * m[:, None]


def at_least(matrix: Tensor, floor: Tensor) -> Tensor:
    """Covariances (K, D, D) raised to the smallest that are diag(floor) or more, (D,) positive, in
    the order of positive definite matrices. So the variance of each value given all others is its
    floor or more, and a covariance that is large enough stays as it is."""
    small = torch.linalg.cholesky_ex(matrix - torch.diag(floor))[1] > 0
    if not small.any():
        return matrix
    scale = floor.sqrt()
    value, vector = torch.linalg.eigh(matrix[small] / scale[:, None] / scale)
    raised = (vector * value.clamp(min=1.0)[:, None]) @ vector.mT
    matrix = matrix.clone()
    matrix[small] = raised * scale[:, None] * scale
    return matrix


def oas(covariance: Tensor, rows: float) -> Tensor:
    """The oracle-approximating shrinkage of a covariance (D, D) of so many rows to its diagonal
    (Chen et al., IEEE Trans. Signal Process., 2010), by correlations."""
    deviation = covariance.diagonal().clamp(min=1e-12).sqrt()
    R, p = covariance / deviation[:, None] / deviation, len(covariance)
    square, trace = R.square().sum(), R.diagonal().sum()
    below = (rows + 1 - 2 / p) * (square - trace**2 / p)
    above = (1 - 2 / p) * square + trace**2
    share = float((above / below).clamp(0, 1)) if below > 0 else 1.0
    shrunk = (1 - share) * R + share * torch.diag(R.diagonal())
    return shrunk * deviation[:, None] * deviation


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

    def sums(self, block: CategoricalBlock, evidence: Evidence, x: Tensor, share: Tensor) -> Sums:
        return (share @ x.nan_to_num(),)

    def likeliest(self, sums: Sums, block: CategoricalBlock) -> CategoricalBlock:
        counts = sums[0] + self.log_pi.exp()
        groups = block.groups
        return replace(block, log_p=(counts / groups.expand(groups.sum(counts))).log())
