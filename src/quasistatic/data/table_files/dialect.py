"""How the lines of a text file become rows of cells: encoding, separator, comments."""

__all__ = ["Dialect"]

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SAMPLE = 1 << 18
"""Bytes of a file by which its dialect is chosen."""

LINES = 1000
"""Lines of those that are looked at."""

SEPARATORS = ";\t|,"
"""In the order in which ties are decided: numbers may hold a comma."""

SPACES = " "
"""The separator of columns that runs of spaces part."""

COMMENTS = ("#", "%", "//")

SEPARATOR_LINE = re.compile(r"(?i)sep=.\s*$")
"""The first line of files that name their separator for a spreadsheet."""

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", SPACES: "runs of spaces"}

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|NA$|NaN$|nan$")


@dataclass(frozen=True)
class Dialect:
    """How the lines of a text file become rows of cells.

    Args:
        separator: of the columns; a space stands for runs of spaces.
        comment: what a line starts with that holds no row; empty if there are none.
        encoding: of the characters, by Python's name.
        returns: whether lines end in a carriage return alone.
    """

    separator: str = ","
    comment: str = ""
    encoding: str = "utf-8"
    returns: bool = False

    def __str__(self) -> str:
        found = f"columns are separated by {NAMES[self.separator]}"
        if self.comment:
            found += f", lines that start with {self.comment} are comments"
        return found + f", characters are encoded in {self.encoding.upper()}"

    @property
    def is_plain(self) -> bool:
        """Whether polars reads such a file as it is."""
        utf_8 = self.encoding in ("utf-8", "utf-8-sig")
        return self.separator != SPACES and utf_8 and not self.returns

    @classmethod
    def of(cls, path: Path, encoding: str | None = None) -> Self:
        """Finds the dialect of a file by its first lines.

        Args:
            path: the file.
            encoding: of its characters; None reads UTF-8, or what a mark at its start names.

        Raises:
            ValueError: if there is no such encoding.
        """
        with path.open("rb") as file:
            sample = file.read(SAMPLE)
        marked = next((name for mark, name in MARKS if sample.startswith(mark)), "utf-8")
        chosen = marked if encoding is None else _known(encoding)
        if chosen == "utf-8" and marked == "utf-8-sig":
            chosen = marked
        text = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
        lines = text.splitlines()[: LINES + 1]
        if len(sample) == SAMPLE or len(lines) > LINES:
            lines = lines[:-1]  # it may be cut off
        comment = _comment(lines)
        rows = [line for line in lines if line.strip() and not _starts(line, comment)]
        return cls(_separator(rows), comment, chosen, "\r" in text and "\n" not in text)

    def rows(self, lines: Sequence[str] | Iterator[str]) -> Iterator[list[str]]:
        """The rows of cells of some lines, comments and all."""
        if self.separator != SPACES:
            return csv.reader(lines, delimiter=self.separator)
        stripped = (re.sub(r"[\t ]+", " ", line.strip()) for line in lines)
        return csv.reader(stripped, delimiter=" ", skipinitialspace=True)


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"--encoding {encoding} is not known: use utf-8, cp1252 (Western Windows), latin-1, "
            "utf-16, or another name of Python's codecs"
        ) from None


def _starts(line: str, comment: str) -> bool:
    return bool(comment) and line.lstrip().startswith(comment)


def _comment(lines: Sequence[str]) -> str:
    """What comments start with: something that the first line, and fewer than half of the lines,
    start with."""
    full = [line for line in lines if line.strip()]
    if full and SEPARATOR_LINE.match(full[0]):
        return full[0][:4]
    for mark in COMMENTS:
        if full and _starts(full[0], mark):
            count = sum(_starts(line, mark) for line in full)
            return mark if 2 * count < len(full) else ""
    return ""


def _separator(lines: Sequence[str]) -> str:
    """The separator by which most rows have one width, that of the first; if there is none, runs of
    spaces where most of the cells that they part are numbers."""
    best, found = 0.5, ""
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        # The last row may be cut off within a quoted cell.
        widths = widths[:-1] if len(widths) > 2 else widths
        if not widths:
            break
        width, count = Counter(widths).most_common(1)[0]
        # Names of the first row may lack that of the index or of a last, empty column.
        share = count / len(widths) if abs(width - widths[0]) <= 1 < width else 0.0
        if share > best + 1e-9:
            best, found = share, separator
    if best < 0.9 and _are_spaced(lines):
        return SPACES
    return found or max(SEPARATORS, key=lambda each: ((lines or [""])[0].count(each), each == ","))


def _are_spaced(lines: Sequence[str]) -> bool:
    """Whether runs of spaces part all lines into rows of one width, and half of the cells are
    numbers."""
    rows = list(Dialect(SPACES).rows(lines))
    widths = {len(row) for row in rows}
    if len(rows) < 2 or len(widths) != 1 or widths == {1}:
        return False
    cells = [bool(NUMBER.match(cell)) for row in rows[1:] for cell in row]
    return 2 * sum(cells) >= len(cells)
