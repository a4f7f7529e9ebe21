"""Completion of rows with many patterns of holes, so that a law can be fitted at low cost."""

__all__ = ["completed_for_learning", "integrates_holes"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..row_draws import SharedDraws
from .block_fits import BlockFit, GaussianFit, parts_of
from .clusters import clustered
from .em import maximised
from .learning_rows import LearningRows
from .stacking import Trial

WORK, OVERHEAD = 2**22, 2000
"""Rows are completed by draws if their holes take more than WORK operations a component. OVERHEAD
is the fixed cost of a pattern of holes."""

FEW_COMPONENTS = 8
"""Components at most of the mixture that draws holes in the first round."""

ROUNDS = 2
"""Rounds of drawing the holes by a mixture and fitting a mixture again."""


def completed_for_learning(
    x: Tensor, fits: Sequence[BlockFit], seed: int, rounds: int = ROUNDS
) -> Tensor:
    """Rows x (N, W) to which a law can be fitted.

    With few patterns of holes among the real values, x is returned unchanged, because the fit then
    integrates holes out exactly. Otherwise holes are drawn given the rest of their row (stochastic
    expectation maximisation): first by one normal, then by a small mixture, and then by a stacked
    law. Each draw costs a factorisation for each row and component.

    Args:
        x: rows, NaN a hole.
        fits: how each block of values is fitted.
        seed: of the draws and of the starts.
        rounds: how often holes are drawn again after those by one normal. Default 2.
    """
    if integrates_holes(x, fits):
        return x
    draws = SharedDraws(torch.Generator().manual_seed(seed))
    rows = LearningRows.of(x, fits)
    one = clustered(rows, 1, [False], x.new_ones(1, len(x)), seed)
    law = maximised(rows, one, fits).law
    whole = law.complete(x, 1, draws)[:, 0]
    for k in range(rounds):
        few = FEW_COMPONENTS if k == 0 else None
        trial = Trial.of(whole, fits, seed + k, few, quick=k == 0)
        law = trial.likeliest if k == 0 else trial.finished().law
        whole = law.complete(x, 1, draws)[:, 0]
    return whole


def integrates_holes(x: Tensor, fits: Sequence[BlockFit]) -> bool:
    """Whether a fit to rows x (N, W) integrates their holes out exactly, as there are few patterns
    of them among the real values."""
    real = [part for fit, part in parts_of(x, fits) if isinstance(fit, GaussianFit)]
    return not real or _work(torch.cat(real, 1)) <= WORK


def _work(real: Tensor) -> int:
    """Operations, about, for the holes of one component."""
    holed = real.isnan().any(1)
    if not holed.any():
        return 0
    return len(torch.unique(real[holed].isnan(), dim=0)) * (real.shape[1] ** 3 + OVERHEAD)
