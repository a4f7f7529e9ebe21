"""What the data are: kinds, missing values, ranges. All of it is of the data, never of draws."""

__all__ = ["data_section", "values_text"]

import polars as pl

from ..._utils.naming import counted
from ...estimators.column_costs import number_text
from ...reporting.html import Section, Table
from ..fitted_table import FittedTable

COMMONEST = 4
"""Classes that are listed with their shares."""


def data_section(table: FittedTable, rows: pl.DataFrame, count: int, name: str) -> Section:
    """The columns of the rows, and those beside the model.

    Args:
        table: the fitted table.
        rows: the fitted columns of the rows that are described.
        count: how many rows the file has.
        name: of the file.
    """
    kinds = {each[0]: each[1] for each in table.density.table_.described()}
    columns = [
        (
            each.name,
            *values_text(each),
            f"{each.null_count() / len(each):.1%}" if each.null_count() else "none",
            kinds[each.name],
        )
        for each in rows
    ]
    holes = sum(each.null_count() for each in rows)
    missing = f"{holes / rows.select(pl.all()).to_numpy().size:.1%}" if holes else "no"
    shown = "" if count == len(rows) else f", of which the first {len(rows):,} are shown here"
    text = [f"{name} has {counted(count, 'row')}{shown}. The model has {len(columns)} columns."]
    roles = table.roles
    if roles.carried:
        text.append(f"Not part of the model, but kept beside each row: {', '.join(roles.carried)}.")
    text.append("Shares, ranges and medians are those of the rows, not of draws.")
    return Section(
        "The data",
        text,
        Table(("column", "values", "median", "missing", "type"), columns),
        result=f"{counted(count, 'row')}, {len(columns)} columns, {missing} values missing",
    )


def values_text(column: pl.Series) -> tuple[str, str]:
    """The range or the commonest values of a column, and its median, as text."""
    known = column.drop_nulls()
    if not len(known):
        return "empty", ""
    if known.dtype.is_numeric():
        low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
        middle = float(known.median())  # type: ignore[arg-type]
        ends = number_text(low, high - low), number_text(high, high - low)
        return f"{ends[0]} to {ends[1]}", number_text(middle, high - low)
    if known.dtype.is_temporal():
        ordered = known.sort()
        # A value of the column: the mean of two days would be a time of the day.
        ends = [str(ordered[k]) for k in (0, len(ordered) // 2, -1)]
        if known.dtype == pl.Time and all(end.endswith(":00") for end in ends):
            ends = [end.removesuffix(":00") for end in ends]
        return f"{ends[0]} to {ends[2]}", ends[1]
    counts = known.cast(pl.String).value_counts(sort=True, name="count")
    names, numbers = counts.columns
    first = counts.head(COMMONEST)
    shares = [f"{count / len(known):.0%}" for count in first[numbers].to_list()]
    shown = [" ".join(pair) for pair in zip(first[names].to_list(), shares, strict=True)]
    more = f", … ({len(counts)} classes)" if len(counts) > COMMONEST else ""
    return ", ".join(shown) + more, ""
