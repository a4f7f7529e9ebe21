"""The answer of a verb: text and tables for a person, and JSON values for a script."""

__all__ = ["Answer", "TextTable"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TextTable:
    """A table for the console.

    Args:
        title: above the table.
        header: the names of the columns.
        rows: the cells. The first of each row is a name, the others are numbers.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __str__(self) -> str:
        first = ", ".join(str(cell) for cell in self.rows[0]) if self.rows else "no rows"
        return f"{self.title}: {first}"


@dataclass(frozen=True)
class Answer:
    """The answer of a command.

    Args:
        facts: JSON values: the one object that `--json` prints.
        shown: lines of text, tables and anything else that rich can print, in order.
        values: the result as an array or a table, where it fits into memory; else None.
    """

    facts: Mapping[str, Any]
    shown: Sequence[object] = ()
    values: Any = field(default=None, compare=False)

    def __repr__(self) -> str:
        lines = [line for each in self.shown for line in str(each).splitlines()]
        return "\n".join(lines[:5]) if lines else f"Answer({', '.join(self.facts)})"
