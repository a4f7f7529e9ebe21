"""Why a row is unusual: the columns that cost more than in ordinary rows, given the others."""

__all__ = ["Explanation", "Reason", "costs_with_unknowns", "explain_rows", "ordinary_costs"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..distributions.mixtures import Mixture
from ..spaces import Table
from .column_costs import ColumnsGivenOthers, Expected, columns_given_others, number_text

FURTHER = 3.0
"""A second or third reason must cost this many nats more than in ordinary rows."""


@dataclass(frozen=True)
class Reason:
    """A column that makes a row unusual.

    Args:
        column: its name.
        value: its value in the row.
        expected: the values that the other columns of the row let one expect.
        nats: -log p(value | the other columns, but those of the reasons before this one).
        excess: how much more that is than the mean over ordinary rows, in nats.
    """

    column: str
    value: Any
    expected: Expected
    nats: float
    excess: float

    def __str__(self) -> str:
        return self.text()

    def text(self, decimal: str = ".") -> str:
        """For a reader, with a decimal mark."""
        value = str(self.value)
        if isinstance(self.value, float):
            value = number_text(self.value).replace(".", decimal)
        return f"{self.column} {value}: expected {self.expected.text(decimal)}"


@dataclass(frozen=True)
class Explanation:
    """The reasons why one row is unusual, the strongest first.

    Args:
        reasons: the first is the column that costs most given the others; each further one costs
            most given the others without those before it.
    """

    reasons: tuple[Reason, ...] = ()

    def __str__(self) -> str:
        return self.text()

    def text(self, decimal: str = ".") -> str:
        """For a reader, with a decimal mark."""
        return "; ".join(reason.text(decimal) for reason in self.reasons)

    def __repr__(self) -> str:
        return str(self) or "no observed value"


def explain_rows(
    table: Table,
    law: Mixture,
    x: np.ndarray,
    ordinary: np.ndarray,
    most: int = 3,
    value: Callable[[int, int], Any] | None = None,
) -> list[Explanation]:
    """Explains rows by the closed-form law of their table.

    Args:
        table: the columns.
        law: of x_0.
        x: the rows (N, C), as :meth:`Table.read_with_unknowns` makes them: NaN is missing, and
            infinity is a value that its column cannot hold.
        ordinary: the mean cost of each column in ordinary rows, with shape (C,).
        most: reasons of a row at most.
        value: the value of a row and a column as the user wrote it; None takes the column's.
    """
    value = value or (lambda row, column: _value(table, column, x[row, column]))
    left = np.where(np.isinf(x), np.nan, x)
    reasons: list[list[Reason]] = [[] for _ in x]
    active, named = np.arange(len(x)), np.isnan(x)
    for number in range(most):
        given = columns_given_others(table, law, left[active])
        nats = costs_with_unknowns(given, x[active])
        excess = np.where(named[active], -np.inf, nats - ordinary)
        worst = excess.argmax(1)
        gain = excess[np.arange(len(active)), worst]
        kept = np.flatnonzero(gain > (FURTHER if number else -np.inf))
        found = given.expected(kept, worst[kept])
        for place, expected in zip(kept.tolist(), found, strict=True):
            row, column = int(active[place]), int(worst[place])
            cost, more = float(nats[place, column]), float(gain[place])
            name = table.columns[column].name
            reasons[row].append(Reason(name, value(row, column), expected, cost, more))
            left[row, column], named[row, column] = np.nan, True
        active = active[kept]
        if not len(active):
            break
    return [Explanation(tuple(each)) for each in reasons]


def costs_with_unknowns(given: ColumnsGivenOthers, x: np.ndarray) -> np.ndarray:
    """The costs of columns (N, C) where x may hold infinity for a value that its column cannot
    hold: a new class costs -log of the probability of new classes, anything else infinity."""
    unseen = np.array([getattr(each, "unseen", 0.0) for each in given.table.columns])
    with np.errstate(divide="ignore"):
        costs = np.where(np.isinf(x), -np.log(unseen), given.nats - np.log1p(-unseen))
    return np.where(np.isnan(x), 0.0, costs)


def ordinary_costs(table: Table, law: Mixture, x: np.ndarray) -> np.ndarray:
    """The mean cost of each column in ordinary rows x (N, C), with shape (C,), by the values that
    are observed and possible."""
    known = np.where(np.isinf(x), np.nan, x)
    there = ~np.isnan(known)
    nats = columns_given_others(table, law, known).nats
    return np.asarray(np.where(there, nats, 0.0).sum(0) / np.maximum(there.sum(0), 1))


def _value(table: Table, column: int, number: float) -> Any:
    """A number of a column as the value that it stands for."""
    if np.isinf(number):
        return "(new)"
    return table.columns[column].values(np.array([number]))[0]
