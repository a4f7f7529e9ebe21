"""Reading a text table: its dialect, its names, its rows, and what each column holds."""

__all__ = ["listed", "read_text"]

import csv
import itertools
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from .cells import Column, examine
from .dialect import LINES, Dialect
from .header import Header
from .missing import MISSING
from .notation import Notation, Style
from .quoting import first_lines, quotes_of
from .structure import Structure, survey
from .table_file import ScannedFile

LISTED = 20
"""How many problems of a file are listed."""


@dataclass(frozen=True)
class _Layout:
    """The names of the columns.

    Args:
        names: of the columns.
        header: whether the first row holds them.
        notes: what was decided about them.
        extra: whether the last column has no name; it is dropped if it has no values.
        is_short: whether the first row has a name fewer than there are columns.
    """

    names: tuple[str, ...]
    header: bool
    notes: tuple[str, ...]
    extra: bool = False
    is_short: bool = False


def read_text(
    path: Path,
    types: Mapping[str, Any],
    header: bool | None,
    missing: Sequence[str],
    encoding: str | None,
    notations: Mapping[str, Notation],
) -> ScannedFile:
    """Opens a text table; see :func:`open_table`. What is wrong with cells, rows and names is
    listed in its problems.

    Raises:
        ValueError: if it is no text table at all.
    """
    dialect = Dialect.of(path, encoding)
    source, plain = path, dialect
    kept: IO[bytes] | None = None
    if not dialect.is_plain:
        kept = _in_utf_8(path, dialect)
        source, plain = Path(kept.name), Dialect(",", dialect.comment)
    problems: list[str] = []
    layout = _layout(path, source, plain, header, tuple(types), problems)
    if layout.is_short:
        kept = _in_utf_8(path, dialect, layout.names)
        source, plain = Path(kept.name), Dialect(",", dialect.comment)
    words = [*MISSING, *missing]
    structure = survey(source, plain.separator, plain.comment, {len(layout.names)})
    problems += _of_rows(path, structure, len(layout.names))
    rows = structure.rows - layout.header
    scanned = _scan(source, plain, layout, words, rows, bool(problems))
    columns = examine(scanned, words, types, notations) if rows > 0 else []
    problems += _of_cells(path, columns)
    empty = [c.name for c in columns if layout.extra and c.name == layout.names[-1] and not c.known]
    columns = [each for each in columns if each.name not in empty]
    frame = scanned.select(each.read(words) for each in columns)
    own = {each.name: each.notation for each in columns if each.notation is not None}
    commas = [each for each in columns if each.is_comma]
    lines, line_end = first_lines(path, dialect)
    style = Style(
        "\t" if path.suffix.lower() == ".tsv" else dialect.separator,
        "," if commas else ".",
        dialect.encoding,
        layout.header,
        own,
        quotes_of(lines, dialect, [each.name for each in columns], layout.header),
        line_end,
    )
    found = f"{dialect}" + (", numbers have a decimal comma" if commas else "")
    dropped = ["the last column has no name and no values: it is dropped"] if empty else []
    notes = (*layout.notes, *dropped, *_notes(columns))
    text = _scan(source, plain, layout, (), rows, bool(problems)).select(c.name for c in columns)
    return ScannedFile(
        path,
        max(rows, 0),
        frame,
        frame.collect_schema(),
        notes,
        style,
        found,
        text,
        kept,
        tuple(problems),
        tuple(columns),
    )


def _layout(
    path: Path,
    source: Path,
    dialect: Dialect,
    given: bool | None,
    known: Collection[str],
    problems: list[str],
) -> _Layout:
    """The names of the columns, by the first rows."""
    with source.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = (
            line for line in file if not dialect.comment or not line.startswith(dialect.comment)
        )
        try:
            rows = list(itertools.islice(dialect.rows(lines), LINES + 1))
        except csv.Error as error:
            raise ValueError(f"{path} is no text table: {error}") from None
    if not rows or not rows[0]:
        raise ValueError(f"{path} is empty: a table has rows and columns")
    head, sample = rows[0], rows[1:]
    widths = Counter(len(row) for row in sample if row)
    width = widths.most_common(1)[0][0] if widths else len(head)
    notes = []
    if width == len(head) + 1 and given is not False:
        # R writes no name for the names of the rows, other programs a separator after the last.
        last = {row[-1].strip() for row in sample if len(row) == width}
        head = [*head, ""] if last == {""} else ["", *head]
    found = Header.of(head, sample, given, known)
    if found.note:
        notes.append(found.note)
    cells = [cell.strip() for cell in head]
    if not found.is_there:
        return _Layout(tuple(f"x{k}" for k in range(len(cells))), False, tuple(notes))
    extra = len(cells) > 1 and not cells[-1]
    if extra:
        cells[-1] = _unused("last", cells)
    if len(cells) > 1 and not cells[0]:
        cells[0] = _unused("index", cells)  # an index that pandas or R saved
    for k, cell in enumerate(cells):
        cells[k] = cell or _unused(f"x{k}", cells)
    for name, times in Counter(cells).items():
        if times > 1:
            problems.append(f"{path} has two columns of one name, {name!r}: rename one")
    if problems:
        cells = [_unused(c, cells[:k]) for k, c in enumerate(cells)]
    return _Layout(tuple(cells), True, tuple(notes), extra, len(cells) > len(rows[0]))


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _of_rows(path: Path, structure: Structure, width: int) -> list[str]:
    """The problems with the widths of rows."""
    if not structure.count:
        return []
    wrong = [
        f"line {line} of {path} has {found} values, and line 1 {width}"
        for line, found in structure.wrong
    ]
    more = structure.count - len(wrong)
    rule = "each row has one for each column, empty where it is missing"
    wrong[-1] += f" ({more:,} more such rows): {rule}" if more else f": {rule}"
    return wrong


