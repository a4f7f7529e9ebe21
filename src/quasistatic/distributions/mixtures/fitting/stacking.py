r"""Stacking: mixtures of several sizes, weighted to maximize the likelihood of held-out rows."""

__all__ = ["Candidate", "StackedLaw", "Trial", "fitted_again", "nested", "shares_of", "stacked"]

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..gaussian_block import GaussianBlock
from ..mixture import Mixture
from .block_fits import BlockFit, GaussianFit
from .em import clustered, maximised

FOLDS, SMALL, WORK = 5, 2500, 2e6
"""The number of folds. Only one fold is held out if there are more than SMALL rows, or if rows
times pairs of real values are more than WORK."""

LEAST, TRIED = 0.01, 0.003
"""A candidate with a weight below LEAST is dropped. If its weight on the first fold is below TRIED,
its size is not fitted on the other folds."""

NUS = (math.inf, 1.0, 0.1, 0.01)
"""Shrinkage of each component's covariance to the pooled one, in pseudo-rows a dimension. The
values fall, and each fit starts from the result of the one before."""

SCALES = (1.0, 4.0, 25.0)
"""Factors of the covariances: a mixture of these copies has heavy tails, like a Student t."""

MOST_COMPONENTS, ROWS_EACH, NUMBERS = 128, 5, 4e6
"""The most components, the fewest rows a component, and the most numbers in all covariances."""

PATIENCE = 2
"""After this many sizes without an improvement, larger sizes are not tried."""


class Candidate(NamedTuple):
    """Which mixture: its components, whether its clusters were whitened, nu and its scale."""

    components: int
    white: bool
    nu: float
    scale: float

    def __str__(self) -> str:
        start = ", whitened start" if self.white else ""
        wide = f", covariance x {self.scale:g}" if self.scale != 1 else ""
        return f"{self.components} components, nu {self.nu:g}{start}{wide}"


@dataclass(frozen=True, eq=False)
class StackedLaw:
    """A mixture for a table.

    Args:
        law: of x_0.
        shares: of the candidates.
        held_out: log p of held-out rows of x_0, in nats: neither the mixtures nor the weights were
            fitted to the row.
        rows: which rows these are, with shape (len(held_out),).
    """

    law: Mixture
    shares: dict[Candidate, float]
    held_out: np.ndarray
    rows: np.ndarray

    @property
    def described(self) -> dict[str, float]:
        """The shares by the candidates' descriptions, the largest first."""
        ordered = sorted(self.shares.items(), key=lambda item: -item[1])
        return {str(name): share for name, share in ordered}


@dataclass(frozen=True, eq=False)
class Trial:
    """Candidates fitted without the first fold of the rows, and scored on that fold.

    Args:
        x: rows (N, W) of x_0 in float64, NaN a hole; real values of about unit scale.
        fits: how each block of values is fitted.
        seed: of the folds and the starts.
        fold: the part of each row, with shape (N,).
        names: the candidates.
        log_p: of the rows of fold 0 by each, (M, candidates), in nats.
    """

    x: Tensor
    fits: tuple[BlockFit, ...]
    seed: int
    fold: Tensor
    names: tuple[Candidate, ...]
    log_p: Tensor

    @classmethod
    def of(cls, x: Tensor, fits: Sequence[BlockFit], seed: int = 0) -> "Trial":
        """Fits candidates with 1, 2, 4, ... components, until more components do not help.

        Args:
            x: rows (N, W) of x_0 in float64, NaN a hole.
            fits: how each block of values is fitted.
            seed: of the folds and the starts.
        """
        fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)) % FOLDS)
        laws, log_p = _judged(x[fold != 0], x[fold == 0], fits, seed, None)
        return cls(x, tuple(fits), seed, fold, tuple(laws), log_p)

    @property
    def rows(self) -> np.ndarray:
        """The indices of the rows in fold 0."""
        return (self.fold == 0).nonzero()[:, 0].numpy()

    @property
    def held_out(self) -> np.ndarray:
        """log p of those rows, with weights fitted to other rows, in nats."""
        return nested(self.log_p)

    def finished(self) -> "StackedLaw":
        """The weighted mixture of candidates with the best held-out likelihood (stacking). On a
        small table each fold is held out once. At the end each candidate is fitted to all rows."""
        x, fold, count = self.x, self.fold, _folds(len(self.x), self.fits)
        pairs = zip(self.names, shares_of(self.log_p), strict=True)
        sizes = {name.components for name, share in pairs if share > TRIED}
        chosen = [i for i, name in enumerate(self.names) if name.components in sizes]
        names, tables = [self.names[i] for i in chosen], [self.log_p[:, chosen]]
        for k in range(1, count):
            tables.append(_judged(x[fold != k], x[fold == k], self.fits, self.seed, sizes)[1])
        table = torch.cat(tables)
        judged = torch.cat([(fold == k).nonzero()[:, 0] for k in range(count)])
        weights = zip(names, shares_of(table), strict=True)
        kept = {name: weight.item() for name, weight in weights if weight > LEAST}
        shares = {name: weight / sum(kept.values()) for name, weight in kept.items()}
        law = fitted_again(x, self.fits, shares, self.seed)
        return StackedLaw(law, shares, nested(table), judged.numpy())


