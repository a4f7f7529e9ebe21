"""Pictures and signals as a block of a mixture: normal with independent coefficients."""

__all__ = ["Denoised", "SpectralBlock", "SpectralEvidence"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .block import Block, Evidence, Moments, NoiseLevel
from .cosine_basis import CosineBasis
from .gaussian_block import GaussianBlock
from .given_others import UnitLaws
from .row_draws import Draws

LOG_2PI = math.log(2 * math.pi)

TOGETHER = 8
"""Variances that are multiplied before a logarithm: from 1e-38 to 1e38, their product is finite."""

MOST_DENSE = 2**27
"""Numbers of the covariance matrices of all components, up to which values can be missing."""


class Denoised(NamedTuple):
    """What a spectral law gives for x_t = signal x_0 + noise eps; each field has shape (B, *).

    Args:
        mean: E[x_0 | x_t].
        variance: Var[x_0 | x_t] of each value.
        eps: E[eps | x_t].
        free: 1 - SNR Var[x_0 | x_t]: the share of the noise's variance in x_t that x_t leaves open.
        white: x_t in deviations of the law of x_t: standard normal where the law is one normal,
            and else the mean over components.
    """

    mean: Tensor
    variance: Tensor
    eps: Tensor
    free: Tensor
    white: Tensor


@dataclass(frozen=True, eq=False)
class SpectralBlock(Block):
    r"""D real values x with the law N(m_k, Q' diag(v_k) Q) given component k, where Q is an
    orthonormal basis of cosines that all components share.

    The log-density, the denoiser and draws cost a cosine transform and K D operations an example.
    Where some values are missing (NaN), the law of the others is not diagonal in Q: such rows use
    full covariance matrices, which small examples allow.

    Args:
        basis: Q.
        mean: the coefficients of m_k, with shape (K, D).
        variance: v_k, with shape (K, D), positive.
    """

    basis: CosineBasis
    mean: Tensor
    variance: Tensor

    @property
    def components(self) -> int:
        return len(self.mean)

    @property
    def width(self) -> int:
        return self.mean.shape[1]

    @property
    def columns(self) -> int:
        return 1

    def to(self, like: Tensor) -> "SpectralBlock":
        return SpectralBlock(self.basis.to(like), self.mean.to(like), self.variance.to(like))

    def picked(self, index: Tensor) -> "SpectralBlock":
        return SpectralBlock(self.basis, self.mean[index], self.variance[index])

    def resized(self, sizes: Sequence[int]) -> "SpectralBlock":
        """The law of larger or smaller pieces of the same textures: the spectra by frequency in
        cycles a place, and the mean of all places.

        Args:
            sizes: of the axes of places.

        Raises:
            TypeError: if the basis is one of whole examples, without an axis of places.
        """
        if not self.basis.axes:
            raise TypeError("a law of principal components holds for examples of one size only")
        basis, index = self.basis.resized(sizes)
        split = (len(self.mean), self.basis.channels, self.basis.frequencies)
        variance = self.variance.reshape(split)[..., index].flatten(1)
        mean = self.mean.new_zeros(*split[:2], basis.frequencies)
        scale = math.sqrt(basis.frequencies / self.basis.frequencies)
        mean[..., 0] = scale * self.mean.reshape(split)[..., 0]
        return SpectralBlock(basis, mean.flatten(1), variance)

    @classmethod
    def joined(cls, blocks: Sequence[Any]) -> "SpectralBlock":
        """One block with the components of several, which must share a basis.

        Raises:
            ValueError: if they do not.
        """
        first = blocks[0].basis
        for block in blocks[1:]:
            other = block.basis
            alike = (other.shape, other.axes) == (first.shape, first.axes)
            if not alike or not torch.equal(other.directions, first.directions):
                raise ValueError("spectral blocks can be joined where they share one basis")
        names = ("mean", "variance")
        return cls(first, *(torch.cat([getattr(b, name) for b in blocks]) for name in names))

    @cached_property
    def dense(self) -> GaussianBlock:
        """The same law with full covariance matrices.

        Raises:
            ValueError: if they would be too large.
        """
        numbers = self.components * self.width**2
        if numbers > MOST_DENSE:
            raise ValueError(
                f"{self.components} components of {self.width} values have too large covariance "
                "matrices to condition on some values alone: use smaller examples, fewer "
                "components, or `complete` of a model that stands on this law"
            )
        basis = self.basis.matrix()
        matrix = (basis.T * self.variance[:, None]) @ basis
        return GaussianBlock.full(self.basis.back(self.mean), (matrix + matrix.mT) / 2)

    def evidence(
        self, x: Tensor, level: NoiseLevel | None = None, arranged: Any = None
    ) -> Evidence:
        if not x.isnan().any():
            return SpectralEvidence(self, x, level)
        holed = x.isnan().any(1)
        if level is None:
            level_of_holed, level_of_whole = None, None
        else:
            level_of_holed, level_of_whole = level.rows(holed), level.rows(~holed)
        return _PartlyHoled(
            holed,
            self.dense.evidence(x[holed], level_of_holed),
            SpectralEvidence(self, x[~holed], level_of_whole),
        )

    def given_others(self, x: Tensor) -> UnitLaws:
        return self.dense.given_others(x)

    def complete(self, x: Tensor, k: Tensor, draws: Draws) -> Tensor:
        hidden = x.isnan()
        if hidden.any() and not hidden.all():
            return self.dense.complete(x, k, draws)
        z = draws.normal((*k.shape, self.width), x)
        drawn = self.basis.back(self.mean[k] + self.variance[k].sqrt() * z)
        return torch.where(hidden[:, None], drawn, x[:, None])

    @staticmethod
    def log_p_of_coefficients(z: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """log p(z | k) of coefficients z (B, D), with shape (K, B), in float64: as products of
        matrices, whose cancelling terms need the digits."""
        middle = mean.mean(0).double()
        z, mean, precision = z.double() - middle, mean.double() - middle, 1 / variance.double()
        square = precision @ z.square().T - 2 * (mean * precision) @ z.T
        constant = (mean.square() * precision - precision.log()).sum(1) + z.shape[1] * LOG_2PI
        return -(square + constant[:, None]) / 2

    def table_size(self, x: Tensor) -> Tensor:
        """K D numbers for each row, and K D^2 for a row with holes."""
        per_row = torch.full((len(x),), self.mean.numel(), dtype=torch.long)
        return per_row + x.isnan().any(1).cpu() * (self.components * self.width**2) // 4


class SpectralEvidence(Evidence):
    """The likelihood of each component by rows without holes: x_0, or x_t at a noise level."""

    def __init__(self, block: SpectralBlock, x: Tensor, level: NoiseLevel | None) -> None:
        self.block, self.x, self.level = block, x, level
        z = block.basis.turn(x)
        if level is None:
            found = block.log_p_of_coefficients(z, block.mean, block.variance)
            self.log_p = found[..., None].to(x)
            return
        # x_t has the coefficients' laws N(signal m, signal^2 v + noise^2). With one level for all
        # rows there is one spread, (K, 1, D).
        self.off = z - level.signal * block.mean[:, None]  # (K, B, D)
        self.spread = torch.addcmul(level.noise**2, level.signal**2, block.variance[:, None])
        square = (self.off.square() / self.spread).sum(-1)
        constant = _sum_of_logs(self.spread) + z.shape[1] * LOG_2PI
        self.log_p = -(square + constant)[..., None] / 2

    def moments(self, log_joint: Tensor) -> Moments:
        nothing = torch.zeros_like(self.x)
        if self.level is None:
            return Moments(self.x, nothing, nothing)
        found = self.denoised(log_joint)
        return Moments(found.mean, found.variance, nothing)

    def denoised(self, log_joint: Tensor) -> "Denoised":
        """What the law gives for noisy rows. All differences of nearly equal numbers are computed
        in the basis, where they are products.

        Args:
            log_joint: log p(k, x_t), with shape (K, B).

        Raises:
            ValueError: if the rows are x_0.
        """
        if self.level is None:
            raise ValueError("rows are denoised at a noise level, and these are x_0")
        basis, signal, noise = self.block.basis, self.level.signal, self.level.noise
        share, kept = self._shares(log_joint)
        off, spread = self.off[kept], self.spread[kept]
        center, variance = self.block.mean[kept, None], self.block.variance[kept, None]
        within = self._value_variance(share, variance / spread * noise**2)
        free = self._value_variance(share, noise**2 / spread)
        if self._one_each(share):  # on a CPU: the numbers of each row's component alone
            k, rows = share[..., 0].argmax(0), torch.arange(share.shape[1])
            share = share.new_ones(1, len(rows), 1)
            off, spread = off[k, rows][None], spread[k, rows if spread.shape[1] > 1 else 0][None]
            center, variance = center[k, 0][None], variance[k, 0][None]
        precision = 1 / spread
        each = torch.addcmul(center, signal * variance * precision, off)
        mean = (share * each).sum(0)
        between = self._between(share, each, mean)
        eps = (share * off * precision).sum(0)
        white = (share * off * precision.sqrt()).sum(0)
        in_places, eps, white = basis.back(torch.stack([mean, eps, white])).unbind()
        return Denoised(
            in_places, within + between, eps * noise, free - between * (signal / noise) ** 2, white
        )

    @staticmethod
    def _one_each(share: Tensor) -> bool:
        """Whether every row has one component, for shares (K', B, 1): False where the answer would
        have to be waited for, and in compiled code."""
        if share.device.type != "cpu" or torch.compiler.is_compiling() or len(share) < 2:
            return False
        return bool((share > 1 - torch.finfo(share.dtype).eps).any(0).all())

    def _value_variance(self, share: Tensor, variance: Tensor) -> Tensor:
        """The variance of each value (B, D) where the coefficients are independent, from shares
        (K', B, 1) and the variances (K', B or 1, D) of each component's coefficients."""
        basis = self.block.basis
        if variance.shape[1] == 1 and len(variance) < share.shape[1]:  # fewer components than rows
            return share[..., 0].T @ basis.value_variance(variance[:, 0])
        return basis.value_variance((share * variance).sum(0))

    def _between(self, share: Tensor, each: Tensor, mean: Tensor) -> Tensor:
        """The variance of each value (B, D) that the means of the components have about the mean of
        all: about it, for at high SNR it has none of the mean square's digits. On a CPU it is
        computed for rows of several components only; it is zero for the others."""
        basis = self.block.basis
        if share.device.type != "cpu" or torch.compiler.is_compiling():
            return (share * basis.back(each - mean).square()).sum(0)
        between = torch.zeros_like(mean)
        alone = (share > 1 - torch.finfo(share.dtype).eps).any(0)[:, 0]
        rows = (~alone).nonzero()[:, 0]
        if len(rows):
            apart = basis.back(each[:, rows] - mean[rows])
            between[rows] = (share[:, rows] * apart.square()).sum(0)
        return between

    def _shares(self, log_joint: Tensor) -> tuple[Tensor, Any]:
        """p(k | x_t), with shape (K', B, 1), of an index of components: on a CPU, of those that
        have a share in any row; elsewhere, and in compiled code, of all, so that shapes do not
        depend on values."""
        share = log_joint.softmax(0)[..., None]
        if share.device.type != "cpu" or torch.compiler.is_compiling():
            return share, slice(None)
        kept = (share > torch.finfo(share.dtype).eps).any(1).nonzero()[:, 0]
        return share[kept], kept


def _sum_of_logs(x: Tensor) -> Tensor:
    """The sum over the last axis of log(x) of positive numbers. On a CPU logarithms are slow: there
    it takes those of products of `TOGETHER` numbers, in float64."""
    count = x.shape[-1] // TOGETHER
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not count:
        return x.log().sum(-1)
    cut = count * TOGETHER
    product = x[..., :count].double()
    for start in range(count, cut, count):
        product = product * x[..., start : start + count]
    return (product.log().sum(-1) + x[..., cut:].double().log().sum(-1)).to(x)


class _PartlyHoled(Evidence):
    """Rows of which some have holes, those by full covariance matrices."""

    def __init__(self, holed: Tensor, some: Evidence, others: Evidence) -> None:
        self.holed, self.some, self.others = holed, some, others
        log_p = some.log_p
        self.log_p = log_p.new_empty(len(log_p), len(holed), 1)
        self.log_p[:, holed], self.log_p[:, ~holed] = log_p, others.log_p

    def moments(self, log_joint: Tensor) -> Moments:
        some = self.some.moments(log_joint[:, self.holed])
        others = self.others.moments(log_joint[:, ~self.holed])
        found = []
        for name in Moments.__dataclass_fields__:
            first, second = getattr(some, name), getattr(others, name)
            both = first.new_empty(len(self.holed), first.shape[1])
            both[self.holed], both[~self.holed] = first, second
            found.append(both)
        return Moments(*found)
