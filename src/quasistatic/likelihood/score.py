r"""What a likelihood is told as: nats, bits and bits a dimension of each example, named terms, how
much the estimate leaves open, and what it cost."""

__all__ = ["BoundScore", "ContinuousScore", "FlowScore", "ImportanceScore", "Score"]

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Score:
    r"""An estimate of the log-likelihood of each example.

    Args:
        terms: the parts that it is the sum of, each (N,), in nats.
        null: log-likelihood of each example under pi alone, L_null of SD15 Tab. 1, (N,), nats.
        noise: the standard error of each example's own value, (N,), in nats: what the draws of
            the estimate leave open. NaN where there are too few to tell.
        dims: values in an example.
        evaluations: network evaluations spent on each example.
        pilot: evaluations spent in all before them, to find out where to spend them.
    """

    about: ClassVar[str] = "an estimate of log p(x)"
    """What kind of number it is, for a person."""

    terms: dict[str, Tensor]
    null: Tensor
    noise: Tensor
    dims: int
    evaluations: int
    pilot: int = 0

    @property
    def nats(self) -> Tensor:
        """log p(x), with shape (N,), in nats an example; higher is better."""
        return torch.stack(list(self.terms.values())).sum(0)

    @property
    def bits(self) -> Tensor:
        """log2 p(x), with shape (N,), in bits an example; higher is better."""
        return self.nats / math.log(2)

    @property
    def bits_per_dim(self) -> Tensor:
        """-log2 p(x) as a code length, with shape (N,), in bits a value; lower is better."""
        return -self.bits / self.dims

    @property
    def noise_per_dim(self) -> Tensor:
        """The standard error of each example's own bits a value, with shape (N,)."""
        return self.noise / self.dims / math.log(2)

    @property
    def above_null(self) -> Tensor:
        """log p(x) - L_null, with shape (N,), in nats an example (SD15 Tab. 1)."""
        return self.nats - self.null

    @property
    def spent(self) -> int:
        """Network evaluations in all: those of every example, and the pilot's."""
        return self.evaluations * len(self.null) + self.pilot

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of the mean of `values` (N,), by default of `nats`; it holds the
        spread of the examples and the noise of the estimate alike. NaN for one example."""
        values = self.nats if values is None else values
        return (values.double().std() / len(values) ** 0.5).item()


@dataclass(frozen=True)
class BoundScore(Score):
    r"""K, a lower bound on the log-likelihood in expectation. Its terms: `prior` is
    -KL(q(x_T | x_0) || pi), `transitions` is minus the sum of the KLs, `edge` is
    E log p(raw | x_1).

    Args:
        entropies: H_q(X_T | X_0), H_q(X_1 | X_0) and H_p(X_T) of SD15 Eq. 14, each (N,), in nats.
    """

    about = "a lower bound on log p(x) (SD15 Eq. 14)"

    entropies: dict[str, Tensor] = field(kw_only=True)

    @property
    def boundary(self) -> Tensor:
        """What SD15 B.1 and B.2 take for zero, with shape (N,), in nats: K less the four terms of
        SD15 Eq. 14. It vanishes on data of unit variance."""
        entropies = self.entropies
        paper = entropies["H_q(X_T|X_0)"] - entropies["H_q(X_1|X_0)"] - entropies["H_p(X_T)"]
        return self.nats - (self.terms["transitions"] + paper)


@dataclass(frozen=True)
class ImportanceScore(Score):
    r"""The log-mean of weighted paths, a lower bound in expectation that rises to log p(x) with
    their number. Its terms are the paths' means, those of the bound, and `reweighting`, what the
    log of the mean has over the mean of the logs.

    Args:
        log_weights: of each path, with shape (N, paths), in nats.
    """

    about = "a lower bound on log p(x), tighter with every path (SD15 Eq. 9)"

    log_weights: Tensor = field(kw_only=True)

    @property
    def effective_paths(self) -> Tensor:
        """The effective sample size of the paths, with shape (N,), from 1 to their number."""
        share = self.log_weights.softmax(1)
        return 1 / (share**2).sum(1)


@dataclass(frozen=True)
class FlowScore(Score):
    r"""The likelihood by the probability flow: no bound, and the density of the flow's law rather
    than of the chain's. Its terms: `density`, log p(x_1) by the flow; `edge`, log p(raw | x_1) -
    log q(x_1 | x_0); and `reweighting`, what averaging weights adds to averaging logs."""

    about = "log p(x) of the probability flow (SSDE21 Sec. 4.3), not a bound"


@dataclass(frozen=True)
class ContinuousScore(Score):
    r"""The bound in continuous time of a network that corrects a known law. Its terms: `mixture`,
    that law's exact log-density, and `correction`, what the network wins."""

    about = "a lower bound on log p(x), in continuous time (VDM)"
