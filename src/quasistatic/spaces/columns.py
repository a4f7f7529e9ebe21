"""The types of a table's columns: what each needs to turn raw values into numbers, and back."""

__all__ = [
    "BinaryColumn",
    "CategoryColumn",
    "Column",
    "ConstantColumn",
    "IntegerColumn",
    "NumericColumn",
]

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..checks import nearest
from .frames import Series
from .integers import Integers
from .one_hot import OneHot
from .space import Space
from .warped import Warped

ROOM = 0.01
"""The share of rows at an end of a range, or three of few, up to which more may lie beyond it."""


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
    def filler(self) -> float:
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
        wrong = ~missing & self.wrong(np.where(missing, self.filler, numbers))
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

    def judged(self, series: Series) -> np.ndarray:
        """The same, where infinity stands for what the column cannot hold."""
        numbers = self.numbers(series)
        missing = np.isnan(numbers)
        wrong = ~missing & self.wrong(np.where(missing, self.filler, numbers))
        return np.where(wrong, np.inf, numbers)

    def typical(self, draws: Tensor) -> Tensor:
        """One number for the draws (N, n) of each row, (N,): the one that comes most often."""
        return draws.mode(1).values

    def values(self, numbers: np.ndarray) -> list:
        """Numbers (N,) as Python values, None for NaN."""
        return [None if each != each else each for each in numbers.tolist()]


@dataclass(frozen=True)
class NumericColumn(Column):
    """Real numbers. x_0 rises along straight lines through knots: two for a shift and a scale,
    several for quantiles.

    Args:
        at: raw values of the knots.
        to: x_0 of the knots.
        low, high: the least and the largest value seen.
    """

    kind: ClassVar[str] = "numeric"

    at: tuple[float, ...]
    to: tuple[float, ...]
    low: float
    high: float

    @property
    def space(self) -> type[Space]:
        return Warped

    @property
    def range(self) -> str:
        how = "standardised" if len(self.at) == 2 else f"{len(self.at)} quantiles"
        return f"{self.low:.6g} to {self.high:.6g}, {how}"

    @property
    def filler(self) -> float:
        return self.at[0]

    def typical(self, draws: Tensor) -> Tensor:
        """The mean."""
        return draws.mean(1)

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return ~np.isfinite(numbers)

    @property
    def takes(self) -> str:
        return "finite numbers: remove or mark what is not one as missing"


@dataclass(frozen=True)
class IntegerColumn(Column):
    """Whole numbers from `low` to `high`.

    Args:
        shift, scale: that standardise them.
        shares: of each number where there are few, which are then diffused as classes; else ().
    """

    kind: ClassVar[str] = "integer"

    low: int
    high: int
    shift: float
    scale: float
    shares: tuple[float, ...] = ()

    @property
    def lowest(self) -> int:
        """The number of the first class, where there are few."""
        return self.low

    @property
    def space(self) -> type[Space]:
        return OneHot if self.shares else Integers

    @property
    def range(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def filler(self) -> float:
        return self.low

    def with_room(self, numbers: np.ndarray) -> "IntegerColumn":
        """A wide range goes on for half its width beyond an end that hardly a row is at, but not
        below 0 if none is: the next rows have a new extreme now and then. Where many rows are at
        an end, or numbers are few, there is no more."""
        if self.shares:
            return self
        most = max(3.0, ROOM * np.isfinite(numbers).sum())
        room = (self.high - self.low + 1) // 2
        low = self.low if (numbers == self.low).sum() > most else self.low - room
        high = self.high if (numbers == self.high).sum() > most else self.high + room
        return replace(self, low=max(low, min(self.low, 0)), high=high)

    def typical(self, draws: Tensor) -> Tensor:
        """The median, a number that was drawn."""
        return draws.median(1).values

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers != np.round(numbers)) | (numbers < self.low) | (numbers > self.high)

    @property
    def takes(self) -> str:
        return (
            f"whole numbers from {self.low} to {self.high}: infer the table from all the rows that "
            f"there will be, or with types={{{self.name!r}: 'numeric'}}"
        )

    def values(self, numbers: np.ndarray) -> list:
        return [None if each != each else round(each) for each in numbers.tolist()]


