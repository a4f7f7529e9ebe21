"""Which cells of a text file have quotes, and how its lines end."""

__all__ = ["first_lines", "quotes_of"]

import re
from collections.abc import Sequence
from pathlib import Path

from .dialect import SPACES, Dialect
from .missing import MISSING
from .notation import Quotes

LINES = 200
"""Lines that are looked at."""

LONGEST = 1 << 16
"""Characters of a line that are looked at."""

MOSTLY = 0.9
"""The share of the cells of a column that have quotes."""


def first_lines(path: Path, dialect: Dialect) -> tuple[list[str], str]:
    """The first lines of a text file that hold rows, and how they end."""
    with path.open(newline="", encoding=dialect.encoding, errors="replace") as file:
        for _ in range(dialect.skip):
            file.readline()
        lines = [file.readline(LONGEST) for _ in range(LINES)]
    ends = sum(line.endswith("\r\n") for line in lines)
    full = [line.rstrip("\r\n") for line in lines if line.strip()]
    if dialect.comment:
        full = [line for line in full if not line.startswith(dialect.comment)]
    return full, "\r\n" if 2 * ends > len(full) else "\n"


def quotes_of(lines: Sequence[str], dialect: Dialect, names: Sequence[str], header: bool) -> Quotes:
    """Where cells have quotes.

    Args:
        lines: the first lines that hold rows.
        dialect: of the file.
        names: of its columns.
        header: whether the first line holds names.
    """
    if dialect.separator == SPACES or not any('"' in line for line in lines):
        return Quotes()
    rows = [_raw(line, dialect.separator) for line in lines]
    rows = [row for row in rows if len(row) >= len(names)]
    head, body = (rows[0] if header and rows else []), rows[int(header) :]
    columns = []
    for k, name in enumerate(names):
        cells = [row[k] for row in body if row[k].strip() not in MISSING]
        if cells and sum(map(_is_quoted, cells)) >= MOSTLY * len(cells):
            columns.append(name)
    own = [cell for cell in head if cell.strip()]
    return Quotes(bool(own) and all(map(_is_quoted, own)), tuple(columns))


def _raw(line: str, separator: str) -> list[str]:
    """The cells of a line with their quotes; none if a cell continues in the next line."""
    if line.count('"') % 2:
        return []
    if '"' not in line:
        return line.split(separator)
    return re.split(f'{re.escape(separator)}(?=(?:[^"]*"[^"]*")*[^"]*$)', line)


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'
