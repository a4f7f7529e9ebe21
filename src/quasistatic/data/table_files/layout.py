"""How a text file of columns is laid out: a look at each of its rows."""

__all__ = ["MISSING", "Layout"]

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

MISSING = (
    *("", "?", "NA", "na", "N/A", "n/a", "#N/A"),
    *("NaN", "NAN", "nan", "NULL", "Null", "null", "None", "NONE", "none"),
)
"""How a text file says that a value is missing."""

SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out.

    Args:
        separator: of its columns.
        names: of them.
        header: whether its first row has them.
        rows: how many follow.
        codes: columns in which a number begins with a zero that says something, as in 007.
    """

    separator: str
    names: tuple[str, ...]
    header: bool
    rows: int
    codes: frozenset[str]

    @classmethod
    def of(cls, path: Path) -> Self:
        """That of a file, each of whose rows is looked at: polars takes one that is too short for
        one with missing values, and 007 for 7.

        Raises:
            ValueError: if it is empty or no text in UTF-8, two columns have one name, or a row
                has more or fewer values than there are columns: where.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                first = file.readline()
                separator = max(SEPARATORS, key=first.count)
                file.seek(0)
                rows = csv.reader(file, delimiter=separator)
                head = next(rows, [])
                header = not all(_is_number(cell) for cell in head)
                names = _names(path, head if header else [f"x{i}" for i in range(len(head))])
                count, codes = _looked_at(path, rows, len(head))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no text table in UTF-8: {error}") from None
        return cls(
            separator, names, header, count + (not header), frozenset(names[i] for i in codes)
        )


def _names(path: Path, head: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in head)
    if not names:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{path} has two columns of one name, {name!r}: rename one")
    return names


def _looked_at(path: Path, rows: Any, width: int) -> tuple[int, set[int]]:
    """How many rows a reader gives, and which columns have numbers that begin with a zero."""
    count, blank = 0, 0
    codes: set[int] = set()
    for row in rows:
        if not row and width > 1:
            blank = blank or rows.line_num  # blank lines at the end are no rows
            continue
        if blank or (row and len(row) != width):
            raise ValueError(
                f"line {blank or rows.line_num} of {path} has {0 if blank else len(row)} values, "
                f"and line 1 {width}: each row has one for each column, empty where it is missing"
            )
        codes.update(i for i, cell in enumerate(row) if cell[:1] == "0" and cell[1:2].isdigit())
        count += 1
    return count, codes


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in MISSING
    return True
