"""How a text file of columns is laid out: its separator, its names, its rows."""

__all__ = ["Layout"]

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .cells import COMMA, GROUPED, MISSING, PLAIN

SEPARATORS = ",;\t|"

PROBED = 100
"""Lines by which the separator is chosen."""

SAMPLE = 1000
"""Rows after the first one that decide whether the first one holds names."""


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out.

    Args:
        separator: of its columns.
        names: of the columns; x0, x1, ... without a header.
        header: whether the first row holds the names.
        rows: the number of rows after it.
        codes: columns in which a number begins with a zero that means something, as in 007.
        note: what was decided about the header, if that was not clear; else empty.
    """

    separator: str
    names: tuple[str, ...]
    header: bool
    rows: int
    codes: frozenset[str]
    note: str = ""

    @classmethod
    def of(cls, path: Path, header: bool | None = None, known: Sequence[str] = ()) -> Self:
        """Finds the layout of a file. Each row is checked, because polars takes a row that is too
        short for one with missing values, and 007 for 7.

        Args:
            path: the file.
            header: whether the first row holds names; None decides by the rows.
            known: names of columns that the file must have, if they are known.

        Raises:
            ValueError: if it is empty or no text in UTF-8, two columns have one name, or a row
                has more or fewer values than there are columns: where.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                separator = _separator(list(itertools.islice(file, PROBED)))
                file.seek(0)
                rows = csv.reader(file, delimiter=separator)
                head = next(rows, [])
                sample = list(itertools.islice(rows, SAMPLE))
                header, note = _is_header(head, sample, header, known)
                names = _names(path, head if header else [f"x{i}" for i in range(len(head))])
                file.seek(0)
                rows = csv.reader(file, delimiter=separator)
                next(rows, None)
                count, codes = _checked(path, rows, len(head))
        except UnicodeDecodeError:
            raise ValueError(
                f"{path} is no text table in UTF-8, as line {_undecodable(path)} shows: save it as "
                "UTF-8"
            ) from None
        except csv.Error as error:
            raise ValueError(f"{path} is no text table in UTF-8: {error}") from None
        return cls(
            separator, names, header, count + (not header), frozenset(names[i] for i in codes), note
        )


def _separator(lines: Sequence[str]) -> str:
    """The separator by which the first rows have one width; else the one that is most frequent in
    the first line. The comma comes last, because numbers may hold it too."""
    for separator in sorted(SEPARATORS, key=",".__eq__):
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        # The last row may be cut off within a quoted cell.
        if widths and widths[0] > 1 and len(set(widths[:-1] or widths)) == 1:
            return separator
    return max(SEPARATORS, key=(lines[0] if lines else "").count)


def _is_header(
    head: Sequence[str], sample: Sequence[Sequence[str]], given: bool | None, known: Sequence[str]
) -> tuple[bool, str]:
    """Whether the first row holds names, and a note where that was not clear.

    Args:
        head: the first row.
        sample: rows after it.
        given: the answer, if the user gave it.
        known: names that the file must have, if they are known.
    """
    cells = [cell.strip() for cell in head]
    if given is not None:
        return given, ""
    if known and set(known) <= set(cells):
        return True, ""
    columns = list(itertools.zip_longest(*(row for row in sample if row), fillvalue=""))
    words = [i for i, cell in enumerate(cells) if not _is_number(cell)]
    if words:
        if all(i < len(columns) and cells[i] in map(str.strip, columns[i]) for i in words):
            return False, "the first row holds values that recur below it: it is no header"
        return True, ""
    if _counts_up(cells, columns):
        shown = ",".join(cells[:4]) + (",..." if len(cells) > 4 else "")
        return True, f"the first row, {shown}, is taken for names"
    return False, "there is no header: the columns are named x0, x1, ..."


def _counts_up(cells: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a row holds consecutive whole numbers, as names that pandas gives or years, and does
    not look like the rows below it."""
    named = cells[1:] if cells and not cells[0] else cells
    if not columns or len(named) < 2 or not all(cell.isdigit() for cell in named):
        return False
    numbers = [int(cell) for cell in named]
    if any(b - a != 1 for a, b in itertools.pairwise(numbers)):
        return False
    below = [cell for column in columns[-len(named) :] for cell in column]
    saved_index = not cells[0] and any(cell.strip() for cell in columns[0])
    return saved_index or any("." in cell for cell in below) or numbers[0] == 0


def _undecodable(path: Path) -> int:
    """The first line of a file that is not in UTF-8, counted from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _names(path: Path, head: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in head)
    if len(names) > 1 and not names[0] and "index" not in names:
        names = ("index", *names[1:])  # an index that pandas saved
    if not names:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{path} has two columns of one name, {name!r}: rename one")
    return names


def _checked(path: Path, rows: Any, width: int) -> tuple[int, set[int]]:
    """The number of rows, and the columns that have numbers which begin with a zero."""
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
    """Whether a cell is a number in any notation, or missing."""
    cell = cell.strip()
    return cell in MISSING or any(re.match(form, cell) for form in (PLAIN, GROUPED, COMMA, "nan$"))
