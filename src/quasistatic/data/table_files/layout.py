"""The names of the columns of a text file, by its first rows."""

__all__ = ["Layout"]

import csv
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from .dialect import LINES, Dialect
from .header import Header


@dataclass(frozen=True)
class Layout:
    """The names of the columns.

    Args:
        names: of the columns.
        header: whether the first row holds them.
        notes: what was decided about them.
        problems: what is wrong with them.
        extra: whether the last column has no name; it is dropped if it has no values.
        is_short: whether the first row has a name fewer than there are columns.
    """

    names: tuple[str, ...]
    header: bool
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()
    extra: bool = False
    is_short: bool = False

    @classmethod
    def of(
        cls, path: Path, source: Path, dialect: Dialect, given: bool | None, known: Collection[str]
    ) -> Self:
        """Finds the names.

        Args:
            path: the file, for messages.
            source: where its rows are.
            dialect: of the source.
            given: whether the first row holds names, if the user said it.
            known: names that the file must have, if they are known.

        Raises:
            ValueError: if there are no rows.
        """
        rows = _first_rows(path, source, dialect)
        if not rows or not rows[0]:
            raise ValueError(f"{path} is empty: a table has rows and columns")
        notes = _above(path, dialect)
        head, short = _whole_head(rows, given)
        found = Header.of(head, rows[1:], given, known)
        if found.note:
            notes.append(found.note)
        cells = [cell.strip() for cell in head]
        if not found.is_there:
            return cls(tuple(f"x{k}" for k in range(len(cells))), False, tuple(notes))
        if short:
            side = "first" if not cells[0] else "last"
            notes.append(
                f"the first row has a name fewer than there are columns: the {side} column has none"
            )
        extra = len(cells) > 1 and not cells[-1]
        if extra:
            cells[-1] = _unused("last", cells)
        if len(cells) > 1 and not cells[0]:
            cells[0] = _unused("index", cells)  # an index that pandas or R saved
        for k, cell in enumerate(cells):
            cells[k] = cell or _unused(f"x{k}", cells)
        problems = [
            f"{path} has {times} columns of one name, {name!r}: rename them"
            for name, times in Counter(cells).items()
            if times > 1
        ]
        if problems:
            made: list[str] = []
            for cell in cells:
                made.append(_unused(cell, made))
            cells = made
        return cls(tuple(cells), True, tuple(notes), tuple(problems), extra, short)


def _first_rows(path: Path, source: Path, dialect: Dialect) -> list[list[str]]:
    with source.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        for _ in range(dialect.skip):
            file.readline()
        lines = (
            line for line in file if not dialect.comment or not line.startswith(dialect.comment)
        )
        try:
            return list(itertools.islice(dialect.rows(lines), LINES + 1))
        except csv.Error as error:
            raise ValueError(f"{path} is no text table: {error}") from None


def _above(path: Path, dialect: Dialect) -> list[str]:
    """A note on lines above the rows."""
    if not dialect.skip:
        return []
    with path.open(newline="", encoding=dialect.encoding, errors="replace") as file:
        lines = [file.readline().strip() for _ in range(dialect.skip)]
    if dialect.comment:
        lines = [line for line in lines if not line.startswith(dialect.comment)]
    shown = next((line for line in lines if line), "")
    if not shown:
        return []
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    count = "line holds" if dialect.skip == 1 else f"{dialect.skip} lines hold"
    return [
        f'the first {count} no row of the table ("{shown}"): the rows begin in line '
        f"{dialect.skip + 1} (--skip 0 takes all lines for rows)"
    ]


def _whole_head(rows: Sequence[Sequence[str]], given: bool | None) -> tuple[list[str], bool]:
    """The first row, with an empty name where it has one fewer than the rows below; and whether it
    has."""
    head, sample = list(rows[0]), rows[1:]
    widths = Counter(len(row) for row in sample if row)
    width = widths.most_common(1)[0][0] if widths else len(head)
    if width != len(head) + 1 or given is False:
        return head, False
    # R writes no name for the names of the rows, other programs a separator after the last.
    last = {row[-1].strip() for row in sample if len(row) == width}
    return ([*head, ""] if last == {""} else ["", *head]), True


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
