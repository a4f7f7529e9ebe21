r"""Latent classes for a table of mixed columns, whose shares held-out rows decide."""

__all__ = ["StackedClasses", "stacked_classes"]

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .em import clustered, maximised, one_class
from .latent_class import LatentClasses
from .stacking import FOLDS, LEAST, nested, shares_of

COUNTS = (2, 4, 8, 16)
"""Components of a mixture of few rows; of many there are twice as many."""

FLOORS = (0.1, 0.01, 0.001)
"""Added to the variances, falling: each mixture starts where the one before has come to."""

WIDE = (1.0, 4.0, 16.0)
"""Times the variances of columns by themselves: for rows that hang together as no others do."""

OPERATIONS = 2**25
"""The most that several components may take to turn their covariances round, or so."""

LITTLE, MUCH, OVERHEAD = 2**22, 2**27, 2000
"""What a round may take of rows with holes, of which those with the same ones go together: for each
fifth to be held out, and at all. Where even one component takes more, columns stand alone. Then
what goes with every kind of holes, however few columns there are."""

MOST = 10_000
"""Rows that are looked at."""

MANY = 2000
"""Rows from which more components are tried, and one fifth of them is held out instead of each."""


@dataclass(frozen=True, eq=False)
class StackedClasses:
    """A mixture for a table.

    Args:
        law: of x_0.
        shares: of the candidates, by name, the largest first.
        held_out: log p of rows of x_0 by mixtures that had not seen them, in nats.
        rows: which rows these are, with shape (len(held_out),).
    """

    law: LatentClasses
    shares: dict[str, float]
    held_out: np.ndarray
    rows: np.ndarray


def stacked_classes(
    x: Tensor, log_pi: Tensor, sizes: tuple[int, ...], cell: Tensor, seed: int = 0
) -> StackedClasses:
    """Candidates fitted to x (N, D + V), in float64, NaN a hole, with shares that make held-out
    rows likeliest, as :func:`stacked` has it.

    Args:
        log_pi: the log-probabilities of classes in the whole table, with shape (V,).
        sizes: how many classes each column has.
        cell: how far apart the numbers of a real column are, with shape (D,); 0 on a continuum.
            A normal is not made narrower than they are told apart by.
    """
    rows = np.random.default_rng(seed).permutation(len(x))[:MOST]
    x = x[rows]
    fold = np.arange(len(x)) % FOLDS
    work = _work(x[:, : len(cell)])
    counts = _counts(len(x) * (FOLDS - 1) // FOLDS, len(cell), work)
    folds = FOLDS if len(x) < MANY and work <= LITTLE else 1
    held_out, log_p = [], []
    for k in range(folds):
        out = fold == k
        held_out.append(np.flatnonzero(out))
        laws = _fitted(x[~out], counts, log_pi, sizes, cell, seed)
        log_p.append(np.stack([law.log_prob(x[out]).numpy() for law in laws.values()], 1))
    table, judged = np.concatenate(log_p), np.concatenate(held_out)
    if folds > 1:  # else four fifths have to do
        laws = _fitted(x, counts, log_pi, sizes, cell, seed)
    share = dict(zip(laws, shares_of(table).tolist(), strict=True))
    kept = {name: weight for name, weight in share.items() if weight > LEAST}
    shares = {name: weight / sum(kept.values()) for name, weight in kept.items()}
    law = LatentClasses.joined([laws[name] for name in shares], list(shares.values()))
    ordered = dict(sorted(shares.items(), key=lambda item: -item[1]))
    return StackedClasses(law, ordered, nested(table), rows[judged])


def _work(real: Tensor) -> int:
    """What the holes of real columns (N, D) take of one component, in operations or so."""
    holed = real.isnan().any(1)
    if not holed.any():
        return 0
    return len(real[holed].isnan().unique(dim=0)) * (real.shape[1] ** 3 + OVERHEAD)


def _counts(rows: int, dims: int, work: int) -> list[int]:
    """How many components are tried on so many rows with so many real columns."""
    counts = COUNTS if rows < MANY else tuple(2 * k for k in COUNTS)
    fit = [1] + [k for k in counts if rows >= 8 * k and k * dims**3 <= OPERATIONS]
    return [k for k in fit if k * work <= MUCH]


def _fitted(
    x: Tensor,
    counts: list[int],
    log_pi: Tensor,
    sizes: tuple[int, ...],
    cell: Tensor,
    seed: int,
) -> dict[str, LatentClasses]:
    """The candidates by name; `counts` are of their components."""
    found = {f"columns alone, {f:g} x": one_class(x, log_pi, sizes, f) for f in WIDE}
    alone = next(iter(found.values()))
    for k in counts:
        law = None
        for floor in FLOORS if alone.dims else FLOORS[:1]:
            least = floor * alone.normals.variance[0] + cell**2 / 2
            law = clustered(x, k, alone, least, seed) if law is None else law
            law = maximised(x, law, alone, least)
            found[f"{k} classes, floor {floor:g}"] = law
    return found
