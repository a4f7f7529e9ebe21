"""Columns whose values need several places in x_0."""

__all__ = ["CompoundColumn", "PartEvent"]

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..space import Space
from .column import Column


@dataclass(frozen=True)
class PartEvent:
    """What is given of a part of a column.

    Args:
        values: the numbers of which it is one; None for an interval.
        low, high: the ends of the interval, which belong to it.
    """

    values: tuple[float, ...] | None = None
    low: float = -math.inf
    high: float = math.inf


class CompoundColumn(Column):
    """A column that the model has as several parts, each an ordinary column. Base class.

    A part is missing where it has no meaning: the size of an amount that is exactly 0, for example.
    """

    unit: float
    """The distance between numbers that are rounded, 1 if they are not."""

    @property
    @abc.abstractmethod
    def parts(self) -> tuple[Column, ...]:
        """The ordinary columns: one of values first where there is one, then those of classes."""

    @abc.abstractmethod
    def split(self, numbers: Tensor) -> Tensor:
        """The parts of numbers.

        Args:
            numbers: shape (N,), NaN where a value is missing.

        Returns:
            Shape (N, parts), NaN where a part is missing or has no meaning.
        """

    @abc.abstractmethod
    def join(self, parts: Tensor, rounded: bool = True) -> Tensor:
        """The numbers of parts; the inverse of :meth:`split`.

        Args:
            parts: shape (N, parts).
            rounded: whether numbers are moved to what the column can hold.

        Returns:
            Shape (N,).
        """

    def log_cell(self, values: Tensor) -> Tensor:
        """The log-width of the cell of each number of the part of values, in units between
        neighbours, which turns its density into that of a rounded number. Zero where numbers are
        not rounded.

        Args:
            values: shape (N,), NaN where the part is missing.

        Returns:
            Shape (N,).
        """
        return torch.zeros_like(values)

    @abc.abstractmethod
    def cases(
        self, values: tuple[float, ...] | None, low: float, high: float
    ) -> list[tuple[PartEvent | None, ...]]:
        """What is given of the column, as cases of which one holds.

        Args:
            values: numbers of which the column is one; None for an interval.
            low, high: the ends of the interval.

        Returns:
            For each case what is given of each part; None where nothing is.
        """

    @property
    def on_lattice(self) -> bool:
        """Whether the part of values has probabilities of cells rather than a density."""
        return False

    @property
    def about(self) -> str:
        """What is special about the column, as text for a reader."""
        return self.range

    @property
    def classes_name(self) -> str:
        """The name of the part of classes."""
        return f"{self.name}?"

    @property
    def log_units(self) -> tuple[float, ...]:
        """What turns the probability of each of the first classes into a density in the unit of the
        column, in nats; () if the classes are probabilities."""
        return ()

    @abc.abstractmethod
    def refitted(self, numbers: np.ndarray) -> "CompoundColumn":
        """The same parts, with scales and shares by other numbers (N,), NaN a hole."""

    def in_space(self, change: Callable[[Any, np.ndarray], Column], numbers: np.ndarray) -> Self:
        """The column with its real values in another space.

        Args:
            change: makes a column of real numbers from itself and its numbers, NaN a hole.
            numbers: of the column, with shape (N,).
        """
        return self

    @property
    def space(self) -> type[Space] | None:
        return self.parts[0].space

    @property
    def placeholder(self) -> float:
        found = self.join(torch.tensor([[part.placeholder for part in self.parts]]).double())
        return float(found[0])
