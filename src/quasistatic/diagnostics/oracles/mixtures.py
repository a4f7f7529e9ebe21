r"""Oracles whose density is a finite mixture of Gaussians with diagonal covariances."""

__all__ = ["GaussianOracle", "GaussianMixture", "MixtureOracle", "OnMixture"]

import abc
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator
from ...distributions import Gaussian
from ...kernels import Kernel, SignalNoise
from ...spaces import Continuous
from .oracle import Moments, Oracle, drawn

LARGEST = 2**20
"""Elements of the largest table over examples and components: larger batches go in pieces."""

Numbers: TypeAlias = "float | tuple[Numbers, ...]"
"""A number, or nested tuples of them."""


@dataclass(frozen=True)
class GaussianMixture:
    """sum_k weight_k N(x_0; mean_k, diag variance_k), in float64. In its methods,
    x = signal x_0 + noise eps has shape (B, D), and the two scales have shape (B, 1).

    Args:
        log_weight: with shape (K,), in nats.
        mean: with shape (K, D).
        variance: with shape (K, D).
    """

    log_weight: Tensor
    mean: Tensor
    variance: Tensor

    def sample(self, n: int, rng: torch.Generator | None) -> Tensor:
        """n draws, with shape (n, D)."""
        k = drawn(self.log_weight.exp(), n, rng)
        return Gaussian(self.mean[k], self.variance[k]).sample(rng)

    def log_prob(self, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The log-density of x, with shape (B,), in nats."""
        pieces = self._pieces(x, signal, noise)
        return torch.cat([self._joint(*piece)[0].logsumexp(1) for piece in pieces])

    def moments(self, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The mean and the variance of x_0 given x, with shape (B, D, 2)."""
        pieces = self._pieces(x, signal, noise)
        return torch.cat([self._moments(*piece) for piece in pieces])

    def _moments(self, x: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        log_joint, law = self._joint(x, signal, noise)
        share = log_joint.softmax(1)[..., None]
        prior = Gaussian(self.mean.to(x), self.variance.to(x))
        gain = signal[..., None] * prior.variance / law.variance
        mean = prior.loc + gain * (x[:, None] - law.loc)
        variance = noise[..., None] ** 2 * prior.variance / law.variance
        whole = (share * mean).sum(1)
        between = (mean - whole[:, None]) ** 2
        return torch.stack([whole, (share * (variance + between)).sum(1)], -1)

    def _joint(self, x: Tensor, signal: Tensor, noise: Tensor) -> tuple[Tensor, Gaussian]:
        """log weight_k + log p(x | k), (B, K), and the law of x given k, (B, K, D)."""
        signal, noise = signal[..., None], noise[..., None]
        law = Gaussian(signal * self.mean.to(x), signal**2 * self.variance.to(x) + noise**2)
        return self.log_weight.to(x) + law.log_prob(x[:, None]).sum(-1), law

    def _pieces(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        rows = max(1, LARGEST // self.mean.numel())
        starts = range(0, len(tensors[0]), rows)
        return [tuple(tensor[k : k + rows] for tensor in tensors) for k in starts]


class OnMixture(Oracle):
    """Real data whose density is a finite mixture of Gaussians, to within rounding."""

    def __post_init__(self) -> None:
        _ = self.mixture  # wrong arguments raise now and not at the first use

    @cached_property
    @abc.abstractmethod
    def mixture(self) -> GaussianMixture:
        """The components."""

    @property
    def space(self) -> Continuous:
        return Continuous(self.mixture.mean.shape[1])

    @property
    def head(self) -> Moments:
        return Moments()

    def sample(self, n: int, rng: Rng = None) -> Tensor:
        return self.mixture.sample(n, as_generator(rng))

    def log_prob(self, x: Tensor) -> Tensor:
        x = self.space.check(x).double()
        one = torch.ones_like(x[:, :1])
        return self.mixture.log_prob(x, one, 0 * one)

    def log_prob_t(self, x_t: Tensor, kernel: Kernel, t: Tensor) -> Tensor:
        assert isinstance(kernel, SignalNoise)
        x_t = x_t.double()
        return self.mixture.log_prob(x_t, kernel.signal(t, x_t), kernel.noise(t, x_t))

    def answer(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        assert isinstance(kernel, SignalNoise)  # Moments has checked it
        return self.mixture.moments(x_t, kernel.signal(t, x_t), kernel.noise(t, x_t))


@dataclass(frozen=True)
class GaussianOracle(OnMixture):
    """Independent normal values. The reverse steps are normal, so that only the two ends of the
    chain are not exact.

    Args:
        mean: one number for all values, or a tuple with one for each.
        variance: the same.
    """

    mean: float | tuple[float, ...] = 0.0
    variance: float | tuple[float, ...] = 1.0

    @cached_property
    def mixture(self) -> GaussianMixture:
        return _mixture((1.0,), (self.mean,), (self.variance,))


@dataclass(frozen=True)
class MixtureOracle(OnMixture):
    """A mixture of normals.

    Args:
        weights: of the K components, summing to 1.
        means: K tuples of D numbers, or K numbers on the line.
        variances: K numbers, each the variance of all D values, or K tuples of D numbers.
    """

    weights: tuple[float, ...]
    means: tuple[Numbers, ...]
    variances: tuple[Numbers, ...]

    @cached_property
    def mixture(self) -> GaussianMixture:
        return _mixture(self.weights, self.means, self.variances)


def _mixture(
    weights: tuple[float, ...], means: tuple[Numbers, ...], variances: tuple[Numbers, ...]
) -> GaussianMixture:
    """The components as tensors, or a ValueError that says what is wrong with them."""
    weight, mean, variance = (
        torch.as_tensor(each, dtype=torch.float64) for each in (weights, means, variances)
    )
    if weight.ndim != 1 or not (weight > 0).all() or abs(weight.sum().item() - 1) > 1e-6:
        raise ValueError(f"weights must be positive and sum to 1, got {weights}")
    if mean.ndim == 1:
        mean = mean[:, None]
    if variance.ndim == 1:
        variance = variance[:, None]
    try:
        mean, variance = mean + 0 * variance, variance + 0 * mean
        mean = mean.expand(len(weight), -1)
    except RuntimeError:
        raise ValueError(
            f"{len(weight)} weights, means of shape {tuple(mean.shape)} and variances of shape "
            f"{tuple(variance.shape)} do not fit: give one of each for every component"
        ) from None
    if not (mean.isfinite() & variance.isfinite() & (variance > 0)).all():
        raise ValueError(f"means must be finite and variances positive, got {means}, {variances}")
    return GaussianMixture(weight.log(), mean, variance.expand_as(mean))
