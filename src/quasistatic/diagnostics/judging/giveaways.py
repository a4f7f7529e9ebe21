"""Columns and pairs of columns by which drawn rows can be distinguished from real ones."""

__all__ = ["Dependence", "Giveaway", "binned", "dependences", "giveaways"]

import itertools
from dataclasses import dataclass

import numpy as np

from .classifiers import FOLDS, Auc, auc_of
from .features import Features

BINS, PAIR_BINS, MOST_PAIRED = 64, 8, 24
"""Cells of a column; of a column in a pair; and columns whose pairs are looked at, the worst
first."""

CHANCE = 1.5
"""Standard deviations of the difference of two frequencies that chance explains."""

HEAPED = 0.02
"""A number that this share of the rows has gets a cell of its own."""


@dataclass(frozen=True)
class Giveaway:
    """How far one column, or one pair of columns, tells drawn rows from real ones.

    Args:
        columns: the name, or the two names.
        auc: of the frequencies of cells in other rows.
        distance: between the two distributions, from 0 to 1: the largest difference of the
            distribution functions of numbers, or of shares of classes half the sum of differences.
    """

    columns: tuple[str, ...]
    auc: Auc
    distance: float

    def __str__(self) -> str:
        return f"{' and '.join(self.columns)} {self.auc.value:.3f}"


@dataclass(frozen=True)
class Dependence:
    """The rank correlation of two columns in real and in drawn rows.

    Args:
        columns: their names; a class is written as `sex=male`.
        real, drawn: the correlations.
    """

    columns: tuple[str, str]
    real: float
    drawn: float

    def __str__(self) -> str:
        return f"{self.columns[0]} and {self.columns[1]} {self.real:.2f} drawn as {self.drawn:.2f}"


def giveaways(
    real: Features, drawn: Features, seed: int
) -> tuple[tuple[Giveaway, ...], tuple[Giveaway, ...]]:
    """The columns, and the pairs of columns, the most telling first."""
    label = np.arange(len(real.x) + len(drawn.x)) >= len(real.x)
    x = np.concatenate([real.x, drawn.x])
    fold = np.random.default_rng(seed).permutation(len(x)) % FOLDS
    fine = [binned(x[:, k], bool(c), BINS) for k, c in enumerate(real.classes)]
    single = [
        Giveaway(
            (name,),
            _auc(fine[k], label, fold),
            _distance(real.x[:, k], drawn.x[:, k], bool(real.classes[k])),
        )
        for k, name in enumerate(real.names)
    ]
    order = sorted(range(len(single)), key=lambda k: -single[k].auc.value)[:MOST_PAIRED]
    coarse = {k: binned(x[:, k], bool(real.classes[k]), PAIR_BINS) for k in order}
    pairs = []
    for i, j in itertools.combinations(sorted(order), 2):
        cell = coarse[i] * (coarse[j].max() + 1) + coarse[j]
        counts = [np.bincount(cell[label == side], minlength=cell.max() + 1) for side in (0, 1)]
        shares = [count / count.sum() for count in counts]
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        name = real.names[i], real.names[j]
        pairs.append(Giveaway(name, _auc(cell, label, fold), distance))
    return (
        tuple(single[k] for k in sorted(range(len(single)), key=lambda k: -single[k].auc.value)),
        tuple(sorted(pairs, key=lambda pair: -pair.auc.value)),
    )


def binned(column: np.ndarray, is_class: bool, cells: int) -> np.ndarray:
    """The cell of each value (n,): a class, a number that many rows have, or an interval between
    quantiles. A missing value has a cell of its own."""
    missing = np.isnan(column)
    if is_class:
        return np.where(missing, 0, np.nan_to_num(column) + 1).astype(np.int64)
    known = column[~missing]
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= cells:
        return np.where(missing, 0, np.searchsorted(values, np.nan_to_num(column)) + 1)
    heaps = values[counts >= HEAPED * len(column)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, cells + 1)[1:-1]))
    cell = np.searchsorted(edges, np.nan_to_num(column), side="right") + 1
    on_heap = np.isin(column, heaps)
    cell = np.where(on_heap, len(edges) + 2 + np.searchsorted(heaps, np.nan_to_num(column)), cell)
    return np.where(missing, 0, cell)


def _auc(cell: np.ndarray, label: np.ndarray, fold: np.ndarray) -> Auc:
    """The AUC of the log-ratio of a cell's frequencies in the other folds. A ratio that chance
    explains counts as 1: what one fold has more of by chance, the others have less of."""
    score, size = np.empty(len(cell)), int(cell.max()) + 1
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        drawn = np.bincount(cell[train & label], minlength=size) + 0.5
        real = np.bincount(cell[train & ~label], minlength=size) + 0.5
        by_chance = np.abs(drawn - real) < CHANCE * np.sqrt(drawn + real)
        score[test] = np.where(by_chance, 0.0, np.log(drawn / real))[cell[test]]
    return auc_of(score, label)


def _distance(real: np.ndarray, drawn: np.ndarray, is_class: bool) -> float:
    """How far two distributions of a column are apart, missing values included."""
    holes = abs(float(np.isnan(real).mean() - np.isnan(drawn).mean()))
    a, b = real[~np.isnan(real)], drawn[~np.isnan(drawn)]
    if not len(a) or not len(b):
        return max(holes, float(len(a) != len(b)))
    values = np.unique(np.concatenate([a, b]))
    if is_class:
        shares = [(side[:, None] == values).mean(0) for side in (a, b)]
        return max(holes, float(np.abs(shares[0] - shares[1]).sum() / 2))
    steps = [np.searchsorted(np.sort(side), values, side="right") / len(side) for side in (a, b)]
    return max(holes, float(np.abs(steps[0] - steps[1]).max()))


def dependences(real: Features, drawn: Features) -> tuple[Dependence, ...]:
    """The rank correlations of pairs of columns, those that differ most first."""
    names, columns = [], []
    for k, classes in enumerate(real.classes):
        sides = real.x[:, k], drawn.x[:, k]
        if not classes:
            names.append((k, real.names[k]))
            columns.append(tuple(_ranks(side) for side in sides))
            continue
        # Of two classes one says all.
        for code, name in enumerate(classes[: 1 if len(classes) == 2 else 12]):
            names.append((k, f"{real.names[k]}={name}"))
            columns.append(tuple(np.where(np.isnan(s), np.nan, s == code) for s in sides))
    tables = [_correlations(np.stack([pair[side] for pair in columns], 1)) for side in (0, 1)]
    found = [
        Dependence((names[i][1], names[j][1]), float(tables[0][i, j]), float(tables[1][i, j]))
        for i, j in itertools.combinations(range(len(names)), 2)
        if names[i][0] != names[j][0]
    ]
    return tuple(sorted(found, key=lambda pair: -abs(pair.real - pair.drawn)))


def _ranks(column: np.ndarray) -> np.ndarray:
    """Mean ranks (n,) from 0 to 1; NaN where missing."""
    known = np.sort(column[~np.isnan(column)])
    below = np.searchsorted(known, column, "left") + np.searchsorted(known, column, "right")
    return np.where(np.isnan(column), np.nan, below / max(2 * len(known), 1))


def _correlations(x: np.ndarray) -> np.ndarray:
    """Correlations of columns (n, D); a missing value counts as the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = x - np.nanmean(x, 0)
        filled = np.nan_to_num(centred)
        scale = np.sqrt((filled**2).sum(0))
        table = filled.T @ filled / np.outer(scale, scale)
    return np.asarray(np.nan_to_num(table))
