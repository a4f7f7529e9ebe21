"""The page of a fitted table, for a person who decides: what the data are, how well the model knows
rows that it has not seen, and what it says of single rows."""

__all__ = ["table_sections"]

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ..reporting.html import Section
from .fitted_table import FittedTable
from .table_page import data_section, draws_sections, filled_section, known_section, rows_section

DRAWS = 10_000
"""The number of draws that are shown, and the maximum number of rows of data beside them."""


@dataclass(frozen=True)
class _Rows:
    """The rows that a page shows: with the fitted columns, and a name for each row."""

    fitted: pl.DataFrame
    names: list[str]
    count: int


def table_sections(table: FittedTable, data: Path | None, seed: int) -> list[Section]:
    """The sections of a fitted table's page.

    Args:
        table: the fitted table.
        data: a file of rows to show beside draws; None takes the rows that were held back.
        seed: the seed of the draws.

    Raises:
        ValueError: if there are no rows to show.
    """
    held_back = table.held_back()
    if data is None and not len(held_back):
        raise ValueError(
            f"{table.folder} holds no rows that were held back: give rows to show by --data"
        )
    rows = _first_rows(table, data) if data is not None else _own(table, held_back)
    known = [each.name for each in rows.fitted if each.null_count() < len(rows.fitted)]
    if not known:
        raise ValueError(
            f"{data} holds no values in its first {len(rows.fitted)} rows: nothing to show"
        )
    drawn = table.draw(DRAWS, seed)
    name = "the rows that were held back" if data is None else data.name
    return [
        data_section(table, rows.fitted, rows.count, name),
        known_section(table, rows.fitted, held_back),
        *draws_sections(rows.fitted.select(known), drawn.select(known), name, seed),
        rows_section(table, rows.fitted, rows.names, len(held_back)),
        filled_section(table, held_back if len(held_back) else rows.fitted, seed),
    ]


def _own(table: FittedTable, held_back: pl.DataFrame) -> _Rows:
    rows = table.fitted(held_back)[:DRAWS]
    return _Rows(rows, [f"row {k}" for k in range(1, len(rows) + 1)], len(held_back))


def _first_rows(table: FittedTable, data: Path) -> _Rows:
    """The first rows of a file; no more of it is read than needed."""
    found, names, count = [], [], 0
    file = table.file(data)
    for piece in file.pieces_with_texts(DRAWS):
        carried = table.carried(piece, count)[0]
        names += [f"{carried.name} {value}" for value in carried.to_list()]
        found.append(table.fitted(piece.values))
        count += len(piece)
        if count >= DRAWS:
            break
    return _Rows(pl.concat(found)[:DRAWS], names[:DRAWS], file.rows)
