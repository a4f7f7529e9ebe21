"""Noise for each row that depends only on a seed and on the row itself."""

__all__ = ["bound_by_row", "times_and_noise"]

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import uniform
from ..distributions.mixtures import RowDraws
from ..model import Model
from .terms import count_terms, fixed_terms, term_of, term_times


def times_and_noise(
    model: Model, x_0: Tensor, evaluations: int, rng: "torch.Generator | RowDraws | None"
) -> tuple[Tensor, Tensor]:
    """For each row, one time in each of equal strata of the chain, and noisy values at these times.

    Args:
        model: the model whose forward process draws the noisy values.
        x_0: with shape (B, *).
        evaluations: the number of strata.
        rng: a generator that all rows share, or one for each row.

    Returns:
        The times with shape (B evaluations,), and x_t with shape (B evaluations, *).
    """
    if isinstance(rng, RowDraws):
        each = [
            times_and_noise(model, x_0[i : i + 1], evaluations, own)
            for i, own in enumerate(rng.generators)
        ]
        t, x_t = (torch.cat(found) for found in zip(*each, strict=True))
        return t, x_t
    first, terms = int(term_times(model)[0]), count_terms(model)
    place = torch.arange(evaluations, device=x_0.device)
    u = (place + uniform((len(x_0), evaluations), rng, x_0, torch.float64)) / evaluations
    t = first + (u * terms).long().clamp(max=terms - 1).flatten() + 1
    return t, model.kernel.marginal(x_0.repeat_interleave(evaluations, 0), t).sample(rng)


@torch.no_grad()
def bound_by_row(model: Model, raw: object, evaluations: int, seed: int) -> Tensor:
    """K of each row, estimated with noise that depends only on the seed and the row. In float64,
    rounding does not depend on the other rows either.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        evaluations: network evaluations for each row; the number of terms if that is smaller.
        seed: the seed of the noise.

    Returns:
        With shape (N,), in nats.
    """
    checked, parts = model.space.check(raw).to(model.blank(1)), []
    terms, grid = count_terms(model), model.times()
    evaluations = min(evaluations, terms)
    with evaluating(model):
        for part, batch in model.chunks(checked, evaluations):
            encoded = model.space.encode_weighted(batch)
            x_0 = encoded.x_0
            draws = RowDraws.of(batch.flatten(1).double().numpy(), seed)
            t, x_t = times_and_noise(model, x_0, evaluations, draws)
            again = x_0.repeat_interleave(evaluations, 0)
            output = part.repeated(evaluations).output(x_t, t)
            cost = term_of(model, output, again, x_t, t - 1, t)
            fixed = fixed_terms(model, x_0, grid)
            learned = cost.reshape(len(x_0), evaluations).mean(1) * terms
            parts.append(fixed["prior"] + fixed["edge"] - learned + encoded.log_weight)
    return torch.cat(parts)
