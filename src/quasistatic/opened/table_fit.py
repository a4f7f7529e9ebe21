"""Fitting a model to a table in a file."""

__all__ = ["fit_table"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from .._utils.naming import nearest
from .._utils.randomness import Rng
from .._utils.row_errors import in_file
from ..data.table_files import (
    Notation,
    Reading,
    TableFile,
    listed,
    moment,
    open_with,
    separator_named,
)
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..spaces.roles import Roles
from .column_survey import HEADER, survey_columns
from .fitted_table import TablePlan
from .model import seed_of
from .total_row import total_row


def fit_table(
    data: str | Path,
    *,
    out: Path | None = None,
    types: Mapping[str, str] | None = None,
    id: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    header: Literal["yes", "no"] | None = None,
    missing: Sequence[str] = (),
    encoding: str | None = None,
    separator: str | None = None,
    decimal: Literal[".", ","] | None = None,
    skip: int | None = None,
    skip_end: int = 0,
    rows: int = 1_000_000,
    steps: int | None = None,
    minutes: float | None = None,
    calibration: float = 0.1,
    dry_run: bool = False,
    device: str = "auto",
    rng: Rng = 0,
    display: Display | None = None,
) -> Answer:
    """Fits a model to a table in a file, and saves it in a folder.

    Args:
        data: a CSV, TSV, TXT, DAT, NPY, NPZ or Parquet file.
        out: the folder to write; by default `runs/` and the file's name.
        types: of columns whose values do not show it, by name: "binary", "categorical", "numeric",
            "standardized", "quantiles", "integer", or the format of dates or times, "%d/%m/%Y".
        id: columns that identify rows. The model leaves them out, and the verbs keep them beside
            each row; columns whose values identify rows are found without it.
        leave_out: other columns that the model leaves out; the verbs keep them beside each row too.
        header: whether the first row of a text file holds names; by default the rows decide.
        missing: more words for a missing value in a text file.
        encoding: of the characters of a text file, by Python's name; by default UTF-8.
        separator: of the columns of a text file: one of , ; | or "tab" or "space"; by default the
            lines decide.
        decimal: the decimal mark of a text file, a point or a comma; by default the cells decide.
        skip: how many lines at the start of a text file are no rows, as a title and notes; by
            default the lines decide.
        skip_end: how many of the last lines of a text file are no rows, as totals and notes.
        rows: the maximum number of rows of the file to use; a random sample if there are more.
        steps: the maximum number of gradient steps; 0 trains no network.
        minutes: the maximum training time in minutes.
        calibration: share of the rows that is held back to calibrate the verb `outliers`.
        dry_run: only describe what would be fitted.
        device: where a network is trained, if one is: "auto" for a GPU if there is one, or the name
            of a device.
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
    kinds, formats = _parted(types or {})
    reading = Reading(
        _text_columns(kinds),
        None if header is None else header == "yes",
        tuple(missing),
        encoding,
        formats,
        _listed(leave_out) + _listed(id),
        separator_named(separator),
        decimal,
        skip,
        skip_end,
    )
    file = open_with(source, reading, lenient=True)
    _known_columns(kinds, file.names)
    frame = file.drawn(rows, seed)
    left = _expanded(leave_out, frame.columns)
    roles = Roles.infer(frame, _expanded(id, frame.columns), left, kinds)
    plan = TablePlan.of(frame, reading, roles, file.style, kinds, steps, minutes, seed, device)
    order = np.random.default_rng(seed).permutation(len(frame))
    held_back, used = np.split(order, [round(calibration * len(order))])
    table, columns, problems = _surveyed(source, file, frame, plan, roles, seed)
    remarks = [*file.remarks, *roles.remarks]
    found: dict[str, Any] = {"run": str(folder), "layout": file.layout, "remarks": remarks}
    found |= {"identity": list(roles.identity), "left_out": list(roles.left_out)}
    said = [line for line in (file.layout, *remarks) if line]
    if dry_run and not problems:
        about, seconds = plan.about(used), plan.seconds(used)
        found |= {"columns": columns, "plan": about, "seconds": seconds}
        last = f"would fit {len(used)} rows, and write {folder}: {about}; it takes {_time(seconds)}"
        return Answer(found, [*said, table, last])
    if problems and not dry_run:
        raise ValueError(listed(source, problems))
    display = display or Display(quiet=True)
    for line in said:
        display.say(line)
    display.table(table.title, table.header, table.rows)
    if problems:
        raise ValueError(listed(source, problems))
    summary = plan.fit(folder, used, held_back).summary
    found |= {"rows": len(used), "calibration": len(held_back)}
    return Answer(found | summary.facts(), [f"wrote {folder}: {summary}"])


def _surveyed(
    source: Path, file: TableFile, frame: pl.DataFrame, plan: TablePlan, roles: Roles, seed: int
) -> tuple[TextTable, list[Any], list[str]]:
    """The columns of a file as a table for the user and as rows of it, and what is wrong with
    those that are modelled."""
    described, wrong = plan.columns()
    problems = [each for each in file.problems if not _is_left_out(each, roles)]
    used = file.chosen(len(frame), seed)  # the rows of the frame are these rows of the file
    problems += [str(in_file(each, lambda k: int(used[k]) + 1)) for each in wrong]
    sums = total_row(frame) if len(frame) == file.rows and file.cells else None
    if sums:
        problems.append(
            f"row {file.rows:,}, the last, holds the sums of the rows above "
            f"({', '.join(sums[:4])}): leave it out (fit --skip-end 1)"
        )
    columns = survey_columns(frame, described, roles, file.cells)
    chosen = "" if len(frame) == file.rows else f", {len(frame)} of them used"
    shown = [row[: len(HEADER) if any(each[-1] for each in columns) else -1] for row in columns]
    titles = HEADER[: len(shown[0])]
    return TextTable(f"{source}: {file.rows} rows{chosen}", titles, shown), columns, problems


def _parted(types: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Notation]]:
    """The types of columns, and the formats of columns of dates or times, as %d/%m/%Y."""
    kinds = {name: kind for name, kind in types.items() if "%" not in kind}
    return kinds, {name: moment(kind) for name, kind in types.items() if "%" in kind}


def _text_columns(types: Mapping[str, str]) -> dict[str, Any]:
    """The types in which the cells of declared columns are read: classes as text, even if they look
    like numbers, and numbers as numbers, even if they look like days."""
    numbers = dict.fromkeys(("numeric", "integer", "standardized", "quantiles"), pl.Float64())
    kinds = {"categorical": pl.String(), **numbers}
    return {name: kinds[kind] for name, kind in types.items() if kind in kinds}


def _known_columns(types: Mapping[str, str], names: Sequence[str]) -> None:
    for name in types:
        if name not in names:
            raise ValueError(f"there is no column {name!r}: {nearest(name, names)}")


def _listed(words: Sequence[str]) -> int:
    """How many columns some words name at most; a word may list several, separated by commas."""
    return sum(1 + word.count(",") for word in words)


def _expanded(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names of columns; a word that is none may list several, separated by commas."""
    found: list[str] = []
    for word in words:
        found += [word] if word in names else [each for each in word.split(",") if each]
    return found


def _is_left_out(problem: str, roles: Roles) -> bool:
    """Whether a problem is that of the cells of a column that is not modelled."""
    return any(problem.startswith(f"{name}: ") for name in roles.carried)


def _time(seconds: float) -> str:
    """A rough time as text."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    return f"about {round(seconds / 60)} minutes"
