"""Fitting a model to a table in a file."""

__all__ = ["fit_table"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from .._utils.randomness import Rng
from ..data.table_files import Reading, open_table
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..spaces.roles import Roles
from .fitted_table import TablePlan
from .model import seed_of

HEADER = ("column", "type", "values", "missing")


def fit_table(
    data: str | Path,
    *,
    out: Path | None = None,
    types: Mapping[str, str] | None = None,
    id: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    header: Literal["yes", "no"] | None = None,
    missing: Sequence[str] = (),
    rows: int = 1_000_000,
    steps: int | None = None,
    minutes: float | None = None,
    calibration: float = 0.1,
    dry_run: bool = False,
    rng: Rng = 0,
    display: Display | None = None,
) -> Answer:
    """Fits a model to a table in a file, and saves it in a folder.

    Args:
        data: a CSV, TSV, NPY, NPZ or Parquet file.
        out: the folder to write; by default `runs/` and the file's name.
        types: of columns whose values do not show it, by name: "binary", "categorical", "numeric",
            "standardized", "quantiles" or "integer".
        id: columns that identify rows. The model leaves them out, and the verbs keep them beside
            each row; columns whose values identify rows are found without it.
        leave_out: other columns that the model leaves out; the verbs keep them beside each row too.
        header: whether the first row of a text file holds names; by default the rows decide.
        missing: more words for a missing value in a text file.
        rows: the maximum number of rows of the file to use; a random sample if there are more.
        steps: the maximum number of gradient steps; 0 trains no network.
        minutes: the maximum training time in minutes.
        calibration: share of the rows that is held back to calibrate the verb `outliers`.
        dry_run: only describe what would be fitted.
        rng: a seed, a generator, or None for a random seed.
        display: where progress is shown; None shows nothing.
    """
    if not 0 <= calibration < 1:
        raise ValueError(
            f"--calibration is a share of the rows, from 0 to less than 1, got {calibration}"
        )
    if rows < 1:
        raise ValueError(f"--rows is the maximum number of rows to use, 1 or more, got {rows}")
    source, seed = Path(data), seed_of(rng)
    folder = Path(out or Path("runs") / source.stem)
    named = _text_columns(types or {})
    reading = Reading(named, None if header is None else header == "yes", tuple(missing))
    file = open_table(source, named, header=reading.header, missing=reading.missing)
    frame = file.drawn(rows, seed)
    roles = Roles.infer(frame, id, leave_out, dict(types or {}))
    chosen = "" if len(frame) == file.rows else f", {len(frame)} of them used"
    plan = TablePlan.of(frame, reading, roles, dict(types or {}), steps, minutes, seed)
    columns = plan.columns()
    table = TextTable(f"{source}: {file.rows} rows{chosen}", HEADER, columns)
    order = np.random.default_rng(seed).permutation(len(frame))
    held_back, used = np.split(order, [round(calibration * len(order))])
    remarks = [*file.remarks, *roles.remarks]
    if dry_run:
        about = plan.about(used)
        facts: dict[str, Any] = {
            "run": str(folder),
            "columns": columns,
            "plan": about,
            "remarks": remarks,
        }
        facts |= {"identity": list(roles.identity), "left_out": list(roles.left_out)}
        return Answer(
            facts,
            [*remarks, table, f"would fit {len(used)} rows, and write {folder}: {about}"],
        )
    display = display or Display(quiet=True)
    for remark in remarks:
        display.say(remark)
    display.table(table.title, table.header, table.rows)
    summary = plan.fit(folder, used, held_back).summary
    found: dict[str, Any] = {"run": str(folder), "rows": len(used), "calibration": len(held_back)}
    found |= {"identity": list(roles.identity), "left_out": list(roles.left_out)}
    return Answer(found | summary.facts(), [f"wrote {folder}: {summary}"])


def _text_columns(types: Mapping[str, str]) -> dict[str, Any]:
    """Columns that the user declares categorical. They are read as text, even if they look like
    numbers."""
    return {name: pl.String() for name, kind in types.items() if kind == "categorical"}
