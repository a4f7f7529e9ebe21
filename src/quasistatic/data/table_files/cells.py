"""What the cells of a text column mean: numbers in several notations, times, bits, or names."""

__all__ = ["COMMA", "GROUPED", "PLAIN", "Column", "examine"]

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from .notation import Amount, Moment, Notation
from .times import find_times

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
MONEY, PERCENT, SIGN = r"[$€£¥]", r"\s?%", r"[+\-−]"
GAPS = "' \u00a0\u2009\u202f’"
"""What separates thousands besides a comma or a point: marks, and spaces that do not break."""

EXPONENT = r"([eE][+-]?\d+)?"


def _number_form(group: str, point: str) -> str:
    # One mark separates all thousands of a number.
    marks = "|".join(rf"(?:{mark}\d{{3}})+" for mark in (group, *GAPS))
    grouped = rf"\d{{1,3}}(?:{marks})({point}\d*)?"
    number = rf"({grouped}|\d+({point}\d*)?{EXPONENT})"
    unit = rf"\s?({MONEY}|{PERCENT})?"
    signed = rf"{SIGN}?{MONEY}?\s?{SIGN}?{number}{unit}"
    return rf"^({signed}|\({MONEY}?\s?{number}{unit}\))$"


GROUPED, COMMA = _number_form(",", r"\."), _number_form(r"\.", ",")
"""Numbers with separated thousands, a unit or a minus of typographers or accountants, which write
(5) for -5: with a decimal point, and with a decimal comma. `PLAIN` has none of these."""

CODE = r"^[+-]?0\d+$"
"""A whole number that begins with a zero, as 007: it is a name."""

MOSTLY, HALF = 0.9, 0.5
"""The share of values of a type from which on the other cells of a column are taken for mistakes:
whatever they are, and where they are few different words."""

FEW_WORDS = 5

WIDE = 1000
"""Columns of a file from which on they are looked at together."""

SHOWN = 5
"""How many odd cells of a column an error quotes."""

SAMPLE = 2000
"""Known cells of a column by which its notation is chosen."""


