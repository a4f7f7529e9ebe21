"""Finds what the cells of the columns of a text file mean."""

__all__ = ["examine"]

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from .cells import Column, trimmed
from .column_notes import (
    MOSTLY,
    have_one_unit,
    other_reading,
    several_spellings,
    several_times,
    several_units,
)
from .decimal_marks import grouped, with_commas
from .notation import Amount, Moment, Notation
from .number_forms import (
    CODE,
    COMMA,
    GROUPED,
    PLAIN,
    THOUSANDS,
    amount_of,
    is_number,
    unit_of,
    without_unit,
)
from .sources import TextRows
from .times import find_times

HALF = 0.5
"""The share of values of a type from which on the other cells of a column are taken for mistakes,
where they are few different words."""

FEW_WORDS, FEW_VALUES = 5, 20
"""Different odd cells that are taken for mistakes, and different cells of a column of names."""

SHOWN = 5
"""How many odd cells of a column an error quotes."""

DAY = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
LEAST_DAYS = 20
"""A day in eight digits, and the least number of them that are no plain numbers."""

SAMPLE = 2000
"""Known cells of a column by which its notation is chosen."""


@dataclass(frozen=True)
class _Seen:
    """Counts of the cells of a column, as they are without a notation."""

    known: int
    odd: int
    fractions: int
    codes: int
    points: int
    grouped: int
    days: int

    @property
    def is_plain(self) -> bool:
        return self.known > 0 and not self.odd and not self.codes

    @property
    def has_points(self) -> bool:
        """Whether some points do not separate thousands."""
        return self.points > self.grouped

    @property
    def may_be_grouped(self) -> bool:
        """Whether all points may separate thousands, as in 1.234."""
        return 0 < self.points == self.grouped


def examine(
    text: TextRows,
    missing: Sequence[str],
    types: Mapping[str, Any],
    notations: Mapping[str, Notation],
    decimal: str | None = None,
    semicolons: bool = False,
) -> list[Column]:
    """What the cells of each column of a file are.

    Args:
        text: the rows of the file; plain words for a missing value are null.
        missing: words for a missing value.
        types: polars types of columns that are known to have them.
        notations: of columns that are known to have them.
        decimal: the decimal mark; None decides by the cells.
        semicolons: whether they separate columns, as they do in most files with a decimal comma.
    """
    names = list(text.names)
    head = text.head(4 * SAMPLE)
    seen = _count(text, _may_be_plain(head))
    first = {
        name: Column(name, each.known, each.known, "number", whole=not each.fractions)
        for name, each in seen.items()
        if each.is_plain and not _is_text(types.get(name)) and name not in notations
    }
    for name in [name for name in first if name not in types and _are_days(seen[name])]:
        del first[name]
    rest = [name for name in names if name not in first]
    cells = _first_cells(head, rest, missing)
    guesses = {n: _guess(n, cells[n], types.get(n), notations.get(n)) for n in rest}
    points = any(seen[name].has_points for name in first)
    unknown = {n: each for n, each in guesses.items() if n not in notations}
    guesses |= with_commas(text, unknown, cells, missing, decimal, points, semicolons)
    found = first | _closely(text, guesses, missing, types)
    commas = decimal == "," or any(each.is_comma and not each.note for each in found.values())
    if commas and not points:
        for name in first:
            if seen[name].may_be_grouped and name not in types:
                found[name] = grouped(found[name], seen[name].grouped)
    return [found[name] for name in names]


def _are_days(seen: _Seen) -> bool:
    """Whether whole numbers are days, as 20240131."""
    return seen.known >= LEAST_DAYS and seen.days == seen.known


def _may_be_plain(head: pl.DataFrame) -> list[str]:
    """The columns that can be ones of plain numbers, by their first cells."""
    numbers = head.cast(pl.Float64, strict=False).null_count().row(0)
    counts = zip(head.columns, numbers, head.null_count().row(0), strict=True)
    return [name for name, odd, null in counts if odd == null]


def _is_text(kind: Any) -> bool:
    return bool(kind is not None and kind == pl.String)


