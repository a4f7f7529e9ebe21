"""The verbs on tables in files: fit, impute, outliers; and what score and sample do of them."""

__all__ = ["fit_table", "impute_table", "outliers_table", "sample_table", "score_table"]

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import tyro

from .._utils.validation import nearest
from ..data.table_files import open_table, write_table
from ..estimators import DiffusionDensity, DiffusionImputer
from ..reporting.console import Display
from .arguments import Out, Seed, parse
from .opened_table import PIECE, OpenedTable

Data = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(help="A table: CSV, TSV, NPY, NPZ or Parquet.")
]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="What `quasistatic fit` wrote.")]
HEADER = ("column", "type", "values", "missing")


@dataclasses.dataclass
class _Fit:
    """A model of a table in a file. Some rows are held back from it, and tell what an ordinary row
    is: see `quasistatic outliers`."""

    data: Data
    out: Out = None
    types: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            help="Of columns whose values do not say it: sex=binary, year=categorical; or numeric, "
            "standardized, quantiles, integer."
        ),
    ] = ()
    leave_out: Annotated[tuple[str, ...], tyro.conf.arg(help="Columns to pass over.")] = ()
    rows: Annotated[
        int, tyro.conf.arg(help="Of the file that are looked at, drawn by the seed, at most.")
    ] = 1_000_000
    steps: Annotated[int | None, tyro.conf.arg(help="Of training; 0 for none.")] = None
    minutes: Annotated[float | None, tyro.conf.arg(help="That training may take.")] = None
    calibration: Annotated[float, tyro.conf.arg(help="Share of rows held back.")] = 0.1
    seed: Seed = 0
    dry_run: Annotated[bool, tyro.conf.arg(help="Say what would be fitted.")] = False
    json: bool = False


def fit_table(words: Sequence[str]) -> None:
    """Fit a model to a table in a file (CSV, TSV, NPY, NPZ, Parquet)."""
    asked: _Fit = parse(_Fit, "fit", words)
    if not 0 <= asked.calibration < 1:
        raise ValueError(f"--calibration is a share of the rows, got {asked.calibration}")
    display, folder = Display(asked.json), asked.out or Path("runs") / asked.data.stem
    types = _types(asked.types)
    file = open_table(asked.data)
    frame = _without(file.drawn(asked.rows, asked.seed), asked.leave_out)
    looked = "" if len(frame) == file.rows else f", {len(frame)} of them looked at"
    density = DiffusionDensity(
        steps=asked.steps,
        minutes=asked.minutes,
        types=types or None,
        random_state=asked.seed,
        verbose=True,
    )
    columns = density.described(frame)
    display.table(f"{asked.data}: {file.rows} rows{looked}", HEADER, columns)
    order = np.random.default_rng(asked.seed).permutation(len(frame))
    held_back, rows = np.split(order, [round(asked.calibration * len(order))])
    if asked.dry_run:
        plan = density.planned(frame[np.sort(rows)])
        display.say(f"would fit {len(rows)} rows, and write {folder}: {plan}")
        display.result(run=str(folder), columns=columns, plan=plan)
        return
    density.fit(frame[np.sort(rows)])
    OpenedTable.of(folder, density, frame).save(frame[held_back])
    display.say(f"wrote {folder}: {density.summary_}")
    display.result(
        run=str(folder), rows=len(rows), calibration=len(held_back), **density.summary_.facts()
    )


def _types(words: Sequence[str]) -> dict[str, str]:
    """Columns and types of words like sex=binary."""
    for word in words:
        if "=" not in word:
            raise ValueError(f"--types takes words like sex=binary, got {word!r}")
    return dict(word.rsplit("=", 1) for word in words)


