"""How well the model knows rows that it has not seen, beside simple models."""

__all__ = ["known_section"]

import math

import numpy as np
import polars as pl

from ...estimators.simple_models import simple_scores
from ...reporting.html import Section, Table
from ...reporting.numbers import with_error
from ..fitted_table import FittedTable

LEAST, FOLDS = 10, 5
"""Rows that were held back from which on they are scored, and parts in which simple models take
turns where there are no other rows."""


def known_section(table: FittedTable, rows: pl.DataFrame, held_back: pl.DataFrame) -> Section:
    """log p of rows that were held back from the fit, by the model and by simple models of the
    other rows.

    Args:
        table: the fitted table.
        rows: the rows of the page.
        held_back: the rows that were not used to fit the model.
    """
    heading = "How well the model knows rows that it has not seen"
    if len(held_back) < LEAST:
        return Section(
            heading,
            [
                f"{len(held_back)} rows were held back from the fit, too few for a score: fit "
                "again with a larger --calibration."
            ],
        )
    test = table.fitted(held_back)
    others = rows.join(test, on=rows.columns, how="anti", nulls_equal=True)
    ours = table.score(test)
    facts = [
        f"{len(test)} rows were held back from the fit. The figures are the mean of log p of a "
        "row, in nats and in the table's own units: higher is better, and one nat more makes a row "
        f"{math.e:.1f} times as likely. {table.about[0].upper()}{table.about[1:]}."
    ]
    finite = np.isfinite(ours)
    cells: list[tuple[object, ...]] = [("this model", _mean(ours[finite]), "")]
    best: tuple[str, np.ndarray] | None = None
    if len(others) >= LEAST:
        learned = f"the {len(others):,} other rows shown here"
        scores = simple_scores(table.density, others, test)
    else:
        learned = "four fifths of the rows that were held back, and score the last fifth, in turns"
        scores = _in_turns(table, test)
    facts.append(f"The simple models are fitted to {learned}. The difference is taken row by row.")
    for name, (log_p, possible) in scores.items():
        both = finite & possible
        gained = ours[both] - log_p[both]
        cells.append((name, _mean(log_p[both]), _mean(gained)))
        if best is None or gained.mean() < best[1].mean():
            best = name, gained
    if not finite.all():
        facts.append(
            f"{int((~finite).sum())} of these rows hold a value of probability 0 under the model; "
            "they are left out of the means."
        )
    result = ""
    if best is not None:
        gain, error = best[1].mean(), best[1].std(ddof=1) / len(best[1]) ** 0.5
        verb = "more" if gain > 0 else "less"
        result = (
            f"rows that were held back are {with_error(abs(gain), error)} nats {verb} likely than "
            f"by the better simple model ({best[0]})"
        )
    return Section(
        heading, facts, Table(("model", "log p, nats", "model is better by"), cells), result=result
    )


def _in_turns(table: FittedTable, rows: pl.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores of rows by simple models of the other four fifths."""
    fold = np.arange(len(rows)) % FOLDS
    each = [
        simple_scores(
            table.density, rows.filter(pl.Series(fold != k)), rows.filter(pl.Series(fold == k))
        )
        for k in range(FOLDS)
    ]
    found = {}
    for name in each[0]:
        log_p, possible = np.empty(len(rows)), np.empty(len(rows), dtype=bool)
        for k in range(FOLDS):
            log_p[fold == k], possible[fold == k] = each[k][name]
        found[name] = log_p, possible
    return found


def _mean(nats: np.ndarray) -> str:
    error = nats.std(ddof=1) / len(nats) ** 0.5 if len(nats) > 1 else float("nan")
    return with_error(float(nats.mean()), float(error))
