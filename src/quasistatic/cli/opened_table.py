"""A fitted table in its folder: the estimator, and what files look like that it knows."""

__all__ = ["OpenedTable", "is_table"]

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from .._utils import files
from .._utils.validation import nearest
from ..data.table_files import open_table, write_table
from ..estimators import DiffusionDensity, DiffusionOutliers

ABOUT, HELD_BACK = "table.json", "calibration.parquet"

MOST_PLACES = 7
"""Decimals from which on numbers are taken for reals."""

PIECE = 10_000
"""Rows of a file that are looked at together."""


def is_table(folder: Path) -> bool:
    """Whether that is what `quasistatic fit` wrote of a table."""
    return (folder / ABOUT).is_file()


@dataclass(frozen=True, eq=False)
class OpenedTable:
    """A fitted table.

    Args:
        folder: that it is in.
        density: the estimator.
        types: of the columns that it was fitted to, by name and in their order, as polars has
            them.
        places: of the columns whose numbers have few, decimals after the point, which those that
            are written are rounded to.
    """

    folder: Path
    density: DiffusionDensity
    types: dict[str, Any]
    places: dict[str, int]

    @classmethod
    def of(cls, folder: Path, density: DiffusionDensity, rows: pl.DataFrame) -> Self:
        """Of an estimator that was fitted to such rows."""
        found = {each.name: _places(each) for each in rows if each.dtype.is_numeric()}
        places = {name: count for name, count in found.items() if count is not None}
        return cls(folder, density, dict(rows.schema), places)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What :meth:`save` kept.

        Raises:
            FileNotFoundError: if the folder holds none.
            ValueError: if it is damaged.
        """
        path = folder / ABOUT
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}: `quasistatic fit` writes such folders")
        try:
            about = json.loads(path.read_text())
            places = dict(about["places"])
            types = pl.read_parquet_schema(folder / HELD_BACK)
        except (ValueError, KeyError, TypeError, OSError, pl.exceptions.PolarsError) as error:
            raise ValueError(f"{path} is damaged ({error!r}): fit again") from None
        return cls(folder, DiffusionDensity.load(folder), dict(types), places)

    def save(self, held_back: pl.DataFrame) -> None:
        """Keeps it, with rows that were held back, by which :meth:`detector` judges; their file
        has the types of the columns."""
        self.density.save(self.folder)
        write_table(self.folder / HELD_BACK, [held_back])
        about = json.dumps({"places": self.places}, indent=2)
        files.write_text(self.folder / ABOUT, about + "\n")

    def detector(self, level: float) -> DiffusionOutliers:
        """What finds outliers.

        Raises:
            ValueError: if no rows were held back.
        """
        held_back = pl.read_parquet(self.folder / HELD_BACK)
        if not len(held_back):
            raise ValueError(
                f"{self.folder} holds no calibration rows: fit again with a larger --calibration"
            )
        return DiffusionOutliers.of(self.density, level=level).calibrate(held_back)

    def pieces(self, data: Path, rows: int = PIECE) -> Iterator[pl.DataFrame]:
        """A file's rows, so many at a time, with the columns that were fitted, in their order.

        Raises:
            ValueError: if one of them is missing, or the file is damaged: where.
        """
        names = [name for name, kind in self.types.items() if kind == pl.String]
        file = open_table(data, dict.fromkeys(names, pl.String()))
        for name in self.types:
            if name not in file.names:
                raise ValueError(f"there is no column {name!r}: {nearest(name, file.names)}")
        for piece in file.pieces(rows):
            yield piece.select(self._widened(piece[name]) for name in self.types)

    def numbers(self, piece: pl.DataFrame) -> np.ndarray:
        """Rows as the model has them, (n, C') in float64; NaN is missing.

        Raises:
            ValueError: if one is none that the model knows: which.
        """
        return self.density.numbers(piece)

    def rows(self, numbers: np.ndarray) -> Any:
        """Rows as an estimator gives them, of numbers as the model has them."""
        return self.density.rows(numbers)

    def frame(self, rows: Any) -> pl.DataFrame:
        """Rows as an estimator gives them, an array (N, C) or a frame, with names and types."""
        if isinstance(rows, np.ndarray):
            rows = pl.DataFrame(dict(zip(self.types, rows.T, strict=True)))
        return rows.select(self._typed(rows[name]) for name in self.types)

    def _widened(self, column: pl.Series) -> pl.Series:
        """A column of a file as it was typed when it was fitted, where that loses nothing: one
        that happens to hold whole numbers only, or nothing."""
        kind = self.types[column.name]
        loses = column.null_count() < len(column) and not (
            column.dtype.is_integer() and kind.is_float()
        )
        return column if loses else column.cast(kind)

    def _typed(self, column: pl.Series) -> pl.Series:
        """A column as it was typed when it was fitted; NaN is missing."""
        kind = self.types[column.name]
        if column.dtype.is_float():
            column = column.fill_nan(None)
            places = self.places.get(column.name)
            column = column if places is None else column.round(places)
        if kind.is_integer():
            span = np.iinfo(str(kind).lower())
            column = column.clip(span.min, span.max)
        return column.cast(kind)


def _places(column: pl.Series) -> int | None:
    """Decimals after the point that all of its numbers do with; None if that takes many."""
    known = column.drop_nulls()
    return next((k for k in range(MOST_PLACES) if (known == known.round(k)).all()), None)
