"""Tables of mixed columns, in parts, as every method of `mixed.py` sees them."""

__all__ = ["KNOWN", "TABLES", "Task"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import mixed_law
import numpy as np
import pandas as pd
from palmerpenguins import load_penguins
from sklearn.datasets import load_diabetes

import quasistatic as qs

KNOWN = "known law"
KINDS = {
    "IntegerColumn": "integer",
    "NumericColumn": "numeric",
    "CategoryColumn": "categorical",
    "BinaryColumn": "binary",
}
"""The types of columns, by the names of their classes."""


@dataclass(frozen=True)
class Task:
    """A table in three parts, and its columns as the estimator takes them, without atoms:
    probabilities of repeated numbers do not compare with densities."""

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame, split: int) -> "Task":
        parts = qs.data.split(np.arange(len(frame)), valid=0.15, test=0.2, seed=split)
        rows = parts.train, parts.valid, parts.test
        return cls(*(frame.iloc[part].reset_index(drop=True) for part in rows))

    @cached_property
    def both(self) -> pd.DataFrame:
        return pd.concat([self.train, self.valid], ignore_index=True)

    @cached_property
    def table(self) -> qs.Table:
        # Here, so that `one_law.py` has the tables under older code too.
        from quasistatic.estimators.table_columns import table_of
        from quasistatic.spaces.frames import Frame

        return table_of(Frame.of(self.both), self.types, None)

    @cached_property
    def types(self) -> dict[str, str]:
        """What each column is, without atoms."""
        return {each.name: KINDS[type(each).__name__] for each in qs.Table.infer(self.both).columns}

    @cached_property
    def shares(self) -> list[np.ndarray]:
        """Of each column of classes, the probabilities of these: counts, and one more of each."""
        return [np.array(self.table.columns[k].shares) for k in self._which[0]]

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Classes (N, K) by number from 0, NaN a hole."""
        lowest = [self.table.columns[k].lowest for k in self._which[0]]
        return self.rows(frame)[:, self._which[0]] - np.array(lowest)

    def numbers(self, frame: pd.DataFrame) -> np.ndarray:
        """Real numbers and whole ones of a wide range (N, D), standardised, NaN a hole."""
        shift, scale = self._standard
        return (self.rows(frame)[:, self._which[1]] - shift) / scale

    def log_volume(self, numbers: np.ndarray) -> np.ndarray:
        """log |d numbers / d raw| of what is there of each row, with shape (N,)."""
        return -np.where(np.isnan(numbers), 0.0, np.log(self._standard[1])).sum(1)

    def rows(self, frame: pd.DataFrame) -> np.ndarray:
        """As numbers (N, C) in float64, NaN a hole."""
        return self.table.read(frame).numpy()

    @cached_property
    def _which(self) -> tuple[list[int], list[int]]:
        """The columns of classes, and those of numbers."""
        classes = [k for block in self.table.blocks if block.sizes for k in block.columns]
        numbers = [k for block in self.table.blocks if not block.sizes for k in block.columns]
        return classes, numbers

    @cached_property
    def _standard(self) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows(self.both)[:, self._which[1]]
        return np.nanmean(rows, 0), np.nanstd(rows, 0)


def cars() -> pd.DataFrame:
    """Without names, which tell rows apart, and with the year as a number."""
    from vega_datasets import local_data

    frame = local_data.cars().drop(columns="Name")
    return frame.assign(Year=frame["Year"].dt.year)


def weather() -> pd.DataFrame:
    """Days. Temperatures as they were read, in whole degrees Fahrenheit, and wind in tenths; rain,
    of which half of the days have none, has no density, and is whether there was some."""
    from vega_datasets import local_data

    frame = local_data.seattle_weather()
    degrees = {name: (1.8 * frame[name] + 32).round() for name in ("temp_max", "temp_min")}
    kinds = {"month": frame["date"].dt.month, "wet": frame["precipitation"] > 0}
    kinds |= {"weather": frame["weather"].astype(object)}
    return pd.DataFrame(kinds | degrees | {"wind": (10 * frame["wind"]).round()})


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "penguins": load_penguins,
    "cars": cars,
    "diabetes": lambda: load_diabetes(as_frame=True, scaled=False).data,
    "weather": weather,
    KNOWN: lambda: mixed_law.drawn(20_000),
}
