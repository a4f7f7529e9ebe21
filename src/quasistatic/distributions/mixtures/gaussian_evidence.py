"""The likelihood of the components of a :class:`GaussianBlock` by rows, and the moments of x_0."""

__all__ = ["LOG_2PI", "GaussianEvidence", "GivenPattern", "TurnedRows"]

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from .block import Evidence, Moments, NoiseLevel
from .hole_patterns import PatternBatch

if TYPE_CHECKING:
    from .gaussian_block import GaussianBlock

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class GivenPattern:
    """The regression on the observed values, for rows with the same holes.

    Args:
        block: the law.
        batch: which rows, and their patterns.
        log_p: log p(x | k), with shape (K, P, n).
        off: x - E[x | k] of the observed values, with shape (K, P, n, D).
        stretched: L^-1 (x - E[x | k]), with shape (K, P, D, n), where L L' is the covariance of the
            observed values.
        root: L, with shape (K, P, D, D).
        across: Cov[x, x_0] of the observed values, (K, P, D, D); None if x is x_0 without holes,
            where `off`, `stretched` and `root` may be None too.
    """

    block: "GaussianBlock"
    batch: PatternBatch
    log_p: Tensor
    off: Tensor | None = None
    stretched: Tensor | None = None
    root: Tensor | None = None
    across: Tensor | None = None

    @cached_property
    def gain(self) -> Tensor | None:
        """R, with shape (K, P, D, D): the conditional covariance of x_0 is C_k - R'R. None if it is
        zero."""
        if self.across is None or self.root is None:
            return None
        return cast(Tensor, torch.linalg.solve_triangular(self.root, self.across, upper=False))

    def mean(self, x: Tensor) -> Tensor:
        """E[x_0 | x, k], with shape (K, P, n, D)."""
        if self.gain is None or self.stretched is None:
            return x[self.batch.rows].expand(self.block.components, -1, -1, -1)
        return self.block.mean[:, None, None] + self.stretched.mT @ self.gain

    def off_mean(self, x: Tensor) -> Tensor:
        """E[x_0 | x, k] - m_k where x is x_0 with holes, with shape (K, P, n, D)."""
        if self.gain is None or self.stretched is None:
            return x[self.batch.rows] - self.block.mean[:, None, None]
        return self.stretched.mT @ self.gain

    def left(self) -> Tensor | None:
        """Var[x_0 | x, k] as a matrix, with shape (K, P, D, D); None if it is zero."""
        if self.gain is None:
            return None
        return self.block.covariance[:, None] - self.gain.mT @ self.gain


@dataclass(frozen=True, eq=False)
class TurnedRows:
    """Rows without holes at a noise level, in the basis of the eigenvectors.

    `off` is U_k' (x_t - signal m_k) and `spread` its variance, both (K, B, D).
    """

    block: "GaussianBlock"
    rows: Tensor
    level: NoiseLevel
    off: Tensor
    spread: Tensor

    @classmethod
    def of(cls, block: "GaussianBlock", x: Tensor, level: NoiseLevel, rows: Tensor) -> "TurnedRows":
        value, vector = block.eigen
        off = (x - level.signal * block.mean[:, None]) @ vector[block.of]
        variance = block.scale[:, None] * value[block.of]
        spread = level.signal**2 * variance[:, None] + level.noise**2
        return cls(block, rows, level, off, spread)

    def log_p(self) -> Tensor:
        """log p(x_t | k), with shape (K, B)."""
        return -(self.off**2 / self.spread + self.spread.log() + LOG_2PI).sum(-1) / 2

    def moments(self) -> tuple[Tensor, Tensor]:
        """E[x_0 | x_t, k] and Var[x_0 | x_t, k], both (K, B, D)."""
        block, level = self.block, self.level
        value, vector = block.eigen
        ratio = (block.scale[:, None] * value[block.of])[:, None] / self.spread
        turned = vector[block.of].mT
        mean = block.mean[:, None] + (level.signal * ratio * self.off) @ turned
        return mean, (level.noise**2 * ratio) @ turned**2


class GaussianEvidence(Evidence):
    """The likelihood of each component: by patterns of holes, or for noisy rows without holes by
    the eigenvectors."""

    def __init__(
        self,
        block: "GaussianBlock",
        x: Tensor,
        given: tuple[GivenPattern, ...],
        turned: TurnedRows | None,
    ) -> None:
        self.block, self.x, self.given, self.turned = block, x, given, turned
        if len(given) == 1 and given[0].batch.whole and turned is None:
            self.log_p = given[0].log_p[:, 0, :, None].to(x)  # all rows, in their order
            return
        self.log_p = x.new_zeros(block.components, len(x), 1)
        for each in given:
            self.log_p[:, each.batch.rows[each.batch.real], 0] = each.log_p[:, each.batch.real].to(
                x
            )
        if turned is not None:
            self.log_p[:, turned.rows, 0] = turned.log_p()

    def moments(self, log_joint: Tensor) -> Moments:
        share = log_joint.softmax(0)
        mean, variance = torch.empty_like(self.x), torch.empty_like(self.x)
        for each in self.given:
            real = each.batch.real
            rows, middle = each.batch.rows[real], each.mean(self.x.to(each.log_p))[:, real]
            left = each.left()
            within = torch.zeros_like(middle)
            if left is not None:
                pattern = real.nonzero()[:, 0]
                within = left.diagonal(dim1=2, dim2=3).clamp(min=0)[:, pattern]
            found = _mixed(share[:, rows].to(middle), middle, within)
            mean[rows], variance[rows] = (each.to(self.x) for each in found)
        if self.turned is not None:
            rows = self.turned.rows
            mean[rows], variance[rows] = _mixed(share[:, rows], *self.turned.moments())
        return Moments(mean, variance, torch.zeros_like(mean))


def _mixed(share: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the variance over components of shares (K, B), each (B, D)."""
    share = share[..., None]
    middle = (share * mean).sum(0)
    # About the mean, for at high SNR the variance has none of the mean square's digits.
    return middle, (share * (variance + (mean - middle) ** 2)).sum(0)
