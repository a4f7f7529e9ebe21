"""Mixtures of normals with full covariance matrices, fitted by expectation maximisation."""

__all__ = ["FullNormals"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..gaussian_block import GaussianBlock
from ..mixture import Mixture
from .groups import ByClusters

ENOUGH = 2e-5
"""The gain of a round, in nats a value, below which the iteration stops."""


@dataclass(frozen=True)
class FullNormals:
    """One way to fit a mixture of normals with full covariance matrices, each of which is drawn to
    the covariance within components that is common to all.

    Args:
        components: K, the number of components.
        count: the weight of the common covariance, in examples. Default 5.
    """

    components: int
    count: float = 5.0

    def law(self, x: Tensor, rounds: int, floor: float | None = None, seed: int = 0) -> Mixture:
        """What so many rounds of expectation maximisation find.

        Args:
            x: examples (N, D).
            rounds: at most.
            floor: the least variance of a direction; None for a millionth of the mean variance.
            seed: of the first clusters.
        """
        x = x.double()
        off = x - x.mean(0)
        whole = off.T @ off / len(x)
        variance, vectors = torch.linalg.eigh(whole)
        least = floor or max(1e-6 * variance.mean().item(), 1e-30)
        count = min(self.components, len(x))
        labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
        if count > 1:
            labels = ByClusters().labels(off @ vectors, variance, count, seed)
        share = torch.nn.functional.one_hot(labels, count).to(x)
        before = -math.inf
        for _ in range(rounds if count > 1 else 1):
            law = self._likeliest(x, share, whole, least)
            joint = law.log_weight[:, None] + law.blocks[0].evidence(x).log_p[..., 0]
            now = joint.logsumexp(0).sum().item()
            if now - before < ENOUGH * x.numel():
                break
            before, share = now, joint.softmax(0).T
        return law

    def _likeliest(self, x: Tensor, share: Tensor, whole: Tensor, least: float) -> Mixture:
        """The mixture whose components have these shares (N, K) of the examples."""
        n = share.sum(0)
        mean = (share.T @ x) / n.clamp_min(1e-6)[:, None]
        scatters = []
        for k in range(len(n)):
            off = (x - mean[k]) * share[:, k, None].sqrt()
            scatters.append(off.T @ off)
        scatter = torch.stack(scatters)
        # With few examples the covariance within components would be that of one of them each.
        common = (scatter.sum(0) + self.count * whole) / (len(x) + self.count)
        matrix = (scatter + self.count * common) / (n + self.count)[:, None, None]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        block = GaussianBlock.full(mean, (matrix + matrix.mT) / 2 + least * eye)
        return Mixture(((n + 1) / (len(x) + len(n))).log(), (block,))

    def __str__(self) -> str:
        return f"{self.components} normals with full covariance matrices"
