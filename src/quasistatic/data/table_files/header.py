"""Whether the first row of a text file holds the names of its columns."""

__all__ = ["Header", "names_numbers"]

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from .missing import MISSING
from .number_forms import is_number
from .times import looks_like_time

MOSTLY = 0.9
"""The share of the cells of a column that have its type."""

ROWS, COLUMNS = 500, 300
"""Rows and columns that are looked at."""

YEARS = range(1800, 2200)


@dataclass(frozen=True)
class Header:
    """Whether the first row holds names.

    Args:
        is_there: the answer.
        note: what was decided, if that was not clear; else empty.
    """

    is_there: bool
    note: str = ""

    @classmethod
    def of(
        cls,
        head: Sequence[str],
        sample: Sequence[Sequence[str]],
        given: bool | None = None,
        known: Collection[str] = (),
    ) -> Self:
        """Decides by the first row and rows after it. A column of numbers or of times whose first
        cell is none has a name there; if the first cells are like those below, there is no header.

        Args:
            head: the first row.
            sample: rows after it.
            given: the answer, if the user gave it.
            known: names that the file must have, if they are known.
        """
        cells = [cell.strip() for cell in head]
        if given is not None:
            return cls(given)
        if known and set(known) <= set(cells):
            return cls(True)
        cells = cells[:COLUMNS]
        columns = _columns(sample)[: len(cells)]
        shown = ",".join(cells[:4]) + (",..." if len(cells) > 4 else "")
        if all(cell in MISSING for cell in cells):
            return cls(False, "the first row has no names: the columns are named x0, x1, ...")
        if not columns:
            return cls(any(not is_number(cell) for cell in cells))
        votes = [_vote(cell, column) for cell, column in zip(cells, columns, strict=False)]
        if "name" in votes:
            return cls(True)
        if _are_counted(cells, columns):
            return cls(True, f"the first row, {shown}, is taken for names")
        if "value" in votes or "recurs" in votes:
            recurs = " it holds values that recur below:" if "recurs" in votes else ""
            return cls(
                False,
                f"the first row, {shown}, is like the rows below it:{recurs} there is no header, "
                "and the columns are named x0, x1, ...",
            )
        return cls(True)


def names_numbers(head: Sequence[str], sample: Sequence[Sequence[str]]) -> bool:
    """Whether a row has names for columns of numbers or times below it."""
    pairs = zip([cell.strip() for cell in head], _columns(sample), strict=False)
    return any(_vote(cell, column) == "name" for cell, column in pairs)


def _columns(sample: Sequence[Sequence[str]]) -> list[list[str]]:
    """The known cells of the columns of some rows."""
    rows = [row[:COLUMNS] for row in sample if row][:ROWS]
    return [
        [cell.strip() for cell in column if cell.strip() not in MISSING]
        for column in itertools.zip_longest(*rows, fillvalue="")
    ]


def _vote(cell: str, column: Sequence[str]) -> str:
    """What the first cell of a column looks like: "name", "value", "recurs", or "" if unknown."""
    if cell in MISSING:
        return ""
    for is_one in (is_number, looks_like_time):
        below = sum(map(is_one, column))
        if column and below >= MOSTLY * len(column):
            return "value" if is_one(cell) else "name"
    return "recurs" if cell in column else ""


def _are_counted(cells: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether the numbers of a row are consecutive whole numbers, as names that pandas gives, or
    years, and do not look like the rows below it."""
    digits = [k for k, cell in enumerate(cells) if cell.isdigit()]
    if not digits or not columns:
        return False
    others = [cell for k, cell in enumerate(cells) if k not in digits and cell]
    if any(is_number(cell) or looks_like_time(cell) for cell in others):
        return False
    numbers = [int(cells[k]) for k in digits]
    below = [cell for k in digits if k < len(columns) for cell in columns[k]]
    if any(b - a != 1 for a, b in itertools.pairwise(numbers)):
        return False
    years = all(number in YEARS for number in numbers)
    if years and not all(cell.isdigit() and int(cell) in YEARS for cell in below):
        return True
    if len(numbers) < 2:
        return False
    saved_index = not cells[0] and len(columns[0]) > 0
    return saved_index or any("." in cell for cell in below) or numbers[0] == 0
