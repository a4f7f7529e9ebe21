r"""Oracles over bits, by enumeration of all sequences that have a probability."""

__all__ = ["HeartbeatOracle", "IsingOracle"]

import abc
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._utils.randomness import Rng, as_generator, below
from ...heads import Clean
from ...kernels import Kernel
from ...spaces import Binary
from .oracle import Oracle, drawn

LONGEST = 12
"""Bits of an Ising chain at most: all 2^12 sequences are enumerated."""


class _OnBits(Oracle):
    """A finite number of sequences of bits, each with its probability."""

    @property
    @abc.abstractmethod
    def sequences(self) -> Tensor:
        """All sequences of positive probability, with shape (K, length), in float64."""

    @property
    @abc.abstractmethod
    def log_weight(self) -> Tensor:
        """The log-probability of each, with shape (K,), in nats, in float64."""

    @property
    def space(self) -> Binary:
        return Binary(self.sequences.shape[1])

    @property
    def head(self) -> Clean:
        return Clean()

    def sample(self, n: int, rng: Rng = None) -> Tensor:
        return self.sequences[drawn(self.log_weight.exp(), n, as_generator(rng))]

    def log_prob(self, x: Tensor) -> Tensor:
        x = self.space.check(x)
        same = (x[:, None] == self.sequences.to(x)).all(-1)
        return torch.where(same, self.log_weight.to(x.device), -math.inf).logsumexp(1)

    def log_prob_t(self, x_t: Tensor, kernel: Kernel, t: Tensor) -> Tensor:
        return self._log_joint(kernel, x_t.double(), t).logsumexp(1)

    def answer(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        log_joint = self._log_joint(kernel, x_t, t)[:, None]
        ones = self.sequences.T.to(x_t.device) > 0  # (length, K)
        log_one, log_zero = (
            torch.where(mask, log_joint, -math.inf).logsumexp(-1) for mask in (ones, ~ones)
        )
        prior, one = kernel.prior(x_t), torch.ones_like(x_t)
        prior_odds = prior.log_prob(one) - prior.log_prob(0 * one)
        return (log_one - log_zero - prior_odds)[..., None]

    def _log_joint(self, kernel: Kernel, x_t: Tensor, t: Tensor) -> Tensor:
        """log P(x_t, sequence), with shape (B, K)."""
        # Bits of x_t are independent given x_0, so two laws for each bit serve all sequences.
        zero, one = (
            kernel.marginal(torch.full_like(x_t, bit), t).log_prob(x_t) for bit in (0.0, 1.0)
        )
        ones = self.sequences.T.to(x_t)
        return one @ ones + zero @ (1 - ones) + self.log_weight.to(x_t)


@dataclass(frozen=True)
class HeartbeatOracle(_OnBits):
    """Bits with a 1 every `period` places and nothing else: `period` sequences, one for each
    phase, of equal probability (SD15 Sec. 3.1.2).

    Args:
        length: of a sequence.
        period: from one 1 to the next.

    Raises:
        ValueError: if the period is not from 2 to the length.
    """

    length: int = 20
    period: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.period <= self.length:
            raise ValueError(
                f"the period must be from 2 to the length, {self.length}, got {self.period}: "
                "other sequences have no phase to tell them apart"
            )

    @property
    def sequences(self) -> Tensor:
        phase = torch.arange(self.length) % self.period
        return torch.eye(self.period, dtype=torch.float64)[:, phase]

    def sample(self, n: int, rng: Rng = None) -> Tensor:
        index = below(self.period, n, as_generator(rng), torch.empty(0))
        return self.sequences[index]

    @property
    def log_weight(self) -> Tensor:
        return torch.full((self.period,), -math.log(self.period), dtype=torch.float64)


@dataclass(frozen=True)
class IsingOracle(_OnBits):
    r"""A ring of spins, p(x) proportional to exp(coupling sum_i s_i s_{i+1} + field sum_i s_i)
    with s = 2 x - 1, by enumeration.

    Args:
        length: the number of bits, from 3 to 12.
        coupling: of neighbours; positive makes them alike.
        field: positive makes ones likelier.

    Raises:
        ValueError: if the length is not from 3 to 12, or a number is not finite.
    """

    length: int = 6
    coupling: float = 0.6
    field: float = 0.1

    def __post_init__(self) -> None:
        if not 3 <= self.length <= LONGEST:
            raise ValueError(
                f"a ring has 3 to {LONGEST} bits here, got {self.length}: all sequences are "
                "enumerated"
            )
        if not (math.isfinite(self.coupling) and math.isfinite(self.field)):
            raise ValueError(
                f"coupling and field must be finite, got {self.coupling} and {self.field}"
            )

    @property
    def sequences(self) -> Tensor:
        place = torch.arange(self.length)
        return ((torch.arange(2**self.length)[:, None] >> place) & 1).double()

    @property
    def log_weight(self) -> Tensor:
        spin = 2 * self.sequences - 1
        energy = self.coupling * (spin * spin.roll(1, 1)).sum(1) + self.field * spin.sum(1)
        return energy.log_softmax(0)
