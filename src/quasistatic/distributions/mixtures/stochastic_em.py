"""Rows with holes, made whole so that they can be learned from."""

__all__ = ["made_whole"]

import numpy as np
import torch
from torch import Tensor

from .components import Part
from .gaussian import completed
from .stacking import stacked

NORMAL, STACKED = 8, 3
"""Rounds with one normal, which are cheap, and with a whole mixture."""

RIDGE = 1e-3
"""Added to the variances of that normal, in units of each column's own."""

MOST = 20_000
"""Rows with holes that are learned from."""


def made_whole(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows (N, D) with draws for NaN: rows without holes come back as they are, and of those with
    holes 20000 at most, (M, D).

    Monte Carlo expectation maximisation: holes are drawn given the rest of their row under a law,
    at first that of independent normal columns, and the next law is fitted to the rows as they
    then are: one normal a few times, then a mixture.
    """
    holed = np.flatnonzero(np.isnan(x).any(1))
    if not len(holed):
        return x
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(holed)[:MOST])
    x = x[np.sort(np.concatenate([np.flatnonzero(~np.isnan(x).any(1)), kept]))]
    shift, scale = np.nanmean(x, 0), np.nanstd(x, 0)
    scale = np.where(scale > 0, scale, 1.0)
    rows = torch.from_numpy((x - shift) / scale)
    holed = np.isnan(x).any(1)
    some, draw = rows[holed], torch.Generator().manual_seed(seed)
    dims = rows.shape[1]
    law = [_normal(torch.zeros(dims).double(), torch.eye(dims).double())]
    for k in range(NORMAL + STACKED):
        rows[holed] = completed(law, some, 1, draw)[:, 0]
        if k < NORMAL:
            law = [_normal(rows.mean(0), rows.T.cov(correction=0) + RIDGE * torch.eye(dims))]
        else:
            law = stacked(rows, seed + k).law
    rows[holed] = completed(law, some, 1, draw)[:, 0]
    return np.where(np.isnan(x), shift + rows.numpy() * scale, x)


def _normal(mean: Tensor, covariance: Tensor) -> Part:
    variance, basis = torch.linalg.eigh(covariance.reshape(len(mean), len(mean)))
    return Part(torch.zeros(1).to(mean), mean[None], variance.clamp(min=RIDGE)[None], basis[None])
