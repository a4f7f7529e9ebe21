"""Where the rows of a text file begin: below titles and notes, and below blank lines."""

__all__ = ["first_row"]

import csv
from collections import Counter
from collections.abc import Sequence

from .header import names_numbers

MOST = 30
"""Lines that may stand above the rows."""

MOSTLY = 0.9
"""The share of rows below that have one width."""


def first_row(lines: Sequence[str], comment: str, separators: Sequence[str]) -> int:
    """How many lines at the start of a file hold no rows.

    A title has fewer cells than the rows have. It is passed over if the first full row below it
    holds names for columns of numbers, or if it is one cell and the rows have three or more.

    Args:
        lines: the first lines of the file.
        comment: what comments start with; empty if there are none.
        separators: that may separate the columns.
    """
    kept = [k for k, line in enumerate(lines) if not comment or not line.startswith(comment)]
    blank = next((k for k in kept if lines[k].strip()), 0)
    kept = [k for k in kept if k >= blank]
    blank = blank if any(not line.strip() for line in lines[:blank]) else 0
    best, found = 0.0, blank
    for separator in separators:
        share, number = _below(lines, kept, separator)
        if share > best + 1e-9:
            best, found = share, number
    return found if best else blank


def _below(lines: Sequence[str], kept: Sequence[int], separator: str) -> tuple[float, int]:
    """The share of rows of one width below titles, and the first line of those; 0 if no title is
    found."""
    reader = csv.reader((lines[k] for k in kept), delimiter=separator)
    starts, rows, start = [], [], 0
    try:
        for row in reader:
            starts.append(kept[start])
            rows.append(row)
            start = reader.line_num
    except csv.Error:
        return 0.0, 0
    widths = Counter(len(row) for row in rows if row)
    if len(rows) < 3 or not widths:
        return 0.0, 0
    width = widths.most_common(1)[0][0]
    first = next((k for k, row in enumerate(rows) if _is_full(row, width)), 0)
    below = [row for row in rows[first:] if row]
    share = sum(len(row) == width for row in below) / max(len(below), 1)
    if not 0 < first <= MOST or width < 2 or share < MOSTLY or len(below) < 2:
        return 0.0, 0
    short = all(len(_cells(row)) < max(width - 1, 2) for row in rows[:first])
    narrow = all(len(_cells(row)) < 2 and len(row) < width - 1 for row in rows[:first])
    if (short and names_numbers(rows[first], rows[first + 1 :])) or narrow:
        return share, starts[first]
    return 0.0, 0


def _is_full(row: Sequence[str], width: int) -> bool:
    """Whether a row has that width, and more than half of its cells are full."""
    return len(row) == width and (width < 3 or 2 * len(_cells(row)) > width)


def _cells(row: Sequence[str]) -> list[str]:
    return [cell for cell in row if cell.strip()]
