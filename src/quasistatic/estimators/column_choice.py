"""Which columns of numbers have atoms and lattices: decided by held-out rows."""

__all__ = ["with_useful_repeats"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..distributions.mixtures.fitting import Trial, completed_for_learning
from ..spaces import Table
from ..spaces.columns import Column, HoledColumn
from ..spaces.inference import with_fewer_repeats
from .closed_form import encoded

LOOKED_AT, COMPONENTS = 2000, 8
"""Rows that decide, at most, and components of the mixtures by which they do."""

COLUMNS = 16
"""Columns of a table that are decided on, at most; the others stay as they were inferred."""

CLEAR = 1.0
"""Paired standard errors by which held-out rows must be likelier for a description of a column than
for one that is preferred."""


def with_useful_repeats(
    table: Table, rows: np.ndarray, types: Mapping[str, str] | None, seed: int
) -> Table:
    """The table, whose columns have atoms and lattices only where held-out rows gain by them. A
    number that is an atom, or that lies on a coarse lattice, says less of the other columns.

    Args:
        table: as it was inferred.
        rows: of the table, with shape (N, C), NaN a hole.
        types: of columns that the user has settled, by name.
        seed: of the rows that decide.
    """
    chosen = np.random.default_rng(seed).permutation(len(rows))[:LOOKED_AT]
    few, log_p = rows[chosen], None
    tried = 0
    for k, column in enumerate(table.columns):
        if column.name in (types or {}) or tried == COLUMNS:
            continue
        others = _descriptions(column, rows[:, k])
        if len(others) == 1:
            continue
        tried += 1
        if log_p is None:
            log_p = _held_out(table, few, seed)
        each = []
        for other in others:
            changed = table if other is column else _with(table, k, other)
            nats = log_p if other is column else _held_out(changed, few, seed)
            each.append((changed, nats))
        table, log_p = _preferred(each)
    return table


def _descriptions(column: Column, numbers: np.ndarray) -> tuple[Column, ...]:
    """The column in other words, in the order in which they are preferred."""
    if isinstance(column, HoledColumn):
        inner = with_fewer_repeats(column.column, numbers)
        return tuple(
            column if each is column.column else replace(column, column=each.with_margin(numbers))
            for each in inner
        )
    each = with_fewer_repeats(column, numbers)
    return tuple(one if one is column else one.with_margin(numbers) for one in each)


def _with(table: Table, k: int, column: Column) -> Table:
    return replace(table, columns=(*table.columns[:k], column, *table.columns[k + 1 :]))


def _held_out(table: Table, rows: np.ndarray, seed: int) -> np.ndarray:
    """log p of a fifth of the rows (n,), by a small mixture of the others, in nats."""
    x_0, fits = encoded(rows, table)
    whole = completed_for_learning(x_0, fits, seed, rounds=0)
    trial = Trial.of(whole, fits, seed, COMPONENTS, quick=True)
    volume = table.log_volume(x_0[trial.rows]).flatten(1).sum(1)
    return np.asarray(trial.held_out + volume.numpy())


def _preferred(each: list[tuple[Table, np.ndarray]]) -> tuple[Table, np.ndarray]:
    """The first that the best one does not beat by :data:`CLEAR` paired standard errors."""
    best = max((nats for _, nats in each), key=lambda nats: float(nats.mean()))
    for table, nats in each:
        off = best - nats
        if off.mean() <= CLEAR * off.std() / len(off) ** 0.5:
            return table, nats
    raise AssertionError("the best one does not beat itself")
