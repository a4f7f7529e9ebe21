"""The interface of every column of a table."""

__all__ = ["Column"]

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..._utils.row_errors import RowError
from ..frames import Series
from ..space import Space


@dataclass(frozen=True)
class Column(abc.ABC):
    """A column of a table. Base class.

    Args:
        name: as in the data.
        missing: the share of rows without a value when the column was inferred.
        dtype: the type in the library that the data came from, as text.
    """

    kind: ClassVar[str]
    """The name of the type, for a reader."""

    name: str
    missing: float
    dtype: str

    @property
    @abc.abstractmethod
    def space(self) -> type[Space] | None:
        """The class of the space that columns of this kind make together; None if they take no part
        in a model."""

    @property
    @abc.abstractmethod
    def range(self) -> str:
        """Its values, as text for a reader."""

    @property
    @abc.abstractmethod
    def placeholder(self) -> float:
        """A valid number, which fills in where a value is missing."""

    @abc.abstractmethod
    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        """Which numbers the column cannot hold.

        Args:
            numbers: without NaN, shape (N,).

        Returns:
            Booleans, shape (N,).
        """

    @property
    @abc.abstractmethod
    def accepted(self) -> str:
        """What the column can hold and what to do about other values: the end of an error
        message."""

    @property
    def named(self) -> bool:
        """Whether its values are strings or bits rather than numbers."""
        return False

    def with_margin(self, numbers: np.ndarray) -> "Column":
        """The column with a range that leaves room for new extremes.

        Args:
            numbers: the rows that are known, shape (N,).
        """
        return self

    def check(self, numbers: np.ndarray, incomplete: bool = False) -> None:
        """Checks numbers of this column.

        Args:
            numbers: NaN where a value is missing, shape (N,).
            incomplete: whether missing values are allowed although none was missing when the column
                was inferred.

        Raises:
            ValueError: if a number is invalid or must not be missing; the message says in which
                row.
        """
        missing = np.isnan(numbers)
        if missing.any() and self.missing == 0 and not incomplete:
            raise RowError(
                f"column {self.name!r} has a missing value",
                int(missing.argmax()),
                ", and had none when the table was inferred: fill it by `impute`, or infer the "
                "table from rows with missing values",
            )
        invalid = ~missing & self.invalid(np.where(missing, self.placeholder, numbers))
        if invalid.any():
            row = int(invalid.argmax())
            raise RowError(
                f"column {self.name!r} holds {numbers[row]:g}",
                row,
                f", and it takes {self.accepted}",
            )

    def numbers(self, series: Series) -> np.ndarray:
        """The column's values as numbers.

        Args:
            series: values of the data.

        Returns:
            float64, NaN where a value is missing, shape (N,).

        Raises:
            ValueError: if a value is none of this column; the message says in which row.
        """
        if series.numbers is None:
            values = enumerate(series.names or [])
            row, value = next((i, v) for i, v in values if not _is_number(v))
            raise RowError(
                f"column {self.name!r} holds {value!r}", row, f", and it takes {self.accepted}"
            )
        return series.numbers

    def read_with_unknowns(self, series: Series) -> np.ndarray:
        """The same, with infinity for a value that the column cannot hold."""
        numbers = self.numbers(series)
        missing = np.isnan(numbers)
        invalid = ~missing & self.invalid(np.where(missing, self.placeholder, numbers))
        return np.where(invalid, np.inf, numbers)

    def typical(self, draws: Tensor) -> Tensor:
        """One number that represents several draws: the most frequent one, unless a column says
        otherwise.

        Args:
            draws: shape (N, n).

        Returns:
            Shape (N,).
        """
        return draws.mode(1).values

    def rounded(self, draws: Tensor) -> Tensor:
        """Drawn numbers (N,) with the decimals that the data have."""
        return draws

    def values(self, numbers: np.ndarray) -> list[Any]:
        """Numbers (N,) as Python values, None for NaN."""
        return [None if each != each else each for each in numbers.tolist()]


def _is_number(value: Any) -> bool:
    """Whether a value of a column of objects is a number, or missing."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
