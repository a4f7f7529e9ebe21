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

from .preamble import first_row

SAMPLE = 1 << 18
"""Bytes of a file by which its dialect is chosen."""

MOSTLY = 0.9
"""The share of rows of one width from which on a separator is sure."""

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
        skip: how many lines at the start hold no rows.
        gaps: whether spaces stand between separators and quotes.
        escapes: whether a backslash stands before a quote within quotes.
        quote: what encloses cells.
    """

    separator: str = ","
    comment: str = ""
    encoding: str = "utf-8"
    returns: bool = False
    skip: int = 0
    gaps: bool = False
    escapes: bool = False
    quote: str = '"'

    def __str__(self) -> str:
        found = f"columns are separated by {NAMES[self.separator]}"
        if self.comment:
            found += f", lines that start with {self.comment} are comments"
        if self.escapes:
            found += ", a backslash stands before a quote within quotes"
        return found + f", characters are encoded in {self.encoding.upper()}"

    @property
    def is_plain(self) -> bool:
        """Whether polars reads such a file as it is."""
        utf_8 = self.encoding in ("utf-8", "utf-8-sig")
        odd = self.returns or self.gaps or self.escapes or self.quote != '"'
        return self.separator != SPACES and utf_8 and not odd

    @property
    def plain(self) -> "Dialect":
        """The dialect of such a file that was written again in UTF-8, with commas."""
        return Dialect(",", self.comment, skip=self.skip)

    @classmethod
    def of(
        cls,
        path: Path,
        encoding: str | None = None,
        separator: str | None = None,
        skip: int | None = None,
    ) -> Self:
        """Finds the dialect of a file by its first lines.

        Args:
            path: the file.
            encoding: of its characters; None reads UTF-8, or what a mark at its start names.
            separator: of its columns; None finds it.
            skip: how many lines at its start hold no rows; None finds them.

        Raises:
            ValueError: if there is no such encoding, or no such separator.
        """
        if separator is not None and separator not in NAMES:
            raise ValueError(
                f"--separator {separator!r} is not known: it is one of , ; | a tab and a space"
            )
        with path.open("rb") as file:
            sample = file.read(SAMPLE)
        marked = next((name for mark, name in MARKS if sample.startswith(mark)), "utf-8")
        chosen = marked if encoding is None else _known(encoding)
        if chosen == "utf-8" and marked == "utf-8-sig":
            chosen = marked
        text = codecs.getincrementaldecoder(chosen)("replace").decode(sample)
        lines = re.split(r"\r\n|\n|\r", text)[: LINES + 1]
        lines = lines if lines[-1] else lines[:-1]
        if len(sample) == SAMPLE or len(lines) > LINES:
            lines = lines[:-1]  # it may be cut off
        comment = _comment(lines)
        found, first = _parted(lines, comment, separator, skip)
        rows = [line for line in lines[first:] if line.strip() and not _starts(line, comment)]
        returns = "\r" in text and "\n" not in text
        gaps, escapes = _quoting(rows, found)
        quote = "'" if _are_single(rows, found) else '"'
        return cls(found, comment, chosen, returns, first, gaps, escapes, quote)

    def rows(self, lines: Sequence[str] | Iterator[str]) -> Iterator[list[str]]:
        """The rows of cells of some lines, comments and all."""
        if self.separator != SPACES:
            return csv.reader(
                lines,
                delimiter=self.separator,
                quotechar=self.quote,
                skipinitialspace=self.gaps,
                doublequote=not self.escapes,
                escapechar="\\" if self.escapes else None,
            )
        stripped = (re.sub(r"[\t ]+", " ", line.strip()) for line in lines)
        return csv.reader(stripped, delimiter=" ", skipinitialspace=True)


def _quoting(lines: Sequence[str], separator: str) -> tuple[bool, bool]:
    """Whether spaces stand between separators and quotes, and whether a backslash stands before a
    quote within quotes."""
    if separator == SPACES:
        return False, False
    parted = re.escape(separator)
    gaps = any(re.search(rf'{parted} +"[^"]*"(\s*{parted}|\s*$)', line) for line in lines)
    return gaps, any('\\"' in line for line in lines) and _are_escaped(lines, separator)


def _are_escaped(lines: Sequence[str], separator: str) -> bool:
    """Whether lines are rows of one width if a backslash stands before a quote within quotes, and
    no row takes more lines than it does otherwise."""
    plain, escaped = _widths(lines, separator), _widths(lines, separator, False)
    same = len(escaped) == len(plain)
    return len(set(escaped)) == 1 and (same or len(set(plain)) > 1)


def _are_single(lines: Sequence[str], separator: str) -> bool:
    """Whether single quotes enclose cells with separators: with them all rows have one width."""
    if separator == SPACES or not any(f"{separator}'" in f"{separator}{line}" for line in lines):
        return False
    single = set(_widths(lines, separator, quote="'"))
    return len(single) == 1 and set(_widths(lines, separator)) != single


def _widths(
    lines: Sequence[str], separator: str, doubled: bool = True, quote: str = '"'
) -> list[int]:
    """The widths of rows, where quotes within quotes are doubled or escaped."""
    ended = (f"{line}\n" for line in lines)
    escape = None if doubled else "\\"
    rows = csv.reader(
        ended, delimiter=separator, doublequote=doubled, escapechar=escape, quotechar=quote
    )
    return [len(row) for row in rows if row]


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


def _parted(
    lines: Sequence[str], comment: str, separator: str | None, skip: int | None
) -> tuple[str, int]:
    """The separator of the columns, and how many lines at the start hold no rows; each as it is
    given, or as it is found."""

    def rows(first: int) -> list[str]:
        return [line for line in lines[first:] if line.strip() and not _starts(line, comment)]

    found, share = (separator, 1.0) if separator else _separator(rows(skip or 0))
    if skip is not None or found == SPACES:
        return found, skip or 0
    # Where one separator parts nearly all lines from the first on, no other one is tried.
    first = first_row(lines, comment, found if share >= MOSTLY else SEPARATORS)
    return (separator or _separator(rows(first))[0]), first


def _separator(lines: Sequence[str]) -> tuple[str, float]:
    """The separator by which most rows have one width, that of the first, and their share; if there
    is none, runs of spaces where most of the cells that they part are numbers."""
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
    if best < MOSTLY and _are_spaced(lines):
        return SPACES, 1.0
    if found:
        return found, best
    first = (lines or [""])[0]
    return max(SEPARATORS, key=lambda each: (first.count(each), each == ",")), 0.0


def _are_spaced(lines: Sequence[str]) -> bool:
    """Whether runs of spaces part all lines into rows of one width, and half of the cells are
    numbers."""
    rows = list(Dialect(SPACES).rows(lines))
    widths = {len(row) for row in rows}
    if len(rows) < 2 or len(widths) != 1 or widths == {1}:
        return False
    cells = [bool(NUMBER.match(cell)) for row in rows[1:] for cell in row]
    return 2 * sum(cells) >= len(cells)