def _of_cells(path: Path, columns: Sequence[Column]) -> list[str]:
    """The problems with cells of another type than their columns."""
    found = []
    for column in columns:
        if column.is_wrong:
            word = column.odd[0][1]
            found.append(
                f"{column}. Correct these cells, or read a word as missing (fit --missing "
                f"{_shell(word)}), or make the column one of names (fit --types "
                f"{_shell(column.name)}=categorical)"
            )
    return found


def _shell(word: str) -> str:
    return word if word.replace("_", "").replace(".", "").isalnum() else repr(word)


def listed(path: Path, problems: Sequence[str]) -> str:
    """The message of an error about problems of a file: the first twenty, and how many more."""
    if len(problems) == 1:
        own = problems[0]
        return own if str(path) in own else f"{path}: {own}. The first row of data is row 1"
    shown = "".join(f"\n  - {each}" for each in problems[:LISTED])
    more = len(problems) - LISTED
    rest = f"\n  ... and {more:,} more" if more > 0 else ""
    return f"{path} has {len(problems)} problems (the first row of data is row 1):{shown}{rest}"


def _notes(columns: Sequence[Column]) -> list[str]:
    """What was decided about the cells of columns."""
    found = [each.note for each in columns if each.note]
    written: dict[str, list[str]] = {}
    for each in columns:
        if each.is_wrong:
            continue
        if each.type == "number" and each.odd:
            found.append(
                f"{each.name}: {each.others:,} of {each.known:,} cells are written in another way "
                f"and are read as numbers: {each.quoted}"
            )
        elif each.type == "number" and each.notation is not None:
            how = "with a decimal comma" if each.is_comma else "as 1,234.5, +1, $1 or 1%"
            written.setdefault(how, []).append(each.name)
    return found + [f"{', '.join(names)}: numbers {how}" for how, names in written.items()]


def _starts(line: str, comment: str) -> bool:
    return bool(comment) and line.startswith(comment)


def _scan(
    source: Path,
    dialect: Dialect,
    layout: _Layout,
    missing: Sequence[str],
    rows: int,
    ragged: bool,
) -> pl.LazyFrame:
    """The file as columns of text; a word for a missing value is null."""
    return pl.scan_csv(
        source,
        separator=dialect.separator,
        has_header=False,
        skip_rows=0,
        skip_rows_after_header=0,
        schema=dict.fromkeys(layout.names, pl.String()),
        null_values=list(missing),
        comment_prefix=dialect.comment or None,
        truncate_ragged_lines=ragged,
    ).slice(int(layout.header), max(rows, 0))


def _in_utf_8(path: Path, dialect: Dialect, names: Sequence[str] = ()) -> IO[bytes]:
    """A file in a plain dialect, on disk until it is closed: UTF-8, separated by commas.

    Args:
        path: the file.
        dialect: of the file.
        names: that replace its first row; empty leaves it.

    Raises:
        ValueError: if a byte is none of the encoding: its line.
    """
    made = tempfile.NamedTemporaryFile(suffix=".csv")  # noqa: SIM115
    number = 0
    try:
        with (
            path.open(newline="", encoding=dialect.encoding) as file,
            open(made.name, "w", newline="", encoding="utf-8") as out,
        ):
            writer = csv.writer(out, lineterminator="\n")
            if names:
                first = next(line for line in file if not _starts(line, dialect.comment))
                writer.writerow(names if first.strip() else [])
            if dialect.separator == " ":
                for line in file:
                    number += 1
                    writer.writerows(dialect.rows([line]))
            else:
                for row in dialect.rows(file):
                    number += 1
                    writer.writerow(row)
    except UnicodeError as error:
        made.close()
        raise ValueError(
            f"{path} is no text in {dialect.encoding}, as line {number + 1} shows ({error}): name "
            "another encoding (fit --encoding)"
        ) from None
    except csv.Error as error:
        made.close()
        raise ValueError(f"{path} is no text table: line {number + 1}: {error}") from None
    return made
