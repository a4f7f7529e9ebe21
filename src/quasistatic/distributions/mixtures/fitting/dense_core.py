"""Rows that lie far closer together than all others, as one narrow component.

Clusters do not find such rows: they are too few, and each component of a mixture is drawn to the
covariance that all share. Mixed with other laws, a law of their own costs one normal.
"""

__all__ = ["core_law", "core_rows"]

from dataclasses import replace

import torch
from torch import Tensor

from ..gaussian_block import GaussianBlock
from ..mixture import Mixture
from .block_fits import GaussianFit, parts_of
from .em import most_likely
from .learning_rows import LearningRows

LOOKED_AT, PIECE = 4000, 500
"""Rows that are looked at, at most, and whose distances are computed at once."""

NEIGHBOURS, SHARE = 8, 0.005
"""The neighbours of a row that are looked at: so many, or this share of the rows."""

CLOSER = 5.0
"""How many times closer than those of the median row the neighbours of a core's row are."""

FAR, ROUNDS = 4.0, 5
"""A core is first a row and its neighbours. Then it has the rows within FAR deviations a value, as
a root mean square, of a normal of its rows, at most so many times over."""


def core_rows(rows: LearningRows, closer: float = CLOSER) -> Tensor | None:
    """The indices of the rows of the densest core; None if no rows lie so many times closer
    together than others, or if rows have too few real values to tell."""
    place = _real(rows)
    whole = rows.whole.nonzero()[:, 0]
    if place is None or len(whole) <= 2 * NEIGHBOURS:
        return None
    points = rows.points[0][whole]
    some = points[:: -(-len(points) // LOOKED_AT)]
    count = 1 + max(NEIGHBOURS, round(SHARE * len(some)))
    near = torch.cat(
        [torch.cdist(piece, some).kthvalue(count, 1)[0] for piece in torch.split(some, 500)]
    )
    if closer * near.min() > near.median():
        return None
    centre = some[int(near.argmin())]
    core = torch.cdist(centre[None], points)[0] <= near.min()
    values = parts_of(rows.x[whole], rows.fits)[place][1]
    for _ in range(ROUNDS):
        normal = core_law(rows, whole[core]).blocks[place]
        assert isinstance(normal, GaussianBlock)  # as the block's fit makes it
        root = torch.linalg.cholesky(normal.matrix[0])
        off = torch.linalg.solve_triangular(root, (values - normal.mean[0]).T, upper=False)
        now = off.square().mean(0) <= FAR**2
        if now.sum() < NEIGHBOURS or torch.equal(now, core):
            break
        core = now
    return whole[core]


def core_law(rows: LearningRows, core: Tensor) -> Mixture:
    """The law of one component of the rows of a core, by their indices (n,). Its covariance is not
    shrunk: a core is often flat, and any share of another covariance would fill it out."""
    fits = [replace(fit, nu=0.0) if isinstance(fit, GaussianFit) else fit for fit in rows.fits]
    own = LearningRows.of(rows.x[core], fits)
    alone = tuple(fit.alone(part) for fit, part in parts_of(own.x, own.fits))
    start = Mixture(own.x.new_zeros(1), alone)
    return most_likely(own, start, own.x.new_ones(1, 1, len(core))).law


def _real(rows: LearningRows) -> int | None:
    """Which block has the real values, if there are two or more."""
    for place, fit in enumerate(rows.fits):
        if isinstance(fit, GaussianFit) and fit.width > 1:
            return place
    return None
