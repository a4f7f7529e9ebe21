"""What was checked: a row for each identity, and the table that they make."""

__all__ = ["Report", "Row"]

import io
import math
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

WIDTH = 110
"""Of the table as text, in characters."""


@dataclass(frozen=True)
class Row:
    """One identity, held against a model.

    Args:
        name: what the identity is called.
        says: what must be true.
        error: by how much it is not, in the unit that `says` names; None if it was not tried.
        allowed: the largest error that passes: rounding, or standard errors of a mean.
        note: where it failed, or why it does not apply.
    """

    name: str
    says: str
    error: float | None
    allowed: float | None
    note: str = ""

    @property
    def skipped(self) -> bool:
        """Whether the identity does not apply to this model, as `note` says."""
        return self.error is None

    @property
    def passed(self) -> bool:
        """Whether it was tried, and holds."""
        return self.error is not None and self.allowed is not None and self.error <= self.allowed

    @property
    def failed(self) -> bool:
        """Whether it was tried, and does not hold; an error that is not a number does not."""
        return not self.skipped and not self.passed


@dataclass(frozen=True)
class Report:
    """Every identity that was held against a model; print it to see the table."""

    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that failed."""
        return tuple(row for row in self.rows if row.failed)

    def __getitem__(self, name: str) -> Row:
        return {row.name: row for row in self.rows}[name]

    def __rich__(self) -> Table:
        skipped = sum(row.skipped for row in self.rows)
        tried = len(self.rows) - skipped
        title = f"{tried - len(self.failed)} of {tried} identities hold"
        title += f", {skipped} do not apply" if skipped else ""
        table = Table(title=title, title_justify="left", title_style="bold", show_lines=False)
        for name in ("", "", "what must be true"):
            table.add_column(name)
        for name in ("off by", "allowed"):
            table.add_column(name, justify="right")
        for row in self.rows:
            mark, style = _mark(row)
            says = f"{row.says}\n{row.note}" if row.note else row.says
            table.add_row(mark, row.name, says, _text(row.error), _text(row.allowed), style=style)
        return table

    def __str__(self) -> str:
        page = io.StringIO()
        Console(file=page, width=WIDTH, highlight=False, markup=False).print(self)
        return page.getvalue().rstrip()


def _mark(row: Row) -> tuple[str, str]:
    if row.skipped:
        return "skip", "dim"
    return ("ok", "") if row.passed else ("FAIL", "bold red")


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return "not a number" if math.isnan(value) else f"{value:.2g}"
