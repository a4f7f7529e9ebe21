"""Reading a text table: its dialect, its names, its rows, and what each column holds."""

__all__ = ["listed", "read_text"]

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import polars as pl

from .cells import Column
from .dialect import Dialect
from .examine import examine
from .layout import Layout
from .missing import MISSING
from .notation import Amount, Style
from .options import Reading
from .quoting import first_lines, quotes_of
from .sources import TextRows
from .structure import Structure, survey
from .table_file import ScannedFile

LISTED = 20
"""How many problems of a file are listed."""


def read_text(path: Path, reading: Reading) -> ScannedFile:
    """Opens a text table; see :func:`open_table`. What is wrong with cells, rows and names is
    listed in its problems.

    Raises:
        ValueError: if it is no text table at all.
    """
    dialect = Dialect.of(path, reading.encoding, reading.separator, reading.skip)
    layout, structure, text = _rows_of(path, dialect, reading)
    problems = [*layout.problems, *_of_rows(path, structure, layout, dialect.skip)]
    words = [*MISSING, *reading.missing]
    columns: list[Column] = []
    if text.rows > 0:
        known = replace(text, missing=tuple(words))
        semicolons = dialect.separator == ";"
        columns = examine(
            known, words, reading.types, reading.notations, reading.decimal, semicolons
        )
    problems += _of_cells(columns)
    empty = [c.name for c in columns if layout.extra and c.name == layout.names[-1] and not c.known]
    columns = [each for each in columns if each.name not in empty]
    dropped = ["the last column has no name and no values: it is dropped"] if empty else []
    read = replace(text, missing=tuple(words), read=tuple(each.read(words) for each in columns))
    shown = replace(text, read=tuple(pl.col(each.name) for each in columns))
    has_commas = any(each.is_comma for each in columns)
    return ScannedFile(
        path,
        max(text.rows, 0),
        read,
        read.schema,
        (*layout.notes, *dropped, *_notes(columns)),
        _style(path, dialect, layout, columns),
        f"{dialect}" + (", numbers have a decimal comma" if has_commas else ""),
        shown,
        tuple(problems),
        tuple(columns),
    )


def _rows_of(path: Path, dialect: Dialect, reading: Reading) -> tuple[Layout, Structure, TextRows]:
    """The names, the structure and the rows of a text file. A file that polars does not read as it
    is becomes a temporary one that it reads."""
    source, plain = path, dialect
    kept: IO[bytes] | None = None
    if not dialect.is_plain:
        kept = _in_utf_8(path, dialect)
        source, plain = Path(kept.name), dialect.plain
    layout = Layout.of(path, source, plain, reading.header, tuple(reading.types))
    if layout.is_short:
        kept = _in_utf_8(path, dialect, layout.names)
        source, plain = Path(kept.name), dialect.plain
    widths = {len(layout.names)}
    structure = survey(source, plain.separator, plain.comment, widths, plain.skip)
    if structure.loose:  # polars reads quotes within cells in another way
        kept = _in_utf_8(path, dialect, layout.names if layout.is_short else ())
        source, plain = Path(kept.name), dialect.plain
    structure = structure.without_last(reading.skip_end)
    text = TextRows(
        source,
        plain.separator,
        plain.comment,
        layout.names,
        plain.skip,
        layout.header,
        structure.rows - layout.header,
        ragged=bool(structure.count or reading.skip_end),
        owner=kept,
    )
    return layout, structure, text


def _style(path: Path, dialect: Dialect, layout: Layout, columns: Sequence[Column]) -> Style:
    """How the file is written."""
    lines, line_end = first_lines(path, dialect)
    return Style(
        "\t" if path.suffix.lower() == ".tsv" else dialect.separator,
        "," if any(each.is_comma for each in columns) else ".",
        dialect.encoding,
        layout.header,
        {each.name: each.notation for each in columns if each.notation is not None},
        quotes_of(lines, dialect, [each.name for each in columns], layout.header),
        line_end,
    )


def _of_rows(path: Path, structure: Structure, layout: Layout, skip: int) -> list[str]:
    """The problems with the widths of rows."""
    if not structure.count:
        return []
    wrong = [
        f"line {line} of {path} has {found} values, and line {1 + skip} {len(layout.names)}"
        for line, found in structure.wrong
    ]
    if structure.after:
        rows = sum(width > 0 for _, width in structure.after)
        wrong[-1] += f": the file ends with lines that are no rows (fit --skip-end {rows})"
        return wrong
    more = structure.count - len(wrong)
    rule = "each row has one for each column, empty where it is missing"
    wrong[-1] += f" ({more:,} more such rows): {rule}" if more else f": {rule}"
    return wrong


def _of_cells(columns: Sequence[Column]) -> list[str]:
    """The problems with cells of another type than their columns."""
    found = []
    first = [each for each in columns if each.is_wrong and each.others == 1 and each.odd[0][0] == 1]
    if len(first) > 1:
        names = ", ".join(each.name for each in first[:4])
        found.append(
            f"row 1 seems to be a second row of names or units ({names}): delete that line"
        )
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
            if isinstance(each.notation, Amount) and any(each.notation.words):
                unit = " ".join(filter(None, each.notation.words))
                found.append(f"{each.name}: numbers with the unit {unit}")
                continue
            how = "with a decimal comma" if each.is_comma else "as 1,234.5, +1, $1 or 1%"
            written.setdefault(how, []).append(each.name)
    return found + [f"{', '.join(names)}: numbers {how}" for how, names in written.items()]


def _starts(line: str, comment: str) -> bool:
    return bool(comment) and line.startswith(comment)


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
    number = dialect.skip
    try:
        with (
            path.open(newline="", encoding=dialect.encoding) as file,
            open(made.name, "w", newline="", encoding="utf-8") as out,
        ):
            writer = csv.writer(out, lineterminator="\n")
            for _ in range(dialect.skip):
                file.readline()
                out.write("\n")
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