@dataclass(frozen=True)
class Column:
    """What the cells of one text column are.

    Args:
        name: of the column.
        known: cells that are not missing.
        values: of those, cells of the column's type.
        type: "number", "date", "datetime", "time", "duration", "bit" or "name".
        notation: how they are written, if the type has several.
        whole: whether all numbers are whole.
        odd: rows, counted from 1, and texts of the first cells that are of another type, or are
            written in another notation.
        others: how many of these there are.
        spaced: cells with spaces around them.
        note: what was decided, if that was not clear; else empty.
    """

    name: str
    known: int
    values: int = 0
    type: str = "name"
    notation: Notation | None = None
    whole: bool = False
    odd: tuple[tuple[int, str], ...] = ()
    others: int = 0
    spaced: int = 0
    note: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether some cells have another type than the column."""
        return self.type != "name" and self.known > self.values

    @property
    def is_comma(self) -> bool:
        """Whether its numbers have a decimal comma."""
        return isinstance(self.notation, Amount) and self.notation.decimal == ","

    @property
    def quoted(self) -> str:
        """The odd cells, with their rows."""
        cells = ", ".join(f'row {row:,} "{text}"' for row, text in self.odd)
        return cells + (", ..." if self.others > len(self.odd) else "")

    @property
    def plural(self) -> str:
        """What its cells are."""
        return {"datetime": "date and time"}.get(self.type, self.type) + "s"

    def __str__(self) -> str:
        what = f"are no {self.plural}"
        if isinstance(self.notation, Moment):
            what += f" ({self.notation.format})"
        return f"{self.name}: {self.others:,} of {self.known:,} cells {what}: {self.quoted}"

    def read(self, missing: Sequence[str]) -> pl.Expr:
        """The values of the column; null where a cell is missing or of another type."""
        cell = pl.col(self.name)
        if self.type == "number" and self.notation is None and not self.spaced:
            kind = pl.Int64 if self.whole else pl.Float64
            return cell.cast(kind, strict=False).alias(self.name)
        known = trimmed(cell, missing)
        found: pl.Expr
        if self.type == "bit":
            found = pl.when(known.is_not_null()).then(known == "true")
        elif self.notation is not None:
            found = self.notation.read(known)
        elif self.type == "number":
            found = known.str.strip_chars_start("+").cast(pl.Float64, strict=False)
        else:
            found = known
        return (found.cast(pl.Int64) if self.whole else found).alias(self.name)


def trimmed(cell: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    """Cells without the spaces around them; null where a word for a missing value is left."""
    plain = cell.str.strip_chars()
    return pl.when(~plain.is_in(list(missing))).then(plain)


@dataclass(frozen=True)
class _Seen:
    """Counts of the cells of a column, as they are without a notation."""

    rows: int
    known: int
    odd: int
    fractions: int
    codes: int

    @property
    def is_plain(self) -> bool:
        return self.known > 0 and not self.odd and not self.codes


def examine(
    frame: pl.LazyFrame,
    missing: Sequence[str],
    types: Mapping[str, Any],
    notations: Mapping[str, Notation],
) -> list[Column]:
    """What the cells of each column of a file are.

    Args:
        frame: the file, whose columns are text; plain words for a missing value are null.
        missing: words for a missing value.
        types: polars types of columns that are known to have them.
        notations: of columns that are known to have them.
    """
    names = frame.collect_schema().names()
    seen = _count(frame, _may_be_plain(frame, names))
    first = {
        name: Column(name, each.known, each.known, "number", whole=not each.fractions)
        for name, each in seen.items()
        if each.is_plain and not _is_text(types.get(name)) and name not in notations
    }
    rest = [name for name in names if name not in first]
    return _in_order(names, first, _closely(frame, rest, missing, types, notations))


def _in_order(names: Sequence[str], *found: Mapping[str, Column]) -> list[Column]:
    every = {name: column for each in found for name, column in each.items()}
    return [every[name] for name in names]


def _may_be_plain(frame: pl.LazyFrame, names: Sequence[str]) -> list[str]:
    """The columns that can be ones of plain numbers, by their first cells."""
    head = frame.head(SAMPLE).collect()
    numbers = head.cast(pl.Float64, strict=False).null_count().row(0)
    counts = zip(names, numbers, head.null_count().row(0), strict=True)
    return [name for name, odd, null in counts if odd == null]


def _is_text(kind: Any) -> bool:
    return bool(kind is not None and kind == pl.String)


def _count(frame: pl.LazyFrame, names: Sequence[str]) -> dict[str, _Seen]:
    """One look at all cells: which columns are plain numbers."""
    if not names:
        return {}
    cells = pl.all() if len(names) > WIDE else pl.col(list(names))
    asked = (
        cells.null_count(),
        cells.cast(pl.Float64, strict=False).null_count(),
        cells.cast(pl.Int64, strict=False).null_count(),
        cells.str.contains(r"^[+-]?0\d").sum(),
    )
    if len(names) > WIDE:  # the plan of a query takes longer than the query
        whole = frame.select(names).collect()
        rows, found = len(whole), [whole.select(each).row(0) for each in asked]
    else:
        named = [each.name.suffix(f"\0{k}") for k, each in enumerate(asked)]
        one = frame.select(pl.len().alias("\0rows"), *named).collect(engine="streaming")
        got = one.row(0, named=True)
        rows = got["\0rows"]
        found = [tuple(got[f"{name}\0{k}"] for name in names) for k in range(len(asked))]
    return {
        name: _Seen(rows, rows - null, odd - null, part - null, code or 0)
        for name, null, odd, part, code in zip(names, *found, strict=True)
    }


def _closely(
    frame: pl.LazyFrame,
    names: Sequence[str],
    missing: Sequence[str],
    types: Mapping[str, Any],
    notations: Mapping[str, Notation],
) -> dict[str, Column]:
    """What the cells of columns are that are no plain numbers alone."""
    if not names:
        return {}
    sample = frame.select(trimmed(pl.col(name), missing) for name in names).head(4 * SAMPLE)
    cells = {each.name: each.drop_nulls().head(SAMPLE).to_list() for each in sample.collect()}
    guesses = {
        name: _guess(name, cells[name], types.get(name), notations.get(name)) for name in names
    }
    guesses |= _with_commas(frame, guesses, missing)
    asked = []
    for name, guess in guesses.items():
        cell, known = pl.col(name), trimmed(pl.col(name), missing)
        there = known.is_not_null()
        asked += [
            there.sum().alias(f"{name}\0known"),
            (there & (cell != known)).sum().alias(f"{name}\0spaced"),
        ]
        if guess.type != "name":
            asked.append((there & _fits(guess, known)).sum().alias(f"{name}\0fits"))
        if guess.type == "number":
            asked += [
                known.str.contains(CODE).sum().alias(f"{name}\0codes"),
                _has_fraction((guess.notation or Amount()).read(known))
                .sum()
                .alias(f"{name}\0part"),
            ]
    found = frame.select(asked).collect(engine="streaming").row(0, named=True)
    columns = {}
    for name, guess in guesses.items():
        count, spaced, fits, codes, parts = (
            int(found.get(f"{name}\0{key}") or 0)
            for key in ("known", "spaced", "fits", "codes", "part")
        )
        column = replace(guess, known=count, values=fits, spaced=spaced)
        if guess.type == "number":
            column = replace(column, whole=not parts)
            if codes and not _is_number(types.get(name)):
                column = Column(name, count, count, spaced=spaced)
        columns[name] = _decided(frame, column, missing, types.get(name))
    return columns


def _with_commas(
    frame: pl.LazyFrame, guesses: Mapping[str, Column], missing: Sequence[str]
) -> dict[str, Column]:
    """Those columns of numbers that have a decimal comma, also where their first cells have
    none."""
    plain = {n: each for n, each in guesses.items() if each.type == "number" and not each.is_comma}
    changed = {name: replace(each, notation=Amount(",")) for name, each in plain.items()}
    if not plain:
        return {}
    counts = [
        (known.is_not_null() & _fits(each, known)).sum().alias(f"{name}\0{kind}")
        for kind, columns in (("point", plain), ("comma", changed))
        for name, each in columns.items()
        for known in [trimmed(pl.col(name), missing)]
    ]
    found = frame.select(counts).collect(engine="streaming").row(0, named=True)
    return {n: c for n, c in changed.items() if found[f"{n}\0comma"] > found[f"{n}\0point"]}


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
    numbers = [cell for cell in cells if _number(cell)]
    if _is_number(kind) or (cells and len(numbers) >= HALF * len(cells)):
        return replace(column, type="number", notation=_amount(numbers))
    times = find_times(cells)
    if not times and kind is not None and kind.is_temporal():
        times = [Moment("date", "%Y-%m-%d")]
    if times:
        type_ = getattr(times[0], "type", "duration")
        return replace(column, type=type_, notation=times[0], note=_other_reading(name, times))
    if cells and all(cell in ("true", "false") for cell in cells):
        return replace(column, type="bit")
    return column


def _other_reading(name: str, times: Sequence[Notation]) -> str:
    """A note on days and months that could be the other way round."""
    forms = [each.format for each in times if isinstance(each, Moment)]
    if not forms or not {"%d", "%m"} <= set(re.findall(r"%\w", forms[0])):
        return ""
    first = forms[0].index("%d") < forms[0].index("%m")
    for other in forms[1:]:
        if {"%d", "%m"} <= set(re.findall(r"%\w", other)) and first != (
            other.index("%d") < other.index("%m")
        ):
            return f"{name}: dates are read as {forms[0]} (--types {name}={other} reads the other)"
    return ""


def _number(cell: str) -> bool:
    return any(re.match(form, cell) for form in (PLAIN, GROUPED, COMMA))


def _amount(cells: Sequence[str]) -> Amount | None:
    """The notation in which most of some numbers are written; None if they are plain."""
    points = [c for c in cells if re.match(GROUPED, c) or re.match(PLAIN, c)]
    comma = len(points) < sum(bool(re.match(COMMA, c)) for c in cells)
    decimal, group = (",", ".") if comma else (".", ",")
    plain = [cell for cell in cells if re.match(PLAIN, cell)]
    odd = [cell for cell in cells if not re.match(PLAIN, cell) or cell.startswith("+")]
    if not comma and 2 * len(odd) < max(len(cells), 1):
        return None
    before, after, grouping = Counter[str](), Counter[str](), Counter[str]()
    for cell in cells:
        number = re.search(rf"\d[\d.,{GAPS}]*\d|\d", cell)
        if number is None:
            continue
        sign = re.sub(r"[+\-−(]", "", cell[: number.start()])
        before[sign] += 1
        after[re.sub(rf"^{EXPONENT}|\)", "", cell[number.end() :])] += 1
        found = re.search(rf"\d([{group}{GAPS}])\d{{3}}", number[0])
        grouping[found[1] if found else ""] += 1
    long = sum(len(re.sub(r"\D", "", cell.split(decimal)[0])) > 3 for cell in cells)
    thousands = max((g for g in grouping if g), key=lambda g: grouping[g], default="")
    places = {len(re.sub(r"\D", "", cell.partition(decimal)[2])) for cell in cells}
    return Amount(
        decimal,
        thousands if 2 * grouping[thousands] >= long else "",
        before.most_common(1)[0][0] if before else "",
        after.most_common(1)[0][0] if after else "",
        min(places) if len(places) == 1 else None,
        bool(plain) and sum(cell.startswith("+") for cell in cells) > len(cells) / 4,
    )


def _fits(column: Column, known: pl.Expr) -> pl.Expr:
    """Which cells are values of the column's type."""
    if column.type == "number":
        if column.is_comma:
            return known.str.contains(COMMA)
        return known.str.contains(PLAIN) | known.str.contains(GROUPED)
    if column.type == "bit":
        return known.is_in(["true", "false"])
    if column.notation is not None:
        return column.notation.read(known).is_not_null()
    return pl.lit(True)