def _without(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    for name in names:
        if name not in frame.columns:
            raise ValueError(f"there is no column {name!r}: {nearest(name, frame.columns)}")
    return frame.drop(*names)


@dataclasses.dataclass
class _Impute:
    """Fill what is missing in a table: by one value for the draws given the rest of each row (the
    mean of numbers, the median of whole ones, the class that comes most often), or by a single
    draw. Known values come back as they are."""

    run: Folder
    data: Data
    draws: Annotated[int, tyro.conf.arg(help="That the value stands for.")] = 64
    one: Annotated[bool, tyro.conf.arg(help="A single draw instead.")] = False
    out: Out = None
    seed: Seed = 0
    json: bool = False


def impute_table(words: Sequence[str]) -> None:
    """Fill missing values of a table in a file."""
    asked: _Impute = parse(_Impute, "impute", words)
    display, table = Display(asked.json), OpenedTable.open(asked.run)
    draws, count = 1 if asked.one else asked.draws, 0

    def filled() -> Iterator[pl.DataFrame]:
        nonlocal count
        for number, piece in enumerate(table.pieces(asked.data)):
            seed = asked.seed + number
            imputer = DiffusionImputer.of(table.density, draws=draws, random_state=seed)
            found = table.frame(imputer.transform(piece))
            count += sum(each.null_count() for each in piece)
            # What is known is taken from the file itself, to the last digit.
            yield piece.select(
                each.zip_with(each.is_not_null(), found[each.name].cast(each.dtype))
                for each in piece
            )

    path = asked.out or asked.run / f"imputed{asked.data.suffix}"
    rows = write_table(path, filled())
    display.say(f"wrote {path}: {count} missing values of {rows} rows filled")
    display.result(imputed=str(path), filled=count, rows=rows)


@dataclasses.dataclass
class _Outliers:
    """Which rows of a table are unlike those that a model was fitted to: log-density, p-value and
    verdict of each. Of ordinary rows at most a share of --level are called outliers, on average."""

    run: Folder
    data: Data
    level: float = 0.05
    out: Out = None
    json: bool = False


def outliers_table(words: Sequence[str]) -> None:
    """Find the strange rows of a table in a file."""
    asked: _Outliers = parse(_Outliers, "outliers", words)
    display, table = Display(asked.json), OpenedTable.open(asked.run)
    detector = table.detector(asked.level)
    count = 0

    def judged() -> Iterator[pl.DataFrame]:
        nonlocal count
        for piece in table.pieces(asked.data):
            found = detector.judged(piece)
            count += int(found.outlier.sum())
            told = {"log_prob": found.log_prob, "p_value": found.p_value}
            yield pl.DataFrame(told | {"outlier": found.outlier.astype(np.int64)})

    path = asked.out or asked.run / "outliers.csv"
    rows = write_table(path, judged())
    display.say(
        f"wrote {path}: {count} of {rows} rows are outliers at level {asked.level:g}, by "
        f"{len(detector.ordinary_)} calibration rows"
    )
    display.result(outliers=str(path), found=count, rows=rows)


def score_table(folder: Path, data: Path | None, out: Path | None, display: Display) -> None:
    """Scores the rows of a table, and says their mean."""
    if data is None:
        raise ValueError("a fitted table holds no test rows: give some by --data")
    table = OpenedTable.open(folder)
    moments = np.zeros(3)  # how many, their sum, and that of their squares

    def scored() -> Iterator[pl.DataFrame]:
        for piece in table.pieces(data):
            nats = table.density.score_samples(piece)
            moments[:] += len(nats), nats.sum(), (nats**2).sum()
            yield pl.DataFrame({"log_prob": nats})

    if out is None:
        for _ in scored():
            pass
    else:
        write_table(out, scored())
        display.say(f"wrote {out}: the score of each row, in nats")
    count, mean = int(moments[0]), moments[1] / moments[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (max(moments[2] / count - mean**2, 0.0) / (count - 1)) ** 0.5
    per_dim = np.log(2) * len(table.types)
    display.say(table.density.fitted_.about)
    display.table(
        f"{count} rows",
        ("unit", "mean", "s.e."),
        [
            ("nats", f"{mean:.4f}", f"{error:.4f}"),
            ("bits per dimension", f"{-mean / per_dim:.4f}", f"{error / per_dim:.4f}"),
        ],
    )
    display.result(
        nats=float(mean), stderr=float(error), bits_per_dim=float(-mean / per_dim), rows=count
    )


def sample_table(folder: Path, n: int, out: Path | None, seed: int, display: Display) -> None:
    """Draws rows, and writes them with the names and the types of the columns."""
    if n < 1:
        raise ValueError(f"--n is how many rows to draw, 1 or more, got {n}")
    table, path = OpenedTable.open(folder), out or folder / "samples.csv"
    sizes = [min(PIECE, n - start) for start in range(0, n, PIECE)]
    drawn = (
        table.frame(table.density.sample(size, seed + number)) for number, size in enumerate(sizes)
    )
    write_table(path, drawn)
    display.say(f"wrote {path}: {n} rows of {len(table.types)} columns")
    display.result(samples=str(path), shape=[n, len(table.types)])
