"""Draws of latent classes: of whole rows, and of what is missing in a row given the rest."""

__all__ = ["completed_rows", "drawn_rows"]

import torch
from torch import Tensor

from .. import OneHotGroups
from .latent_class import LatentClasses

AT_ONCE = 2**22
"""Numbers of the largest table over draws and pairs of columns: more rows go in pieces."""


def drawn_rows(law: LatentClasses, n: int, rng: torch.Generator) -> Tensor:
    """n exact draws of x_0, with shape (n, D + V)."""
    weight = law.normals.log_weight.exp()
    k = torch.multinomial(weight.double(), n, replacement=True, generator=rng)
    return _of_components(law, k, rng)


def completed_rows(law: LatentClasses, x: Tensor, draws: int, rng: torch.Generator) -> Tensor:
    """Exact draws of the values that are NaN in x_0 (N, D + V) given the others, which come back
    as they are: (N, draws, D + V)."""
    each = max(draws, len(law.log_share)) * max(law.dims**2, law.log_share.shape[1])
    pieces = x.split(max(1, AT_ONCE // each))
    return torch.cat([_completed(law, piece, draws, rng) for piece in pieces])


def _completed(law: LatentClasses, x: Tensor, draws: int, rng: torch.Generator) -> Tensor:
    share = law.log_joint(x).softmax(0).T
    k = torch.multinomial(share, draws, replacement=True, generator=rng)
    drawn = _of_components(law, k.flatten(), rng).reshape(*k.shape, -1)
    real, _ = law.split(x)
    if real.isnan().any():
        # A draw of all values, moved by what the observed ones of it are off by, is a draw of the
        # others given the observed.
        there = ~real.isnan()
        gain = _gains(law.covariance, there)[k, torch.arange(len(x))[:, None]]
        off = torch.where(there, real, 0.0)[:, None] - torch.where(
            there[:, None], drawn[..., : law.dims], 0.0
        )
        drawn[..., : law.dims] += (gain @ off[..., None])[..., 0]
    return torch.where(x.isnan()[:, None], drawn, x[:, None])


def _gains(covariance: Tensor, there: Tensor) -> Tensor:
    """The regression of all values on those that are there (N, D), (K, N, D, D)."""
    eye = torch.eye(there.shape[1], dtype=covariance.dtype)
    both = there[:, :, None] & there[:, None]
    root = torch.linalg.cholesky(torch.where(both, covariance[:, None], eye))
    across = torch.where(there[:, :, None], covariance[:, None], 0.0)
    return torch.cholesky_solve(across, root).mT


def _of_components(law: LatentClasses, k: Tensor, rng: torch.Generator) -> Tensor:
    """A draw of each of the components k (n,): (n, D + V)."""
    part = law.normals
    normal = torch.randn(len(k), law.dims, generator=rng, dtype=part.mean.dtype)
    along = normal * part.variance[k].sqrt()
    real = torch.empty_like(along)
    for each in k.unique():
        real[k == each] = part.mean[each] + along[k == each] @ part.basis[each].T
    return torch.cat([real, _classes(law, k, rng)], 1)


def _classes(law: LatentClasses, k: Tensor, rng: torch.Generator) -> Tensor:
    """One-hot classes of each of the components k (n,): the largest of log-probabilities with
    Gumbel noise is a draw."""
    uniform = torch.rand(len(k), law.log_share.shape[1], generator=rng, dtype=torch.float64)
    if not law.sizes:
        return uniform
    noisy = law.log_share[k] - (-uniform.clamp(min=1e-300).log()).log()
    groups = OneHotGroups(law.sizes)
    return groups.one_hot(groups.index(noisy).long()).to(law.log_share.dtype)
