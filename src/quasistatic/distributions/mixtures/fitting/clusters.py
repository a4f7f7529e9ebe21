"""Clusters of rows, where the components of mixtures start."""

__all__ = ["clustered", "k_means"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..mixture import Mixture
from .block_fits import parts_of
from .em import Batch, most_likely
from .learning_rows import LearningRows

ROUNDS = 20
"""Rounds of k-means at most."""


def clustered(
    rows: LearningRows, components: int, white: Sequence[bool], weight: Tensor, seed: int
) -> Batch:
    """Initial mixtures, from clusters of the rows.

    Args:
        rows: N of them.
        components: of each mixture.
        white: for each of S starts, whether real values are whitened first, so that clusters do
            not follow correlations that all rows share.
        weight: 1 for the rows that a mixture is fitted to and 0 for the others, with shape (F, N).
        seed: of the clusters' centres.

    Returns:
        S F mixtures, those of one start next to each other.
    """
    fits = rows.fits
    alone = Mixture(
        rows.x.new_zeros(1), tuple(fit.alone(part) for fit, part in parts_of(rows.x, fits))
    )
    if components == 1:
        share = weight.repeat(len(white), 1)[:, None]
    else:
        each = [k_means(rows.points[kind], components, weight, seed) for kind in white]
        label = torch.cat(each)  # (S F, N)
        share = torch.zeros(len(label), components, len(rows), dtype=rows.x.dtype)
        share.scatter_(1, label[:, None], weight.repeat(len(white), 1)[:, None])
    return most_likely(rows, alone, share)


def k_means(points: Tensor, components: int, weight: Tensor, seed: int) -> Tensor:
    """Clusters of points, for several weights at once: Lloyd's iteration from the seeds of greedy
    k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Args:
        points: with shape (N, D).
        components: K, the number of clusters.
        weight: of each point, with shape (F, N).
        seed: of the centres.

    Returns:
        The cluster of each point, with shape (F, N).
    """
    centre = _seeds(points, components, weight, torch.Generator().manual_seed(seed))
    label = None
    for _ in range(ROUNDS):
        near = torch.baddbmm(
            centre.square().sum(2, keepdim=True) / 2,
            centre,
            points.T.expand(len(weight), -1, -1),
            alpha=-1,
        )
        now = near.argmin(1)
        if label is not None and torch.equal(now, label):
            break
        label = now
        of = torch.zeros_like(near).scatter_(1, label[:, None], weight[:, None])
        count = of.sum(2, keepdim=True)
        found = of.flatten(0, 1) @ points
        moved = found.view_as(centre) / count.clamp(min=1e-300)
        centre = torch.where(count > 0, moved, centre)
    assert label is not None  # there is at least one round
    return label


def _seeds(points: Tensor, components: int, weight: Tensor, rng: torch.Generator) -> Tensor:
    """Rows far from each other, (F, K, D): each the best of a few drawn by their distances."""
    parts, tries = len(weight), 2 + int(math.log(components))
    square = points.square().sum(1)

    def distance(rows: Tensor) -> Tensor:  # (F, L) to (F, L, N)
        chosen = points[rows]
        across = chosen.flatten(0, 1) @ points.T
        found = square[rows].flatten()[:, None] - 2 * across + square
        return found.clamp(min=0).view(parts, -1, len(points))

    def drawn(p: Tensor, count: int) -> Tensor:
        whole = p.cumsum(1)
        u = torch.rand(parts, count, generator=rng, dtype=points.dtype) * whole[:, -1:]
        return torch.searchsorted(whole, u).clamp(max=len(points) - 1)

    first = drawn(weight, 1)
    nearest = distance(first)[:, 0]
    found = [first[:, 0]]
    for _ in range(components - 1):
        tried = drawn(weight * nearest, tries)
        now = torch.minimum(distance(tried), nearest[:, None])
        best = (now * weight[:, None]).sum(2).argmin(1, keepdim=True)
        nearest = now.take_along_dim(best[..., None], 1)[:, 0]
        found.append(tried.take_along_dim(best, 1)[:, 0])
    return points[torch.stack(found, 1)]
