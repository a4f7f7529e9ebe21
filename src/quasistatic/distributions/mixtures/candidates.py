"""Mixtures of normals that may suit a table, each a way to fit one to rows."""

__all__ = ["Candidate", "Normals", "Tied", "Wide", "candidates"]

import abc
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from .components import Part

NUMBERS = 2**21
"""The most numbers that the covariances of a candidate take."""

MANY = 2000
"""Rows from which more components are tried."""


class Candidate(abc.ABC):
    """Mixtures to be fitted to rows z (N, D) of mean 0 and covariance 1, in float64."""

    @abc.abstractmethod
    def suits(self, rows: int, dims: int) -> bool:
        """Whether there are rows enough for it, and dimensions few enough."""

    @abc.abstractmethod
    def fit(self, z: Tensor, seed: int) -> dict[str, Part]:
        """The mixtures by name; the weights of each sum to 1."""


@dataclass(frozen=True)
class Normals(Candidate):
    """Components with a covariance of their own each, by expectation maximisation.

    Args:
        components: how many.
        floors: added to every variance, in units of the whole data's, falling: each mixture starts
            where the one before has come to.
    """

    components: int
    floors: tuple[float, ...] = (0.1, 0.01, 0.001)

    def suits(self, rows: int, dims: int) -> bool:
        return rows >= 8 * self.components and self.components * dims**2 <= NUMBERS

    def fit(self, z: Tensor, seed: int) -> dict[str, Part]:
        found, parts = _empty("full", self.components, seed), {}
        for floor in self.floors:
            _maximise(found.set_params(reg_covar=floor), z)
            variance, basis = torch.linalg.eigh(torch.from_numpy(found.covariances_))
            part = _part(found.weights_, found.means_, variance, basis)
            parts[f"{self.components} normals, floor {floor:g}"] = part
        return parts


@dataclass(frozen=True)
class Tied(Candidate):
    """Components with one covariance for all of them."""

    components: int
    floor: float

    def suits(self, rows: int, dims: int) -> bool:
        return rows >= 4 * self.components and self.components * dims**2 <= NUMBERS

    def fit(self, z: Tensor, seed: int) -> dict[str, Part]:
        found = _empty("tied", self.components, seed).set_params(reg_covar=self.floor)
        _maximise(found, z)
        variance, basis = torch.linalg.eigh(torch.from_numpy(found.covariances_))
        variance = variance.expand(len(found.means_), -1)
        part = _part(found.weights_, found.means_, variance, basis[None])
        return {f"{self.components} alike": part}


@dataclass(frozen=True)
class Wide(Candidate):
    """One normal of that many times the data's variance: for what lies far out."""

    factor: float

    def suits(self, rows: int, dims: int) -> bool:
        return True

    def fit(self, z: Tensor, seed: int) -> dict[str, Part]:
        mean, basis = torch.zeros(1, z.shape[1]).double(), torch.eye(z.shape[1]).double()
        return {f"{self.factor:g} x all": _part(np.ones(1), mean, mean + self.factor, basis[None])}


def candidates(rows: int, dims: int) -> list[Candidate]:
    """Those that suit a table of that size."""
    counts = (2, 4, 8) if rows < MANY else (4, 8, 16, 32)
    each: list[Candidate] = [Normals(k) for k in counts]
    each += [Tied(16, 0.01), Tied(32, 0.01)]
    each += [Wide(factor) for factor in (1.0, 4.0, 16.0)]
    return [one for one in each if one.suits(rows, dims)]


def _empty(kind: str, components: int, seed: int) -> GaussianMixture:
    how = {"covariance_type": kind, "max_iter": 30, "tol": 1e-2, "warm_start": True}
    return GaussianMixture(components, random_state=seed, **how)


def _maximise(mixture: GaussianMixture, z: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge it
        mixture.fit(z.numpy())


def _part(weight: np.ndarray, mean: object, variance: Tensor, basis: Tensor) -> Part:
    mean = torch.as_tensor(mean)
    return Part(torch.from_numpy(weight).log(), mean, variance.clamp(min=1e-12), basis)
