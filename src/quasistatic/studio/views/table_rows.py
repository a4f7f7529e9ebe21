"""Rows of a fitted table: drawn from the model, and with their empty fields filled."""

__all__ = ["column_facts", "draw", "fill"]

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ...estimators import DiffusionImputer
from ...opened.fitted_table import FittedTable
from ...opened.given import columns_given
from ...opened.table_rows import SUMMARISED
from ...spaces.columns import Column
from ..asked import Asked
from ..jobs import Event, Job
from ..snippets import Snippet, command
from ..subjects import Table

DRAWS, BINS, MOST_CLASSES, SHARE = 400, 24, 10, 0.9
"""Draws behind a distribution, bars of a histogram, classes that are listed, and the probability of
an interval."""

FILE = "row.csv"
"""The file of a row that a snippet reads."""


def column_facts(table: FittedTable) -> list[dict[str, Any]]:
    """The columns of a table, for the fields of a form."""
    columns = {column.name: column for column in table.density.table_.columns}
    return [_column(name, columns.get(name)) for name in table.types]


def _column(name: str, column: Column | None) -> dict[str, Any]:
    if column is None:
        return {"name": name, "kind": "number", "classes": [], "range": ""}
    classes = [str(each) for each in getattr(column, "classes", ())]
    kind = "class" if column.named else "constant" if column.space is None else "number"
    return {"name": name, "kind": kind, "classes": classes, "range": column.range}


def draw(subject: Table, asked: Asked, job: Job) -> Event:
    """Draws rows, if asked given some columns."""
    n, seed = asked.whole("n", 20, 1, 1000), asked.whole("seed", 0, 0, 2**31 - 1)
    words = [f"{name}={text}" for name, text in asked.cells("given").items() if text.strip()]
    table = subject.table
    given = columns_given(words, table.style.decimal) or None
    evidence = table.density.log_evidence(given) if given else None
    job.check()
    rows = table.draw(n, seed, given)
    options: list[tuple[str, object]] = [("-n", n)]
    options += [("--given", word) for word in words]
    options += [("--seed", seed), ("--out", "samples.csv")]
    python = ["import quasistatic as qs", "", f"model = qs.open({subject.word!r})"]
    more = f", given={given!r}" if given else ""
    python.append(f"rows = model.table.density.sample({n}, {seed}{more})")
    snippet = Snippet("\n".join(python), command("sample", subject.word, options=options))
    return {
        "header": rows.columns,
        "rows": [[_text(cell) for cell in row] for row in rows.rows()],
        "log_evidence": evidence,
        "snippet": snippet.facts(),
    }


def fill(subject: Table, asked: Asked, job: Job) -> Event:
    """The distributions of the empty fields of a row, given the others."""
    seed, table = asked.whole("seed", 0, 0, 2**31 - 1), subject.table
    row = _row(table, asked.cells("cells"))
    empty = [column.name for column in row if column.null_count()]
    if not empty:
        raise ValueError("no field is empty: leave those empty that the model has to fill")
    density = table.density
    evidence = float(density.score_samples(row)[0]) if len(empty) < row.width else None
    job.progress(1, 3)
    imputer = DiffusionImputer.of(density, draws=SUMMARISED, random_state=seed)
    filled = imputer.fill(row, SHARE)
    job.progress(2, 3)
    drawn = table.frame(table.rows(imputer.draw(row, DRAWS)[0]))
    order = {column.name: k for k, column in enumerate(density.table_.columns)}
    best = table.frame(filled.table)
    found = []
    for name in empty:
        low, high = (_bound(side, order.get(name)) for side in (filled.low, filled.high))
        facts = {"name": name, "filled": _text(best[name][0]), "low": low, "high": high}
        found.append(facts | _distribution(drawn[name]))
    python = [
        "import quasistatic as qs",
        "",
        f"model = qs.open({subject.word!r})",
        f'row = next(model.read("{FILE}"))',
        "imputer = qs.DiffusionImputer.of(",
        f"    model.table.density, draws={SUMMARISED}, random_state={seed}",
        ")",
        f"filled = imputer.fill(row, {SHARE})",
        f"drawn = imputer.draw(row, {DRAWS})",
    ]
    line = command(
        "impute",
        subject.word,
        FILE,
        options=[("--intervals", SHARE), ("--seed", seed), ("--out", "filled.csv")],
    )
    note = f"Both read the row that you see, in {FILE}: save it with the button."
    return {
        "columns": found,
        "log_evidence": evidence,
        "file": _csv(table, row),
        "snippet": Snippet("\n".join(python), line, note).facts(),
    }


def _row(table: FittedTable, cells: Mapping[str, str]) -> pl.DataFrame:
    """The texts of a form as one row with the types of the table. An empty text is missing."""
    unknown = [name for name in cells if name not in table.types]
    if unknown:
        raise ValueError(f"the table has no column {unknown[0]!r}: it has {', '.join(table.types)}")
    return pl.DataFrame(
        [_cell(name, cells.get(name, "").strip(), kind) for name, kind in table.types.items()]
    )


def _cell(name: str, text: str, kind: Any) -> pl.Series:
    if not text:
        return pl.Series(name, [None], dtype=kind)
    raw = pl.Series(name, [text])
    try:
        if kind == pl.Boolean:
            return pl.Series(name, [{"true": True, "false": False}[text.lower()]])
        if kind.is_integer():
            return raw.cast(pl.Float64).cast(kind)
        if isinstance(kind, pl.Datetime) or kind == pl.Datetime:
            return raw.str.to_datetime().cast(kind)
        return raw.cast(kind)
    except (pl.exceptions.PolarsError, KeyError):
        raise ValueError(f"{name} holds {_named(kind)}, and {text!r} is none") from None


def _named(kind: Any) -> str:
    if kind.is_numeric():
        return "a whole number" if kind.is_integer() else "a number"
    return {pl.Boolean: "true or false"}.get(type(kind), f"a value of type {kind}")


def _distribution(values: pl.Series) -> dict[str, Any]:
    """The shares of classes, or a histogram with its ends."""
    if not values.dtype.is_numeric() and not values.dtype.is_temporal():
        counts = values.cast(pl.String).value_counts(sort=True)
        shares = (counts["count"] / len(values)).to_list()
        named = list(zip(counts[values.name].to_list(), shares, strict=True))
        listed, rest = named[:MOST_CLASSES], sum(share for _, share in named[MOST_CLASSES:])
        return {"shares": [*listed, ("others", rest)] if rest else listed}
    numbers = values.to_physical().cast(pl.Float64).drop_nulls().to_numpy()
    low, high = numbers.min(), numbers.max()
    bins: Any = BINS
    if values.dtype.is_integer() and high - low < BINS:
        bins = np.arange(low - 0.5, high + 1)
    heights, edges = np.histogram(numbers, bins=bins)
    ends = [_text(each) for each in (values.min(), values.median(), values.max())]
    return {"heights": (heights / len(numbers)).tolist(), "edges": edges.tolist(), "ends": ends}


def _bound(side: np.ndarray, column: int | None) -> float | None:
    """An end of the interval of a column in the only row; None where it has none."""
    value = None if column is None else float(side[0, column])
    return None if value is None or not np.isfinite(value) else value


def _csv(table: FittedTable, row: pl.DataFrame) -> str:
    return row.write_csv(separator=",")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
