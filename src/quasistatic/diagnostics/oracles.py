r"""Oracles: distributions whose density is known, and their exact answers in a network's place.

`Model(**oracle.parts(kernel))` is the chain that a perfect network would give, without training
anything: whatever a bound, a sampler or a posterior then gets wrong is its own fault. Oracles
compute in float64 and answer in the type that they are asked in.
"""

__all__ = [
    "GaussianOracle",
    "HeartbeatOracle",
    "MixtureOracle",
    "Moments",
    "Oracle",
    "SwissRollOracle",
]

import abc
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ..data.synthetic import roll_curve
from ..distributions import Gaussian, total
from ..heads import Clean, DenoisingHead, Head
from ..kernels import Kernel, SignalNoise
from ..spaces import Binary, Continuous, Space

LARGEST = 2**20
"""Elements of the largest table over examples and components: larger batches go in pieces."""


@dataclass(frozen=True)
class Moments(DenoisingHead):
    """The network says E[x_0 | x_t] and Var[x_0 | x_t] of each coordinate, (B, *, 2). With the
    true ones the step is exact for Gaussian data, and for other data the Gaussian nearest to the
    exact step in KL among those that are independent coordinate by coordinate."""

    @property
    def outputs(self) -> int:
        return 2

    def bind(self, space: Space, kernel: Kernel) -> Self:
        if not isinstance(kernel, SignalNoise):
            raise TypeError(
                f"Moments needs a kernel with signal and noise scales (GaussianKernel), got "
                f"{type(kernel).__name__}: use the oracle of a distribution over bits"
            )
        return self

    def denoise(self, kernel: Kernel, output: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        return Gaussian(output[..., 0], output[..., 1])


class Oracle(abc.ABC):
    """A distribution of raw data (N, *) that knows its own density and its own reverse steps."""

    @property
    @abc.abstractmethod
    def space(self) -> Space:
        """What its raw data are."""

    @property
    @abc.abstractmethod
    def head(self) -> Head:
        """The head for which :meth:`answer` is right."""

    @abc.abstractmethod
    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        """n exact draws, with shape (n, *), in float64."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of each example of x (B, *), with shape (B,), in nats."""

    @abc.abstractmethod
    def log_prob_t(self, x_t: Tensor, kernel: Kernel, t: Tensor) -> Tensor:
        """log q(x_t) after t steps of the kernel, t (B,), with shape (B,), in nats."""

    @abc.abstractmethod
    def answer(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        """The exact output for the head at x_t (B, *), in float64, and times t (B,)."""

    def network(self, kernel: Kernel) -> nn.Module:
        """A network without parameters that gives :meth:`answer`, called with x_t and t / T."""
        return _Exact(self, kernel)

    def parts(self, kernel: Kernel) -> dict:
        """The four parts of a model: `Model(**oracle.parts(kernel))`."""
        return {
            "space": self.space,
            "kernel": kernel,
            "head": self.head,
            "network": self.network(kernel),
        }


class _Exact(nn.Module):
    def __init__(self, oracle: Oracle, kernel: Kernel) -> None:
        super().__init__()
        self.oracle, self.kernel = oracle, kernel

    def forward(self, x_t: Tensor, time: Tensor) -> Tensor:
        t = (time.double() * self.kernel.steps).round().long()
        return self.oracle.answer(self.kernel, x_t.double(), t).to(x_t.dtype)


@dataclass(frozen=True)
class _Mixture:
    """sum_k weight_k N(x_0; mean_k, diag variance_k): (K,), (K, D) and (K, D), in float64. Below,
    x = signal x_0 + noise eps has shape (B, D) and the two scales (B, 1)."""

    log_weight: Tensor
    mean: Tensor
    variance: Tensor

    def sample(self, n: int, rng: torch.Generator | None) -> Tensor:
        k = torch.multinomial(self.log_weight.exp(), n, replacement=True, generator=rng)
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
        return list(zip(*(tensor.split(rows) for tensor in tensors), strict=True))


class _OnMixture(Oracle):
    """Real data whose density is a finite mixture of Gaussians, to within rounding."""

    def __post_init__(self) -> None:
        _ = self.mixture  # what is wrong with the arguments is said now rather than later

    @property
    @abc.abstractmethod
    def mixture(self) -> _Mixture:
        """The components."""

    @property
    def space(self) -> Continuous:
        return Continuous(self.mixture.mean.shape[1])

    @property
    def head(self) -> Moments:
        return Moments()

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        return self.mixture.sample(n, rng)

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
class GaussianOracle(_OnMixture):
    """Independent normal values: one number for all of them, or a tuple with one for each. Its
    reverse steps are normal, so that the chain is exact but for its two ends."""

    mean: float | tuple = 0.0
    variance: float | tuple = 1.0

    @cached_property
    def mixture(self) -> _Mixture:  # type: ignore[override]
        return _mixture((1.0,), (self.mean,), (self.variance,))


@dataclass(frozen=True)
class MixtureOracle(_OnMixture):
    """A mixture of normals.

    Args:
        weights: of the K components, summing to 1.
        means: K tuples of D numbers, or K numbers on the line.
        variances: K numbers, each the variance of all D values, or K tuples of D numbers.
    """

    weights: tuple
    means: tuple
    variances: tuple

    @cached_property
    def mixture(self) -> _Mixture:  # type: ignore[override]
        return _mixture(self.weights, self.means, self.variances)


@dataclass(frozen=True)
class SwissRollOracle(_OnMixture):
    """The spiral of :func:`quasistatic.data.swiss_roll` with Gaussian noise, of variance 1 a value
    in all. `noise` is the deviation of that noise in these final units; scikit-learn's argument of
    that name is 6.79 times as large, for it is added before the roll is scaled."""

    noise: float = 0.1

    @cached_property
    def mixture(self) -> _Mixture:  # type: ignore[override]
        if not 0 < self.noise < 1:
            raise ValueError(
                f"the noise is part of a variance of 1: give 0 < noise < 1, got {self.noise}"
            )
        # Gauss-Legendre on pieces of the curve at most eight deviations long: the integral over
        # u is good to nine digits everywhere, the two ends of the roll included.
        nodes, weights = (
            torch.from_numpy(each) / 2 for each in np.polynomial.legendre.leggauss(16)
        )
        pieces = math.ceil(2.5 / self.noise)
        u = (torch.arange(pieces)[:, None] + nodes + 0.5).flatten() / pieces
        curve = torch.from_numpy(roll_curve((1.5 * math.pi * (1 + 2 * u)).numpy()))
        mean = math.sqrt(1 - self.noise**2) * curve
        weight = (weights / pieces).repeat(pieces)
        return _Mixture(weight.log(), mean, torch.full_like(mean, self.noise**2))


@dataclass(frozen=True)
class HeartbeatOracle(Oracle):
    """Bits with a 1 every `period` places and nothing else: `period` sequences, one for each
    phase, of equal probability (SD15 Sec. 3.1.2)."""

    length: int = 20
    period: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.period <= self.length:
            raise ValueError(
                f"the period must be from 2 to the length, {self.length}, got {self.period}: "
                "other sequences have no phase to tell them apart"
            )

    @property
    def space(self) -> Binary:
        return Binary(self.length)

    @property
    def head(self) -> Clean:
        return Clean()

    def sample(self, n: int, rng: torch.Generator | None = None) -> Tensor:
        return self.sequences[torch.randint(self.period, (n,), generator=rng)]

    def log_prob(self, x: Tensor) -> Tensor:
        x = self.space.check(x)
        one_of_them = (x[:, None] == self.sequences.to(x)).all(-1).any(-1)
        return torch.where(one_of_them, -math.log(self.period), -math.inf).double()

    def log_prob_t(self, x_t: Tensor, kernel: Kernel, t: Tensor) -> Tensor:
        return self._log_joint(kernel, x_t.double(), t).logsumexp(1)

    def answer(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        # One phase only has a 1 at a given place, so the odds of that 1 are those of the phase.
        log_joint = self._log_joint(kernel, x_t, t)
        itself = torch.eye(self.period, dtype=torch.bool, device=x_t.device)
        others = torch.where(itself, -math.inf, log_joint[:, None]).logsumexp(-1)
        log_odds = (log_joint - others)[:, self._phase.to(x_t.device)]
        prior, one = kernel.prior(x_t), torch.ones_like(x_t)
        return (log_odds - (prior.log_prob(one) - prior.log_prob(0 * one)))[..., None]

    @property
    def sequences(self) -> Tensor:
        """All of them, with shape (period, length)."""
        return torch.eye(self.period, dtype=torch.float64)[:, self._phase]

    @property
    def _phase(self) -> Tensor:
        """The phase whose sequence has a 1 at each place, with shape (length,)."""
        return torch.arange(self.length) % self.period

    def _log_joint(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        """log P(x_t, phase), with shape (B, period)."""
        each = [
            total(kernel.marginal(sequence.expand_as(x_t), t).log_prob(x_t))
            for sequence in self.sequences.to(x_t)
        ]
        return torch.stack(each, 1) - math.log(self.period)


def _mixture(weights: tuple, means: tuple, variances: tuple) -> _Mixture:
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
        mean, variance = torch.broadcast_tensors(mean, variance)
        mean = mean.expand(len(weight), -1)
    except RuntimeError:
        raise ValueError(
            f"{len(weight)} weights, means of shape {tuple(mean.shape)} and variances of shape "
            f"{tuple(variance.shape)} do not fit: give one of each for every component"
        ) from None
    if not (mean.isfinite() & variance.isfinite() & (variance > 0)).all():
        raise ValueError(f"means must be finite and variances positive, got {means}, {variances}")
    return _Mixture(weight.log(), mean, variance.expand_as(mean))
