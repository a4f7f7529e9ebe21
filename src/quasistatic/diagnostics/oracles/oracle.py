r"""What every oracle is, and the head that reads the exact moments of x_0."""

__all__ = ["Moments", "Oracle", "drawn"]

import abc
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..._utils.randomness import Rng
from ...distributions import Gaussian
from ...heads import DenoisingHead, Head
from ...kernels import Kernel, SignalNoise
from ...spaces import Space


@dataclass(frozen=True)
class Moments(DenoisingHead):
    """The network's output is E[x_0 | x_t] and Var[x_0 | x_t] of each coordinate, (B, *, 2).

    With the true ones the step is exact for Gaussian data. For other data it is the Gaussian with
    independent coordinates that is nearest to the exact step in KL."""

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
    """A distribution of raw data (N, *) with a known density and a known denoiser."""

    @property
    @abc.abstractmethod
    def space(self) -> Space:
        """The space of the raw data."""

    @property
    @abc.abstractmethod
    def head(self) -> Head:
        """The head for which :meth:`answer` is the exact output."""

    @abc.abstractmethod
    def sample(self, n: int, rng: Rng = None) -> Tensor:
        """n exact draws.

        Args:
            n: the number of draws.
            rng: a seed, a generator or None; the same seed repeats the draws.

        Returns:
            With shape (n, *), in float64.
        """

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
        """A network without parameters, called with x_t and t / T, that gives :meth:`answer`."""
        return _Exact(self, kernel)

    def parts(self, kernel: Kernel) -> dict[str, Any]:
        """The four parts of a model: `Model(**oracle.parts(kernel))`."""
        return {
            "space": self.space,
            "kernel": kernel,
            "head": self.head,
            "network": self.network(kernel),
        }


def drawn(shares: Tensor, n: int, rng: torch.Generator | None) -> Tensor:
    """n places in a law over K of them, with probabilities (K,): whole numbers, (n,)."""
    at = shares.device if rng is None else rng.device
    found = torch.multinomial(shares.to(at), n, replacement=True, generator=rng)
    return found.to(shares.device)


class _Exact(nn.Module):
    def __init__(self, oracle: Oracle, kernel: Kernel) -> None:
        super().__init__()
        self.oracle, self.kernel = oracle, kernel

    def forward(self, x_t: Tensor, time: Tensor) -> Tensor:
        t = (time.double() * self.kernel.steps).round().long()
        return self.oracle.answer(self.kernel, x_t.double(), t).to(x_t.dtype)
