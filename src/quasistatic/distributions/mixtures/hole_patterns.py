"""Patterns of holes: rows that lack the same values, in batches."""

__all__ = ["PatternBatch", "each_alone", "pattern_batches"]

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PatternBatch:
    """P patterns of holes and the rows that have each, n at most.

    Args:
        there: which values a pattern has, with shape (P, D).
        rows: the rows of each pattern, with shape (P, n); shorter lists are filled with row 0.
        real: False where `rows` is filled, with shape (P, n).
    """

    there: Tensor
    rows: Tensor
    real: Tensor

    @property
    def whole(self) -> bool:
        """Whether nothing is missing in any of these rows."""
        return bool(self.there.all())


def pattern_batches(x: Tensor, rows: int, patterns: int) -> list[PatternBatch]:
    """The rows of x (B, D), NaN a hole, by their patterns. Patterns with about as many rows each
    are in one batch.

    Args:
        rows: P n, at most, in a batch of more than one pattern.
        patterns: P, at most.
    """
    there = ~x.isnan()
    if there.all():
        every = torch.arange(len(x), device=x.device)[None]
        return [PatternBatch(there[:1], every, torch.ones_like(every, dtype=torch.bool))]
    each, which, counts = torch.unique(there, dim=0, return_inverse=True, return_counts=True)
    order, begins = which.argsort(stable=True), counts.cumsum(0) - counts
    by_count = counts.argsort()
    batches, first = [], 0
    sizes, whole = counts[by_count].tolist(), each.all(1)[by_count].tolist()
    while first < len(sizes):
        last = first + 1
        # Rows without holes are apart: they are computed in another way, and that must not depend
        # on the rows beside them.
        while (
            last < len(sizes)
            and not (whole[first] or whole[last])
            and sizes[last] <= 2 * sizes[first]
            and (last + 1 - first) * sizes[last] <= rows
            and last + 1 - first <= patterns
        ):
            last += 1
        chosen = by_count[first:last]
        place = torch.arange(sizes[last - 1], device=x.device)
        real = place < counts[chosen, None]
        at = torch.where(real, begins[chosen, None] + place, 0)
        batches.append(PatternBatch(each[chosen], torch.where(real, order[at], 0), real))
        first = last
    return batches


def each_alone(x: Tensor) -> PatternBatch:
    """Every row of x (B, D) as a pattern of its own."""
    rows = torch.arange(len(x), device=x.device)[:, None]
    return PatternBatch(~x.isnan(), rows, torch.ones_like(rows, dtype=torch.bool))
