r"""Scores: an estimate of the log-likelihood of each example, in nats, bits and bits a value, with
its terms, its standard error and its cost."""

__all__ = [
    "BoundScore",
    "ClassesScore",
    "ContinuousScore",
    "FlowScore",
    "ImportanceScore",
    "Score",
]

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from .strata import pooled_freedom, shrunk_errors, t_quantile


@dataclass(frozen=True, repr=False)
class Score:
    r"""An estimate of the log-likelihood of each example.

    Args:
        terms: the parts that it is the sum of, each with shape (N,), in nats.
        null: log-likelihood of each example under pi alone, with shape (N,), in nats: L_null of
            SD15 Tab. 1.
        noise: the standard error of each example's own value, with shape (N,), in nats. It covers
            the random draws of the estimate. NaN where there are too few draws to estimate it.
        dims: the number of values in an example.
        evaluations: network evaluations spent on each example.
        pilot: total network evaluations of a pilot that measured where to spend the others.
        freedom: the degrees of freedom of `noise`, with shape (N,).
        given: whether y was given: every log p(x) here is then log p(x | y).

    Raises:
        ValueError: if the score of an example is NaN; the message says which.
    """

    about: ClassVar[str] = "an estimate of log p(x)"
    """What kind of number it is, as text."""

    symbol: ClassVar[str] = "log p"
    """Its symbol in the one-line text of a score."""

    terms: dict[str, Tensor]
    null: Tensor
    noise: Tensor
    dims: int
    evaluations: int
    pilot: int = 0
    freedom: Tensor = field(kw_only=True)
    given: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        unknown = self.nats.isnan()
        if unknown.any():
            first = int(unknown.nonzero()[0])
            raise ValueError(
                f"the score of {int(unknown.sum())} of {len(unknown)} examples is NaN, first of "
                f"example {first}: the network's output for it is not finite; look at the weights, "
                "and at values far from those of the training"
            )

    def arrays(self) -> dict[str, np.ndarray]:
        """What the score holds of each example, by names that :meth:`with_arrays` reads."""
        found = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Tensor):
                found[each.name] = value.cpu().numpy()
            elif isinstance(value, dict):
                found |= {f"{each.name}.{k}": v.cpu().numpy() for k, v in value.items()}
        return found

    def with_arrays(self, arrays: Mapping[str, np.ndarray]) -> Self:
        """The score of other examples, estimated in the same way.

        Args:
            arrays: what :meth:`arrays` gives of their scores, joined along the first axis.
        """
        made: dict[str, Any] = {}
        for name, array in arrays.items():
            field_name, _, key = name.partition(".")
            value = torch.as_tensor(array, device=self.null.device)
            if key:
                made.setdefault(field_name, {})[key] = value
            else:
                made[field_name] = value
        return replace(self, **made)

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
    def mean_noise(self) -> float:
        """The standard error of the mean of `nats` over these examples, in nats. It covers the
        random draws of the estimate, and not the differences between examples."""
        return self.noise.double().square().sum().sqrt().item() / len(self.null)

    @property
    def above_null(self) -> Tensor:
        """log p(x) - L_null, with shape (N,), in nats an example (SD15 Tab. 1)."""
        return self.nats - self.null

    @property
    def spent(self) -> int:
        """Network evaluations in all: those of every example, and the pilot's."""
        return self.evaluations * len(self.null) + self.pilot

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of a mean over a population of which these examples are a sample.

        Args:
            values: with shape (N,), by default `nats`.

        Returns:
            In the unit of `values`. It covers both the differences between examples and the noise
            of the estimate. NaN for one example.
        """
        values = self.nats if values is None else values
        if len(values) < 2:
            return math.nan
        return float(values.double().std() / len(values) ** 0.5)

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """A confidence interval for the expected value of each example's estimate. For a bound this
        value is K, and not log p(x).

        Args:
            level: the share of such intervals that contain the value.

        Returns:
            The lower and the upper ends, each with shape (N,), in nats, by Student's t. The
            standard errors are `noise`, shrunk towards the mean over the examples as far as their
            differences can be explained by chance: a few draws of one example often miss its rare
            large terms.

        Raises:
            ValueError: if the level is not between 0 and 1.
        """
        noise, freedom = shrunk_errors(self.noise, self.freedom)
        reach = t_quantile(level, freedom) * noise
        return self.nats - reach, self.nats + reach

    def mean_interval(self, level: float = 0.95) -> tuple[float, float]:
        """A confidence interval for the mean over these examples of the values of :meth:`interval`,
        in nats an example. It does not cover the differences between examples.

        Raises:
            ValueError: if the level is not between 0 and 1.
        """
        freedom = pooled_freedom(self.noise, self.freedom)
        reach = t_quantile(level, freedom).item() * self.mean_noise
        mean = self.nats.double().mean().item()
        return mean - reach, mean + reach

    def __repr__(self) -> str:
        error, each = self.stderr() / math.log(2), self.bits_per_dim.double().mean()
        mean = self.bits.double().mean()
        head = f"{self.symbol} = {mean:.4g}" + (f" ± {error:.2g}" if math.isfinite(error) else "")
        terms = ", ".join(
            f"{k} {v.double().mean() / math.log(2):.4g}" for k, v in self.terms.items()
        )
        about = self.about.replace("p(x)", "p(x | y)") if self.given else self.about
        return (
            f"{head} bits an example ({each:.4g} bits a value as a code length)\n"
            f"  {len(self.null)} examples of {self.dims} values, {self.evaluations} evaluations "
            f"each, {about}\n"
            f"  terms in bits: {terms}"
        )


@dataclass(frozen=True, repr=False)
class BoundScore(Score):
    r"""K, a lower bound on the log-likelihood in expectation (SD15 Eq. 14). Its terms: `prior` is
    -KL(q(x_T | x_0) || pi), `transitions` is minus the sum of the KLs of the steps, and `edge` is
    E log p(raw | x_1).

    Args:
        entropies: H_q(X_T | X_0), H_q(X_1 | X_0) and H_p(X_T) of SD15 Eq. 14, each with shape
            (N,), in nats.
    """

    about = "a lower bound on log p(x) (SD15 Eq. 14)"
    symbol = "K"

    entropies: dict[str, Tensor] = field(kw_only=True)

    @property
    def boundary(self) -> Tensor:
        """K minus the four terms of SD15 Eq. 14, with shape (N,), in nats. SD15 B.1 and B.2 assume
        that it is zero, which holds for data of unit variance."""
        entropies = self.entropies
        paper = entropies["H_q(X_T|X_0)"] - entropies["H_q(X_1|X_0)"] - entropies["H_p(X_T)"]
        return self.nats - (self.terms["transitions"] + paper)


@dataclass(frozen=True, repr=False)
class ImportanceScore(Score):
    r"""The log of the mean weight of several paths (SD15 Eq. 9): a lower bound in expectation,
    which rises to log p(x) with their number. Its terms are those of the bound, as means over the
    paths, and `reweighting`, the log of the mean weight less the mean of the log-weights.

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


