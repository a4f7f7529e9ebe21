"""Columns of classes, of bits, and of one constant value."""

__all__ = ["BinaryColumn", "CategoryColumn", "ConstantColumn"]

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..._utils.naming import nearest
from ..._utils.row_errors import RowError
from ..frames import Series
from ..one_hot import OneHot
from ..space import Space
from .column import Column


@dataclass(frozen=True)
class _Named(Column):
    """Values by name: number k is the k-th of `classes`.

    Args:
        classes: the values, in order.
        shares: of each class in the data.
        unseen: the probability that a new value is none of them: the share of the rows whose class
            no other row has (Good and Turing). 0 if each class has two rows or more.
    """

    classes: tuple[Any, ...]
    shares: tuple[float, ...]
    unseen: float = field(default=0.0, metadata={"added": True})

    @property
    def space(self) -> type[Space]:
        return OneHot

    @property
    def lowest(self) -> int:
        return 0

    @property
    def range(self) -> str:
        names = [f'"{each}"' if "," in str(each) else str(each) for each in self.classes[:4]]
        shown = ", ".join(names)
        return shown + (f", … ({len(self.classes)})" if len(self.classes) > 4 else "")

    @property
    def placeholder(self) -> float:
        return 0.0

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        fits = (numbers == np.round(numbers)) & (numbers >= 0) & (numbers < len(self.classes))
        return np.asarray(~fits)

    @property
    def accepted(self) -> str:
        return (
            f"the numbers from 0 to {len(self.classes) - 1} of its classes: read strings with "
            "Table.read"
        )

    @property
    def named(self) -> bool:
        return True

    def read_with_unknowns(self, series: Series) -> np.ndarray:
        number = {each: float(k) for k, each in enumerate(self.classes)}
        values = self.as_python(series)
        found = [np.nan if value is None else number.get(value, np.inf) for value in values]
        return np.array(found, dtype=np.float64)

    def numbers(self, series: Series) -> np.ndarray:
        numbers = self.read_with_unknowns(series)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax())
            value = self.as_python(series)[row]
            raise RowError(
                f"column {self.name!r} holds {value!r}",
                row,
                ", which no row had when the table was inferred: "
                + nearest(str(value), map(str, self.classes)),
            )
        return numbers

    def values(self, numbers: np.ndarray) -> list[Any]:
        return [None if each != each else self.classes[round(each)] for each in numbers.tolist()]

    @staticmethod
    def as_python(series: Series) -> list[Any]:
        """Values as Python objects: whole numbers as int, None for a missing value."""
        if series.numbers is None:
            return series.names or []
        return [
            None if v != v else (int(v) if v == round(v) else v) if abs(v) < 2**53 else v
            for v in series.numbers.tolist()
        ]


@dataclass(frozen=True)
class BinaryColumn(_Named):
    """One of two values; number 1 stands for the second."""

    kind: ClassVar[str] = "binary"


@dataclass(frozen=True)
class CategoryColumn(_Named):
    """One of several values without an order."""

    kind: ClassVar[str] = "categorical"


@dataclass(frozen=True)
class ConstantColumn(Column):
    """A column whose value is always the same or always missing. It is returned as it was and takes
    no part in the model.

    Args:
        value: None if every value was missing.
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
    def placeholder(self) -> float:
        return float("nan") if self.value is None else self._number

    @property
    def _number(self) -> float:
        """The value if it is a number, 0 if it is a string."""
        return float(self.value) if isinstance(self.value, int | float) else 0.0

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers != self.placeholder)

    @property
    def accepted(self) -> str:
        return f"{self.range} only: leave it out, or infer the table from rows with more values"

    @property
    def named(self) -> bool:
        return isinstance(self.value, str | bool)

    def read_with_unknowns(self, series: Series) -> np.ndarray:
        values = _Named.as_python(series)
        number = {None: np.nan, self.value: self.placeholder}
        return np.array([number.get(value, np.inf) for value in values], dtype=np.float64)

    def numbers(self, series: Series) -> np.ndarray:
        numbers = self.read_with_unknowns(series)
        if np.isinf(numbers).any():
            row = int(np.isinf(numbers).argmax())
            raise RowError(
                f"column {self.name!r} holds {_Named.as_python(series)[row]!r}",
                row,
                f", and it takes {self.accepted}",
            )
        return numbers

    def values(self, numbers: np.ndarray) -> list[Any]:
        own = self.placeholder  # another number is what a user's row held, and stays as it is
        return [
            None if each != each else self.value if each == own else each
            for each in numbers.tolist()
        ]
