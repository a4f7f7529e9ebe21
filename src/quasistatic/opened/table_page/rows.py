"""The most unusual rows, and why they are."""

__all__ = ["rows_section"]

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..._utils.naming import counted
from ...reporting.html import Section, Table
from ..fitted_table import FittedTable

SHOWN, LEVEL = 10, 0.05
"""Rows that are listed, and the level of the verdict."""


def rows_section(
    table: FittedTable, rows: pl.DataFrame, names: Sequence[str], calibration: int
) -> Section:
    """The rows that are least likely, with the columns that cost most given the others.

    Args:
        table: the fitted table.
        rows: the fitted columns of the rows.
        names: of the rows, for a reader.
        calibration: how many rows were held back.
    """
    heading = "Unusual rows, and why"
    if not calibration:
        return Section(
            heading,
            ["No rows were held back from the fit, so that no row can be called unusual."],
        )
    detector = table.detector(LEVEL)
    found = detector.judged(rows)
    order = np.lexsort((found.log_prob, found.p_value))[:SHOWN]
    reasons = ["" for _ in order]
    if table.density.fitted_.closed_form is not None:
        reasons = [str(each) for each in detector.explain(rows[order])]
    cells = [
        (names[row], f"{found.p_value[row]:.3g}", reason)
        for row, reason in zip(order.tolist(), reasons, strict=True)
    ]
    called = int(found.outlier.sum())
    text = [
        f"{called} of {len(rows):,} rows are outliers at level {LEVEL:g}. Of ordinary rows about "
        f"{LEVEL:.0%} are called so, and fewer of rows that the model was fitted to.",
        f"The p-value of a row is the share of the {calibration} held-back rows that are as "
        "unlikely, or more. The reasons name the columns that cost most given the others, with the "
        "values that were expected there.",
    ]
    result = f"{counted(called, 'row')} of {len(rows):,} called unusual at level {LEVEL:g}"
    if cells and reasons[0]:
        result += f"; first {cells[0][0]}: {reasons[0].split(';')[0]}"
    return Section(heading, text, Table(("row", "p-value", "why"), cells), result=result)
