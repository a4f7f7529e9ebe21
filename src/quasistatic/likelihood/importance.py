r"""The likelihood by importance sampling: the mean weight of random paths (SD15 Eq. 7 to 9)."""

__all__ = ["importance"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from .._utils.randomness import Rng, as_generator
from ..model import Model
from .path_weights import PathWeight, forward_weight, prior_alone
from .score import ImportanceScore
from .terms import count_terms


@torch.no_grad()
def importance(
    model: Model,
    raw: object,
    paths: int = 16,
    times: int | Sequence[int] | Tensor | None = None,
    rng: Rng = None,
) -> ImportanceScore:
    r"""The log of the mean weight p(x_0..T) / q(x_1..T | x_0) over paths drawn from q (SD15 Eq. 9).

    In expectation it is a lower bound on log p(raw), which rises with the number of paths, from K
    for one path to log p(raw). Each path visits the whole chain.

    Args:
        model: the model to score.
        raw: raw data, with shape (N, *).
        paths: the number of paths for each example.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.
        rng: a seed, a generator or None; the same seed repeats the draws.

    Returns:
        The score. Its standard error is that of the delta method; NaN for one path.

    Raises:
        ValueError: if `paths` is not positive, or the data or the times do not fit the model.
    """
    rng = as_generator(rng)
    if paths < 1:
        raise ValueError(f"importance weighting needs at least one path, got {paths}")
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    with evaluating(model):
        # Where the space adds a random part to the data, each path has its own.
        rows = model.repeated(paths).chunks(checked.repeat_interleave(paths, 0))
        drawn = [
            forward_weight(part, model.space.encode_weighted(batch, rng), grid, rng)
            for part, batch in rows
        ]
    null = prior_alone(model, checked, rng)
    return _score(model, drawn, null, paths, count_terms(model, grid))


def _score(
    model: Model, drawn: list[PathWeight], null: Tensor, paths: int, steps: int
) -> ImportanceScore:
    each = {
        name: torch.cat([weight.terms[name] for weight in drawn]).reshape(-1, paths)
        for name in drawn[0].terms
    }
    log_weights = torch.stack(list(each.values())).sum(0)
    terms = {name: value.mean(1) for name, value in each.items()}
    terms["reweighting"] = log_weights.logsumexp(1) - math.log(paths) - log_weights.mean(1)
    # The delta method: the error of the log is the relative error of the mean weight.
    share = (log_weights.softmax(1) ** 2).sum(1) - 1 / paths
    noise = share.clamp(min=0).sqrt() if paths > 1 else torch.full_like(share, math.nan)
    return ImportanceScore(
        terms,
        null,
        noise,
        model.space.dims,
        paths * steps,
        freedom=torch.full_like(noise, paths - 1),
        log_weights=log_weights,
    )
