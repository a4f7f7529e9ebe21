"""Rows with many kinds of holes, completed so that they can be learned from at low cost."""

__all__ = ["completed_for_learning"]

from collections.abc import Sequence

import torch
from torch import Tensor

from ..row_draws import SharedDraws
from .block_fits import BlockFit, GaussianFit
from .em import clustered, maximised
from .stacking import Trial

WORK, OVERHEAD = 2**22, 2000
"""Operations for the holes of one component, from which on rows are completed by draws; and what
each kind of holes takes, however few columns there are."""

ROUNDS = 2
"""Times that the holes are drawn by a stacked law and the law is fitted again."""


def completed_for_learning(x: Tensor, fits: Sequence[BlockFit], seed: int) -> Tensor:
    """Rows x (N, W) as a law can be fitted to them. Where real values have few kinds of holes, the
    rows come back as they are, as holes are then integrated out exactly. Else holes are drawn given
    the rest of their row (stochastic expectation maximisation): by one normal first, then by a
    stacked law."""
    real = [part for fit, part in _parts(x, fits) if isinstance(fit, GaussianFit)]
    if not real or _work(torch.cat(real, 1)) <= WORK:
        return x
    draws = SharedDraws(torch.Generator().manual_seed(seed))
    law = maximised(x, clustered(x, fits, 1, False, seed), fits)
    whole = law.complete(x, 1, draws)[:, 0]
    for k in range(ROUNDS):
        law = Trial.of(whole, fits, seed + k).finished().law
        whole = law.complete(x, 1, draws)[:, 0]
    return whole


def _work(real: Tensor) -> int:
    """Operations, about, for the holes of one component."""
    holed = real.isnan().any(1)
    if not holed.any():
        return 0
    return len(torch.unique(real[holed].isnan(), dim=0)) * (real.shape[1] ** 3 + OVERHEAD)


def _parts(x: Tensor, fits: Sequence[BlockFit]) -> list[tuple[BlockFit, Tensor]]:
    return list(zip(fits, torch.split(x, [fit.width for fit in fits], 1), strict=True))
