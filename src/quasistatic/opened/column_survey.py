"""What a dry run shows of the columns of a file: types, values, and what is remarkable."""

__all__ = ["HEADER", "survey_columns"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ..data.table_files.cells import Column
from ..spaces.roles import Roles

HEADER = ("column", "kind", "values", "missing", "remarkable")

COMMONEST = 4
"""How many classes of a column are shown."""

MIDDLES = 10.0
"""A value is a sentinel if it recurs, is farther from the median than so many times the distance
between the quartiles, and has no other value near."""

RECURS = 3

Described = Mapping[str, tuple[str, str]]


def survey_columns(
    frame: pl.DataFrame,
    described: Described,
    roles: Roles,
    cells: Mapping[str, Column],
) -> list[tuple[str, str, str, str, str]]:
    """One row for each column of a file, as text.

    Args:
        frame: rows of the file.
        described: the type and the values of each modelled column, by name.
        roles: of the columns.
        cells: what the cells of a text file were, by column.

    Returns:
        Name, kind, range or commonest values, share of missing values, and what is remarkable.
    """
    twins = _twins(frame)
    found = []
    for column in frame:
        kind, values = described.get(column.name, ("", ""))
        if column.name in roles.identity:
            kind = "identity"
        elif column.name in roles.left_out:
            kind = "left out"
        missing = column.null_count() / max(len(column), 1)
        shown = _commonest(column) if kind in ("categorical", "binary") else values.split(",")[0]
        shown = shown or _ends(column)
        remarks = _remarks(column, kind, cells.get(column.name))
        if column.name in roles.reasons:
            remarks.insert(0, roles.reasons[column.name])
        if column.name in twins:
            remarks.append(f"the same as {twins[column.name]}")
        share = f"{missing:.1%}" if missing else ""
        found.append((column.name, kind, shown, share, "; ".join(remarks)))
    return found


def _commonest(column: pl.Series) -> str:
    """The commonest classes with their shares."""
    counts = column.drop_nulls().alias("value").value_counts(sort=True, name="count")
    total = max(int(counts["count"].sum()), 1)
    first = [
        f"{_short(value)} {count / total:.0%}"
        for value, count in counts.head(COMMONEST).iter_rows()
    ]
    rest = len(counts) - COMMONEST
    return ", ".join(first) + (f", {rest} more" if rest > 0 else "")


def _ends(column: pl.Series) -> str:
    """The first and the last value of a column without a type."""
    known = column.drop_nulls()
    if not len(known):
        return "none"
    return f"{_short(known[0])}, ..., {_short(known[-1])}" if len(known) > 1 else _short(known[0])


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 24 else text[:21] + "..."


def _remarks(column: pl.Series, kind: str, cells: Column | None) -> list[str]:
    """What a person should know about a column."""
    known = column.drop_nulls()
    if not len(known):
        return ["100 % missing"]
    found = []
    if kind == "constant":
        found.append("constant")
    if cells is not None:
        found += _of_cells(cells)
    if column.dtype.is_numeric() and kind not in ("identity", "categorical", "binary"):
        found += _sentinels(known.cast(pl.Float64).to_numpy())
    if column.dtype == pl.String and kind not in ("identity", "left out"):
        found += _capitals(known)
        distinct = known.n_unique()
        if distinct > 0.5 * len(known) and distinct > 20:
            found.append(f"nearly distinct: {distinct:,} texts in {len(known):,} rows")
    return found


def _of_cells(cells: Column) -> list[str]:
    """What the cells of a text column were."""
    found = []
    if cells.is_wrong:
        found.append(f"{cells.others:,} cells are no {cells.plural}: {cells.quoted}")
    elif cells.odd:
        found.append(f"{cells.others:,} cells in another notation: {cells.quoted}")
    elif cells.notation is not None:
        found.append(str(cells.notation))
    if cells.spaced:
        found.append(f"{cells.spaced:,} cells with spaces around them")
    return found


def _sentinels(numbers: np.ndarray) -> list[str]:
    """Far values that recur, as 99999 for an unknown number."""
    values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if len(values) < 4:
        return []
    low, middle, high = np.quantile(numbers[np.isfinite(numbers)], [0.25, 0.5, 0.75])
    spread = max(high - low, 1e-12 * abs(middle), 1e-300)
    found = []
    for k, beside in ((0, 1), (-1, -2)):
        far = abs(values[k] - middle) > MIDDLES * spread
        alone = abs(values[k] - values[beside]) > MIDDLES / 2 * spread
        if far and alone and counts[k] >= RECURS:
            found.append(f"{values[k]:.12g} recurs {counts[k]:,} times, far from the others")
    return found


def _capitals(known: pl.Series) -> list[str]:
    """Classes that differ in capitals alone."""
    classes = known.unique().sort().to_list()
    if len(classes) > 1000:
        return []
    groups: dict[str, list[str]] = {}
    for each in classes:
        groups.setdefault(each.casefold(), []).append(each)
    twins = [" and ".join(group) for group in groups.values() if len(group) > 1]
    more = f", and {len(twins) - 2} more" if len(twins) > 2 else ""
    return [f"{', '.join(twins[:2])}{more} differ in capitals alone"] if twins else []


def _twins(frame: pl.DataFrame) -> dict[str, str]:
    """For each column that repeats an earlier one, the name of that."""
    seen: dict[Any, Sequence[str]] = {}
    found = {}
    for column in frame:
        if column.null_count() == len(column):
            continue
        values = column.cast(pl.Float64) if column.dtype.is_numeric() else column
        key = (str(values.dtype), values.null_count(), values.hash(0).sum())
        for name in seen.get(key, ()):
            other = frame[name]
            if values.equals(other.cast(pl.Float64) if other.dtype.is_numeric() else other):
                found[column.name] = name
                break
        else:
            seen[key] = [*seen.get(key, ()), column.name]
    return found
