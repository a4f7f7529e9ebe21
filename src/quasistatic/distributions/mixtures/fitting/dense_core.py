"""Rows that lie far closer together than all others, as one narrow component.

Clusters do not find such rows: they are too few, and each component of a mixture is drawn to the
covariance that all share. Mixed with other laws, a law of their own costs one normal.
"""

__all__ = ["dense_core", "law_of_rows"]

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..mixture import Mixture
from .block_fits import BlockFit, GaussianFit, parts_of
from .clusters import clustered
from .em import Batch, log_p_each, most_likely
from .learning_rows import LearningRows

LOOKED_AT, PIECE = 4000, 500
"""Rows that are looked at, at most, and whose distances are computed at once."""

NEIGHBOURS, SHARE = 8, 0.005
"""The neighbours of a row that are looked at: so many, or this share of the rows."""

CLOSER = 5.0
"""How many times closer than those of the median row the neighbours of a core's row are."""

ROUNDS = 5
"""Rounds of expectation maximisation that take a core from a row and its neighbours to all of its
rows, beside one normal of all rows."""


def dense_core(rows: LearningRows, closer: float = CLOSER) -> Mixture | None:
    """The law of one component of the rows of the densest core. Its covariance is not shrunk: a
    core is often flat, and any share of another covariance would fill it out.

    Args:
        rows: any of them may lack values; those that lack none show where the core is.
        closer: how many times closer than others rows must lie.

    Returns:
        None if no rows lie so close together, or if rows have too few real values to tell.
    """
    core = _first_rows(rows, closer)
    if core is None:
        return None
    share = torch.zeros(1, 1, len(rows), dtype=rows.x.dtype)
    share[..., core] = 1.0
    broad = _one(rows)
    narrow = LearningRows.of(rows.x, _unshrunk(rows.fits))
    law = law_of_rows(rows, core)
    for _ in range(ROUNDS):
        log_p = log_p_each(rows, Batch.of([law, broad])).T
        weight = (share.sum() + 1) / (len(rows) + 2)
        log_p = log_p + torch.stack([weight, 1 - weight]).log()[:, None]
        share = log_p.softmax(0)[None, :1]
        law = most_likely(narrow, law, share).law
    return law


def law_of_rows(rows: LearningRows, index: Tensor) -> Mixture:
    """The law of one component of some rows (n,), not shrunk."""
    return _one(LearningRows.of(rows.x[index], _unshrunk(rows.fits)))


def _first_rows(rows: LearningRows, closer: float) -> Tensor | None:
    """The indices of a row and its neighbours, where these are closest."""
    parts = parts_of(rows.x, rows.fits)
    real = [part for fit, part in parts if isinstance(fit, GaussianFit) and fit.width > 1]
    if not real:
        return None
    whole = (~torch.cat(real, 1).isnan().any(1)).nonzero()[:, 0]
    if len(whole) <= 2 * NEIGHBOURS:
        return None
    points = rows.points[0][whole]
    some = points[:: -(-len(points) // LOOKED_AT)]
    count = 1 + max(NEIGHBOURS, round(SHARE * len(some)))
    pieces = torch.split(some, PIECE)
    near = torch.cat([torch.cdist(piece, some).kthvalue(count, 1)[0] for piece in pieces])
    if closer * near.min() > near.median():
        return None
    centre = some[int(near.argmin())]
    return whole[torch.cdist(centre[None], points)[0] <= near.min()]


def _unshrunk(fits: Sequence[BlockFit]) -> list[BlockFit]:
    return [replace(fit, nu=0.0) if isinstance(fit, GaussianFit) else fit for fit in fits]


def _one(rows: LearningRows) -> Mixture:
    """The law of one component of all rows."""
    return clustered(rows, 1, [False], rows.x.new_ones(1, len(rows)), seed=0).law
