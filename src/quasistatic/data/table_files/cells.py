"""What the cells of a text column mean: numbers in several notations, missing values, names."""

__all__ = ["COMMA", "GROUPED", "MISSING", "PLAIN", "Column", "as_numbers", "examine"]

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

MISSING = (
    *("", "?", "-", ".", "NA", "na", "N/A", "n/a", "#N/A", "<NA>"),
    *("NaN", "NAN", "nan", "NULL", "Null", "null", "None", "NONE", "none"),
)
"""Words for a missing value in a text file, without the spaces around them."""

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
MONEY, PERCENT = r"[$€£¥]", r"\s?%"
GROUPED = rf"^[+-]?{MONEY}?\s?[+-]?(\d{{1,3}}(,\d{{3}})+|\d+)(\.\d*)?\s?({MONEY}|{PERCENT})?$"
COMMA = rf"^[+-]?{MONEY}?\s?[+-]?(\d{{1,3}}(\.\d{{3}})+|\d+)(,\d+)?\s?({MONEY}|{PERCENT})?$"
"""A number with a decimal point, with separated thousands and a unit, and with a decimal comma."""

MOSTLY = 0.9
"""The share of numbers from which on the other cells of a column are taken for mistakes."""

SHOWN = 5
"""How many odd cells of a column an error quotes."""


@dataclass(frozen=True)
class Column:
    """What the cells of one text column are.

    Args:
        name: of the column.
        known: cells that are not missing.
        numbers: of those, numbers in some notation.
        commas: of those, numbers with a decimal comma that have no other reading.
        odd: rows, counted from 1, and texts of the first cells that are no numbers.
    """

    name: str
    known: int
    numbers: int
    commas: int
    odd: tuple[tuple[int, str], ...]

    @property
    def is_numeric(self) -> bool:
        """Whether all known cells are numbers."""
        return 0 < self.known == self.numbers

    @property
    def is_mostly_numeric(self) -> bool:
        """Whether the cells that are no numbers look like mistakes."""
        return self.known > self.numbers >= MOSTLY * self.known

    def __str__(self) -> str:
        cells = ", ".join(f'row {row} "{text}"' for row, text in self.odd)
        others = self.known - self.numbers
        more = ", ..." if others > len(self.odd) else ""
        return f"{self.name}: {others:,} of {self.known:,} cells are no numbers: {cells}{more}"


def examine(
    frame: pl.LazyFrame, names: Sequence[str], missing: Sequence[str], separator: str
) -> list[Column]:
    """What the cells of text columns are.

    Args:
        frame: the file, whose columns of those names are text.
        names: of the columns to look at.
        missing: words for a missing value.
        separator: of the columns; after a comma, a number has no decimal comma.
    """
    if not names:
        return []
    counts = []
    for name in names:
        cell = pl.col(name).str.strip_chars()
        known = cell.is_not_null() & ~cell.is_in(list(missing))
        number, comma = _is_number(cell, separator), _is_comma(cell, separator)
        counts += [
            known.sum().alias(f"{name}\0known"),
            (known & number).sum().alias(f"{name}\0numbers"),
            (known & comma).sum().alias(f"{name}\0commas"),
        ]
    found = frame.select(counts).collect().row(0, named=True)
    columns = []
    for name in names:
        known, numbers = found[f"{name}\0known"], found[f"{name}\0numbers"]
        odd: tuple[tuple[int, str], ...] = ()
        if 0 < numbers < known:
            odd = _odd(frame, name, missing, separator)
        columns.append(Column(name, known, numbers, found[f"{name}\0commas"], odd))
    return columns


def as_numbers(column: Column, missing: Sequence[str]) -> pl.Expr:
    """The numbers of a text column. Separators of thousands, plus signs, currency and percent signs
    are dropped; a decimal comma becomes a point."""
    cell = pl.col(column.name).str.strip_chars()
    known = pl.when(~cell.is_in(list(missing))).then(cell)
    plain = known.str.replace_all(rf"{MONEY}|%|\s", "").str.strip_chars_start("+")
    if column.commas:
        plain = plain.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        plain = plain.str.replace_all(",", "", literal=True)
    return plain.cast(pl.Float64).alias(column.name)


def _odd(
    frame: pl.LazyFrame, name: str, missing: Sequence[str], separator: str
) -> tuple[tuple[int, str], ...]:
    """The first cells of a column that are known and are no numbers."""
    cell = pl.col(name).str.strip_chars()
    odd = cell.is_not_null() & ~cell.is_in(list(missing)) & ~_is_number(cell, separator)
    rows = frame.select(name).with_row_index("row", 1).filter(odd).head(SHOWN).collect()
    return tuple((int(row), str(text)) for row, text in rows.select("row", name).iter_rows())


def _is_number(cell: pl.Expr, separator: str) -> pl.Expr:
    return cell.str.contains(PLAIN) | cell.str.contains(GROUPED) | _is_comma(cell, separator)


def _is_comma(cell: pl.Expr, separator: str) -> pl.Expr:
    """Whether a cell can only be a number with a decimal comma."""
    if separator == ",":
        return pl.lit(False)
    return cell.str.contains(COMMA) & ~cell.str.contains(GROUPED) & ~cell.str.contains(PLAIN)
