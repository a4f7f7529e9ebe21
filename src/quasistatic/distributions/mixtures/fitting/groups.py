"""How examples are grouped before the first round of expectation maximisation."""

__all__ = ["ByClusters", "ByEnergy", "Groups"]

import abc
import warnings
from dataclasses import dataclass

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

CLUSTERED_BY = 64
"""Coefficients of the largest variance, by which examples are clustered."""


class Groups(abc.ABC):
    """How examples are grouped before the first round."""

    @abc.abstractmethod
    def labels(self, z: Tensor, variance: Tensor, count: int, seed: int) -> Tensor:
        """The group of each example, with shape (N,).

        Args:
            z: coefficients with shape (N, D), centred.
            variance: of each coefficient, with shape (D,).
            count: the number of groups.
            seed: of random choices.
        """


@dataclass(frozen=True)
class ByEnergy(Groups):
    """Groups of like energy, for textures and photographs: flat ones, then those with contrast."""

    def labels(self, z: Tensor, variance: Tensor, count: int, seed: int) -> Tensor:
        energy = (z.square() / variance).mean(1).log()
        ends = torch.linspace(0, 1, count + 1, dtype=z.dtype, device=z.device)[1:-1]
        return torch.bucketize(energy, torch.quantile(energy, ends))


@dataclass(frozen=True)
class ByClusters(Groups):
    """Clusters of the coefficients with the largest variance, for examples that share a frame."""

    def labels(self, z: Tensor, variance: Tensor, count: int, seed: int) -> Tensor:
        most = variance.argsort(descending=True)[:CLUSTERED_BY]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # examples that are alike
            means = KMeans(
                count,
                n_init=1,  # pyright: ignore[reportArgumentType]
                max_iter=20,
                random_state=seed,
            )
            return torch.from_numpy(means.fit_predict(z[:, most].cpu().numpy())).long().to(z.device)
