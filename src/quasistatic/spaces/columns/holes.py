"""Columns whose missing values are part of the model: a bit beside the column."""

__all__ = ["HoledColumn"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ..frames import Series
from .column import Column
from .compound import CompoundColumn, PartEvent
from .named import BinaryColumn

PRESENT, MISSING = 0.0, 1.0
"""The numbers of the bit."""


@dataclass(frozen=True)
class HoledColumn(CompoundColumn):
    """A column with missing values, of which the model knows which rows lack them. The bit that
    says so is a part of its own. Where it is 1, the parts of the value are missing.

    Args:
        column: of the values.
        shares: of rows with and without a value.
        filled: whether a row without a value is written with one, as imputation does it.
    """

    kind: ClassVar[str] = "with missing values"

    column: Any
    shares: tuple[float, float]
    filled: bool = False

    @classmethod
    def of(cls, column: Column) -> "HoledColumn":
        """The column with its missing values as a part of the model."""
        shares = (1 - column.missing, column.missing)
        return cls(column.name, column.missing, column.dtype, column, shares)

    @property
    def _inner(self) -> tuple[Column, ...]:
        column = self.column
        return column.parts if isinstance(column, CompoundColumn) else (column,)

    @cached_property
    def parts(self) -> tuple[Column, ...]:
        common = f"{self.name} missing", 0.0, "String"
        return (*self._inner, BinaryColumn(*common, ("present", "missing"), self.shares))

    def split(self, numbers: Tensor) -> Tensor:
        column = self.column
        inner = column.split(numbers) if isinstance(column, CompoundColumn) else numbers[:, None]
        bit = torch.where(numbers.isnan(), MISSING, PRESENT).to(inner.dtype)
        return torch.cat([inner, bit[:, None]], 1)

    def join(self, parts: Tensor, rounded: bool = True) -> Tensor:
        inner, column = parts[:, :-1], self.column
        found = column.join(inner, rounded) if isinstance(column, CompoundColumn) else inner[:, 0]
        return found if self.filled else torch.where(parts[:, -1] == MISSING, torch.nan, found)

    @property
    def on_lattice(self) -> bool:
        return isinstance(self.column, CompoundColumn) and self.column.on_lattice

    def log_cell(self, values: Tensor) -> Tensor:
        if isinstance(self.column, CompoundColumn):
            return self.column.log_cell(values)
        return torch.zeros_like(values)

    @property
    def unit(self) -> float:  # type: ignore[override]
        return self.column.unit if isinstance(self.column, CompoundColumn) else 1.0

    @property
    def log_units(self) -> tuple[float, ...]:
        return self.column.log_units if isinstance(self.column, CompoundColumn) else ()

    @property
    def about(self) -> str:
        text = f"missing in {100 * self.missing:.2g} % of the rows, as a part of the model"
        if isinstance(self.column, CompoundColumn):
            return f"{text}; of the others: {self.column.about}"
        return text

    def refitted(self, numbers: np.ndarray) -> "HoledColumn":
        missing = float(np.isnan(numbers).mean())
        column = replace(self.column, missing=missing)
        if isinstance(column, CompoundColumn):
            column = column.refitted(numbers)
        count = len(numbers) + 2
        shares = ((1 - missing) * len(numbers) + 1) / count, (missing * len(numbers) + 1) / count
        return replace(self, column=column, shares=shares, missing=missing)

    def in_space(self, change: Callable[[Any, np.ndarray], Column], numbers: np.ndarray) -> Self:
        column = self.column
        if isinstance(column, CompoundColumn):
            return replace(self, column=column.in_space(change, numbers))
        return replace(self, column=change(column, numbers))

    def cases(
        self, values: tuple[float, ...] | None, low: float, high: float
    ) -> list[tuple[PartEvent | None, ...]]:
        present = PartEvent((PRESENT,))
        if isinstance(self.column, CompoundColumn):
            return [(*case, present) for case in self.column.cases(values, low, high)]
        return [(PartEvent(values, low, high), present)]

    @property
    def range(self) -> str:
        return str(self.column.range)

    @property
    def placeholder(self) -> float:
        return float(self.column.placeholder)

    @property
    def named(self) -> bool:
        return bool(self.column.named)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes of a column of classes; empty for others."""
        return tuple(getattr(self.column, "classes", ()))

    @property
    def unseen(self) -> float:
        """The probability of a value that no row has."""
        return float(getattr(self.column, "unseen", 0.0))

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self.column.invalid(numbers))

    @property
    def accepted(self) -> str:
        return str(self.column.accepted)

    def numbers(self, series: Series) -> np.ndarray:
        return np.asarray(self.column.numbers(series))

    def read_with_unknowns(self, series: Series) -> np.ndarray:
        return np.asarray(self.column.read_with_unknowns(series))

    def typical(self, draws: Tensor) -> Tensor:
        found: Tensor = self.column.typical(draws)
        return found

    def rounded(self, draws: Tensor) -> Tensor:
        found: Tensor = self.column.rounded(draws)
        return found

    def values(self, numbers: np.ndarray) -> list[Any]:
        return list(self.column.values(numbers))
