"""Each column of a row given the others, under the closed-form law of a table: what it costs in
nats, and the values that the others let one expect."""

__all__ = ["ColumnsGivenOthers", "Expected", "columns_given_others"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..distributions.mixtures import ClassLaw, Mixture, RealLaw, RowsGivenOthers
from ..spaces import Table
from ..spaces.clock import PREFIX, Clock
from ..spaces.columns import AtomColumn, Column, HoledColumn

AT_ONCE, GRID = 2**22, 2048
"""Numbers of the table over rows, components and values, more rows are split into pieces; and
those of a row and a component that an interval takes."""

SHARE = 0.95
"""The probability that expected values hold together."""

MOST_INTERVALS, MOST_CLASSES = 3, 3
"""How many intervals, or classes, a text lists at most."""


@dataclass(frozen=True)
class Expected:
    """The values of a column that the others of its row let one expect.

    Args:
        intervals: of a column of numbers, the most probable ones, which hold `share` of the
            probability together; ascending, in the column's own unit.
        classes: of a column of names, or the atoms of a column of numbers, the most probable ones
            and their probabilities, until they hold `share`.
        share: the probability that they hold.
        clock: of a column of times, how they are counted; empty for others.
    """

    intervals: tuple[tuple[float, float], ...] = ()
    classes: tuple[tuple[str, float], ...] = ()
    share: float = SHARE
    clock: str = ""

    def __str__(self) -> str:
        return self.text()

    def text(self, decimal: str = ".") -> str:
        """For a reader, with a decimal mark."""
        if self.classes and not self.intervals:
            shown = [f"{name} ({_percent(p)})" for name, p in self.classes[:MOST_CLASSES]]
            more = ["..."] if len(self.classes) > MOST_CLASSES else []
            return " or ".join(shown + more)
        shown = [f"{name} ({_percent(p)})" for name, p in self.classes[:MOST_CLASSES]]
        shown += [
            self._interval(low, high, decimal) for low, high in self.intervals[:MOST_INTERVALS]
        ]
        more = ["..."] if len(self.intervals) > MOST_INTERVALS else []
        return " or ".join(shown + more) or "unknown"

    def _interval(self, low: float, high: float, decimal: str) -> str:
        if self.clock:
            first, last = (Clock.of(self.clock).text(round(end)) for end in (low, high))
        else:
            ends = number_text(low, high - low), number_text(high, high - low)
            first, last = (end.replace(".", decimal) for end in ends)
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True, eq=False)
class ColumnsGivenOthers:
    """The columns of N rows, each given the observed values of the others.

    Args:
        table: the columns.
        x_0: the rows, with shape (N, W).
        law: of x_0.
        nats: the cost of each column, -log p(value | the others), with shape (N, C), in units of
            the column; 0 where it is missing or constant. It is a cost of a density where the
            column is real, so that it may be negative.
    """

    table: Table
    x_0: Tensor = field(repr=False)
    law: Mixture = field(repr=False)
    nats: np.ndarray

    def expected(
        self, rows: np.ndarray, columns: np.ndarray, share: float = SHARE
    ) -> list[Expected]:
        """The values that the other columns let one expect, for n pairs of a row and a column.

        Args:
            rows: the index of each row, with shape (n,).
            columns: the index of each column, with shape (n,).
            share: the probability that they hold together.
        """
        found: list[Expected] = [Expected(share=share)] * len(rows)
        size = max(1, AT_ONCE // (self.law.components * max(self.law.width, GRID)))
        for column in np.unique(columns).tolist():
            for some in np.array_split(np.flatnonzero(columns == column), -(-len(rows) // size)):
                if len(some):
                    each = self._of_column(column, torch.from_numpy(rows[some]), share)
                    for place, one in zip(some.tolist(), each, strict=True):
                        found[place] = one
        return found

    def _of_column(self, column: int, rows: Tensor, share: float) -> list[Expected]:
        own = self.table.columns[column]
        if own.space is None:  # a constant
            return [Expected(classes=((own.range, 1.0),))] * len(rows)
        given = RowsGivenOthers.of(self.law, self.x_0[rows], owners(self.table))
        laws = self._laws(column, given)
        if isinstance(own, HoledColumn):
            own, laws = own.column, laws[:-1]
        if isinstance(own, AtomColumn):
            return self._with_atoms(column, own, laws, share)
        place, law = laws[0]
        if isinstance(law, RealLaw):
            return [self._intervals(column, place, each, share) for each in law.regions(share)]
        return [_likely(own, p, share) for p in law.p]

    def _laws(self, column: int, given: RowsGivenOthers) -> list[tuple[int, RealLaw | ClassLaw]]:
        """The law of each part of a column given the other columns, and its first place in x_0."""
        found = given.laws(column, torch.arange(given.log_joint.shape[1]))
        part = owners(self.table.flat)
        each = {int(part[place]): (place, law) for place, law in found.items()}
        return [each[p] for p in self.table.places(column)]

    def _with_atoms(
        self,
        column: int,
        own: AtomColumn,
        laws: Sequence[tuple[int, RealLaw | ClassLaw]],
        share: float,
    ) -> list[Expected]:
        """The expected values of a column with atoms: the likely atoms, and intervals of the other
        numbers."""
        count = len(own.atoms)
        classes = next((law for _, law in laws if isinstance(law, ClassLaw)), None)
        values = {place: law for place, law in laws if isinstance(law, RealLaw)}
        rows = len(classes.p) if classes else next(iter(values.values())).mean.shape[1]
        p = classes.p if classes else torch.ones(rows, 1, dtype=torch.float64)
        found = []
        for i in range(rows):
            order = p[i].argsort(descending=True)
            kept = order[p[i][order].cumsum(0) - p[i][order] < share].tolist()
            atoms = tuple((f"{own.atoms[k]:.10g}", float(p[i, k])) for k in kept if k < count)
            one = Expected(classes=atoms, share=share)
            if any(k >= count for k in kept):
                place, law = next(iter(values.items()))
                alone = RealLaw(
                    *(each[:, i : i + 1] for each in (law.share, law.mean, law.deviation))
                )
                inside = self._intervals(column, place, alone.regions(share)[0], share)
                one = replace(inside, classes=atoms)
            found.append(one)
        return found

    def _intervals(
        self, column: int, place: int, found: Sequence[tuple[float, float]], share: float
    ) -> Expected:
        ends = self._raw(place, [each for pair in found for each in pair])
        pairs = [(min(a, b), max(a, b)) for a, b in zip(ends[::2], ends[1::2], strict=True)]
        own = self.table.columns[column]
        clock = own.dtype if own.dtype.startswith(PREFIX) else ""
        return Expected(_joined(own, pairs), share=share, clock=clock)

    def _raw(self, place: int, values: Sequence[float]) -> list[float]:
        """Values of x_0 at a place as numbers of the column's part."""
        x_0 = torch.full((len(values), self.x_0.shape[1]), math.nan, dtype=torch.float64)
        x_0[:, place] = torch.tensor(list(values), dtype=torch.float64)
        part = int(owners(self.table.flat)[place])
        return [float(each) for each in self.table.flat.decode(x_0)[:, part]]


def _likely(column: Column, p: Tensor, share: float) -> Expected:
    """The most probable classes of a column, of probabilities p (classes,)."""
    order = p.argsort(descending=True)
    kept = order[p[order].cumsum(0) - p[order] < share].tolist()
    if not column.named:  # whole numbers that are diffused as classes
        lowest = getattr(column, "lowest", 0)
        return Expected(_runs(sorted(lowest + k for k in kept)), share=share)
    names = map(str, column.values(np.array(kept, dtype=np.float64)))
    return Expected(classes=tuple(zip(names, p[kept].tolist(), strict=True)), share=share)


def columns_given_others(table: Table, law: Mixture, x: np.ndarray) -> ColumnsGivenOthers:
    """The columns of rows x (N, C), as :meth:`Table.read` makes them, each given the others.

    Args:
        table: the columns.
        law: the closed-form law of x_0.
        x: the rows; NaN is missing.
    """
    x_0 = table.encode(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64)))
    owner = owners(table)
    size = max(1, AT_ONCE // max(1, law.components * law.width))
    found = [RowsGivenOthers.of(law, piece, owner).log_prob for piece in torch.split(x_0, size)]
    log_p = torch.cat(found) if found else x_0.new_zeros(0, int(owner.max()) + 1)
    nats = torch.zeros(len(x_0), len(table.columns), dtype=torch.float64)
    nats[:, : log_p.shape[1]] = -log_p
    nats -= table.per_column(table.log_volume(x_0))
    return ColumnsGivenOthers(table, x_0, law, nats.numpy() + 0.0)


def owners(table: Table) -> Tensor:
    """The column of each value of x_0, with shape (W,)."""
    numbers = torch.arange(float(len(table.columns)), dtype=torch.float64)
    return table.expand_to_state(numbers[None])[0].round().long()


def _runs(numbers: Sequence[int]) -> tuple[tuple[float, float], ...]:
    """Ascending whole numbers as intervals of neighbours."""
    found: list[tuple[float, float]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], float(number))
        else:
            found.append((float(number), float(number)))
    return tuple(found)


def _joined(
    column: Column, intervals: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    """Intervals of whole numbers that are neighbours as one."""
    found: list[tuple[float, float]] = []
    gap = 1.0 if column.kind == "integer" else 0.0
    for low, high in sorted(intervals):
        if found and low <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def number_text(value: float, width: float | None = None) -> str:
    """A number for a reader: as it is if it has few digits, else to three digits of `width`, the
    size of the interval that it bounds."""
    if not math.isfinite(value):
        return str(value)
    if value == round(value) and abs(value) < 1e15:
        return f"{value:.0f}"
    scale = abs(width) if width else abs(value)
    places = min(12, max(0, 2 - math.floor(math.log10(scale)))) if scale > 0 else 3
    if abs(value) >= 1e-4 or abs(value) * 10**places >= 0.5:
        text = f"{value:.{places}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def _percent(p: float) -> str:
    return f"{100 * p:.0f} %" if 0.005 <= p < 0.995 else f"{100 * p:.2g} %" if p < 0.5 else "> 99 %"
