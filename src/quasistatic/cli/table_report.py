"""The page of a fitted table: its columns, how likely rows are, and draws beside data."""

__all__ = ["report_table"]

from pathlib import Path

import numpy as np
import polars as pl
import torch

from ..reporting.console import Display
from ..reporting.figures import marginals
from ..reporting.html import Section, Table, write_page
from ..spaces import Table as TableSpace
from .opened_table import OpenedTable

DRAWS = 10_000
"""Beside which rows of data are drawn, and how many of those at most."""


def report_table(folder: Path, data: Path, out: Path | None, seed: int, display: Display) -> None:
    """Writes the page of a fitted table and of rows in a file."""
    table = OpenedTable.open(folder)
    rows = pl.concat(list(table.pieces(data, DRAWS)))[:DRAWS]
    drawn = table.frame(table.density.sample(DRAWS, seed))
    log_prob = table.density.score_samples(rows)
    every = TableSpace.infer(pl.concat([rows, drawn], how="vertical_relaxed"))
    sides = [torch.as_tensor(every.read(side)) for side in (rows, drawn)]
    picture = marginals(every, *sides)
    columns = [(each.name, each.kind, each.range) for each in every.columns]
    page = [
        Section(
            f"{folder.name}: columns",
            [f"{len(rows)} rows of {data.name} beside {DRAWS} draws of the model."],
            Table(("column", "type", "values"), columns),
        ),
        Section(
            "How likely the rows are",
            [f"{table.density.fitted_.about}, in nats a row of the table's own units."],
            Table(("rows", "mean", "standard error"), [_mean(log_prob)]),
        ),
        Section(
            "Draws beside data",
            figures=[("Each column by itself, and how pairs of them hang together", picture)],
        ),
    ]
    path = write_page(out or folder / "report.html", f"quasistatic: {folder.name}", page)
    display.say(f"wrote {path}")
    display.result(report=str(path))


def _mean(log_prob: np.ndarray) -> tuple[str, str, str]:
    error = log_prob.std(ddof=1) / len(log_prob) ** 0.5
    return str(len(log_prob)), f"{log_prob.mean():.4f}", f"{error:.4f}"
