r"""Distances between two sets of images by the features of a network: FID and KID."""

__all__ = ["Kid", "fid", "kid"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator, permutation
from ..._utils.validation import as_array, as_tensor


@torch.no_grad()
def fid(features_a: object, features_b: object) -> float:
    r"""The Frechet distance of two Gaussians with the means and covariances of the features,
    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (H17); lower is better.

    It is biased upwards for a finite number of images, so compare only values from equal numbers of
    images. Published values use 50000. With fewer images than features it is unreliable.

    Args:
        features_a, features_b: with shape (N, D) and (M, D), at least two rows each.

    Returns:
        The distance, 0 or more, in squared units of the features.

    Raises:
        ValueError: if the shapes do not fit, there are fewer than two rows, or NaN among them.
    """
    a, b = _pair(features_a, features_b)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    root_a, root_b = _root(a), _root(b)
    # With C = R' R the trace of (C_a C_b)^(1/2) is the sum of the singular values of R_a R_b'.
    # Roots of the eigenvalues of C_a C_b would turn rounding errors of 1e-16 into 1e-8 each.
    shared = torch.linalg.svdvals(root_a @ root_b.T).sum()
    return float(apart + (root_a**2).sum() + (root_b**2).sum() - 2 * shared)


def _root(features: Tensor) -> Tensor:
    """R (min(N, D), D) with R' R the covariance of features (N, D)."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    found: Tensor = torch.linalg.qr(centred, mode="r").R
    return found


@dataclass(frozen=True)
class Kid:
    """The kernel distance of two sets of images, as a mean over blocks of them.

    Args:
        blocks: the unbiased estimate of each block, with shape (blocks,); it may be negative.
    """

    blocks: Tensor

    @property
    def mean(self) -> float:
        """The squared distance; lower is better. Papers often print a thousand times it."""
        return self.blocks.mean().item()

    @property
    def stderr(self) -> float:
        """The standard error of the mean: blocks share no image, so they are independent. NaN for
        one block."""
        if len(self.blocks) == 1:
            return math.nan
        return float(self.blocks.std() / len(self.blocks) ** 0.5)

    def __repr__(self) -> str:
        return f"KID = {self.mean:.4g} ± {self.stderr:.2g} ({len(self.blocks)} blocks)"


@torch.no_grad()
def kid(
    features_a: object,
    features_b: object,
    blocks: int = 10,
    rng: Rng = None,
) -> Kid:
    r"""The squared maximum mean discrepancy of the features under the kernel (x.y / D + 1)^3,
    unbiased for any number of images (B18).

    Both sets are shuffled and cut into as many disjoint blocks; one block uses every pair. B18
    draws blocks that overlap, which has the same mean but understates the error.

    Args:
        features_a, features_b: with shape (N, D) and (M, D).
        blocks: the number of disjoint blocks.
        rng: a seed, a generator or None, which shuffles the rows.

    Returns:
        A :class:`Kid`: the estimates of the blocks, their mean and its standard error.

    Raises:
        ValueError: if the shapes do not fit, a block would hold fewer than two rows, or there is
            NaN among them.
    """
    a, b = _pair(features_a, features_b)
    most = min(len(a), len(b)) // 2
    if not 1 <= blocks <= most:
        raise ValueError(
            f"blocks must be from 1 to {most}, so that each holds two rows of both sets, got "
            f"{blocks}"
        )
    rng = as_generator(rng)
    parts = [x[permutation(len(x), rng, x)].tensor_split(blocks) for x in (a, b)]
    return Kid(torch.stack([_mmd(*pair) for pair in zip(*parts, strict=True)]))


def _mmd(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate of one block: no row is compared with itself."""
    return _within(a) + _within(b) - 2 * _kernel(a, b).mean()


def _within(x: Tensor) -> Tensor:
    own = (((x**2).mean(1) + 1) ** 3).sum()
    return (_kernel(x, x).sum() - own) / (len(x) * (len(x) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _pair(features_a: object, features_b: object) -> tuple[Tensor, Tensor]:
    a, b = _checked(features_a, "features_a"), _checked(features_b, "features_b")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"features_a has {a.shape[1]} features and features_b {b.shape[1]}: take both from "
            "one network"
        )
    return a, b


def _checked(features: object, name: str) -> Tensor:
    x = as_tensor(features, name)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(
            f"{name} must have shape (images, features) with at least 2 images, got "
            f"{tuple(x.shape)}"
        )
    return as_array(x, (x.shape[1],), name).double()