@dataclass(frozen=True, repr=False)
class FlowScore(Score):
    r"""The likelihood by the probability flow (SSDE21 Sec. 4.3). It is not a bound, and it is the
    density of the flow's distribution, not of the chain's. Its terms: `density` is log p(x_1) by
    the flow, `edge` is log p(raw | x_1) - log q(x_1 | x_0), and `reweighting` is what averaging
    weights adds to averaging their logs."""

    about = "log p(x) of the probability flow (SSDE21 Sec. 4.3), not a bound"


@dataclass(frozen=True, repr=False)
class ContinuousScore(Score):
    r"""The bound in continuous time of a network that corrects a known law (VDM). Its terms:
    `mixture` is that law's exact log-density, and `correction` is what the network adds to it."""

    about = "a lower bound on log p(x), in continuous time (VDM)"
    symbol = "K"


@dataclass(frozen=True, repr=False)
class ClassesScore(Score):
    r"""A lower bound on log p(x) through the classes of a conditional model, see
    :class:`.OverClasses`. Its terms are those of the scores of log p(x | y), averaged over r(y),
    and `classes`, which is -KL(r(y) || p(y)).

    Args:
        posterior: r(y), an estimate of p(y | x), with shape (N, classes).
    """

    about = "a lower bound on log p(x), as a mixture over classes"
    symbol = "K"

    posterior: Tensor = field(kw_only=True)
