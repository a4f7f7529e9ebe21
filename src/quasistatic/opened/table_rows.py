"""The verbs that answer each row of a file: score, impute, outliers."""

__all__ = ["RowVerbs"]

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from .._utils.naming import counted
from .._utils.randomness import Rng
from ..data.table_files import FileRows, TableFile, is_text
from ..estimators import DiffusionImputer
from ..reporting.answer import Answer, TextTable
from .fitted_table import PIECE, FittedTable, is_empty
from .imputation import Imputation
from .model import OpenedModel, model_stamp, seed_of
from .row_answers import RowOutliers, RowScores
from .row_stream import RowStream

SLOW_PIECE = 500
"""Rows of a piece that a network fills: a stopped run repeats one piece at most."""

SUMMARISED = 64
"""Draws that a filled value summarises."""

SAID = 5.0
"""Seconds from which on a message says how long an imputation takes."""

NUMPY = (".npy", ".npz")
"""Files that hold numbers only."""


class RowVerbs(OpenedModel):
    """The verbs score, impute and outliers of a fitted table."""

    table: FittedTable

    def score(
        self,
        data: str | Path | None = None,
        *,
        by_column: bool = False,
        out: Path | None = None,
    ) -> Answer:
        """Computes the log-density of each row, in nats of the table's own units.

        Args:
            data: the file to score.
            by_column: also compute what each column costs given the others,
                -log p(value | the others), in nats, under the closed-form law.
            out: the file to write the score of each row to; by default none.
        """
        if data is None:
            raise ValueError("a fitted table holds no test rows: name a file with --data")
        file, names = self.table.file(Path(data)), list(self.table.types)

        stream = self._stream("score", file, out, PIECE, {"by_column": by_column})
        moments, costs = _Moments(1), _Moments(len(names))

        def look(found: pl.DataFrame) -> None:
            moments.add(found["log_prob"].to_numpy()[:, None])
            if by_column:
                costs.add(found.select([f"{name}_nats" for name in names]).to_numpy())

        answer = RowScores(self.table, by_column)
        stream.run(_as_written(file, out, PIECE), answer, look=look)
        shown: list[object] = []
        if out is not None:
            shown.append(f"wrote {out}: the score of each row, in nats")
        return self._score_answer(shown, moments, costs if by_column else None)

    def _score_answer(
        self, shown: list[object], moments: "_Moments", costs: "_Moments | None"
    ) -> Answer:
        """The means of scores and of the costs of columns, for a reader and as JSON values."""
        names = list(self.table.types)
        if moments.infinite[0]:
            shown.append(
                f"{counted(int(moments.infinite[0]), 'row')} with probability 0: they hold a value "
                "that the model does not know"
            )
        mean, error, count = float(moments.mean[0]), float(moments.error[0]), moments.count
        per_dim = np.log(2) * len(names)
        units = [
            ("nats", f"{mean:.4f}", f"{error:.4f}"),
            ("bits per dimension", f"{-mean / per_dim:.4f}", f"{error / per_dim:.4f}"),
        ]
        shown += [self.table.about, TextTable(f"{count} rows", ("unit", "mean", "s.e."), units)]
        facts: dict[str, Any] = {"nats": mean, "stderr": error}
        facts |= {"bits_per_dim": -mean / per_dim, "rows": count}
        if costs is not None:
            each = [
                (name, f"{costs.finite_mean[k]:.4f}", f"{int(costs.infinite[k])}")
                for k, name in enumerate(names)
            ]
            header = ("column given the others", "mean nats", "impossible")
            shown.append(TextTable("cost of each column", header, each))
            facts["columns"] = dict(zip(names, costs.finite_mean.tolist(), strict=True))
        return Answer(facts, shown)

    def impute(
        self,
        data: str | Path,
        *,
        draws: int | None = None,
        one: bool = False,
        intervals: float | None = None,
        method: Literal["auto", "fast", "network"] = "auto",
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Fills missing values by the rest of each row: the mean of numbers, the median of whole
        numbers, the most frequent class. Known values keep their value.

        Args:
            data: the file to fill.
            draws: also write so many completed copies, each filled with a single draw: `x.1.csv`,
                `x.2.csv`, ... beside `x.csv`.
            one: fill with a single draw instead.
            intervals: the probability that an interval holds, 0.9 for example: columns `x_low` and
                `x_high` are added for each column of numbers with missing values.
            method: how values are drawn where a network corrects the closed-form law: "fast" by the
                closed form, "network" by the network, "auto" by the better one.
            out: the file to write; by default `imputed` in the run's folder, with the same ending.
            rng: a seed, a generator, or None for a random seed.
        """
        if draws is not None and draws < 1:
            raise ValueError(f"--draws is how many copies to write, 1 or more, got {draws}")
        if intervals is not None and not 0 < intervals < 1:
            raise ValueError(f"--intervals is a share between 0 and 1, got {intervals}")
        if one and intervals is not None:
            raise ValueError("a single draw has no interval: give --one or --intervals, not both")
        seed, file = seed_of(rng), self.table.file(Path(data))
        path = Path(out or self.result(f"imputed{file.path.suffix}"))
        holes = self._holes(file)
        imputer = DiffusionImputer.of(
            self.table.density, draws=1 if one else SUMMARISED, method=method, random_state=seed
        )
        style = file.style if file.cells else self.table.style
        work = Imputation(self.table, imputer, holes.columns, intervals, draws or 0, style)
        self._say_how_long(work, holes)
        stream = self._stream(
            "impute",
            file,
            path,
            SLOW_PIECE if work.by_network else PIECE,
            {"options": [draws, one, intervals, method, seed]},
            holes.rows,
        )
        copies = [_copy_of(path, number) for number in range(1, (draws or 0) + 1)]
        outputs = {path: work.filled} | {
            each: partial(work.copy, number=number) for number, each in enumerate(copies, 1)
        }
        rows = stream.run(_as_written(file, path, stream.rows), work, outputs)
        shown = [f"wrote {path}: {holes.cells} missing values of {rows} rows filled"]
        facts: dict[str, Any] = {"imputed": str(path), "filled": holes.cells, "rows": rows}
        if copies:
            facts["copies"] = [str(each) for each in copies]
            shown.append(f"wrote {len(copies)} completed copies, {copies[0]} to {copies[-1].name}")
        return Answer(facts, shown)

    def outliers(
        self,
        data: str | Path,
        *,
        level: float = 0.05,
        why: bool = True,
        out: Path | None = None,
    ) -> Answer:
        """Finds rows that are unlike the fitted rows: log-density, p-value, verdict and reasons of
        each. On average at most a share of `level` of ordinary rows is called an outlier.

        Args:
            data: the file to judge.
            level: the share of ordinary rows that may be called outliers.
            why: name the columns of each outlier that cost most given the others, and what was
                expected there, in the column `why`.
            out: the file to write; by default `outliers.csv` in the run's folder.
        """
        if not 0 < level < 1:
            raise ValueError(f"--level is a share between 0 and 1, got {level}")
        file, path = self.table.file(Path(data)), Path(out or self.result("outliers.csv"))
        detector, count = self.table.detector(level), 0
        explained = why and self.table.density.fitted_.closed_form is not None
        explained = explained and path.suffix.lower() not in NUMPY

        stream = self._stream("outliers", file, path, PIECE, {"options": [level, explained]})

        def look(found: pl.DataFrame) -> None:
            nonlocal count
            count += int(found["outlier"].sum())

        style = file.style if file.cells else self.table.style
        answer = RowOutliers(self.table, detector, explained, style.decimal)
        rows = stream.run(_as_written(file, path, PIECE), answer, look=look)
        line = (
            f"wrote {path}: {count} of {rows} rows are outliers at level {level:g}, by "
            f"{len(detector.ordinary_)} calibration rows"
        )
        return Answer({"outliers": str(path), "found": count, "rows": rows}, [line])

    def _stream(
        self,
        verb: str,
        file: TableFile,
        target: Path | None,
        rows: int,
        plan: dict[str, Any],
        total: int | None = None,
    ) -> RowStream:
        # Text files are written as the one that was read; all answers but `impute` have names.
        style = file.style if file.cells else self.table.style
        style = style if verb == "impute" else replace(style, header=True)
        plan = {"model": model_stamp(self.folder), **plan}
        count = file.rows if total is None else total
        return RowStream(verb, file.path, target, rows, count, plan, self.display, style)

    def _say_how_long(self, work: Imputation, holes: "_Holes") -> None:
        """Says what an imputation by a network costs before it is spent."""
        if not work.by_network or holes.sample is None:
            return
        seconds = work.seconds(holes.sample) * holes.rows / len(holes.sample)
        if seconds > SAID:
            self.display.say(
                f"{counted(holes.rows, 'row')} with missing values take about {seconds:,.0f} s, as "
                "a network draws them; --method fast draws them by the closed form, in far less"
            )

    def _holes(self, file: TableFile) -> "_Holes":
        """What is missing in a file, except in columns that have never had a value."""
        empty = {each.name for each in self.table.density.table_.columns if is_empty(each)}
        cells, rows = dict.fromkeys([n for n in self.table.types if n not in empty], 0), 0
        sample: pl.DataFrame | None = None
        for whole in file.pieces(PIECE):
            piece = self.table.fitted(whole).select(list(cells))
            for column in piece:
                cells[column.name] += column.null_count()
            holes = piece.select(pl.any_horizontal(pl.all().is_null())).to_series()
            holed = piece.filter(holes)
            rows += len(holed)
            if len(holed) and sample is None:
                sample = self.table.fitted(whole).filter(holes).head(32)
        columns = tuple(name for name, count in cells.items() if count)
        return _Holes(sum(cells.values()), rows, columns, sample)


@dataclass(frozen=True)
class _Holes:
    """What is missing in a file: how many cells, in how many rows and in which columns; and a few
    of the rows."""

    cells: int
    rows: int
    columns: tuple[str, ...]
    sample: pl.DataFrame | None


class _Moments:
    """The mean and its standard error of numbers that come in pieces, for each of some columns."""

    def __init__(self, columns: int) -> None:
        self.count, self.infinite = 0, np.zeros(columns)
        self._sums = np.zeros((2, columns))

    def add(self, values: np.ndarray) -> None:
        """Adds numbers with shape (n, columns)."""
        finite = np.where(np.isfinite(values), values, 0.0)
        self.count += len(values)
        self.infinite += np.isinf(values).sum(0)
        self._sums += np.stack([finite.sum(0), (finite**2).sum(0)])

    @property
    def finite_mean(self) -> np.ndarray:
        """The mean of the finite numbers."""
        return np.asarray(self._sums[0] / np.maximum(self.count - self.infinite, 1))

    @property
    def mean(self) -> np.ndarray:
        """The mean; minus infinity where a number is."""
        return np.where(self.infinite > 0, -np.inf, self.finite_mean)

    @property
    def error(self) -> np.ndarray:
        """The standard error of the mean; NaN where it is infinite or there is one number."""
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.maximum(self._sums[1] / self.count - self.mean**2, 0.0)
            return np.where(self.infinite > 0, np.nan, np.sqrt(spread / (self.count - 1)))


def _as_written(file: TableFile, target: Path | None, rows: int) -> Iterator[FileRows]:
    """The rows of a file; with their texts, if both the file and the target are text."""
    if target is not None and is_text(target):
        return file.pieces_with_texts(rows)
    return map(FileRows, file.pieces(rows))


def _copy_of(path: Path, number: int) -> Path:
    """The file of a completed copy: x.3.csv beside x.csv."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")
