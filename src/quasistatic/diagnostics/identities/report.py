"""The result of a check: a row for each identity, and a table of them."""

__all__ = ["Report", "Row"]

import io
import math
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

WIDTH = 110
"""Width of the table as text, in characters."""


@dataclass(frozen=True)
class Row:
    """The result of one identity.

    Args:
        name: of the identity.
        says: what must be true.
        error: how far it is from being true, in the unit that `says` names; None if skipped.
        allowed: the largest error that passes: rounding, or standard errors of a mean.
        note: where it failed, or why it was skipped.
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
        """Whether it was tested and holds."""
        return self.error is not None and self.allowed is not None and self.error <= self.allowed

    @property
    def failed(self) -> bool:
        """Whether it was tested and does not hold; an error of NaN fails."""
        return not self.skipped and not self.passed


@dataclass(frozen=True)
class Report:
    """The results of all identities on one model; print it to see the table.

    Args:
        rows: one for each identity.
    """

    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether no identity failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that failed."""
        return tuple(row for row in self.rows if row.failed)

    def __getitem__(self, name: str) -> Row:
        return {row.name: row for row in self.rows}[name]

    @property
    def summary(self) -> str:
        """One line: how many identities hold."""
        skipped = sum(row.skipped for row in self.rows)
        tried = len(self.rows) - skipped
        text = f"{tried - len(self.failed)} of {tried} identities hold"
        return text + (f", {skipped} do not apply" if skipped else "")

    def __repr__(self) -> str:
        failed = ", ".join(f"{row.name!r}" for row in self.failed)
        return self.summary + (f"\n  failed: {failed}" if failed else "")

    def __rich__(self) -> Table:
        table = Table(title=self.summary, title_justify="left", title_style="bold")
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
