"""Whether a table is one of numbers or of mixed columns."""

__all__ = ["mixed_table", "numbers_described"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..spaces import Table
from ..spaces.frames import Frame
from .columns import Columns
from .levels import levels_of


def mixed_table(X: Any, types: Mapping[str, str] | None) -> Table | None:
    """The table that X is, if `types` are given, or if it is a data frame one of whose columns is
    binary or categorical; None if it is one of numbers. A frame of small whole numbers alone is of
    numbers, whatever the range of each column.

    Any column of it may have holes, also one that has none in X, and whole numbers of a wide range
    have some room beyond their ends (:meth:`Column.with_margin`).

    Raises:
        TypeError, ValueError: of :meth:`Table.infer`, which say which column does not do.
    """
    if types is None and not Frame.has_names(X):
        return None
    if types is None and _is_of_levels(Frame.of(X)):
        return None
    table = Table.infer(X, types)
    if types is None and not any(column.named for column in table.columns):
        return None
    numbers = table.read(X).numpy().T
    columns = [each.with_margin(n) for each, n in zip(table.columns, numbers, strict=True)]
    return replace(table, columns=tuple(columns), incomplete=True)


def numbers_described(X: Any) -> list[tuple[str, str, str, str]]:
    """Of each column of numbers what :meth:`Table.described` says of mixed ones."""
    rows = []
    for series in Frame.of(X).columns:
        assert series.numbers is not None  # or it were no table of numbers
        seen = series.numbers[~series.missing]
        ends = dict.fromkeys(f"{end:.6g}" for end in (seen.min(), seen.max())) if len(seen) else ()
        kind = ("empty", "constant", "number")[len(ends)]
        share = series.missing.mean()
        rows.append((series.name, kind, " to ".join(ends), f"{share:.1%}" if share else ""))
    return rows


def _is_of_levels(frame: Frame) -> bool:
    """Whether all columns are small whole numbers, enough to learn a table of levels from."""
    numbers = [each.numbers for each in frame.columns if each.numbers is not None]
    if len(numbers) < len(frame.columns):
        return False
    rows = np.stack(numbers, 1)
    if not np.isfinite(rows).all() or (rows == rows[:1]).all():
        return False
    return levels_of(Columns.of(rows).take(rows)) is not None
