"""The judgement of drawn rows."""

__all__ = ["Judgement", "judge"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._utils.naming import nearest
from ..._utils.randomness import Rng, as_generator, seed_from
from .classifiers import Auc, boosted_auc, linear_auc
from .features import Features
from .giveaways import Dependence, Giveaway, dependences, giveaways
from .neighbours import Copying, copying
from .usefulness import Usefulness, usefulness

MOST, LEAST, TARGETS = 10_000, 20, 6
"""Rows of each side at most and at least, and columns that are predicted."""

CLEAR = 3.0
"""Standard errors from which on a column counts as giving draws away."""


@dataclass(frozen=True)
class Judgement:
    """How well drawn rows can be distinguished from real ones.

    Args:
        rows: of each side that the classifiers saw.
        boosted, linear: the AUC of boosted trees and of a logistic regression on rows that they
            have not seen: 0.5 if nothing tells the rows apart.
        columns: each column by itself, the most telling first.
        pairs: pairs of columns, the most telling first.
        dependences: rank correlations, those that differ most first.
        useful: how well a column is predicted by what is learned from draws, the largest loss
            first.
        copying: whether draws repeat real rows.
    """

    rows: int
    boosted: Auc
    linear: Auc
    columns: tuple[Giveaway, ...] = field(repr=False)
    pairs: tuple[Giveaway, ...] = field(repr=False)
    dependences: tuple[Dependence, ...] = field(repr=False)
    useful: tuple[Usefulness, ...] = field(repr=False)
    copying: Copying = field(repr=False)

    @property
    def telling(self) -> tuple[Giveaway, ...]:
        """The columns that give draws away by more than three standard errors."""
        return tuple(c for c in self.columns if c.auc.value - 0.5 > CLEAR * c.auc.error)

    def __repr__(self) -> str:
        columns = ", ".join(map(str, self.telling[:4])) or "none"
        pairs = ", ".join(map(str, self.pairs[:2])) or "none"
        useful = "; ".join(map(str, self.useful[:2])) or "none"
        return (
            f"a boosted judge tells {self.rows:,} drawn rows from as many real ones with AUC "
            f"{self.boosted}, a linear one {self.linear} (0.5 is perfect)\n"
            f"columns that give draws away: {columns}; pairs: {pairs}\n"
            f"most different correlation: {self.dependences[0] if self.dependences else 'none'}\n"
            f"trained on draws, tested on real rows: {useful}\n"
            f"{self.copying}"
        )


def judge(
    real: Any, drawn: Any, *, targets: Sequence[str] | None = None, rng: Rng = 0
) -> Judgement:
    """Judges drawn rows beside real ones.

    Classifiers learn to tell the two apart, and are scored on rows that they have not seen. As many
    rows of each side are taken.

    Args:
        real: real rows, best some that the model was not fitted to: a data frame of pandas, polars
            or pyarrow, or an array (N, C). NaN is missing. Whether draws copy rows is seen by the
            rows that the model *was* fitted to.
        drawn: drawn rows with the same columns.
        targets: columns to predict from the others; by default the first six.
        rng: a seed, a generator or None.

    Returns:
        A :class:`Judgement`.

    Raises:
        ValueError: if either has fewer than 20 rows, the drawn rows lack a column, or there is no
            such target.
    """
    seed = seed_from(as_generator(rng)) % 2**31
    a, b = Features.of_both(real, drawn)
    for name, side in (("real", a), ("drawn", b)):
        if len(side.x) < LEAST:
            raise ValueError(
                f"a judge takes {LEAST} {name} rows or more, got {len(side.x)}: draw more"
                if name == "drawn"
                else f"a judge takes {LEAST} {name} rows or more, got {len(side.x)}"
            )
    asked = list(a.names[:TARGETS] if targets is None else targets)
    for name in asked:
        if name not in a.names:
            raise ValueError(f"there is no column {name!r}: {nearest(name, a.names)}")
    random = np.random.default_rng(seed)
    count = min(len(a.x), len(b.x), MOST)
    left, right = (side.take(random.permutation(len(side.x))[:count]) for side in (a, b))
    columns, pairs = giveaways(left, right, seed)
    return Judgement(
        count,
        boosted_auc(left, right, seed),
        linear_auc(left, right, seed),
        columns,
        pairs,
        dependences(left, right),
        usefulness(left, right, asked, seed),
        copying(left, right, seed),
    )
