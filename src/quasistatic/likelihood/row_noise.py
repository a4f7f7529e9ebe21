"""Noise of a row that depends on a seed and on the row itself, not on the rows beside it."""

__all__ = ["bound_by_row", "times_and_noise"]

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import uniform
from ..distributions.mixtures import RowDraws
from ..model import Model
from .terms import fixed_part, term_of


def times_and_noise(
    model: Model, x_0: Tensor, evaluations: int, rng: "torch.Generator | RowDraws | None"
) -> tuple[Tensor, Tensor]:
    """For each row of x_0 (B, *) one time in each of so many strata of the chain, (B evaluations,),
    and noisy values at these times, (B evaluations, *).

    Args:
        rng: a generator that all rows share, or one for each row.
    """
    if isinstance(rng, RowDraws):
        each = [
            times_and_noise(model, x_0[i : i + 1], evaluations, own)
            for i, own in enumerate(rng.generators)
        ]
        t, x_t = (torch.cat(found) for found in zip(*each, strict=True))
        return t, x_t
    first, place = model.space.first_term, torch.arange(evaluations, device=x_0.device)
    u = (place + uniform((len(x_0), evaluations), rng, x_0, torch.float64)) / evaluations
    terms = model.steps - first
    t = first + (u * terms).long().clamp(max=terms - 1).flatten() + 1
    return t, model.kernel.marginal(x_0.repeat_interleave(evaluations, 0), t).sample(rng)


@torch.no_grad()
def bound_by_row(model: Model, raw: object, evaluations: int, seed: int) -> Tensor:
    """K of each row of raw data (N, *) by so many evaluations, (N,), in nats. It depends on the row
    and the seed alone; in float64 not even on rounding by the rows beside it."""
    checked, parts = model.space.check(raw).to(model.blank(1)), []
    terms, grid = model.steps - model.space.first_term, model.times()
    evaluations = min(evaluations, terms)
    with evaluating(model):
        for batch in checked.split(max(1, model.chunk_size // evaluations)):
            x_0 = model.space.encode(batch)
            draws = RowDraws.of(batch.flatten(1).double().numpy(), seed)
            t, x_t = times_and_noise(model, x_0, evaluations, draws)
            again = x_0.repeat_interleave(evaluations, 0)
            cost = term_of(model, model.output(x_t, t), again, x_t, t - 1, t)
            fixed = fixed_part(model, x_0, grid)
            learned = cost.reshape(len(x_0), evaluations).mean(1) * terms
            parts.append(fixed["prior"] + fixed["edge"] - learned)
    return torch.cat(parts)