@dataclass(frozen=True)
class _Named(Column):
    """Values by name: number k is the k-th of `classes`."""

    classes: tuple
    shares: tuple[float, ...]

    @property
    def space(self) -> type[Space]:
        return OneHot

    @property
    def lowest(self) -> int:
        return 0

    @property
    def range(self) -> str:
        shown = ", ".join(map(str, self.classes[:4]))
        return shown + (f", … ({len(self.classes)})" if len(self.classes) > 4 else "")

    @property
    def filler(self) -> float:
        return 0.0

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers != np.round(numbers)) | (numbers < 0) | (numbers > len(self.classes) - 1)

    @property
    def takes(self) -> str:
        return (
            f"the numbers from 0 to {len(self.classes) - 1} of its classes: read names with "
            "Table.read"
        )

    @property
    def named(self) -> bool:
        return True

    def judged(self, series: Series) -> np.ndarray:
        number = {each: float(k) for k, each in enumerate(self.classes)}
        values = self.as_python(series)
        found = [np.nan if value is None else number.get(value, np.inf) for value in values]
        return np.array(found, dtype=np.float64)

    def numbers(self, series: Series) -> np.ndarray:
        numbers = self.judged(series)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax())
            value = self.as_python(series)[row]
            raise ValueError(
                f"column {self.name!r} holds {value!r} in row {row}, which was not there when the "
                f"table was inferred: {nearest(str(value), map(str, self.classes))}"
            )
        return numbers

    def values(self, numbers: np.ndarray) -> list:
        return [None if each != each else self.classes[round(each)] for each in numbers.tolist()]

    @staticmethod
    def as_python(series: Series) -> list:
        """Values as Python has them, whole numbers as int, None for what is missing."""
        if series.numbers is None:
            return series.names or []
        return [
            None if v != v else (int(v) if v == round(v) else v) if abs(v) < 2**53 else v
            for v in series.numbers.tolist()
        ]


@dataclass(frozen=True)
class BinaryColumn(_Named):
    """One of two values; number 1 is the second."""

    kind: ClassVar[str] = "binary"


@dataclass(frozen=True)
class CategoryColumn(_Named):
    """One of several values without an order."""

    kind: ClassVar[str] = "categorical"


@dataclass(frozen=True)
class ConstantColumn(Column):
    """A value that is always the same, or never there: it is given back as it was, and has no
    part in the model.

    Args:
        value: None if the column was empty.
    """

    kind: ClassVar[str] = "constant"

    value: Any

    @property
    def space(self) -> None:
        return None

    @property
    def range(self) -> str:
        return "empty" if self.value is None else f"{self.value}"

    @property
    def filler(self) -> float:
        return float("nan") if self.value is None else self._number

    @property
    def _number(self) -> float:
        """The value itself where it is a number, 0 where it is a name."""
        return float(self.value) if isinstance(self.value, int | float) else 0.0

    def wrong(self, numbers: np.ndarray) -> np.ndarray:
        return numbers != self.filler

    @property
    def takes(self) -> str:
        return f"{self.range} only: leave it out, or infer the table from rows that have more"

    @property
    def named(self) -> bool:
        return isinstance(self.value, str | bool)

    def judged(self, series: Series) -> np.ndarray:
        values = _Named.as_python(series)
        number = {None: np.nan, self.value: self.filler}
        return np.array([number.get(value, np.inf) for value in values], dtype=np.float64)

    def numbers(self, series: Series) -> np.ndarray:
        numbers = self.judged(series)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax())
            raise ValueError(
                f"column {self.name!r} holds {_Named.as_python(series)[row]!r} in row {row}, and "
                f"it takes {self.takes}"
            )
        return numbers

    def values(self, numbers: np.ndarray) -> list:
        return [None if each != each else self.value for each in numbers.tolist()]