def _count(text: TextRows, names: Sequence[str]) -> dict[str, _Seen]:
    """One look at all cells: which columns are plain numbers."""
    if not names:
        return {}
    # The plan of a query of many columns takes longer than the query.
    cells = pl.all() if len(names) == len(text.names) else pl.col(list(names))
    known = cells.is_not_null()
    counts = text.totals(
        cells.count(),
        (known & cells.cast(pl.Float64, strict=False).is_null()).sum(),
        (known & cells.cast(pl.Int64, strict=False).is_null()).sum(),
        cells.str.contains(r"^[+-]?0\d").sum(),
        cells.str.contains(".", literal=True).sum(),
        cells.str.contains(THOUSANDS).sum(),
        cells.str.contains(DAY).sum(),
        columns=names,
    )
    if not counts[0]:
        return {}
    return {name: _Seen(*each) for name, *each in zip(names, *counts, strict=True)}


def _first_cells(
    head: pl.DataFrame, names: Sequence[str], missing: Sequence[str]
) -> dict[str, list[str]]:
    """The first known cells of columns, trimmed."""
    sample = head.select(trimmed(pl.col(name), missing) for name in names)
    return {each.name: each.drop_nulls().head(SAMPLE).to_list() for each in sample}


def _closely(
    text: TextRows, guesses: Mapping[str, Column], missing: Sequence[str], types: Mapping[str, Any]
) -> dict[str, Column]:
    """What the cells of columns are that are no plain numbers alone."""
    if not guesses:
        return {}
    asked: list[pl.Expr] = []
    for name, guess in guesses.items():
        cell, known = pl.col(name), trimmed(pl.col(name), missing)
        there = known.is_not_null()
        none = pl.lit(0)
        numeric = guess.type == "number"
        number = (guess.notation or Amount()).read(known) if numeric else none
        fit = none if guess.type == "name" else (there & guess.fits(known)).sum()
        asked += [
            there.sum().alias(f"{name}\0known"),
            (there & (cell != known)).sum().alias(f"{name}\0spaced"),
            fit,
            known.str.contains(CODE).sum() if numeric else none,
            _has_fraction(number).sum() if numeric else none,
        ]
    asked = [each.alias(str(k)) for k, each in enumerate(asked)]
    found = iter(text.totals(asked, columns=list(guesses))[0])
    columns = {}
    for name, guess in guesses.items():
        known_, spaced, fits, codes, parts = (next(found, 0) for _ in range(5))
        column = replace(guess, known=known_, values=fits, spaced=spaced)
        if guess.type == "number":
            column = replace(column, whole=not parts)
            if codes and not _is_number(types.get(name)):
                column = Column(name, known_, known_, spaced=spaced)
        columns[name] = _decided(text, column, missing, types.get(name))
    return columns


def _has_fraction(number: pl.Expr) -> pl.Expr:
    return (number != number.round()) | (number.abs() >= 2**53)


def _is_number(kind: Any) -> bool:
    return bool(kind is not None and kind.is_numeric())


def _guess(name: str, cells: Sequence[str], kind: Any, notation: Notation | None) -> Column:
    """The type and the notation of a column by some of its cells."""
    column = Column(name, len(cells))
    if _is_text(kind):
        return column
    if notation is not None:
        named = {"amount": "number", "length": "duration"}
        type_ = named.get(notation.kind) or str(getattr(notation, "type", "date"))
        return replace(column, type=type_, notation=notation)
    numbers = [cell for cell in cells if is_number(cell)]
    if kind is None and len(cells) >= LEAST_DAYS and all(re.match(DAY, c) for c in cells):
        note = f"{name}: whole numbers are read as days, %Y%m%d (--types {name}=integer as numbers)"
        return replace(column, type="date", notation=Moment("date", "%Y%m%d"), note=note)
    several = several_spellings(name, cells)
    if several:
        return replace(column, note=several)
    if cells and len(numbers) >= HALF * len(cells):
        return replace(column, type="number", notation=amount_of(numbers))
    units = unit_of(cells)
    if units and have_one_unit(units, len(numbers), len(cells)):
        bare = [without_unit(cell, units[0][0]) for cell in cells]
        amount = amount_of([cell for cell in bare if is_number(cell)], units[0][0])
        return replace(column, type="number", notation=amount)
    if _is_number(kind):
        return replace(column, type="number", notation=amount_of(numbers))
    times = find_times(cells)
    if not times and kind is not None and kind.is_temporal():
        times = [Moment("date", "%Y-%m-%d")]
    if times:
        type_ = getattr(times[0], "type", "duration")
        return replace(column, type=type_, notation=times[0], note=other_reading(name, times))
    if cells and all(cell in ("true", "false") for cell in cells):
        return replace(column, type="bit")
    mixed = several_times(name, cells)
    if mixed:
        return replace(column, note=mixed)
    words = any(len("".join(unit).strip()) > 1 for unit, _ in units)
    if words and len(numbers) + sum(count for _, count in units) >= MOSTLY * len(cells):
        return replace(column, note=several_units(name, units))
    return column


