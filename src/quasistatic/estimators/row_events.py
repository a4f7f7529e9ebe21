"""What is given of some columns of a row: values, lists of values, and intervals."""

__all__ = ["ColumnEvent", "Given", "read_given"]

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._utils.naming import nearest
from ..distributions.mixtures import Event
from ..spaces import Table
from ..spaces.clock import PREFIX, Clock
from ..spaces.clock_values import span_of, spans_of
from ..spaces.columns import Column, CompoundColumn, ConstantColumn, IntegerColumn, PartEvent
from ..spaces.table_text import shown

MOST_CASES = 4096
"""Combinations of listed real numbers."""


@dataclass(frozen=True)
class ColumnEvent:
    """What is given of one column.

    Args:
        index: of the column.
        name: of the column.
        about: what was given, as text.
        values: the numbers of which it is one, as the table has them; None for an interval.
        low, high: the ends of the interval, which belong to it.
    """

    index: int
    name: str
    about: str
    values: tuple[float, ...] | None = None
    low: float = -math.inf
    high: float = math.inf

    def holds(self, numbers: np.ndarray) -> np.ndarray:
        """Whether numbers of the column (N,) are as given; NaN is not."""
        if self.values is not None:
            return np.isin(numbers, self.values)
        return np.asarray((numbers >= self.low) & (numbers <= self.high))


