"""An example of imputation: values that are known are hidden, and filled again with intervals."""

__all__ = ["filled_section"]

import numpy as np
import polars as pl

from ...estimators import DiffusionImputer
from ...estimators.column_costs import number_text
from ...reporting.html import Section, Table
from ..fitted_table import FittedTable

SHARE, MOST, SHOWN = 0.9, 300, 8
"""The probability of an interval, rows with a hidden value, and rows that are listed."""


def filled_section(table: FittedTable, held_back: pl.DataFrame, seed: int) -> Section:
    """One known value of each of some rows is hidden and filled.

    Args:
        table: the fitted table.
        held_back: rows, best such that were not used to fit the model.
        seed: of what is hidden, and of the draws.
    """
    rows = table.fitted(held_back)[:MOST]
    hidden = _hidden(table, rows, seed)
    holed = rows.with_columns(
        pl.when(pl.Series(hidden != k)).then(pl.col(name)).alias(name)
        for k, name in enumerate(rows.columns)
    )
    imputer = DiffusionImputer.of(table.density, random_state=seed)
    found = imputer.fill(holed, SHARE)
    filled, order = (
        table.frame(found.table),
        {c.name: k for k, c in enumerate(imputer.table_.columns)},
    )
    cells: list[tuple[object, ...]] = []
    inside, right, classes = [], 0, 0
    for row in range(len(rows)):
        if hidden[row] < 0:
            continue
        name = rows.columns[int(hidden[row])]
        truth, guess = rows[name][row], filled[name][row]
        low, high = (float(side[row, order[name]]) for side in (found.low, found.high))
        if np.isfinite(low) and rows[name].dtype.is_numeric():
            inside.append(low <= float(truth) <= high)
            interval = f"{number_text(low, high - low)} to {number_text(high, high - low)}"
            truth, guess = (number_text(float(each), high - low) for each in (truth, guess))
        else:
            classes += 1
            right += truth == guess
            interval = ""
        if len(cells) < SHOWN:
            cells.append((name, str(truth), str(guess), interval))
    text = [
        f"In each of {len(inside) + classes} rows one known value was hidden, and filled by the "
        "rest of its row. Numbers are filled by their mean or median, classes by the most frequent "
        "one."
    ]
    result = []
    if inside:
        held = f"{sum(inside)} of {len(inside)} hidden numbers are in their {SHARE:.0%} interval"
        text.append(f"{held}.")
        result.append(held)
    if classes:
        text.append(f"{right} of {classes} hidden classes are filled with the true one.")
        result.append(f"{right} of {classes} hidden classes are filled right")
    return Section(
        "Filling missing values: an example",
        text,
        Table(("column", "hidden value", "filled with", f"{SHARE:.0%} interval"), cells),
        result="; ".join(result),
    )


def _hidden(table: FittedTable, rows: pl.DataFrame, seed: int) -> np.ndarray:
    """The column that is hidden in each row, with shape (n,), among those that are known and vary;
    -1 where there is none."""
    varies = [column.space is not None for column in table.density.table_.columns]
    known = np.stack([each.is_not_null().to_numpy() for each in rows], 1) & np.array(varies)
    pick = np.random.default_rng(seed).random(known.shape)
    return np.where(known.any(1), np.where(known, pick, -1.0).argmax(1), -1)