def _decided(text: TextRows, column: Column, missing: Sequence[str], kind: Any) -> Column:
    """The column with the cells that do not fit, or one of names if they are no mistakes."""
    others = column.known - column.values
    if column.type == "name" or not column.known:
        return replace(column, type="name", notation=None, values=column.known)
    if not others:
        return _with_other_notation(text, column, missing)
    known = trimmed(pl.col(column.name), missing)
    odd = known.is_not_null() & ~column.fits(known).fill_null(False)
    asked = kind is not None and kind != pl.String
    named = Column(column.name, column.known, column.known, spaced=column.spaced)
    many = column.values < MOSTLY * column.known and not asked
    if many and (
        column.values < HALF * column.known
        or not _has_few(text, column.name, FEW_WORDS, odd)
        or _has_few(text, column.name, FEW_VALUES)
    ):
        if column.type == "number" and not _has_few(text, column.name, FEW_VALUES):
            return _half_numbers(text, column, named, missing, odd)
        return named
    if column.type == "bit":
        return named
    return replace(column, odd=_rows(text, column.name, odd), others=others)


def _half_numbers(
    text: TextRows, column: Column, named: Column, missing: Sequence[str], odd: pl.Expr
) -> Column:
    """A column of numbers and many other texts: wrong if those are numbers in another notation, as
    5% beside 5; else one of names, with a note."""
    known = trimmed(pl.col(column.name), missing)
    numbers = pl.any_horizontal(known.str.contains(form) for form in (PLAIN, GROUPED, COMMA))
    [[count]] = text.totals((odd & numbers).sum(), columns=[column.name])
    others = column.known - column.values
    rows = _rows(text, column.name, odd)
    if count == others:
        return replace(column, odd=rows, others=others)
    shown = ", ".join(f'row {row:,} "{cell}"' for row, cell in rows[:3])
    note = (
        f"{column.name}: {column.values:,} of {column.known:,} cells are numbers, and the others "
        f"are many different texts ({shown}): it is read as names (--types {column.name}=numeric "
        "names the others and refuses them)"
    )
    return replace(named, note=note)


def _has_few(text: TextRows, name: str, most: int, chosen: pl.Expr | None = None) -> bool:
    """Whether some cells of a column have few different texts, as sizes have that are numbers and
    words."""
    found = set[str]()
    for frame in text.texts([name]):
        frame = frame if chosen is None else frame.filter(chosen)
        found |= set(frame[name].unique().to_list())
        if len(found) > most:
            return False
    return True


def _rows(text: TextRows, name: str, chosen: pl.Expr) -> tuple[tuple[int, str], ...]:
    """The first rows of a choice and the texts of their cells."""
    found: list[tuple[int, str]] = []
    for first, frame in _counted(text.texts([name])):
        rows = frame.with_row_index("\0row", first + 1).filter(chosen)
        pairs = rows.head(SHOWN - len(found)).select("\0row", name).iter_rows()
        found += [(int(row), str(cell)) for row, cell in pairs]
        if len(found) == SHOWN:
            break
    return tuple(found)


def _counted(frames: Iterator[pl.DataFrame]) -> Iterator[tuple[int, pl.DataFrame]]:
    """Frames, and the number of rows before each."""
    first = 0
    for frame in frames:
        yield first, frame
        first += len(frame)


def _with_other_notation(text: TextRows, column: Column, missing: Sequence[str]) -> Column:
    """A column of plain numbers with the few cells that have separated thousands or a unit."""
    if column.type != "number" or column.notation is not None:
        return column
    known = trimmed(pl.col(column.name), missing)
    other = known.is_not_null() & ~known.str.contains(PLAIN)
    [[count]] = text.totals(other.sum(), columns=[column.name])
    if not count:
        return column
    return replace(column, notation=Amount(), odd=_rows(text, column.name, other), others=count)
