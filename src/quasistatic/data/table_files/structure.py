"""The rows of a text file: how many there are, and which have another width than the first."""

__all__ = ["Structure", "survey"]

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .records import QUOTE, UnclosedQuoteError, records

SHOWN = 20
"""How many wrong rows are listed."""

NEWLINE, RETURN = 10, 13


@dataclass
class Structure:
    """The rows of a text file.

    Args:
        rows: how many rows there are, names included.
        wrong: the line and the width of the first rows that have another width.
        count: how many rows have another width.
        last: the line of the last row of a right width.
        loose: whether cells hold quotes that do not enclose them, as 5" does.
    """

    rows: int = 0
    wrong: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    last: int = 0
    loose: bool = False

    @property
    def after(self) -> list[tuple[int, int]]:
        """The line and the width of the rows after the last one of a right width, as of notes;
        none if other rows are wrong too."""
        behind = all(line > self.last for line, _ in self.wrong)
        return self.wrong if behind and self.count == len(self.wrong) and self.last else []

    def without_last(self, rows: int) -> "Structure":
        """The structure without the last rows."""
        after = self.after
        wide = [k for k, (_, width) in enumerate(after) if width]
        kept = after[: wide[-rows - 1] + 1 if len(wide) > rows else 0] if rows else after
        if not after:
            return replace(self, rows=self.rows - rows)
        return replace(self, rows=self.rows - rows, wrong=list(kept), count=len(kept))

    def add_wrong(self, line: int, width: int) -> None:
        """Counts a row of another width."""
        self.count += 1
        if len(self.wrong) < SHOWN:
            self.wrong.append((line, width))


def survey(path: Path, separator: str, comment: str, widths: set[int], skip: int = 0) -> Structure:
    """Counts the rows of a file in UTF-8, and finds those of other widths. polars would take a row
    that is too short for one with missing values.

    Args:
        path: the file.
        separator: of its columns, one byte.
        comment: what lines that hold no row start with; else empty.
        widths: how many cells a row may have.
        skip: how many lines at its start hold no rows.

    Raises:
        ValueError: if a byte is no UTF-8: its line.
    """
    found = Structure()
    try:
        quoted = _fast(path, separator, comment, widths, found, skip)
    except UnclosedQuoteError:
        quoted = found.loose = True
    if found.loose or (quoted and found.count):
        # A quote within a cell that does not start with one is no quote: look at each cell.
        slow = _slow(path, separator, comment, widths, skip)
        slow.loose = found.loose
        return slow
    return found


def _fast(
    path: Path, separator: str, comment: str, widths: set[int], found: Structure, skip: int
) -> bool:
    """Fills `found` by positions of bytes; returns whether the file has quotes."""
    quoted, line, blank = False, 1 + skip, 0
    for data in records(path, skip):
        quoted = quoted or b'"' in data
        a = np.frombuffer(data, np.uint8)
        newlines, seps = np.flatnonzero(a == NEWLINE), np.flatnonzero(a == ord(separator))
        ends = newlines
        if quoted:
            quotes = np.flatnonzero(a == QUOTE)
            if not _enclose(a, quotes, ord(separator)):
                found.loose = True
                return True
            ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
            seps = seps[np.searchsorted(quotes, seps) % 2 == 0]
        starts = np.concatenate([[0], ends[:-1] + 1])
        cells = np.diff(np.searchsorted(seps, ends), prepend=0) + 1
        size = ends - starts - ((ends > starts) & (a[np.maximum(ends - 1, 0)] == RETURN))
        rows = _is_row(a, starts, comment)
        lines = line + np.searchsorted(newlines, starts)
        empty = rows & (size == 0)
        if 1 in widths:
            empty[:] = False
        full = np.flatnonzero(rows & ~empty)
        # Blank lines at the end are no rows; one before a row is a row without cells.
        gaps = np.flatnonzero(empty)
        last = full[-1] if len(full) else -1
        if blank and len(full):
            found.add_wrong(blank, 0)
            blank = 0
        for k in gaps[gaps < last][:SHOWN]:
            found.add_wrong(int(lines[k]), 0)
        after = gaps[gaps > last]
        blank = blank or (int(lines[after[0]]) if len(after) else 0)
        found.rows += len(full)
        right = np.isin(cells[full], list(widths))
        odd = full[~right]
        if right.any():
            found.last = int(lines[full[right][-1]])
        found.count += max(0, len(odd) - SHOWN)
        for k in odd[:SHOWN]:
            found.add_wrong(int(lines[k]), int(cells[k]))
        line += len(newlines)
    return quoted


def _enclose(a: np.ndarray, quotes: np.ndarray, separator: int) -> bool:
    """Whether quotes enclose whole cells: one that opens follows a separator or a line's end, or
    the quote that it repeats; one that closes is followed by them."""
    opens, closes = quotes[::2], quotes[1::2]
    before = np.where(opens > 0, a[np.maximum(opens - 1, 0)], NEWLINE)
    after = a[np.minimum(closes + 1, len(a) - 1)]
    outside = np.array([separator, NEWLINE, RETURN, QUOTE], dtype=np.uint8)
    return bool(np.isin(before, outside).all() and np.isin(after, outside).all())


def _is_row(a: np.ndarray, starts: np.ndarray, comment: str) -> np.ndarray:
    """Which lines are no comments."""
    if not comment:
        return np.ones(len(starts), dtype=bool)
    same = np.ones(len(starts), dtype=bool)
    for k, byte in enumerate(comment.encode()):
        same &= a[np.minimum(starts + k, len(a) - 1)] == byte
    return ~same


def _slow(path: Path, separator: str, comment: str, widths: set[int], skip: int) -> Structure:
    """The same by Python's reader of CSV, which knows quotes within cells."""
    found, blank, start = Structure(), 0, 1 + skip
    with path.open(newline="", encoding="utf-8-sig") as file:
        for _ in range(skip):
            file.readline()
        rows = csv.reader(file, delimiter=separator)
        try:
            for row in rows:
                line, start = start, rows.line_num + skip + 1
                if comment and row and row[0].startswith(comment):
                    continue
                if not row and 1 not in widths:
                    blank = blank or line
                    continue
                if blank:
                    found.add_wrong(blank, 0)
                    blank = 0
                found.rows += 1
                if row and len(row) not in widths:
                    found.add_wrong(rows.line_num + skip, len(row))
                else:
                    found.last = rows.line_num + skip
        except csv.Error as error:
            at = rows.line_num + skip
            raise ValueError(f"{path} is no text table: line {at}: {error}") from None
    return found
