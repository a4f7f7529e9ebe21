"""Latent classes fitted to rows with holes by expectation maximisation, exactly."""

__all__ = ["clustered", "maximised", "one_class"]

import math
import warnings
from dataclasses import dataclass, fields
from functools import reduce

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from .components import Part
from .latent_class import LatentClasses

ROUNDS, ENOUGH = 40, 2e-3
"""Rounds at most, and the gain of one, in nats a row, below which the next are left out."""

SHRUNK = 2.0
"""Rows' worth of the pooled covariance in each component's own, beside one for each dimension."""


@dataclass(frozen=True)
class _Sums:
    """What rows add up to under their shares: of components, of real values and of classes."""

    count: Tensor
    real: Tensor
    square: Tensor
    one_hot: Tensor
    log_p: Tensor

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def one_class(x: Tensor, log_pi: Tensor, sizes: tuple[int, ...], factor: float) -> LatentClasses:
    """Each column by itself, the real ones normal with that many times their variance. Rows (N, D
    + V) in float64, NaN a hole."""
    dims = x.shape[1] - len(log_pi)
    real = x[:, :dims]
    mean = real.nanmean(0)
    variance = factor * (real - mean).square().nanmean(0).clamp(min=1e-6)
    basis = torch.eye(dims, dtype=x.dtype)[None]
    part = Part(torch.zeros(1, dtype=x.dtype), mean[None], variance[None], basis)
    return LatentClasses(part, log_pi[None], log_pi, sizes)


def clustered(
    x: Tensor, components: int, alone: LatentClasses, floor: Tensor, seed: int
) -> LatentClasses:
    """Components to start from: clusters of the rows, a hole at the mean of its column."""
    middle = torch.cat([alone.normals.mean[0], alone.log_pi.exp()])
    scale = torch.cat([alone.normals.variance[0].sqrt(), torch.ones_like(alone.log_pi)])
    filled = torch.where(x.isnan(), middle, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows that are alike: fewer clusters
        means = KMeans(components, n_init=1, max_iter=30, random_state=seed)
        label = means.fit_predict(((filled - middle) / scale).numpy())
    share = torch.from_numpy(np.eye(components)[label].T)
    real, one_hot = alone.split(filled)
    return _likeliest(_whole(real, one_hot, share), alone, floor)


def maximised(x: Tensor, law: LatentClasses, alone: LatentClasses, floor: Tensor) -> LatentClasses:
    """Where expectation maximisation takes a law from there, by rows x (N, D + V).

    A round takes what is expected of the rows, holes included, and the components that make that
    likeliest, with a little of the whole table in each: a covariance is drawn to the pooled one,
    and the probabilities of classes to those of `alone`.

    Args:
        floor: added to the variance of each real column, with shape (D,).
    """
    before = -math.inf
    for _ in range(ROUNDS):
        sums = [_expected(piece, law) for piece in law.pieces(x)]
        whole = reduce(_Sums.__add__, sums)
        law = _likeliest(whole, alone, floor)
        now = whole.log_p.item() / len(x)
        if now - before < ENOUGH:
            break
        before = now
    return law


def _expected(x: Tensor, law: LatentClasses) -> _Sums:
    """What rows add up to by a law's own shares of them."""
    log_joint = law.log_joint(x)
    share, log_p = log_joint.softmax(0), log_joint.logsumexp(0).sum()
    real, one_hot = law.split(x)
    holed = real.isnan().any(1)
    sums = _whole(real[~holed], one_hot[~holed].nan_to_num(), share[:, ~holed], log_p)
    for rows, _, mean, taken in law.by_holes(real, holed):
        sums = sums + _holed(mean, taken, one_hot[rows].nan_to_num(), share[:, rows], law)
    return sums


def _whole(real: Tensor, one_hot: Tensor, share: Tensor, log_p: Tensor | float = 0.0) -> _Sums:
    """What rows without holes add up to, by shares (K, N)."""
    square = torch.stack([(real * row[:, None]).T @ real for row in share])
    return _Sums(share.sum(1), share @ real, square, share @ one_hot, torch.as_tensor(log_p))


def _holed(
    mean: Tensor, taken: Tensor, one_hot: Tensor, share: Tensor, law: LatentClasses
) -> _Sums:
    """What rows with the same holes are expected to add up to (:meth:`LatentClasses.by_holes`)."""
    weighted, count = mean * share[..., None], share.sum(1)
    left = law.covariance - taken.mT @ taken
    square = weighted.mT @ mean + count[:, None, None] * left
    return _Sums(count, weighted.sum(1), square, share @ one_hot, torch.tensor(0.0))


def _likeliest(sums: _Sums, alone: LatentClasses, floor: Tensor) -> LatentClasses:
    """The components that make such sums likeliest, with a little of the whole table in each."""
    count = sums.count + 1e-9
    mean = sums.real / count[:, None]
    scatter = sums.square - count[:, None, None] * mean[:, :, None] * mean[:, None]
    rows = SHRUNK + len(floor)
    pooled = scatter.sum(0) / count.sum()
    covariance = (scatter + rows * pooled) / (count + rows)[:, None, None] + torch.diag(floor)
    variance, basis = torch.linalg.eigh((covariance + covariance.mT) / 2)
    log_weight = ((count + 1) / (count + 1).sum()).log()
    part = Part(log_weight, mean, variance.clamp(min=1e-12), basis)
    share = sums.one_hot + alone.log_pi.exp()
    whole = torch.zeros(len(count), len(alone.sizes), dtype=share.dtype)
    whole = whole.index_add(1, alone.owner, share)[:, alone.owner]
    return LatentClasses(part, (share / whole).log(), alone.log_pi, alone.sizes)