@dataclass(frozen=True)
class Given:
    """What is given of a row of a table.

    Args:
        table: of the columns.
        events: of some columns.
        log_unit: what turns the probability of atoms that are given exactly into a density, in
            nats.
    """

    table: Table
    events: tuple[ColumnEvent, ...]
    log_unit: float = 0.0

    def holds(self, rows: np.ndarray) -> np.ndarray:
        """Whether all that is given is true of rows (N, C), with shape (N,)."""
        each = [event.holds(rows[:, event.index]) for event in self.events]
        found = np.ones(len(rows), dtype=bool)
        for holds in each:
            found &= holds
        return found

    def cases(self) -> Iterator["Given"]:
        """What is given, as cases of which one holds, each of the columns of :attr:`Table.flat`: a
        column with atoms is an atom, or lies on one of its lattices."""
        flat = self.table.flat
        ways: list[list[tuple[float, tuple[ColumnEvent, ...]]]] = []
        for event in self.events:
            column, places = self.table.columns[event.index], self.table.places(event.index)
            if isinstance(column, CompoundColumn):
                each = column.cases(event.values, event.low, event.high)
                ways.append([_of_parts(event, column, flat, places, case) for case in each])
            else:
                ways.append([(0.0, (replace(event, index=places[0]),))])
        for case in itertools.product(*ways):
            events = itertools.chain(*(parts for _, parts in case))
            yield Given(flat, tuple(events), sum(unit for unit, _ in case))

    def alone(self) -> list["Given"]:
        """What is given of each column, by itself."""
        return [Given(self.table, (event,)) for event in self.events]

    def event(self, known: Tensor | None = None) -> Event:
        """The same of x_0.

        Args:
            known: rows of x_0 with shape (C, W) that are known besides; by default none.
        """
        table = self.table
        owner = table.expand_to_state(torch.arange(float(len(table.columns)))[None])[0].long()
        width = len(owner)
        allowed = torch.ones(width, dtype=torch.bool)
        low = torch.full((width,), -math.inf, dtype=torch.float64)
        high = -low
        listed: list[tuple[int, Tensor]] = []
        for event in self.events:
            places = (owner == event.index).nonzero()[:, 0]
            classes = _classes(table.columns[event.index])
            if classes is not None:
                allowed[places] = torch.from_numpy(event.holds(classes))
            elif event.values is not None:
                numbers = torch.tensor(event.values, dtype=torch.float64)
                listed.append((int(places[0]), self._encoded(event.index, numbers)[:, places[0]]))
            else:
                low[places], high[places] = self._ends(event, int(places[0]))
        blank = torch.full((1, width), math.nan, dtype=torch.float64)
        rows = blank if known is None else known
        if listed:
            cases = torch.tensor(list(itertools.product(*(v.tolist() for _, v in listed))))
            rows = rows.repeat_interleave(len(cases), 0)
            for k, (place, _) in enumerate(listed):
                column = cases[:, k].double().repeat(len(rows) // len(cases))
                rows[:, place] = torch.where(rows[:, place].isnan(), column, rows[:, place])
        return Event(rows, allowed, low, high)

    def _encoded(self, index: int, numbers: Tensor) -> Tensor:
        rows = torch.full((len(numbers), len(self.table.columns)), math.nan, dtype=torch.float64)
        rows[:, index] = numbers
        return self.table.encode(rows)

    def _ends(self, event: ColumnEvent, place: int) -> tuple[float, float]:
        """The ends of an interval in x_0; those of whole numbers are the ends of their cells."""
        column = self.table.columns[event.index]
        low, high = event.low, event.high
        half = 0.0
        if isinstance(column, IntegerColumn):
            low = -math.inf if low <= column.low else math.ceil(low)
            high = math.inf if high >= column.high else math.floor(high)
            half = 0.5 / column.scale
        ends = torch.tensor([low, high], dtype=torch.float64)
        finite = torch.where(ends.isfinite(), ends, float(column.placeholder))
        found = self._encoded(event.index, finite)[:, place]
        found = torch.where(ends.isfinite(), found + torch.tensor([-half, half]), ends)
        return float(found[0]), float(found[1])


def read_given(table: Table, given: Mapping[Any, Any]) -> Given:
    """What is given, checked against the columns.

    Args:
        table: of the fitted rows.
        given: for a column by name (by number, for an array), a value, a list of values of which it
            is one, or an interval as a tuple (low, high), of which an end may be None. Dates and
            times may be text as 2024-01-05; a value that is coarser than the column, as 2024-01 for
            a column of days, stands for all of its days.

    Raises:
        TypeError: if an interval is given of a column of names.
        ValueError: if there is no such column, a value never occurs in it, or no value meets an
            interval.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f"given must be a dictionary of columns, such as {{'age': (18, 30)}}, got {given!r:.80}"
        )
    events = []
    for name, value in given.items():
        index = _index(table, name)
        found = _event(index, table.columns[index], value)
        if found is not None:
            events.append(found)
    listed = [
        len(event.values)
        for event in events
        if event.values is not None and _classes(table.columns[event.index]) is None
    ]
    if math.prod(listed) > MOST_CASES:
        raise ValueError(
            f"the lists of numbers have {math.prod(listed)} combinations, and {MOST_CASES} are "
            "allowed: give intervals"
        )
    return Given(table, tuple(events))


def _of_parts(
    event: ColumnEvent,
    column: CompoundColumn,
    flat: Table,
    places: Sequence[int],
    parts: Sequence[PartEvent | None],
) -> tuple[float, tuple[ColumnEvent, ...]]:
    """What is given of the parts of a column, and the unit of an atom that is given exactly."""
    found, unit = [], 0.0
    for place, part in zip(places, parts, strict=True):
        if part is not None:
            name = flat.columns[place].name
            found.append(ColumnEvent(place, name, event.about, part.values, part.low, part.high))
            classes = part.values if name == column.classes_name else None
            if event.values is not None and classes and max(classes) < len(column.log_units):
                unit = column.log_units[0]
    return unit, tuple(found)


def _index(table: Table, name: Any) -> int:
    names = [column.name for column in table.columns]
    if isinstance(name, str) and name in names:
        return names.index(name)
    if isinstance(name, int | np.integer) and 0 <= int(name) < len(names):
        return int(name)
    raise ValueError(f"there is no column {name!r}: {nearest(str(name), names)}")


def _event(index: int, column: Column, value: Any) -> ColumnEvent | None:
    about = f"{column.name} = {value!r}"
    if column.dtype.startswith(PREFIX):
        about = f"{column.name} = {_text(value)}"
        value = _on_clock(column, value, about)
    if isinstance(value, tuple):
        return _interval(index, column, value, about)
    several = isinstance(value, list | set | frozenset | np.ndarray)
    listed = list(value) if several else [value]
    if not listed:
        raise ValueError(f"the list of values of {column.name!r} is empty: nothing meets it")
    numbers = tuple(dict.fromkeys(_number(column, each) for each in listed))
    if isinstance(column, ConstantColumn):
        return None  # it has this value in every row
    return ColumnEvent(index, column.name, about, numbers)


def _on_clock(column: Column, value: Any, about: str) -> Any:
    """What is given of a column of dates or times, as steps of its clock.

    Raises:
        ValueError: if no value of the column meets it.
    """
    clock, name = Clock.of(column.dtype), column.name
    if isinstance(value, tuple):
        if len(value) != 2:
            raise ValueError(f"an interval is (low, high), with None for an open end, got {about}")
        low, high = (
            end if each is None else spans_of(clock, each, name)[side]
            for side, (each, end) in enumerate(zip(value, (-math.inf, math.inf), strict=True))
        )
        spans = [(low, high)]
    else:
        several = isinstance(value, list | set | frozenset | np.ndarray)
        spans = [span_of(clock, each, name) for each in (value if several else [value])]
    classes = getattr(column, "classes", None) or None
    if classes is not None:
        steps = [each for each in classes if any(low <= each <= high for low, high in spans)]
    elif len(spans) == 1 and spans[0][0] < spans[0][1]:
        return spans[0]
    else:
        steps = [step for low, high in spans for step in range(int(low), int(high) + 1)]
        steps = [step for step in steps if not column.invalid(np.array([float(step)]))[0]]
    if not steps:
        raise ValueError(
            f"{about} never occurs, so its probability is 0: column {name!r} holds "
            f"{shown(column)[1]}"
        )
    return steps


def _text(value: Any) -> str:
    """Dates and times as a reader writes them."""
    if isinstance(value, tuple):
        return "..".join("" if each is None else str(each) for each in value)
    if isinstance(value, list | set | frozenset | np.ndarray):
        return ", ".join(map(str, value))
    return str(value)


def _interval(index: int, column: Column, value: tuple[Any, ...], about: str) -> ColumnEvent | None:
    if column.named:
        raise TypeError(
            f"column {column.name!r} holds names, which have no intervals: give a list of values"
        )
    try:
        low, high = (
            end if each is None else float(each)
            for each, end in zip(value, (-math.inf, math.inf), strict=True)
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"an interval is (low, high), with None for an open end, got {about}: give a list for "
            "several values"
        ) from None
    classes = _classes(column)
    if classes is None and isinstance(column, IntegerColumn):
        meets = math.ceil(max(low, column.low)) <= math.floor(min(high, column.high))
    elif isinstance(column, ConstantColumn):
        meets = low <= column.placeholder <= high
    elif isinstance(column, CompoundColumn):
        meets = bool(column.cases(None, low, high))
    elif classes is not None:
        meets = bool(((classes >= low) & (classes <= high)).any())
    else:
        meets = low < high
    if not meets:
        raise ValueError(
            f"no value of column {column.name!r} meets {about}: it holds {shown(column)[1]}"
        )
    if isinstance(column, ConstantColumn):
        return None
    return ColumnEvent(index, column.name, about, None, low, high)


def _number(column: Column, value: Any) -> float:
    """The number of a value in the table."""
    classes: Sequence[Any] = getattr(column, "classes", ())
    constant = [column.value] if isinstance(column, ConstantColumn) else []
    known = list(classes) or constant
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"column {column.name!r} is given a missing value: leave it out")
    if known:
        for k, each in enumerate(known):
            if each == value or str(each) == str(value):
                return float(k) if classes else column.placeholder
        never = f"{value!r} never occurs in column {column.name!r}, so its probability is 0"
        raise ValueError(f"{never}: {nearest(str(value), map(str, known))}")
    accepted = column.accepted.partition(":")[0]  # what follows is advice about rows
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"column {column.name!r} is given {value!r}, and it takes {accepted}"
        ) from None
    if column.invalid(np.array([number]))[0]:
        raise ValueError(
            f"{value!r} never occurs in column {column.name!r}, so its probability is 0: it takes "
            f"{accepted}"
        )
    return number


def _classes(column: Column) -> np.ndarray | None:
    """The numbers of a column that is diffused as classes; None of other columns."""
    shares = () if isinstance(column, CompoundColumn) else getattr(column, "shares", ())
    return column.lowest + np.arange(float(len(shares))) if shares else None  # type: ignore[attr-defined]
