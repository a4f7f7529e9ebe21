"""Whether the last row of a table holds the totals of the rows above."""

__all__ = ["total_row"]

import numpy as np
import polars as pl

WORDS = ("total", "totals", "sum", "summe", "gesamt", "insgesamt", "somme", "totale", "suma")
LEAST = 5
"""Rows from which on sums are looked for."""

CLOSE = 1e-6
"""The relative distance of a total from the sum."""


def total_row(frame: pl.DataFrame) -> list[str] | None:
    """The columns whose last value is the sum of the others, where the last row holds totals: a
    cell says it, or several columns have their sums there. None if it holds none.

    Args:
        frame: all rows of a file.
    """
    if len(frame) < LEAST:
        return None
    summed, named = [], False
    for column in frame:
        last = column[-1]
        if isinstance(last, str):
            named = named or last.strip(" :").casefold() in WORDS
        elif column.dtype.is_numeric() and last is not None:
            above = column[:-1].cast(pl.Float64).drop_nulls().to_numpy()
            sizes = np.abs(above)
            sum_ = float(above.sum())
            several = np.count_nonzero(above) > 1 and len(np.unique(above)) > 1
            if several and abs(float(last) - sum_) <= CLOSE * float(sizes.sum()):
                summed.append(column.name)
    return summed if len(summed) > 1 or (named and summed) else None
