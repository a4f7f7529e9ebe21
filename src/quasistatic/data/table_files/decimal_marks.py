"""Which columns of numbers have a decimal comma, where cells by themselves do not say it."""

__all__ = ["grouped", "with_commas"]

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from .cells import Column, trimmed
from .notation import Amount
from .number_forms import amount_of, is_number, without_unit
from .sources import TextRows


def grouped(column: Column, count: int) -> Column:
    """A column whose points separate thousands, in a file with a decimal comma.

    Args:
        column: of plain numbers.
        count: how many of them have points.
    """
    note = (
        f"{column.name}: the points in {count:,} numbers separate thousands, as other "
        "columns have a decimal comma (--decimal . reads decimal points)"
    )
    return replace(column, notation=Amount(",", "."), whole=True, note=note)


def with_commas(
    text: TextRows,
    guesses: Mapping[str, Column],
    cells: Mapping[str, Sequence[str]],
    missing: Sequence[str],
    decimal: str | None,
    points: bool,
    semicolons: bool,
) -> dict[str, Column]:
    """Those columns of numbers that have a decimal comma, also where their first cells have
    none. Where commas may also separate thousands, the other columns decide.

    Args:
        text: the rows of the file.
        guesses: of the columns.
        cells: the first known cells of each column.
        missing: words for a missing value.
        decimal: the decimal mark, if it is known.
        points: whether other columns have a decimal point.
        semicolons: whether they separate columns.
    """
    own = {n: each for n, each in guesses.items() if each.type == "number"}
    if decimal is not None:
        return {n: _with_decimal(each, cells[n], decimal) for n, each in own.items()}
    plain = {n: each for n, each in own.items() if not each.is_comma}
    if not plain:
        return {}
    changed = {name: _with_decimal(each, cells[name], ",") for name, each in plain.items()}
    counts = []
    for name, each in plain.items():
        known = trimmed(pl.col(name), missing)
        point_, commas = (known.is_not_null() & c.fits(known) for c in (each, changed[name]))
        comma_ = known.str.contains(",", literal=True)
        counts += [(point_ & ~commas).sum(), (commas & ~point_).sum(), comma_.sum()]
    counts = [each.alias(str(k)) for k, each in enumerate(counts)]
    totals = iter(text.totals(counts, columns=list(plain))[0])
    found, undecided = dict[str, Column](), list[str]()
    certain = len(own) > len(plain)
    for name, each in changed.items():
        point, comma, either = (next(totals, 0) for _ in range(3))
        points = points or point > comma
        if comma > point:
            found[name], certain = each, True
        elif comma == point and either:
            undecided.append(name)
    if not points and (certain or semicolons):
        for name in undecided:
            note = (
                f"{name}: commas are read as decimal commas, as "
                + ("in other columns" if certain else "semicolons separate the columns")
                + " (--decimal . reads them as separators of thousands)"
            )
            found[name] = replace(changed[name], note=note)
    return found


def _with_decimal(column: Column, cells: Sequence[str], decimal: str) -> Column:
    """A column of numbers with another decimal mark."""
    own = column.notation if isinstance(column.notation, Amount) else Amount()
    if own.decimal == decimal:
        return column
    bare = [without_unit(cell, own.words) for cell in cells]
    unit = (own.before, own.after) if any(own.words) else ("", "")
    made = amount_of([cell for cell in bare if is_number(cell)], unit, decimal)
    return replace(column, notation=made)
