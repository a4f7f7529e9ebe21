"""Real values as a block of a mixture: normal given the component, with a full covariance."""

__all__ = ["GaussianBlock"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from .block import Block, NoiseLevel
from .gaussian_evidence import LOG_2PI, GaussianEvidence, GivenPattern, TurnedRows
from .given_others import GaussianUnits
from .hole_patterns import PatternBatch, each_alone, pattern_batches
from .row_draws import Draws

AT_ONCE = 2**22
"""Numbers of the largest table over patterns of holes, components and pairs of values."""


@dataclass(frozen=True, eq=False)
class GaussianBlock(Block):
    r"""D real values with the law N(m_k, C_k) given component k, where C_k = s_k M_of(k).

    Several components can share one matrix, each with its own scale. Low-rank covariances are
    stored as full matrices (:meth:`low_rank`).

    Args:
        mean: m_k, with shape (K, D).
        matrix: the different covariance matrices, with shape (M, D, D).
        of: which of them each component has, with shape (K,).
        scale: s_k, with shape (K,).
    """

    mean: Tensor
    matrix: Tensor
    of: Tensor
    scale: Tensor

    @classmethod
    def full(cls, mean: Tensor, matrix: Tensor) -> "GaussianBlock":
        """A matrix (K, D, D) for each component, or one (1, D, D) for all."""
        of = torch.arange(len(mean), device=mean.device) % len(matrix)
        return cls(mean, matrix, of, mean.new_ones(len(mean)))

    @classmethod
    def low_rank(cls, mean: Tensor, factor: Tensor, rest: Tensor) -> "GaussianBlock":
        """Covariances F_k F_k' + diag(r_k), for factors (K, D, R) and rests (K, D)."""
        return cls.full(mean, factor @ factor.mT + torch.diag_embed(rest))

    @property
    def components(self) -> int:
        return self.mean.shape[0]

    @property
    def width(self) -> int:
        return self.mean.shape[1]

    @property
    def columns(self) -> int:
        return 1

    @cached_property
    def covariance(self) -> Tensor:
        """C_k, with shape (K, D, D)."""
        return self.matrix[self.of] * self.scale[:, None, None]

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """The eigenvalues (M, D) and eigenvectors (M, D, D) of the matrices. They serve every noise
        level: signal^2 C + noise^2 has the same vectors."""
        value, vector = torch.linalg.eigh(self.matrix.double())
        return value.clamp(min=0).to(self.matrix), vector.to(self.matrix)

    @cached_property
    def _root(self) -> Tensor:
        """The Cholesky factor of each C_k, (K, D, D)."""
        root = torch.linalg.cholesky(self.matrix)[self.of]
        return cast(Tensor, root * self.scale.sqrt()[:, None, None])

    @cached_property
    def _inverse_roots(self) -> Tensor:
        """The inverse of the Cholesky factor of each matrix, (M, D, D)."""
        root = torch.linalg.cholesky(self.matrix)
        eye = torch.eye(self.width, dtype=root.dtype, device=root.device)
        return cast(Tensor, torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False))

    def to(self, like: Tensor) -> "GaussianBlock":
        moved = self.mean.to(like), self.matrix.to(like), self.of.to(like.device)
        block = GaussianBlock(*moved, self.scale.to(like))
        if "eigen" in vars(self):  # computed once, in the type of this block
            vars(block)["eigen"] = tuple(each.to(like) for each in self.eigen)
        return block

    def picked(self, index: Tensor) -> "GaussianBlock":
        used, of = torch.unique(self.of[index], return_inverse=True)
        return GaussianBlock(self.mean[index], self.matrix[used], of, self.scale[index])

    @classmethod
    def joined(cls, blocks: Sequence[Any]) -> "GaussianBlock":
        # Blocks that differ by their scales alone have one tensor of matrices.
        matrices = {id(block.matrix): block.matrix for block in blocks}
        counts = [0, *torch.tensor([len(each) for each in matrices.values()]).cumsum(0).tolist()]
        first = dict(zip(matrices, counts[:-1], strict=True))
        of = torch.cat([block.of + first[id(block.matrix)] for block in blocks])
        mean, scale = (torch.cat([getattr(b, name) for b in blocks]) for name in ("mean", "scale"))
        return cls(mean, torch.cat(list(matrices.values())), of, scale)

    def table_size(self, x: Tensor) -> Tensor:
        """D numbers a component for each row, and D^2 for a row with holes."""
        per_row = torch.full((len(x),), self.mean.numel(), dtype=torch.long)
        return per_row + x.isnan().any(1).cpu() * (self.components * self.width**2) // 4

    def arranged(self, x: Tensor) -> list[PatternBatch]:
        pairs = max(1, self.components * self.width)
        most = max(1, AT_ONCE // (pairs * self.width)) if self.width else len(x)
        return pattern_batches(x, max(1, AT_ONCE // pairs), most)

    def evidence(
        self, x: Tensor, level: NoiseLevel | None = None, arranged: Any = None
    ) -> "GaussianEvidence":
        if level is None:
            batches = self.arranged(x) if arranged is None else arranged
            given = [self._given(x, batch) for batch in batches]
            return GaussianEvidence(self, x, tuple(given), None)
        return self._noisy_evidence(x, level)

    def _noisy_evidence(self, x: Tensor, level: NoiseLevel) -> "GaussianEvidence":
        """Rows without holes by eigenvectors; the others each alone, in float64."""
        holed = x.isnan().any(1)
        whole, some = (~holed).nonzero()[:, 0], holed.nonzero()[:, 0]
        turned = TurnedRows.of(self, x[whole], level.rows(whole), whole) if len(whole) else None
        given: list[GivenPattern] = []
        if len(some):
            double = self if x.dtype == torch.float64 else self.to(x.double())
            scales = level.signal[some].double(), level.noise[some].double()
            alone = each_alone(x[some])
            batch = PatternBatch(alone.there, some[alone.rows], alone.real)
            given.append(double._given(x.double(), batch, *scales))
        return GaussianEvidence(self, x, tuple(given), turned)

    def _given(
        self,
        x: Tensor,
        batch: PatternBatch,
        signal: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> "GivenPattern":
        """What the observed values of some rows say; signal and noise (P, 1) of each pattern."""
        if signal is None and batch.whole and x.dtype == torch.float64:
            return GivenPattern(self, batch, self._log_p_of_whole(x[batch.rows[0]])[:, None])
        there, eye = batch.there, torch.eye(self.width, dtype=x.dtype, device=x.device)
        mean = self.mean[:, None]
        if signal is None and batch.whole:
            root, across = self._root[:, None], None
        else:
            covariance = self.covariance[:, None]
            noisy, across = covariance, covariance
            if signal is not None and noise is not None:
                s, n = signal[..., None], noise[..., None]
                noisy, across, mean = s**2 * covariance + n**2 * eye, s * covariance, signal * mean
            # The rows of a value that is not observed are those of the unit matrix.
            both = there[:, :, None] & there[:, None]
            root = torch.linalg.cholesky(torch.where(both, noisy, eye))
            across = torch.where(there[:, :, None], across, 0.0)
        seen = there[:, None] & batch.real[..., None]
        off = torch.where(seen, x[batch.rows], 0.0) - (mean * there)[:, :, None]
        stretched = torch.linalg.solve_triangular(root, off.mT, upper=False)  # (K, P, D, n)
        volume = root.diagonal(dim1=2, dim2=3).log().sum(-1) + there.sum(1) * LOG_2PI / 2
        log_p = -_sum_of_squares(stretched) / 2 - volume[..., None]
        return GivenPattern(self, batch, log_p, off, stretched, root, across)

    def _log_p_of_whole(self, x: Tensor) -> Tensor:
        """log p(x | k) of rows x (n, D) without holes, with shape (K, n)."""
        inverse, of = self._inverse_roots, self.of
        # One product for all rows and matrices; solving with each row takes twice the time.
        if len(inverse) == self.components:
            each = inverse[of]
            rows = x.T.expand(self.components, -1, -1)
            stretched = torch.baddbmm(-(each @ self.mean[..., None]), each, rows)
        else:
            stretched = (inverse @ x.T)[of] - inverse[of] @ self.mean[..., None]
        volume = -inverse.diagonal(dim1=1, dim2=2).log().sum(-1)[of]
        volume = volume + self.width * (self.scale.log() + LOG_2PI) / 2
        return -_sum_of_squares(stretched) / (2 * self.scale[:, None]) - volume[:, None]

    def given_others(self, x: Tensor) -> GaussianUnits:
        return GaussianUnits.of(self, x)

    def complete(self, x: Tensor, k: Tensor, draws: Draws) -> Tensor:
        """Draws all values without condition, then adds the regression on the difference between
        the observed and the drawn values (Matheron's rule)."""
        z = draws.normal((*k.shape, self.width), x)
        drawn = self._of_components(k, z)
        hidden = x.isnan()
        if not hidden.any() or not self.width:
            return torch.where(hidden[:, None], drawn, x[:, None]) if self.width else drawn
        for batch in self.arranged(x):
            if batch.whole or not batch.there.any():
                continue
            rows = batch.rows[batch.real]
            pattern = batch.real.nonzero()[:, 0]
            off = torch.where(hidden[rows], 0.0, x[rows])[:, None] - drawn[rows]
            off = torch.where(hidden[rows][:, None], 0.0, off)
            drawn[rows] += self._regressed(batch.there, pattern, k[rows], off)
        return torch.where(hidden[:, None], drawn, x[:, None])

    def _of_components(self, k: Tensor, z: Tensor) -> Tensor:
        """Standard normal values z (B, n, D) as draws of the components k (B, n)."""
        out, flat, normal = torch.empty_like(z).flatten(0, 1), k.flatten(), z.flatten(0, 1)
        for component, places in _places(flat):
            matrix = self._root[component]
            out[places] = self.mean[component] + normal[places] @ matrix.T
        return out.reshape(z.shape)

    def _regressed(self, there: Tensor, pattern: Tensor, k: Tensor, off: Tensor) -> Tensor:
        """The regression of all values on the differences `off` (b, n, D) of observed values, for
        rows with patterns (b,) of `there` (P, D) and components (b, n)."""
        out, flat = torch.zeros_like(off).flatten(0, 1), off.flatten(0, 1)
        of_draw = pattern[:, None].expand_as(k).flatten()
        both = there[:, :, None] & there[:, None]
        eye = torch.eye(self.width, dtype=off.dtype, device=off.device)
        for component, places in _places(k.flatten()):
            covariance = self.covariance[component]
            used, which = torch.unique(of_draw[places], return_inverse=True)
            root = torch.linalg.cholesky(torch.where(both[used], covariance, eye))
            for some, index in _places(which):
                here = places[index]
                weight = torch.cholesky_solve(flat[here].T, root[some])
                out[here] = (covariance @ weight).T
        return out.reshape(off.shape)


def _sum_of_squares(stretched: Tensor) -> Tensor:
    """The sum of squares over values, (..., D, n) to (..., n), as a product, which is faster."""
    return (stretched.new_ones(1, stretched.shape[-2]) @ stretched.square()).squeeze(-2)


def _places(index: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each distinct number of index (n,), with its positions."""
    order = index.argsort(stable=True)
    values, counts = torch.unique_consecutive(index[order], return_counts=True)
    yield from zip(values.tolist(), torch.split(order, counts.tolist()), strict=True)
