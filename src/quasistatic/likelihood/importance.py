r"""Importance-weighted likelihood: the mean over weighted paths (SD15 Eq. 7 to 9)."""

__all__ = ["importance"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .._utils.eval_mode import evaluating
from ..distributions import total
from ..model import Model
from .path_weights import PathWeight, forward_weight
from .score import ImportanceScore


@torch.no_grad()
def importance(
    model: Model,
    raw: object,
    paths: int = 16,
    times: int | Sequence[int] | Tensor | None = None,
    rng: torch.Generator | None = None,
) -> ImportanceScore:
    r"""log of the mean weight p(x_0..T) / q(x_1..T | x_0) over paths from q, for each example of
    raw (N, *) (SD15 Eq. 9): in expectation a lower bound that rises with the paths, from K at one
    path to log p. Each path visits the whole chain.

    Args:
        paths: for each example.
        times: the chain to score, see :meth:`Model.times`; by default all T steps.

    Raises:
        ValueError: if `paths` is not positive.
    """
    if paths < 1:
        raise ValueError(f"importance weighting needs at least one path, got {paths}")
    checked, grid = model.space.check(raw).to(model.blank(1)), model.times(times)
    with evaluating(model):
        # Each path has a draw of its own of whatever the space adds to the data, too.
        rows = checked.repeat_interleave(paths, 0).split(model.chunk_size)
        drawn = [forward_weight(model, model.space.encode(batch, rng), grid, rng) for batch in rows]
    x_0 = model.space.encode(checked, rng)
    null = total(model.space.log_prob(model.kernel.prior(x_0), x_0))
    return _score(model, drawn, null, paths, len(grid) - model.space.first_term)


def _score(
    model: Model, drawn: list[PathWeight], null: Tensor, paths: int, steps: int
) -> ImportanceScore:
    each = {
        name: torch.cat([getattr(weight, name) for weight in drawn]).reshape(-1, paths)
        for name in ("prior", "transitions", "edge")
    }
    log_weights = torch.stack(list(each.values())).sum(0)
    terms = {name: value.mean(1) for name, value in each.items()}
    terms["reweighting"] = log_weights.logsumexp(1) - math.log(paths) - log_weights.mean(1)
    # The delta method: the relative error of the mean weight.
    share = (log_weights.softmax(1) ** 2).sum(1) - 1 / paths
    noise = share.clamp(min=0).sqrt() if paths > 1 else torch.full_like(share, math.nan)
    return ImportanceScore(
        terms, null, noise, model.space.dims, paths * steps, log_weights=log_weights
    )
