r"""The bound to an asked-for standard error, with as few network evaluations as it takes."""

__all__ = ["bound_to"]

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..model import Model
from .elbo import bound
from .neyman_allocation import BINS, REPEATS, Allotment, measured
from .score import BoundScore

OPENING = 20
"""Evaluations an example, spread evenly, that tell how many more it takes."""

PILOT = 16
"""Examples on which a pilot finds out where the noise is."""

ROOM = 1.05
"""How much more is spent than what was seen makes enough."""


def bound_to(
    model: Model,
    raw: object,
    stderr: float,
    each: bool = False,
    most: int | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> BoundScore:
    r"""K of each example of raw (N, *), by as many evaluations as bring its standard error to
    `stderr` bits a value; if `most` do not suffice, what they reach, and a warning that says so.

    A few evaluations, spread evenly, come first. If many more are needed, a pilot on some of the
    examples measures where the noise is and the rest is allotted by it (:class:`Allotment`). The
    standard error that is told is the one that all of them show.

    Args:
        stderr: in bits a value; of the mean over these examples, which the draws of the estimate
            leave open (how the examples differ among themselves is not part of it).
        each: the standard error of each example's own value instead, root mean square over them.
        most: evaluations an example; by default the number of terms, what the full sum takes.

    Raises:
        ValueError: if `stderr` is not positive, or `most` is less than 2.
    """
    if not 0 < stderr < math.inf:
        raise ValueError(f"a standard error must be positive and finite, got {stderr}")
    checked = model.space.check(raw).to(model.blank(1))
    terms = len(model.times(times)) - model.space.first_term
    most = terms if most is None else most
    if most < 2:
        raise ValueError(f"a standard error takes at least 2 evaluations to tell, got {most}")
    wanted = stderr * model.space.dims * math.log(2) * (1.0 if each else len(checked) ** 0.5)
    grid, allotment = model.times(times), Allotment.even(terms)
    score = bound(model, checked, min(OPENING, most), grid, rng, allotment)
    while (reached := _rms(score.noise)) > wanted and score.evaluations + 2 <= most:
        need = math.ceil(score.evaluations * ((reached / wanted) ** 2 * ROOM - 1))
        cost = min(PILOT, len(checked)) * min(BINS, terms) * REPEATS
        if score.pilot or need * len(checked) <= cost:
            more = max(2, min(need, most - score.evaluations))
            score = _pooled(score, bound(model, checked, more, grid, rng, allotment))
        else:  # what came evenly spread is far noisier, and is paid for but not kept
            allotment, of_one = _pilot(model, checked, grid, rng)
            more = max(2, min(math.ceil((of_one / wanted) ** 2 * ROOM), most))
            better = bound(model, checked, more, grid, rng, allotment)
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
    model: Model, checked: Tensor, grid: Tensor, rng: torch.Generator | None
) -> tuple[Allotment, float]:
    """The allotment that some of the examples, evenly among all, ask for."""
    some = torch.linspace(0, len(checked) - 1, min(PILOT, len(checked))).long()
    with evaluating(model):
        return measured(model, model.space.encode(checked[some], rng), grid, rng)


def _pooled(a: BoundScore, b: BoundScore) -> BoundScore:
    """Two estimates of the same examples as one, each with the weight of its evaluations."""
    whole = a.evaluations + b.evaluations
    of_a, of_b = a.evaluations / whole, b.evaluations / whole
    return replace(
        a,
        terms={name: of_a * a.terms[name] + of_b * b.terms[name] for name in a.terms},
        noise=((of_a * a.noise) ** 2 + (of_b * b.noise) ** 2).sqrt(),
        evaluations=whole,
    )


def _rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()
