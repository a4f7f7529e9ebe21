r"""The bound to an asked-for standard error, with as few network evaluations as it takes."""

__all__ = ["bound_to"]

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..model import Model
from .elbo import bound
from .neyman_allocation import BINS, REPEATS, Allocation, neyman_allocation
from .score import BoundScore
from .strata import pooled_freedom
from .terms import term_times

OPENING = 20
"""Evaluations an example, spread evenly, from which the number of further ones is estimated."""

PILOT = 16
"""Examples on which a pilot finds out where the noise is."""

MARGIN = 1.05
"""By which factor more is spent than the estimate asks for."""


def bound_to(
    model: Model,
    raw: object,
    stderr: float,
    each: bool = False,
    most: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> BoundScore:
    r"""K of each example, by as many evaluations as bring its standard error to `stderr`.

    A few evaluations, spread evenly, come first. If many more are needed, a pilot on some of the
    examples measures which terms are noisy, and the rest is allocated by it
    (:class:`.neyman_allocation.Allocation`). The standard error of the result is the one that all
    evaluations show.

    Args:
        model: that is scored.
        raw: raw data, with shape (N, *).
        stderr: in bits a value; of the mean over these examples, as far as the draws of the
            estimate leave it open (how the examples differ is not part of it).
        each: whether `stderr` is for each example's own value instead, as root mean square over
            the examples.
        most: the most evaluations an example; by default the number of terms, which is what the
            full sum takes.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        The score. If `most` evaluations do not suffice, it is what they reach, and a warning says
        so.

    Raises:
        ValueError: if `stderr` is not positive, or `most` is less than 2.
    """
    if not 0 < stderr < math.inf:
        raise ValueError(f"a standard error must be positive and finite, got {stderr}")
    rng = as_generator(rng)
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    ends = term_times(model, grid)
    terms = len(ends) - 1
    most = terms if most is None else most
    if most < 2:
        raise ValueError(f"a standard error takes at least 2 evaluations to estimate, got {most}")
    wanted = stderr * model.space.dims * math.log(2) * (1.0 if each else len(checked) ** 0.5)
    opening = min(OPENING, most)
    allocation = Allocation.even(terms)
    if ends[0] == 0:
        allocation = Allocation.last_step_apart(terms, opening)
    score = bound(model, checked, opening, grid, rng, allocation)
    while (reached := _rms(score.noise)) > wanted and score.evaluations + 2 <= most:
        need = math.ceil(score.evaluations * ((reached / wanted) ** 2 * MARGIN - 1))
        cost = min(PILOT, len(checked)) * min(BINS, terms) * REPEATS
        if score.pilot or need * len(checked) <= cost:
            more = max(2, min(need, most - score.evaluations))
            score = _pooled(score, bound(model, checked, more, grid, rng, allocation))
        else:  # the evenly spread ones are far noisier: they count as spent and are not used
            allocation, of_one = _pilot(model, checked, ends, rng)
            more = max(2, min(math.ceil((of_one / wanted) ** 2 * MARGIN), most))
            better = bound(model, checked, more, grid, rng, allocation)
            score = replace(better, pilot=cost + score.evaluations * len(checked))
    if reached > wanted:
        warnings.warn(
            f"{score.evaluations} evaluations an example reach a standard error of "
            f"{reached / wanted * stderr:.3g} bits a value, not {stderr:g}: allow about "
            f"{math.ceil(score.evaluations * (reached / wanted) ** 2)}",
            stacklevel=2,
        )
    return score


@torch.no_grad()
def _pilot(
    model: Model, checked: Tensor, ends: Tensor, rng: torch.Generator | None
) -> tuple[Allocation, float]:
    """The allocation for some of the examples, which are spread evenly among all."""
    some = torch.linspace(0, len(checked) - 1, min(PILOT, len(checked))).long()
    with evaluating(model):
        return neyman_allocation(
            model.take(some), model.space.encode(checked[some], rng), ends, rng
        )


def _pooled(a: BoundScore, b: BoundScore) -> BoundScore:
    """Two independent estimates of the same examples as one, weighted by their evaluations."""
    whole = a.evaluations + b.evaluations
    of_a, of_b = a.evaluations / whole, b.evaluations / whole
    errors = torch.stack([of_a * a.noise, of_b * b.noise])
    return replace(
        a,
        terms={name: of_a * a.terms[name] + of_b * b.terms[name] for name in a.terms},
        noise=errors.square().sum(0).sqrt(),
        freedom=pooled_freedom(errors, torch.stack([a.freedom, b.freedom])),
        evaluations=whole,
    )


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()
