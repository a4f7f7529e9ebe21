r"""A mixture whose components have labels: p(x | y), p(y | x) and p(x) are known."""

__all__ = ["LabelledMixtureOracle"]

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..._utils.randomness import Rng, as_generator
from ...conditions import ClassLabel
from ...kernels import Kernel
from .mixtures import GaussianMixture, MixtureOracle, Numbers, OnMixture
from .oracle import drawn


@dataclass(frozen=True)
class LabelledMixtureOracle(OnMixture):
    """A mixture of normals; each component belongs to a class y.

    Args:
        labels: the class of each component, from 0; each class has at least one component.
        weights, means, variances: of the components, see :class:`MixtureOracle`.

    Raises:
        ValueError: if a class has no component, or the numbers do not fit.
    """

    labels: tuple[int, ...]
    weights: tuple[float, ...]
    means: tuple[Numbers, ...]
    variances: tuple[Numbers, ...]

    @cached_property
    def mixture(self) -> GaussianMixture:
        found = MixtureOracle(self.weights, self.means, self.variances).mixture
        known = sorted(set(self.labels))
        if len(self.labels) != len(found.mean) or known != list(range(len(known))):
            raise ValueError(
                f"{len(found.mean)} components need a label each, from 0 without gaps, got "
                f"{self.labels}"
            )
        return found

    @property
    def condition(self) -> ClassLabel:
        """The class."""
        return ClassLabel(1 + max(self.labels))

    @cached_property
    def log_prior(self) -> Tensor:
        """log p(y) of each class, with shape (classes,), in nats."""
        masks = [self._of(y) for y in range(self.condition.classes)]
        return torch.stack([self.mixture.log_weight[mask].logsumexp(0) for mask in masks])

    def given(self, y: int) -> MixtureOracle:
        """The distribution p(x | y)."""
        rows = [k for k, label in enumerate(self.labels) if label == y]
        share = (self.mixture.log_weight[rows] - self.log_prior[y]).exp()
        means, variances = self.mixture.mean[rows], self.mixture.variance[rows]
        each = (tuple(map(tuple, table.tolist())) for table in (means, variances))
        return MixtureOracle(tuple((share / share.sum()).tolist()), *each)

    def log_posterior(self, x: Tensor) -> Tensor:
        """log p(y | x) of each class, with shape (N, classes), in nats."""
        each = [self.given(y).log_prob(x) for y in range(self.condition.classes)]
        joint: Tensor = torch.stack(each, 1) + self.log_prior
        return joint.log_softmax(1)

    def draw(self, n: int, rng: Rng = None) -> tuple[Tensor, Tensor]:
        """n draws of x (n, D) and y (n,)."""
        source = as_generator(rng)
        y = drawn(self.log_prior.exp(), n, source)
        x = torch.zeros(n, self.mixture.mean.shape[1], dtype=torch.float64)
        for label in range(self.condition.classes):
            rows = (y == label).nonzero()[:, 0]
            x[rows] = self.given(label).sample(len(rows), source) if len(rows) else x[rows]
        return x, y

    def network(self, kernel: Kernel) -> nn.Module:
        """A network without parameters, called with x_t, t / T and codes, that gives the moments of
        x_0 given x_t and y, and given x_t alone where the code is zero."""
        return _Exact(self, kernel)

    def parts(self, kernel: Kernel) -> dict[str, Any]:
        """The parts of a model, with the condition."""
        return super().parts(kernel) | {"condition": self.condition}

    def _of(self, y: int) -> Tensor:
        return torch.tensor(self.labels) == y


class _Exact(nn.Module):
    def __init__(self, oracle: LabelledMixtureOracle, kernel: Kernel) -> None:
        super().__init__()
        self.oracle, self.kernel = oracle, kernel
        self.each = [oracle.given(y) for y in range(oracle.condition.classes)]

    def forward(self, x_t: Tensor, time: Tensor, given: Tensor) -> Tensor:
        t = (time.double() * self.kernel.steps).round().long()
        label = torch.where(given.any(1), given.argmax(1), -1)
        found = x_t.new_zeros(*x_t.shape, 2)
        for y in sorted(set(label.tolist())):
            rows = label == y
            law = self.oracle if y < 0 else self.each[y]
            found[rows] = law.answer(self.kernel, x_t[rows].double(), t[rows]).to(x_t)
        return found
