"""A fitted table in its folder: the estimator, and the types of the columns of its files.

The estimators are used here and nowhere else in this package.
"""

__all__ = [
    "HELD_BACK",
    "PIECE",
    "FittedTable",
    "TablePlan",
    "is_empty",
    "unused",
]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from .._utils import files
from .._utils.json_files import read_json
from .._utils.naming import nearest
from ..data.table_files import FileRows, Reading, Style, TableFile, open_with, write_table
from ..diffusion import Diffusion, read_config
from ..estimators import DiffusionDensity, DiffusionOutliers
from ..recipes.locations import naming_damage
from ..spaces.columns import Column, ConstantColumn
from ..spaces.roles import Roles
from . import TABLE_FILE

HELD_BACK = "calibration.parquet"
"""The file of the calibration rows, which were not used for fitting. Outliers need them."""

KEPT = ("separator", "decimal", "skip", "skip_end")
"""Choices of a reading that are stored by their names."""

MOST_PLACES = 7
"""Columns whose numbers need at least this many decimals are written in full."""

PIECE = 10_000
"""The number of rows of a file that are in memory at once."""


@dataclass(frozen=True, eq=False)
class TablePlan:
    """A fit that is about to start.

    Args:
        density: the estimator, with its settings.
        frame: the rows of the file that are used.
        reading: how the file was read.
        roles: of the columns of the file; `frame` has the modelled ones.
        style: how the file is written.
    """

    density: DiffusionDensity
    frame: pl.DataFrame
    reading: Reading
    roles: Roles
    style: Style

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        reading: Reading,
        roles: Roles,
        style: Style,
        types: dict[str, str],
        steps: int | None,
        minutes: float | None,
        seed: int,
        device: str = "auto",
    ) -> Self:
        """The plan to fit a table with these settings. The frame has all columns of the file."""
        density = DiffusionDensity(
            steps=steps,
            minutes=minutes,
            types=types or None,
            identity=(),  # the roles are decided for the whole file
            random_state=seed,
            verbose=True,
            device=device,
        )
        return cls(density, frame.select(roles.modelled), reading, roles, style)

    def columns(self) -> tuple[dict[str, tuple[str, str]], list[ValueError]]:
        """The type and the values of each column, as text, and why columns cannot be modelled."""
        return self.density.surveyed(self.frame)

    def seconds(self, rows: np.ndarray) -> float:
        """About how long the fit takes, by fitting a few rows."""
        return self.density.estimated_seconds(self.frame[np.sort(rows)])

    def about(self, rows: np.ndarray) -> str:
        """Describes what would be fitted to the rows of the frame."""
        return self.density.planned(self.frame[np.sort(rows)])

    def fit(self, folder: Path, rows: np.ndarray, held_back: np.ndarray) -> "FittedTable":
        """Fits the model to some rows, and saves it with the calibration rows."""
        self.density.fit(self.frame[np.sort(rows)])
        table = FittedTable.of(
            folder, self.density, self.frame, self.reading, self.roles, self.style
        )
        table.save(self.frame[held_back])
        return table


