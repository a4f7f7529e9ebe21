r"""The likelihood: K <= log p(raw), per example, in named terms and in the raw data's units."""

__all__ = ["Score", "bound"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import total
from .model import Model
from .terms import fixed_part, learned_term, stratified_terms


@dataclass(frozen=True)
class Score:
    r"""A lower bound on the log-likelihood of each example.

    Args:
        terms: the parts of K, each (N,), in nats: `prior` is -KL(q(x_T | x_0) || pi),
            `transitions` is minus the sum of the KLs, `edge` is E log p(raw | x_1).
        entropies: H_q(X_T | X_0), H_q(X_1 | X_0) and H_p(X_T) of SD15 Eq. 14, each (N,), in nats.
        null: log-likelihood of each example under pi alone, L_null of SD15 Tab. 1, (N,), nats.
        dims: values in an example.
        evaluations: network evaluations spent on each example.
    """

    terms: dict[str, Tensor]
    entropies: dict[str, Tensor]
    null: Tensor
    dims: int
    evaluations: int

    @property
    def nats(self) -> Tensor:
        """K, with shape (N,), in nats an example; higher is better."""
        return torch.stack(list(self.terms.values())).sum(0)

    @property
    def bits(self) -> Tensor:
        """K, with shape (N,), in bits an example; higher is better."""
        return self.nats / math.log(2)

    @property
    def bits_per_dim(self) -> Tensor:
        """-K as a code length, with shape (N,), in bits a value; lower is better."""
        return -self.bits / self.dims

    @property
    def above_null(self) -> Tensor:
        """K - L_null, with shape (N,), in nats an example (SD15 Tab. 1)."""
        return self.nats - self.null

    @property
    def boundary(self) -> Tensor:
        """What SD15 B.1 and B.2 take for zero, with shape (N,), in nats: K less the four terms of
        SD15 Eq. 14. It vanishes on data of unit variance."""
        entropies = self.entropies
        paper = entropies["H_q(X_T|X_0)"] - entropies["H_q(X_1|X_0)"] - entropies["H_p(X_T)"]
        return self.nats - (self.terms["transitions"] + paper)

    def stderr(self, values: Tensor | None = None) -> float:
        """The standard error of the mean of `values` (N,), by default of `nats`; it holds the
        spread of the examples and the noise of the estimate alike. NaN for one example."""
        values = self.nats if values is None else values
        return (values.double().std() / len(values) ** 0.5).item()


@torch.no_grad()
def bound(
    model: Model,
    raw: object,
    evaluations: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Score:
    r"""K of SD15 Eq. 14 for each example of raw (N, *), kept true for any data: nothing that
    holds for unit variance only is dropped.

    Args:
        evaluations: network evaluations an example. None sums every term; fewer visit terms
            drawn from that many equal shares of the chain, and the sum is unbiased.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.

    Raises:
        ValueError: if `evaluations` is not between 1 and the number of terms.
    """
    checked = model.space.check(raw).to(model.blank(1))
    grid, first = model.times(times), model.space.first_term
    terms = len(grid) - first
    shares = terms if evaluations is None else evaluations
    if not 1 <= shares <= terms:
        raise ValueError(
            f"evaluations must be from 1 to {terms}, the terms of this chain, got {shares}: leave "
            "it out for the full sum"
        )
    training = model.training
    model.eval()
    try:
        parts = [_bound(model, batch, grid, shares, rng) for batch in checked.split(model.together)]
    finally:
        model.train(training)
    terms_, entropies, null = zip(*parts, strict=True)
    return Score(
        {name: torch.cat([part[name] for part in terms_]) for name in terms_[0]},
        {name: torch.cat([part[name] for part in entropies]) for name in entropies[0]},
        torch.cat(null),
        model.space.dims,
        shares,
    )


def _bound(
    model: Model, raw: Tensor, times: Tensor, shares: int, rng: torch.Generator | None
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    space, kernel = model.space, model.kernel
    x_0 = space.encode(raw, rng)
    count, first = len(times), space.first_term
    weight = (count - first) / shares
    transitions, edge = x_0.new_zeros(len(x_0)), x_0.new_zeros(len(x_0))
    for share in range(shares):
        index = stratified_terms(len(x_0), first, count, share, shares, rng).to(x_0.device)
        term = weight * learned_term(model, x_0, times, index, rng)
        edge -= torch.where(index == 0, term, 0.0)
        transitions -= torch.where(index == 0, 0.0, term)
    fixed = fixed_part(model, x_0, times)
    terms = {
        "prior": fixed["prior"],
        "transitions": transitions,
        "edge": fixed["edge"] + edge,
    }
    at = [x_0.new_full((len(x_0),), int(t)).long() for t in (times[-1], times[0])]
    entropies = {
        "H_q(X_T|X_0)": total(kernel.marginal(x_0, at[0]).entropy()),
        "H_q(X_1|X_0)": total(kernel.marginal(x_0, at[1]).entropy()),
        "H_p(X_T)": total(kernel.prior(x_0).entropy()),
    }
    return terms, entropies, total(space.log_prob(kernel.prior(x_0), x_0))