def fitted_again(
    x: Tensor, fits: Sequence[BlockFit], shares: Mapping[Candidate, float], seed: int
) -> Mixture:
    """The mixture of candidates with these shares, fitted to rows x (N, W)."""
    laws = _candidates(x, fits, seed, shares)
    return Mixture.joined([laws[name] for name in shares], list(shares.values()))


def stacked(x: Tensor, fits: Sequence[BlockFit], seed: int = 0) -> StackedLaw:
    """The closed-form law of rows x (N, W): see :class:`Trial`."""
    return Trial.of(x, fits, seed).finished()


def _folds(rows: int, fits: Sequence[BlockFit]) -> int:
    return FOLDS if rows <= SMALL and rows * _dims(fits) ** 2 < WORK else 1


def _dims(fits: Sequence[BlockFit]) -> int:
    """How many real values there are."""
    return sum(fit.width for fit in fits if isinstance(fit, GaussianFit))


def _judged(
    x: Tensor, out: Tensor, fits: Sequence[BlockFit], seed: int, sizes: Collection[int] | None
) -> tuple[dict[Candidate, Mixture], Tensor]:
    """Candidates fitted to x, and log p of other rows by each, (M, candidates). Without `sizes`
    the number of components doubles until it brings nothing on those rows."""
    laws: dict[Candidate, Mixture] = {}
    columns, best, idle = [], -math.inf, 0
    for k in _counts(len(x), _dims(fits)):
        if sizes is not None and k not in sizes:
            continue
        found = _of_size(x, fits, k, seed)
        log_p = torch.stack([law.log_prob(out) for law in found.values()], 1)
        laws |= found
        columns.append(log_p)
        plain = [i for i, name in enumerate(found) if name.scale == 1]
        top = log_p[:, plain].mean(0).max().item()
        idle, best = (0 if top > best else idle + 1), max(top, best)
        if sizes is None and idle == PATIENCE:
            break
    return laws, torch.cat(columns, 1)


def _candidates(
    x: Tensor, fits: Sequence[BlockFit], seed: int, wanted: Collection[Candidate]
) -> dict[Candidate, Mixture]:
    """Those candidates that are wanted, fitted to x."""
    found: dict[Candidate, Mixture] = {}
    for k in {name.components for name in wanted}:
        found |= _of_size(x, fits, k, seed, {(n.white, n.nu) for n in wanted if n.components == k})
    return found


def _counts(rows: int, dims: int) -> list[int]:
    """1, 2, 4, ... components, as many as rows and memory allow."""
    counts, k = [], 1
    while k <= MOST_COMPONENTS and (k == 1 or ROWS_EACH * k <= rows) and k * dims**2 <= NUMBERS:
        counts.append(k)
        k *= 2
    return counts or [1]


def _of_size(
    x: Tensor,
    fits: Sequence[BlockFit],
    components: int,
    seed: int,
    wanted: Collection[tuple[bool, float]] | None = None,
) -> dict[Candidate, Mixture]:
    """All candidates of one size, or those that are wanted and what they start from."""
    dims, found = _dims(fits), {}
    for white in (False, True) if components > 1 and dims > 1 else (False,):
        nus: tuple[float, ...] = NUS if components > 1 and dims else NUS[:1]
        if wanted is not None:
            last = [i for i, nu in enumerate(nus) if (white, nu) in wanted]
            nus = nus[: last[-1] + 1] if last else ()
        law = clustered(x, fits, components, white, seed) if nus else None
        for nu in nus:
            assert law is not None  # as there is a nu
            shrunk = [_with_nu(fit, nu * (dims + 1)) for fit in fits]
            law = maximised(x, law, shrunk)
            for scale in SCALES if dims else SCALES[:1]:
                found[Candidate(components, white, nu, scale)] = _scaled(law, scale)
    return found


def _with_nu(fit: BlockFit, nu: float) -> BlockFit:
    return replace(fit, nu=nu) if isinstance(fit, GaussianFit) else fit


def _scaled(law: Mixture, scale: float) -> Mixture:
    """The same law with all covariances that many times as large."""
    if scale == 1:
        return law
    blocks = [
        replace(block, scale=block.scale * scale) if isinstance(block, GaussianBlock) else block
        for block in law.blocks
    ]
    return replace(law, blocks=tuple(blocks))


def shares_of(log_p: Tensor, rounds: int = 300) -> Tensor:
    """The shares w (J,) that make sum over rows of log sum_j w_j p_j largest, for log p (N, J), by
    expectation maximisation; the function is concave."""
    p = (log_p - log_p.max(1, keepdim=True)[0]).exp()
    share = torch.full_like(p[0], 1 / p.shape[1])
    for _ in range(rounds):
        share = (p * share / (p @ share)[:, None]).mean(0)
    return share


def nested(log_p: Tensor) -> np.ndarray:
    """log p of each row (N,), with weights fitted to other rows."""
    out, part = torch.empty_like(log_p[:, 0]), torch.arange(len(log_p)) % FOLDS
    for k in range(FOLDS):
        if (part == k).any():
            share = shares_of(log_p[part != k]) if (part != k).any() else shares_of(log_p)
            out[part == k] = (log_p[part == k] + share.log()).logsumexp(1)
    return out.numpy()