@dataclass(frozen=True, eq=False)
class FittedTable:
    """A fitted table.

    Args:
        folder: the folder that holds it.
        density: the estimator.
        types: polars types of the columns that it was fitted to, by name and in their order.
        places: for each column whose numbers have few decimals, how many. Numbers are rounded to
            them when they are written.
        reading: how text files were read when it was fitted.
        roles: which columns of the file are modelled, identify rows, or are left out.
        style: how the file was written; text files that the verbs write are written alike.
    """

    folder: Path
    density: DiffusionDensity
    types: dict[str, Any]
    places: dict[str, int]
    reading: Reading = Reading()
    roles: Roles = Roles(())
    style: Style = Style()

    @classmethod
    def of(
        cls,
        folder: Path,
        density: DiffusionDensity,
        rows: pl.DataFrame,
        reading: Reading,
        roles: Roles,
        style: Style,
    ) -> Self:
        """The fitted table of an estimator, which was fitted to the modelled columns of `rows`."""
        found = {each.name: _places(each) for each in rows if each.dtype.is_numeric()}
        places = {name: count for name, count in found.items() if count is not None}
        return cls(folder, density, dict(rows.schema), places, reading, roles, style)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens what :meth:`save` wrote.

        Raises:
            FileNotFoundError: if the folder holds no fitted table.
            ValueError: if one of its files is damaged; the message names it.
        """
        path = folder / TABLE_FILE
        about = read_json(path, "fit again")
        try:
            places = {str(name): int(count) for name, count in about["places"].items()}
            words = tuple(map(str, about.get("missing", ())))
            style = Style.of(about["style"]) if "style" in about else Style()
            reading = Reading(
                header=about.get("header"),
                missing=words,
                encoding=about.get("encoding"),
                notations=style.notations,
                **{name: about[name] for name in KEPT if name in about},
            )
            identity, left_out = (
                tuple(map(str, about.get(name, ()))) for name in ("identity", "left_out")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error!r}): fit again") from None
        kept = folder / HELD_BACK
        try:
            types = pl.read_parquet_schema(kept)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ValueError(f"{kept} is missing or damaged ({error}): fit again") from None
        with naming_damage(folder / "config.json", "restore a copy, or fit again"):
            Diffusion.build(read_config(folder)["model"])  # so that the error names this file
        with naming_damage(folder / "estimator.json", "restore a copy, or fit again"):
            density = DiffusionDensity.load(folder)
        roles = Roles(tuple(types), identity, left_out)
        return cls(folder, density, dict(types), places, reading, roles, style)

    def save(self, held_back: pl.DataFrame) -> None:
        """Saves the table with rows that were held back, which :meth:`detector` needs; their file
        also keeps the types of the columns."""
        self.density.save(self.folder)
        write_table(self.folder / HELD_BACK, [held_back])
        kept: dict[str, Any] = {"places": self.places, "header": self.reading.header}
        kept |= {"missing": list(self.reading.missing), "encoding": self.reading.encoding}
        kept |= {name: getattr(self.reading, name) for name in KEPT}
        kept |= {"style": self.style.facts()}
        kept |= {"identity": list(self.roles.identity), "left_out": list(self.roles.left_out)}
        about = json.dumps(kept, indent=2)
        files.write_text(self.folder / TABLE_FILE, about + "\n")

    @property
    def model(self) -> Diffusion:
        """The diffusion model of the columns that vary."""
        return self.density.model_

    @property
    def about(self) -> str:
        """Whether a score of its rows is exact or a lower bound, as text."""
        return str(self.density.fitted_.about)

    @property
    def summary(self) -> Any:
        """The summary of the fit, with `facts()` as JSON values."""
        return self.density.summary_

    def score(self, piece: pl.DataFrame) -> np.ndarray:
        """log p of each row in nats, with shape (n,)."""
        return self.density.score_samples(piece)

    def draw(self, count: int, seed: int, given: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Rows drawn from the model, with the names and types of the columns.

        Args:
            count: how many.
            seed: of the draws.
            given: of some columns, see :meth:`DiffusionDensity.sample`.
        """
        return self.frame(self.density.sample(count, seed, given=given))

    def held_back(self) -> pl.DataFrame:
        """The rows that were not used to fit the model."""
        return pl.read_parquet(self.folder / HELD_BACK)

    def detector(self, level: float) -> DiffusionOutliers:
        """The outlier detector that is calibrated by the rows that were held back.

        Raises:
            ValueError: if no rows were held back.
        """
        held_back = self.held_back()
        if not len(held_back):
            raise ValueError(
                f"{self.folder} holds no calibration rows: fit again with a larger --calibration"
            )
        return DiffusionOutliers.of(self.density, level=level).calibrate(held_back)

    def pieces(self, data: Path, rows: int = PIECE) -> Iterator[pl.DataFrame]:
        """The rows of a file in pieces of `rows` rows, with the fitted columns in their order.

        Raises:
            ValueError: if a column is missing, or the file is damaged; the message says where.
        """
        return (self.fitted(piece) for piece in self.file(data).pieces(rows))

    def file(self, data: Path) -> TableFile:
        """A file that is read as the one was that the table was fitted to.

        Raises:
            ValueError: if a fitted column is missing, or the file is damaged: where.
        """
        notations = dict(self.style.notations)
        own = replace(self.reading, types=self.types, left_out=len(self.roles.carried))
        file = open_with(data, replace(own, notations=notations))
        absent = [name for name in self.types if name not in file.names]
        if absent:
            near = "; ".join(f"{name!r}: {nearest(name, file.names)}" for name in absent[:20])
            raise ValueError(f"there is no column {near}")
        return file

    def fitted(self, piece: pl.DataFrame) -> pl.DataFrame:
        """The fitted columns of some rows of a file, with their types and in their order."""
        return piece.select(self._widened(piece[name]) for name in self.types)

    def carried(self, piece: FileRows, first: int = 0) -> list[pl.Series]:
        """The columns that each row of an output has beside it, so that it can be joined to the
        file: identities, then the other columns that were not fitted, as they are written in the
        file. If there are none, the number of the row in the file, counted from 1.

        Args:
            piece: some rows of a file, with all its columns.
            first: the number of rows before the piece.
        """
        columns = piece.values.columns
        identity = [name for name in self.roles.identity if name in columns]
        own = {*self.types, *identity}
        carried = [*identity, *(name for name in columns if name not in own)]
        if not carried:
            name = unused("row", columns)
            return [pl.Series(name, np.arange(first + 1, first + 1 + len(piece)))]
        return [piece.as_written(name) for name in carried]

    def numbers(self, piece: pl.DataFrame) -> np.ndarray:
        """Rows as numbers of the model, (n, C') in float64; NaN is missing.

        Raises:
            ValueError: if a row holds a value that the model cannot represent; the message says
                which.
        """
        return self.density.numbers(piece)

    def rows(self, numbers: np.ndarray) -> Any:
        """The estimator's rows of numbers of the model: the inverse of :meth:`numbers`."""
        return self.density.rows(numbers)

    def frame(self, rows: Any) -> pl.DataFrame:
        """An estimator's rows, an array (N, C) or a frame, with the names and types of columns."""
        if isinstance(rows, np.ndarray):
            rows = pl.DataFrame(dict(zip(self.types, rows.T, strict=True)))
        found: pl.DataFrame = rows.select(self._typed(rows[name]) for name in self.types)
        return found

    def _widened(self, column: pl.Series) -> pl.Series:
        """A column of a file with the type that it was fitted with, where the cast loses nothing:
        a real column that holds whole numbers only, or an empty column."""
        kind = self.types[column.name]
        empty = column.null_count() == len(column)
        whole = column.dtype.is_integer() and kind.is_float()
        day = column.dtype == pl.Date and kind == pl.Datetime
        return column.cast(kind) if empty or whole or day else column

    def _typed(self, column: pl.Series) -> pl.Series:
        """A column with the type that it was fitted with; NaN is missing."""
        kind = self.types[column.name]
        if column.dtype.is_float():
            column = column.fill_nan(None)
            places = self.places.get(column.name)
            column = column if places is None else column.round(places)
        if kind.is_integer():
            span = np.iinfo(str(kind).lower())
            column = column.clip(span.min, span.max)
        return column.cast(kind)


def is_empty(column: Column) -> bool:
    """Whether a column had no value in any fitted row, so that nothing can fill it."""
    return isinstance(column, ConstantColumn) and column.value is None


def unused(name: str, taken: Sequence[str]) -> str:
    """A name for a new column: `name`, with underscores if a column has it already."""
    while name in taken:
        name = f"{name}_"
    return name


def _places(column: pl.Series) -> int | None:
    """The number of decimals that all numbers of a column need, or None if they need many."""
    known = column.drop_nulls()
    return next((k for k in range(MOST_PLACES) if (known == known.round(k)).all()), None)
