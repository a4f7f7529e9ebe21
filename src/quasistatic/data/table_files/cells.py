"""What the cells of a text column are: numbers in several notations, times, bits, or names."""

__all__ = ["Column", "trimmed"]

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from .notation import MONEY, Amount, Moment, Notation
from .number_forms import COMMA, GROUPED, PLAIN


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

    def fits(self, known: pl.Expr) -> pl.Expr:
        """Which trimmed cells are values of the column's type."""
        if self.type == "number":
            amount = self.notation if isinstance(self.notation, Amount) else Amount()
            bare = amount.bare(known)
            right = bare.str.contains(COMMA)
            if not self.is_comma:
                right = bare.str.contains(PLAIN) | bare.str.contains(GROUPED)
            # 5 % is not 5, and $5 is not €5; a number without a currency has that of the column.
            if amount.sign == "%":
                return right & bare.str.contains("%", literal=True)
            if amount.sign:
                return right & ~bare.str.contains(MONEY.replace(amount.sign, "") + "|%")
            return right
        if self.type == "bit":
            return known.is_in(["true", "false"])
        if self.notation is not None:
            return self.notation.read(known).is_not_null()
        return pl.lit(True)

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