def _decided(frame: pl.LazyFrame, column: Column, missing: Sequence[str], kind: Any) -> Column:
    """The column with the cells that do not fit, or one of names if they are no mistakes."""
    others = column.known - column.values
    if column.type == "name" or not column.known:
        return replace(column, type="name", notation=None, values=column.known)
    if not others:
        return _with_other_notation(frame, column, missing)
    known = trimmed(pl.col(column.name), missing)
    odd = known.is_not_null() & ~_fits(column, known).fill_null(False)
    asked = kind is not None and kind != pl.String
    if column.values < MOSTLY * column.known and not asked:
        words = frame.filter(odd).select(known.n_unique()).collect().item()
        if column.values < HALF * column.known or words > FEW_WORDS or _few(frame, column):
            return Column(column.name, column.known, column.known, spaced=column.spaced)
    if column.type == "bit":
        return Column(column.name, column.known, column.known, spaced=column.spaced)
    return replace(column, odd=_rows(frame, column.name, odd), others=others)


def _few(frame: pl.LazyFrame, column: Column) -> bool:
    """Whether a column has few different cells, as sizes that are numbers and words have."""
    distinct = frame.select(pl.col(column.name).n_unique()).collect().item()
    return bool(distinct <= 20)


def _rows(frame: pl.LazyFrame, name: str, chosen: pl.Expr) -> tuple[tuple[int, str], ...]:
    """The first rows of a choice and the texts of their cells."""
    rows = frame.select(name).with_row_index("\0row", 1).filter(chosen).head(SHOWN).collect()
    return tuple((int(row), str(text)) for row, text in rows.select("\0row", name).iter_rows())


def _with_other_notation(frame: pl.LazyFrame, column: Column, missing: Sequence[str]) -> Column:
    """A column of plain numbers with the few cells that have separated thousands or a unit."""
    if column.type != "number" or column.notation is not None:
        return column
    known = trimmed(pl.col(column.name), missing)
    other = known.is_not_null() & ~known.str.contains(PLAIN)
    count = frame.select(other.sum()).collect().item() or 0
    if not count:
        return column
    rows = _rows(frame, column.name, other)
    return replace(column, notation=Amount(), odd=rows, others=count)
