r"""Estimates the bound to a requested standard error, with few network evaluations."""

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
"""Evenly spread evaluations of each example, from which the number of further ones is estimated."""

PILOT = 16
"""Number of examples in a pilot, which measures how noisy each term is."""

MARGIN = 1.05
"""Safety factor on the estimated number of further evaluations."""


def bound_to(
    model: Model,
    raw: object,
    stderr: float,
    each: bool = False,
    most: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> BoundScore:
    r"""Estimates K of each example, with enough evaluations to bring the standard error down to
    `stderr`.

    A few evaluations, spread evenly, come first. If many more are needed, a pilot on some of the
    examples measures which terms are noisy, and the rest is allocated by it
    (:class:`.neyman_allocation.Allocation`). The standard error of the result is the one that all
    evaluations show.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        stderr: the standard error of the mean over these examples, in bits a value. It covers the
            random draws of the estimate, and not the differences between examples.
        each: whether `stderr` is for each example's own value instead, as root mean square over
            the examples.
        most: the largest number of evaluations of an example; by default the number of terms, which
            the full sum takes.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        The score. If `most` evaluations do not suffice, it has a larger standard error, and a
        warning says so.

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
    allocation = Allocation.default(model, ends, opening)
    score = bound(model, checked, opening, grid, rng, allocation)
    while (reached := _rms(score.noise)) > wanted and score.evaluations + 2 <= most:
        need = math.ceil(score.evaluations * ((reached / wanted) ** 2 * MARGIN - 1))
        cost = min(PILOT, len(checked)) * min(BINS, terms) * REPEATS
        if score.pilot or need * len(checked) <= cost:
            more = max(2, min(need, most - score.evaluations))
            score = _pooled(score, bound(model, checked, more, grid, rng, allocation))
        else:
            # The evenly spread evaluations are far noisier. They count as spent, and are not used.
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
    """The allocation that a pilot on some of the examples measures; they are spread evenly among
    all."""
    some = torch.linspace(0, len(checked) - 1, min(PILOT, len(checked))).long()
    with evaluating(model):
        return neyman_allocation(
            model.take(some), model.space.encode(checked[some], rng), ends, rng
        )


def _pooled(a: BoundScore, b: BoundScore) -> BoundScore:
    """Combines two independent estimates of the same examples, weighted by their evaluations."""
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
