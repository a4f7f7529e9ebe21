r"""The bound K <= log p(raw) of each example, as a sum of named terms, in the raw data's units."""

__all__ = ["bound"]

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator, permutation, uniform
from ..distributions import total
from ..model import Model
from ..spaces.space import Encoded
from .neyman_allocation import Allocation, Evaluation
from .score import BoundScore
from .strata import paired_error
from .terms import fixed_terms, term_times

P = TypeVar("P")


@torch.no_grad()
def bound(
    model: Model,
    raw: object,
    evaluations: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
    allocation: Allocation | None = None,
) -> BoundScore:
    r"""K of SD15 Eq. 14 for each example, in a form that holds for any data. It keeps the terms
    that vanish only on data of unit variance.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        evaluations: network evaluations of each example. None sums every term. With fewer
            evaluations than terms, some terms are drawn at random, and the estimate is unbiased.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.
        allocation: how evaluations are spread over the terms; by default evenly for real values,
            and more of them near the data for bits and classes (:meth:`.Allocation.default`).

    Returns:
        The score, with a standard error from the spread of neighbouring terms; NaN for a single
        evaluation.

    Raises:
        ValueError: if `evaluations` is not between 1 and the number of terms, or an allocation is
            for another chain.
    """
    rng = as_generator(rng)
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    ends = term_times(model, grid)
    count = _evaluations(evaluations, len(ends) - 1, allocation)
    spread = allocation or Allocation.default(model, ends, count)
    with evaluating(model):
        parts = [
            _bound(part, model.space.encode_weighted(rows, rng), grid, ends, count, spread, rng)
            for part, rows in model.chunks(checked)
        ]
    terms, entropies, null, noise, freedom = zip(*parts, strict=True)
    return BoundScore(
        _joined(terms),
        torch.cat(null),
        torch.cat(noise),
        model.space.dims,
        count,
        freedom=torch.cat(freedom),
        entropies=_joined(entropies),
    )


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _evaluations(asked: int | None, terms: int, allocation: Allocation | None) -> int:
    if allocation is not None and len(allocation.density) != terms:
        raise ValueError(
            f"the allocation is for a chain of {len(allocation.density)} terms, and this one has "
            f"{terms}: measure it on the same times"
        )
    count = terms if asked is None else asked
    if count < 1 or (count > terms and allocation is None):
        raise ValueError(
            f"evaluations must be from 1 to {terms}, the terms of this chain, got {count}: leave "
            "it out for the full sum"
        )
    return count


def _bound(
    model: Model,
    encoded: Encoded,
    times: Tensor,
    ends: Tensor,
    count: int,
    allocation: Allocation,
    rng: torch.Generator | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor, Tensor]:
    """The terms, the entropies, L_null, the standard error and its degrees of freedom."""
    space, kernel, x_0 = model.space, model.kernel, encoded.x_0
    edge, transitions, noise, freedom = _learned(model, x_0, ends, count, allocation, rng)
    fixed = fixed_terms(model, x_0, times)
    terms = {
        "prior": fixed["prior"],
        "transitions": -transitions,
        "edge": fixed["edge"] - edge,
    } | {name: each.to(x_0) for name, each in encoded.terms.items()}
    at = [x_0.new_full((len(x_0),), int(t)).long() for t in (times[-1], times[0])]
    entropies = {
        "H_q(X_T|X_0)": total(kernel.marginal(x_0, at[0]).entropy()),
        "H_q(X_1|X_0)": total(kernel.marginal(x_0, at[1]).entropy()),
        "H_p(X_T)": total(kernel.prior(x_0).entropy()),
    }
    null = total(space.log_prob(kernel.prior(x_0), x_0)) + encoded.log_weight
    return terms, entropies, null, noise, freedom


def _learned(
    model: Model,
    x_0: Tensor,
    ends: Tensor,
    count: int,
    allocation: Allocation,
    rng: torch.Generator | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The term of the last step, the sum of the others, the standard error of all of them together
    and its degrees of freedom: each (B,), the first three in nats."""
    edge, transitions = x_0.new_zeros(len(x_0)), x_0.new_zeros(len(x_0))
    terms = []
    evaluations = _drawn(model, x_0, ends, count, allocation, rng)
    for (index, here), neighbour in _with_neighbours(evaluations):
        term = here.term
        if allocation.controlled and neighbour is not None:
            control = allocation.control.to(term)[index]
            term = term - control * here.control_variate(model, neighbour[1], rng)
        term = term * (allocation.weight(index) / count).to(term.dtype)
        last = here.s == 0
        edge += torch.where(last, term, 0.0)
        transitions += torch.where(last, 0.0, term)
        terms.append(term)
    return edge, transitions, *paired_error(torch.stack(terms))


def _drawn(
    model: Model,
    x_0: Tensor,
    ends: Tensor,
    count: int,
    allocation: Allocation,
    rng: torch.Generator | None,
) -> Iterator[tuple[Tensor, Evaluation]]:
    """Evaluations of each example, one in each of `count` strata, with the terms that they are
    of."""
    ends = ends.to(x_0.device)
    # Spread evenly over the examples too, so that a few evaluations of many give their mean well.
    start = uniform((1,), rng, x_0, torch.float64)
    within = (permutation(len(x_0), rng, x_0) + start) / len(x_0)
    for stratum in range(count):
        # Neighbours are antithetic: a linear trend adds to one what it takes from the next.
        place = within if stratum % 2 == 0 else 1 - within
        index = allocation.index((stratum + place) / count)
        yield index, Evaluation.make(model, x_0, ends[index], ends[index + 1], rng)


def _with_neighbours(items: Iterator[P]) -> Iterator[tuple[P, P | None]]:
    """Pairs each evaluation with the one before it, and the first with the second, if there is
    one."""
    first, second = next(items), next(items, None)
    yield first, second
    before, here = first, second
    while here is not None:
        yield here, before
        before, here = here, next(items, None)
