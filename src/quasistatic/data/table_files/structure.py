"""The rows of a text file: how many there are, and which have another width than the first."""

__all__ = ["Structure", "survey"]

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CHUNK = 1 << 23
"""Bytes that are in memory together."""

LONGEST = 1 << 27
"""The longest row, in bytes; a quote that nobody closes makes the rest of a file one row."""

SHOWN = 20
"""How many wrong rows are listed."""

NEWLINE, RETURN, QUOTE = 10, 13, 34


@dataclass
class Structure:
    """The rows of a text file.

    Args:
        rows: how many rows there are, names included.
        wrong: the line and the width of the first rows that have another width.
        count: how many rows have another width.
    """

    rows: int = 0
    wrong: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0

    def add_wrong(self, line: int, width: int) -> None:
        """Counts a row of another width."""
        self.count += 1
        if len(self.wrong) < SHOWN:
            self.wrong.append((line, width))


def survey(path: Path, separator: str, comment: str, widths: set[int]) -> Structure:
    """Counts the rows of a file in UTF-8, and finds those of other widths. polars would take a row
    that is too short for one with missing values.

    Args:
        path: the file.
        separator: of its columns, one byte.
        comment: what lines that hold no row start with; else empty.
        widths: how many cells a row may have.

    Raises:
        ValueError: if a byte is no UTF-8: its line.
    """
    found = Structure()
    try:
        quoted = _fast(path, separator, comment, widths, found)
    except _Unclosed:
        quoted = True
        found.count = 1
    if quoted and found.count:
        # A quote within a cell that does not start with one is no quote: look at each cell.
        return _slow(path, separator, comment, widths)
    return found


class _Unclosed(Exception):
    """A quote is never closed."""


def _fast(path: Path, separator: str, comment: str, widths: set[int], found: Structure) -> bool:
    """Fills `found` by positions of bytes; returns whether the file has quotes."""
    quoted, line, blank = False, 1, 0
    for data in _records(path):
        quoted = quoted or b'"' in data
        a = np.frombuffer(data, np.uint8)
        newlines, seps = np.flatnonzero(a == NEWLINE), np.flatnonzero(a == ord(separator))
        ends = newlines
        if quoted:
            quotes = np.flatnonzero(a == QUOTE)
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
        odd = full[~np.isin(cells[full], list(widths))]
        found.count += max(0, len(odd) - SHOWN)
        for k in odd[:SHOWN]:
            found.add_wrong(int(lines[k]), int(cells[k]))
        line += len(newlines)
    return quoted


def _is_row(a: np.ndarray, starts: np.ndarray, comment: str) -> np.ndarray:
    """Which lines are no comments."""
    if not comment:
        return np.ones(len(starts), dtype=bool)
    same = np.ones(len(starts), dtype=bool)
    for k, byte in enumerate(comment.encode()):
        same &= a[np.minimum(starts + k, len(a) - 1)] == byte
    return ~same


def _records(path: Path) -> Iterator[bytes]:
    """Whole rows of a file, some megabytes at a time; each ends in a newline.

    Raises:
        ValueError: if a byte is no UTF-8.
        _Unclosed: if a row is longer than `LONGEST`.
    """
    left, line = b"", 1
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        while chunk := file.read(CHUNK):
            if not chunk.isascii() or decoder.getstate()[0]:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    raise _no_utf_8(path, chunk, error, line) from None
            line += chunk.count(b"\n")
            data = left + chunk
            end = _last_end(data)
            if end < 0 and len(data) > LONGEST:
                raise _Unclosed
            left = data[end + 1 :]
            if end >= 0:
                yield data[: end + 1]
    if decoder.getstate()[0]:
        raise ValueError(f"{path} is no text table in UTF-8, as line {line} shows: it is cut off")
    if left:
        if left.count(b'"') % 2:
            raise _Unclosed
        yield left if left.endswith(b"\n") else left + b"\n"


def _last_end(data: bytes) -> int:
    """The position of the last newline that is not within quotes; -1 if there is none."""
    end = data.rfind(b"\n")
    if b'"' not in data:
        return end
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == QUOTE)
    while end >= 0 and int(np.searchsorted(quotes, end)) % 2:
        end = data.rfind(b"\n", 0, end)
    return end


def _no_utf_8(path: Path, chunk: bytes, error: UnicodeDecodeError, line: int) -> ValueError:
    at = min(error.start, len(chunk) - 1)
    row = line + chunk[:at].count(b"\n")
    byte = error.object[error.start]
    before = chunk[max(0, at - 12) : at].split(b"\n")[-1].decode("utf-8", "replace")
    return ValueError(
        f"{path} is no text table in UTF-8, as line {row} shows: the byte 0x{byte:02X} after "
        f"{before!r} is none; name the encoding (fit --encoding cp1252 for Western Windows, "
        "latin-1, utf-16), or save the file as UTF-8"
    )


def _slow(path: Path, separator: str, comment: str, widths: set[int]) -> Structure:
    """The same by Python's reader of CSV, which knows quotes within cells."""
    found, blank, start = Structure(), 0, 1
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            for row in rows:
                line, start = start, rows.line_num + 1
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
                    found.add_wrong(rows.line_num, len(row))
        except csv.Error as error:
            raise ValueError(f"{path} is no text table: line {rows.line_num}: {error}") from None
    return found
