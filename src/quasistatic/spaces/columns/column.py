"""What every column of a table is."""

__all__ = ["Column"]

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from ..frames import Series
from ..space import Space


@dataclass(frozen=True)
class Column(abc.ABC):
    """A column of a table.

    Args:
        name: what it is called.
        missing: the share of rows that lacked a value when it was inferred.
        dtype: its type, as the library calls it that it came from.
    """

    kind: ClassVar[str]
    """The type, for a person."""

    name: str
    missing: float
    dtype: str

    @property
    @abc.abstractmethod
    def space(self) -> type[Space] | None:
        """The kind of space that columns like this make together; None for no part in a model."""

    @property
    @abc.abstractmethod
    def range(self) -> str:
        """What values it has, for a person."""

    @property
    @abc.abstractmethod
    def placeholder(self) -> float:
        """A number of the column that can stand where nothing is known."""

    @abc.abstractmethod
    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        """Which of the numbers (N,), none of them NaN, the column cannot hold, (N,)."""

    @property
    @abc.abstractmethod
    def takes(self) -> str:
        """What it can hold, and what to do about other things: the end of an error message."""

    @property
    def named(self) -> bool:
        """Whether its values are names, or bits, rather than numbers."""
        return False

    def with_room(self, numbers: np.ndarray) -> "Column":
        """The column for rows like these numbers (N,), which may go a little beyond them."""
        return self

    def check(self, numbers: np.ndarray, incomplete: bool = False) -> None:
        """ValueError if one of the numbers (N,) is none of this column: in which row. Holes are
        none if there were none when it was inferred, unless it may be `incomplete`."""
        missing = np.isnan(numbers)
        if missing.any() and self.missing == 0 and not incomplete:
            raise ValueError(
                f"column {self.name!r} lacks a value in row {int(missing.argmax())}, and lacked "
                "none when the table was inferred: fill it by `impute`, or infer the table from "
                "rows that have such holes"
            )
        wrong = ~missing & self.wrong(np.where(missing, self.placeholder, numbers))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"column {self.name!r} holds {numbers[row]:g} in row {row}, and it takes "
                f"{self.takes}"
            )

    def numbers(self, series: Series) -> np.ndarray:
        """The column's values as numbers (N,) in float64, NaN where one is missing.

        Raises:
            ValueError: if one is not a value of this column: in which row.
        """
        if series.numbers is None:
            raise ValueError(f"column {self.name!r} holds names, and it takes {self.takes}")
        return series.numbers

    def read_with_unknowns(self, series: Series) -> np.ndarray:
        """The same, where infinity stands for what the column cannot hold."""
        numbers = self.numbers(series)
        missing = np.isnan(numbers)
        wrong = ~missing & self.wrong(np.where(missing, self.placeholder, numbers))
        return np.where(wrong, np.inf, numbers)

    def typical(self, draws: Tensor) -> Tensor:
        """One number for the draws (N, n) of each row, (N,): the one that comes most often."""
        return draws.mode(1).values

    def values(self, numbers: np.ndarray) -> list:
        """Numbers (N,) as Python values, None for NaN."""
        return [None if each != each else each for each in numbers.tolist()]
