"""The page of a fitted table: its columns, how likely rows are, and draws beside data."""

__all__ = ["table_sections"]

from pathlib import Path

import numpy as np
import polars as pl
import torch

from ..reporting.figures import marginals
from ..reporting.html import Section, Table
from ..spaces import Table as TableSpace
from .fitted_table import FittedTable

DRAWS = 10_000
"""The number of draws that are shown, and the maximum number of rows of data beside them."""


def table_sections(table: FittedTable, data: Path, seed: int) -> list[Section]:
    """The sections of a fitted table's page.

    Args:
        table: the fitted table.
        data: a file of rows to show beside draws.
        seed: the seed of the draws.
    """
    rows = _first_rows(table, data)
    drawn = table.draw(DRAWS, seed)
    log_prob = table.score(rows)
    known = [each.name for each in rows if each.null_count() < len(rows)]
    if not known:
        raise ValueError(f"{data} holds no values in its first {len(rows)} rows: nothing to show")
    sides = [side.select(known) for side in (rows, drawn)]
    every = TableSpace.infer(pl.concat(sides, how="vertical_relaxed"))
    picture = marginals(every, *(torch.as_tensor(every.read(side)) for side in sides))
    of_data = TableSpace.infer(rows.select(known))
    columns = [(each.name, each.kind, each.range) for each in of_data.columns]
    return [
        Section(
            f"{table.folder.name}: columns",
            [f"{len(rows)} rows of {data.name} beside {DRAWS} draws of the model."],
            Table(("column", "type", "values"), columns),
        ),
        Section(
            "How likely the rows are",
            [f"{table.about}, in nats a row of the table's own units."],
            Table(("rows", "mean", "standard error"), [_mean(log_prob)]),
        ),
        Section(
            "Draws beside data",
            figures=[("Each column, and the dependence of pairs of columns", picture)],
        ),
    ]


def _first_rows(table: FittedTable, data: Path) -> pl.DataFrame:
    """The first rows of a file; no more of it is read than needed."""
    found, count = [], 0
    for piece in table.pieces(data, DRAWS):
        found.append(piece)
        count += len(piece)
        if count >= DRAWS:
            break
    return pl.concat(found)[:DRAWS]


def _mean(log_prob: np.ndarray) -> tuple[str, str, str]:
    error = log_prob.std(ddof=1) / len(log_prob) ** 0.5 if len(log_prob) > 1 else float("nan")
    return str(len(log_prob)), f"{log_prob.mean():.4f}", f"{error:.4f}"
