"""What a mixture of normals answers in closed form: draws, and draws of a part given the rest."""

__all__ = ["completed", "drawn", "marginal"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .components import Part


def drawn(law: Sequence[Part], n: int, rng: torch.Generator) -> Tensor:
    """n exact draws, with shape (n, D)."""
    log_weight = torch.cat([part.log_weight for part in law])
    chosen = torch.multinomial(log_weight.double().exp(), n, replacement=True, generator=rng)
    whole = log_weight.new_empty(n, law[0].mean.shape[1])
    first = 0
    for part in law:
        mine = (chosen >= first) & (chosen < first + len(part.mean))
        k = chosen[mine] - first
        shape = (len(k), whole.shape[1])
        along = torch.randn(shape, generator=rng, dtype=whole.dtype) * part.variance[k].sqrt()
        whole[mine] = part.mean[k] + _turned(part, k, along)
        first += len(part.mean)
    return whole


def completed(law: Sequence[Part], x: Tensor, draws: int, rng: torch.Generator) -> Tensor:
    """Exact draws of the values that are NaN in x (N, D) given the others, which come back as they
    are: (N, draws, D). Rows with the same holes are taken together."""
    mean, covariance, log_weight = _components(law, x)
    out = x[:, None].repeat(1, draws, 1)
    patterns, which = x.isnan().unique(dim=0, return_inverse=True)
    for i, hidden in enumerate(patterns):
        if not hidden.any():
            continue
        rows = (which == i).nonzero()[:, 0]
        a, b = hidden.nonzero()[:, 0], (~hidden).nonzero()[:, 0]
        given, gain, spread = _given(covariance, a, b)
        off = x[rows][:, b] - mean[:, None, b]  # (K, N, observed)
        log_share = log_weight[:, None] + _log_normal(given, off)
        k = torch.multinomial(log_share.softmax(0).T, draws, replacement=True, generator=rng)
        middle = mean[:, None, a] + off @ gain.mT
        noise = torch.randn(len(rows), draws, len(a), generator=rng, dtype=x.dtype)
        each = middle[k, torch.arange(len(rows))[:, None]]
        found = each + (spread[k] @ noise[..., None])[..., 0]
        out[rows[:, None], :, a] = found.transpose(1, 2)
    return out


def marginal(law: Sequence[Part], x: Tensor) -> Tensor:
    """log p of the values that are there of x (N, D), NaN a hole, with shape (N,), in nats. Rows
    with the same holes are taken together."""
    mean, covariance, log_weight = _components(law, x)
    out = x.new_empty(len(x))
    patterns, which = x.isnan().unique(dim=0, return_inverse=True)
    for i, hidden in enumerate(patterns):
        rows, b = (which == i).nonzero()[:, 0], (~hidden).nonzero()[:, 0]
        seen = torch.linalg.cholesky(covariance[:, b[:, None], b])
        out[rows] = (
            log_weight[:, None] + _log_normal(seen, x[rows][:, b] - mean[:, None, b])
        ).logsumexp(0)
    return out


def _log_normal(root: Tensor, off: Tensor) -> Tensor:
    """log N(off; 0, root root') for off (K, N, d) and roots (K, d, d), with shape (K, N)."""
    stretched = torch.linalg.solve_triangular(root, off.mT, upper=False)
    volume = root.diagonal(dim1=1, dim2=2).log().sum(1)
    constant = off.shape[2] * math.log(2 * math.pi) / 2
    return -stretched.square().sum(1) / 2 - volume[:, None] - constant


def _components(law: Sequence[Part], like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means (K, D), covariances (K, D, D) and log-weights (K,) of all components."""
    parts = [part.to(like) for part in law]
    covariance = [(p.basis * p.variance[:, None]) @ p.basis.mT for p in parts]
    return (
        torch.cat([part.mean for part in parts]),
        torch.cat(covariance),
        torch.cat([part.log_weight for part in parts]),
    )


def _given(covariance: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each component the Cholesky factor of what is observed, the regression of what is hidden
    on it, and a root of the covariance that it leaves."""
    seen = torch.linalg.cholesky(covariance[:, b[:, None], b])
    across = covariance[:, b[:, None], a]
    gain = torch.cholesky_solve(across, seen).mT
    left = covariance[:, a[:, None], a] - gain @ across
    value, vector = torch.linalg.eigh((left + left.mT) / 2)
    return seen, gain, vector * value.clamp(min=0).sqrt()[:, None]


def _turned(part: Part, k: Tensor, along: Tensor) -> Tensor:
    """Values along eigenvectors (n, D) as values, for components k (n,)."""
    if len(part.basis) == 1:
        return along @ part.basis[0].T
    out = torch.empty_like(along)
    for each in k.unique():
        out[k == each] = along[k == each] @ part.basis[each].T
    return out
