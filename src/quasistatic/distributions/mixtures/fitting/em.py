"""Mixtures fitted to rows with holes by expectation maximisation, exactly."""

__all__ = ["clustered", "maximised"]

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from ..mixture import Conditional, Mixture, Piece
from .block_fits import BlockFit, GaussianFit

ROUNDS, ENOUGH = 20, 2e-3
"""The most rounds, and the gain of a round, in nats a row, below which the iteration stops."""


def maximised(
    x: Tensor,
    law: Mixture,
    fits: Sequence[BlockFit],
    pieces: Sequence[Piece] | None = None,
    rounds: int = ROUNDS,
) -> Mixture:
    """Where expectation maximisation takes a law from there, by rows x (N, W).

    Args:
        pieces: of the rows, as `law.pieces(x)` gives them; they serve all laws of one size.
        rounds: at most.
    """
    dims = sum(fit.width for fit in fits if isinstance(fit, GaussianFit))
    enough = ENOUGH * max(1.0, dims**0.5 / 3)
    pieces, before = law.pieces(x) if pieces is None else pieces, -math.inf
    for _ in range(rounds):
        law, now = _round(law, pieces, fits)
        now /= len(x)
        if abs(now - before) < enough:
            break
        before = now
    return law


def _round(
    law: Mixture, pieces: Sequence[Piece], fits: Sequence[BlockFit]
) -> tuple[Mixture, float]:
    """The next law, and the sum of log p of the rows by this one."""
    total, log_p = None, 0.0
    for piece in pieces:
        given = law.of_piece(piece)
        log_p += given.log_prob.sum().item()
        found = _sums(given, given.share, fits)
        total = found if total is None else _added(total, found)
    assert total is not None  # there is at least one row
    return _likeliest(law, total, fits), log_p


Sums = tuple[Tensor, list[tuple[Tensor, ...]]]


def _sums(given: Conditional, share: Tensor, fits: Sequence[BlockFit]) -> Sums:
    """Sufficient statistics of rows: the count of each component, and the sums of each block."""
    parts = torch.split(given.x, list(given.law.widths), 1)
    each = zip(fits, given.law.blocks, given.evidence, parts, strict=True)
    return share.sum(1), [fit.sums(block, says, x, share) for fit, block, says, x in each]


def _added(a: Sums, b: Sums) -> Sums:
    pairs = zip(a[1], b[1], strict=True)
    return a[0] + b[0], [tuple(p + q for p, q in zip(x, y, strict=True)) for x, y in pairs]


def _likeliest(law: Mixture, sums: Sums, fits: Sequence[BlockFit]) -> Mixture:
    count, each = sums
    pairs = zip(fits, each, law.blocks, strict=True)
    blocks = tuple(fit.likeliest(found, block) for fit, found, block in pairs)
    return Mixture(((count + 1) / (count + 1).sum()).log(), blocks)


def clustered(
    x: Tensor, fits: Sequence[BlockFit], components: int, white: bool, seed: int
) -> Mixture:
    """An initial mixture, from clusters of the rows x (N, W).

    Args:
        white: whether real values are whitened first, so that clusters do not follow correlations
            that all rows share.
        seed: of the clusters' centres.
    """
    alone = Mixture(x.new_zeros(1), tuple(fit.alone(part) for fit, part in _parts(x, fits)))
    if components == 1:
        label = np.zeros(len(x), dtype=np.int64)
    else:
        each = [_coordinates(part, fit, white) for fit, part in _parts(x, fits)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # rows that are alike
            means = KMeans(
                components,
                n_init=1,  # pyright: ignore[reportArgumentType]
                max_iter=30,
                random_state=seed,
            )
            label = means.fit_predict(np.concatenate(each, 1))
    share = torch.from_numpy(np.eye(components)[label].T)
    total = None
    for piece in alone.pieces(x):
        found = _sums(alone.of_piece(piece), share[:, piece.index], fits)
        total = found if total is None else _added(total, found)
    assert total is not None  # there is at least one row
    return _likeliest(alone, total, fits)


def _parts(x: Tensor, fits: Sequence[BlockFit]) -> list[tuple[BlockFit, Tensor]]:
    return list(zip(fits, torch.split(x, [fit.width for fit in fits], 1), strict=True))


def _coordinates(x: Tensor, fit: BlockFit, white: bool) -> np.ndarray:
    """Values (N, W) as clusters see them, a hole at the middle of its column. Real values are in
    robust units: a value far out cannot squash the others."""
    if not isinstance(fit, GaussianFit) or not fit.width:
        return x.nan_to_num().numpy()
    y = x.numpy()
    low, middle, high = np.nanquantile(y, [0.25, 0.5, 0.75], axis=0)
    scale = np.where(high > low, (high - low) / 1.35, np.nanstd(y, 0) + 1e-12)
    y = np.nan_to_num(np.arcsinh((y - middle) / scale))
    if not white:
        return np.asarray(y)
    variance, basis = np.linalg.eigh(np.cov(y.T).reshape(fit.width, fit.width))
    scale = np.sqrt(np.maximum(variance, 1e-4 * variance[-1] + 1e-12))
    return np.asarray((y - y.mean(0)) @ basis / scale)
