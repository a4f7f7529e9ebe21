"""The Gaussian components of a mixture, by the eigenvectors of their covariances."""

__all__ = ["Part"]

import math
from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """Normal components that share their eigenvectors, or have some of their own each.

    Args:
        log_weight: with shape (K,); over all parts of a mixture the weights sum to 1.
        mean: with shape (K, D).
        variance: along the eigenvectors, with shape (K, D).
        basis: the eigenvectors as columns, (K, D, D), or (1, D, D) that all share.
    """

    log_weight: Tensor
    mean: Tensor
    variance: Tensor
    basis: Tensor

    @property
    def sizes(self) -> tuple[int, int]:
        """Components and bases."""
        return len(self.mean), len(self.basis)

    def to(self, like: Tensor) -> "Part":
        """The same, of the type and on the device of a tensor."""
        return Part(*(getattr(self, field.name).to(like) for field in fields(self)))

    def joint(self, x: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k + log p(x | k), (K, B); U_k' (x - signal m_k) and v_k, both (K, B, D)."""
        off = (x - signal * self.mean[:, None]) @ self.basis
        spread = signal**2 * self.variance[:, None] + noise**2
        square = (off**2 / spread + (2 * math.pi * spread).log()).sum(-1)
        return self.log_weight[:, None] - square / 2, off, spread

    def moments(
        self, off: Tensor, spread: Tensor, signal: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """E[x_0 | x_t, k] and Var[x_0 | x_t, k], both (K, B, D)."""
        ratio, turned = self.variance[:, None] / spread, self.basis.mT
        mean = self.mean[:, None] + (signal * ratio * off) @ turned
        return mean, (noise**2 * ratio) @ turned**2
