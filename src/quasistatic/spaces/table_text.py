"""The columns of a table as text."""

__all__ = ["DESCRIBED", "as_page", "described", "printed", "shown"]

import io
from collections.abc import Sequence

from rich.console import Console, ConsoleRenderable, RichCast
from rich.table import Table as Printed

from .clock import PREFIX, Clock
from .columns import BinaryColumn, CategoryColumn, Column, ConstantColumn

DESCRIBED = ("column", "type", "values", "missing")
"""The headings of :func:`described`."""

WIDTH = 100
"""The width of a printed table, in characters."""


def described(columns: Sequence[Column]) -> list[tuple[str, str, str, str]]:
    """For each column its name, its type, its values and the share of missing values, as text."""
    return [
        (each.name, *shown(each), f"{each.missing:.1%}" if each.missing else "") for each in columns
    ]


def printed(columns: Sequence[Column]) -> Printed:
    """The same as a table of the console."""
    found = Printed(title=f"{len(columns)} columns", title_justify="left")
    for name in DESCRIBED[:-1]:
        found.add_column(name)
    found.add_column(DESCRIBED[-1], justify="right")
    for row in described(columns):
        found.add_row(*row)
    return found


def as_page(table: ConsoleRenderable | RichCast) -> str:
    """What the console would show, as text of :data:`WIDTH` characters."""
    page = io.StringIO()
    Console(file=page, width=WIDTH, highlight=False, markup=False).print(table)
    return page.getvalue().rstrip()


def shown(column: Column) -> tuple[str, str]:
    """The type and the values of a column, as text: points of time are dates and not numbers."""
    if not column.dtype.startswith(PREFIX):
        return column.kind, column.range
    clock = Clock.of(column.dtype)
    if isinstance(column, ConstantColumn):
        return column.kind, "empty" if column.value is None else clock.text(column.value)
    if isinstance(column, BinaryColumn | CategoryColumn):
        return column.kind, ", ".join(clock.text(each) for each in column.classes[:4])
    low, high = (float(getattr(column, end)) for end in ("low", "high"))
    return clock.name, f"{clock.text(low)} to {clock.text(high)}"
