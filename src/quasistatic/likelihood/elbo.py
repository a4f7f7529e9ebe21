r"""The bound: K <= log p(raw), per example, in named terms and in the raw data's units."""

__all__ = ["bound"]

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import permutation, uniform
from ..distributions import total
from ..model import Model
from .neyman_allocation import Allotment, Visit
from .score import BoundScore
from .terms import fixed_part

P = TypeVar("P")


@torch.no_grad()
def bound(
    model: Model,
    raw: object,
    evaluations: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
    allotment: Allotment | None = None,
) -> BoundScore:
    r"""K of SD15 Eq. 14 for each example of raw (N, *), kept true for any data: nothing that
    holds for unit variance only is dropped.

    Args:
        evaluations: network evaluations an example. None sums every term; fewer visit terms
            at places spread evenly along the chain, and the sum is unbiased.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        allotment: how evaluations are spread over the terms, by default evenly.

    Raises:
        ValueError: if `evaluations` is not between 1 and the number of terms, or an allotment is
            for another chain.
    """
    checked = model.space.check(raw).to(model.blank(1))
    grid, first = model.times(times), model.space.first_term
    terms = len(grid) - first
    shares = _shares(evaluations, terms, allotment)
    spread = allotment or Allotment.even(terms)
    with evaluating(model):
        parts = [
            _bound(model, model.space.encode(batch, rng), grid, shares, spread, rng)
            for batch in checked.split(model.chunk_size)
        ]
    terms_, entropies, null, noise = zip(*parts, strict=True)
    return BoundScore(
        {name: torch.cat([part[name] for part in terms_]) for name in terms_[0]},
        torch.cat(null),
        torch.cat(noise),
        model.space.dims,
        shares,
        entropies={name: torch.cat([part[name] for part in entropies]) for name in entropies[0]},
    )


def _shares(evaluations: int | None, terms: int, allotment: Allotment | None) -> int:
    if allotment is not None and len(allotment.density) != terms:
        raise ValueError(
            f"the allotment is for a chain of {len(allotment.density)} terms, and this one has "
            f"{terms}: measure it on the same times"
        )
    shares = terms if evaluations is None else evaluations
    if shares < 1 or (shares > terms and allotment is None):
        raise ValueError(
            f"evaluations must be from 1 to {terms}, the terms of this chain, got {shares}: leave "
            "it out for the full sum"
        )
    return shares


def _bound(
    model: Model,
    x_0: Tensor,
    times: Tensor,
    shares: int,
    allotment: Allotment,
    rng: torch.Generator | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    space, kernel = model.space, model.kernel
    edge, transitions, noise = _learned(model, x_0, times, shares, allotment, rng)
    fixed = fixed_part(model, x_0, times)
    terms = {
        "prior": fixed["prior"],
        "transitions": -transitions,
        "edge": fixed["edge"] - edge,
    }
    at = [x_0.new_full((len(x_0),), int(t)).long() for t in (times[-1], times[0])]
    entropies = {
        "H_q(X_T|X_0)": total(kernel.marginal(x_0, at[0]).entropy()),
        "H_q(X_1|X_0)": total(kernel.marginal(x_0, at[1]).entropy()),
        "H_p(X_T)": total(kernel.prior(x_0).entropy()),
    }
    return terms, entropies, total(space.log_prob(kernel.prior(x_0), x_0)), noise


def _learned(
    model: Model,
    x_0: Tensor,
    times: Tensor,
    shares: int,
    allotment: Allotment,
    rng: torch.Generator | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The term that ends the chain, the sum of the others, and the standard error of all of them
    together, each (B,), in nats."""
    edge, transitions = x_0.new_zeros(len(x_0)), x_0.new_zeros(len(x_0))
    square = torch.zeros_like(edge, dtype=torch.float64)
    before: Tensor | None = None
    visits = _visits(model, x_0, times, shares, allotment, rng)
    for (index, visit), partner in _with_partners(visits):
        term = visit.term
        if allotment.controlled and partner is not None:
            control = allotment.control.to(term)[index]
            term = term - control * visit.surprise(model, partner[1], rng)
        term = term * (allotment.weight(index) / shares).to(term.dtype)
        ends = visit.s == 0
        edge += torch.where(ends, term, 0.0)
        transitions += torch.where(ends, 0.0, term)
        if before is not None:
            # Collapsed strata: neighbours have nearly the same mean, so that their difference
            # tells their noise, and no less than that. Each is in two differences.
            square += (term.double() - before) ** 2 / 2
        before = term.double()
    noise = (square * shares / max(shares - 1, 1)).sqrt()
    return edge, transitions, noise if shares > 1 else torch.full_like(noise, math.nan)


def _visits(
    model: Model,
    x_0: Tensor,
    times: Tensor,
    shares: int,
    allotment: Allotment,
    rng: torch.Generator | None,
) -> Iterator[tuple[Tensor, Visit]]:
    """Evaluations of each example, and the terms that they are of."""
    first = model.space.first_term
    ladder = torch.cat([times.new_zeros(1), times]).to(x_0.device)
    # Spread evenly over the examples too, so that few evaluations of many tell their mean.
    start = uniform((1,), rng, x_0, torch.float64)
    within = (permutation(len(x_0), rng, x_0) + start) / len(x_0)
    for share in range(shares):
        # Neighbours are antithetic: what a slope adds to one it takes from the next.
        place = within if share % 2 == 0 else 1 - within
        index = allotment.index((share + place) / shares)
        k = first + index
        yield index, Visit.make(model, x_0, ladder[k], ladder[k + 1], rng)


def _with_partners(visits: Iterator[P]) -> Iterator[tuple[P, P | None]]:
    """Each with the one before it; the first with the second, if there is one."""
    first, second = next(visits), next(visits, None)
    yield first, second
    before, here = first, second
    while here is not None:
        yield here, before
        before, here = here, next(visits, None)
