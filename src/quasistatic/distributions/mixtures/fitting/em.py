"""Mixtures fitted to rows with holes by expectation maximisation, several side by side."""

__all__ = ["Batch", "expected", "likeliest", "log_p_each", "maximised", "most_likely"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..mixture import Mixture
from .block_fits import BlockFit, GaussianFit
from .learning_rows import LearningRows, TableSums

ROUNDS, ENOUGH = 20, 4e-3
"""The most rounds, and the gain of a round, in nats a row, below which the iteration stops."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Several mixtures with as many components each. A small table leaves too little work for one
    mixture at a time, so that those of one size are fitted together.

    Args:
        law: all E K components, those of one mixture next to each other. The weights of each
            mixture add up to 1.
        count: E, the number of mixtures.
    """

    law: Mixture
    count: int

    @property
    def size(self) -> int:
        """K, the components of each mixture."""
        return self.law.components // self.count

    @classmethod
    def of(cls, laws: Sequence[Mixture]) -> "Batch":
        """The mixtures side by side."""
        law = laws[0] if len(laws) == 1 else Mixture.joined(laws, [1.0] * len(laws))
        return cls(law, len(laws))

    def picked(self, index: Tensor) -> "Batch":
        """Some of the mixtures."""
        components = (index[:, None] * self.size + torch.arange(self.size)).flatten()
        return Batch(self.law.picked(components), len(index))

    def each(self) -> list[Mixture]:
        """The mixtures."""
        if self.count == 1:
            return [self.law]
        return [self.picked(torch.tensor([e])).law for e in range(self.count)]


def maximised(
    rows: LearningRows,
    batch: Batch,
    fits: Sequence[BlockFit],
    weight: Tensor | None = None,
    rounds: int = ROUNDS,
) -> Batch:
    """Where expectation maximisation takes mixtures from there.

    Args:
        rows: N of them.
        batch: E mixtures.
        fits: the M-step of each block.
        weight: the weight of each row for each mixture, with shape (E, N); 1 by default. Rows of
            weight 0 have no influence.
        rounds: at most.
    """
    dims = sum(fit.width for fit in fits if isinstance(fit, GaussianFit))
    enough = ENOUGH * max(1.0, dims**0.5 / 3)
    weight = rows.x.new_ones(batch.count, len(rows)) if weight is None else weight
    done: list[Mixture | None] = [None] * batch.count
    place = torch.arange(batch.count)
    before = rows.x.new_full((batch.count,), -math.inf)
    for left in range(rounds, 0, -1):
        batch, now = _round(rows, batch, fits, weight)
        moving = ((now - before).abs() >= enough) & (left > 1)
        before = now
        if moving.all():
            continue
        ended = (~moving).nonzero()[:, 0]
        for e, law in zip(place[ended].tolist(), batch.picked(ended).each(), strict=True):
            done[e] = law
        if not moving.any():
            break
        kept = moving.nonzero()[:, 0]
        batch, weight, place, before = batch.picked(kept), weight[kept], place[kept], before[kept]
    return Batch.of([law for law in done if law is not None])


def _round(
    rows: LearningRows, batch: Batch, fits: Sequence[BlockFit], weight: Tensor
) -> tuple[Batch, Tensor]:
    """The next mixtures, and the mean log p (E,) of the rows by each of these."""
    total, log_p = expected(rows, batch, fits, weight)
    return likeliest(batch.law, total, fits, batch.count), log_p / weight.sum(1)


def expected(
    rows: LearningRows, batch: Batch, fits: Sequence[BlockFit], weight: Tensor | None = None
) -> tuple[TableSums, Tensor]:
    """The expectation step: sufficient statistics of the rows, and the sum of log p (E,) by each
    mixture. Both add up over parts of the rows.

    Args:
        rows: N of them.
        batch: E mixtures.
        fits: the M-step of each block.
        weight: of each row for each mixture, with shape (E, N); 1 by default.
    """
    if weight is None:
        weight = rows.x.new_ones(batch.count, len(rows))
    total, log_p = None, weight.new_zeros(batch.count)
    for each in rows.expectations(batch.law, fits):
        joint = each.log_joint.view(batch.count, batch.size, -1)
        of_rows = weight if each.index.shape[0] == weight.shape[1] else weight[:, each.index]
        top = joint.amax(1, keepdim=True)
        share = (joint - top).exp_()
        whole = share.sum(1, keepdim=True)
        log_p += ((top + whole.log())[:, 0] * of_rows).sum(1)
        share *= of_rows[:, None] / whole
        found = each.sums(share.flatten(0, 1))
        total = found if total is None else total + found
    assert total is not None  # there is at least one row
    return total, log_p


def log_p_each(rows: LearningRows, batch: Batch) -> Tensor:
    """log p of each row by each mixture, with shape (N, E), in nats."""
    out = rows.x.new_empty(len(rows), batch.count)
    for each in rows.expectations(batch.law, rows.fits):
        joint = each.log_joint.view(batch.count, batch.size, -1)
        out[each.index] = joint.logsumexp(1).T
    return out


def most_likely(rows: LearningRows, alone: Mixture, share: Tensor) -> Batch:
    """The mixtures whose components have these shares of the rows.

    Args:
        alone: a law of one component, which completes holes.
        share: with shape (E, K, N).
    """
    flat, total = share.flatten(0, 1), None
    for each in rows.expectations(alone, rows.fits):
        found = each.sums(flat[:, each.index])
        total = found if total is None else total + found
    assert total is not None  # there is at least one row
    return likeliest(alone, total, rows.fits, len(share))


def likeliest(law: Mixture, sums: TableSums, fits: Sequence[BlockFit], count: int = 1) -> Batch:
    """The maximisation step: the mixtures that are most likely for sufficient statistics.

    Args:
        law: all components of the mixtures that the statistics belong to.
        sums: the statistics.
        fits: the M-step of each block.
        count: how many mixtures there are.
    """
    pairs = zip(fits, sums.each, law.blocks, strict=True)
    blocks = tuple(fit.likeliest(found, block, count) for fit, found, block in pairs)
    weight = (sums.count + 1).view(count, -1)
    return Batch(Mixture((weight / weight.sum(1, keepdim=True)).log().flatten(), blocks), count)
