"""The columns of a table as an estimator has them: which rows a model sees, and what is made of
what it gives back."""

__all__ = ["Columns", "Layout", "MixedColumns"]

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..distributions.mixtures import made_whole
from ..spaces import Table


class Layout(abc.ABC):
    """The columns of rows (N, D) of numbers, where NaN is a hole."""

    @property
    def table(self) -> Table | None:
        """Of mixed columns; None of numbers."""
        return None

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """D, how many columns there are."""

    @abc.abstractmethod
    def take(self, x: np.ndarray) -> np.ndarray:
        """What a model sees of rows (*, D)."""

    @abc.abstractmethod
    def put(self, rows: np.ndarray) -> np.ndarray:
        """All columns, (*, D), of rows as a model has them."""

    @abc.abstractmethod
    def possible(self, x: np.ndarray) -> np.ndarray:
        """Which values of rows (N, D) can be, of that shape; a hole can."""

    def agree(self, x: np.ndarray) -> np.ndarray:
        """Which rows (N, D) can be, with shape (N,)."""
        return np.asarray(self.possible(x).all(1))

    @abc.abstractmethod
    def typical(self, draws: np.ndarray) -> np.ndarray:
        """One row for the draws (N, n, D) of each, with shape (N, D)."""

    @abc.abstractmethod
    def given(self, x: np.ndarray) -> Any:
        """Rows (N, D) as what the user's table was."""

    @abc.abstractmethod
    def facts(self) -> list:
        """What a folder keeps of them, as JSON values."""


@dataclass(frozen=True)
class Columns(Layout):
    """Columns of numbers: those that are constant carry no density, and are given back as they
    were.

    Args:
        values: of each column its one value, or None where it varies, D in all.
    """

    values: tuple

    @classmethod
    def of(cls, x: np.ndarray, names: Sequence[str] | None = None) -> "Columns":
        """Those of rows (N, D), where NaN is a hole; `names` of them are for messages.

        Raises:
            ValueError: if a column has no value at all, or none of them varies.
        """
        empty = np.flatnonzero(np.isnan(x).all(0))
        if len(empty):
            first = int(empty[0]) if names is None else names[empty[0]]
            raise ValueError(
                f"column {first!r} holds nothing but NaN (of {len(empty)} such columns): "
                "leave it out, for there is nothing to learn of it"
            )
        least, most = np.nanmin(x, 0), np.nanmax(x, 0)
        values = tuple(
            low if low == high else None
            for low, high in zip(least.tolist(), most.tolist(), strict=True)
        )
        if None not in values:
            raise ValueError(
                f"all {x.shape[1]} columns are constant over {len(x)} rows: there is no density "
                "to learn; pass more rows, or columns that vary"
            )
        return cls(values)

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def varying(self) -> np.ndarray:
        """Which columns vary, with shape (D,)."""
        return np.array([value is None for value in self.values])

    def take(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x[..., self.varying])

    def put(self, rows: np.ndarray) -> np.ndarray:
        whole = np.array([0.0 if value is None else value for value in self.values])
        out = np.broadcast_to(whole, (*rows.shape[:-1], len(whole))).copy()
        out[..., self.varying] = rows
        return out

    def completed(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Rows (N, D) whose holes are drawn, so that they can be learned from: see
        :func:`quasistatic.distributions.mixtures.made_whole`."""
        return self.put(made_whole(self.take(x), seed))

    def possible(self, x: np.ndarray) -> np.ndarray:
        return np.isnan(x) | self.varying | (x == self.put(np.zeros((1, self.varying.sum()))))

    def typical(self, draws: np.ndarray) -> np.ndarray:
        """The means."""
        return draws.mean(1)

    def given(self, x: np.ndarray) -> np.ndarray:
        return x

    def facts(self) -> list:
        return list(self.values)


@dataclass(frozen=True)
class MixedColumns(Layout):
    """Columns of several types, as numbers; infinity stands for what a column cannot hold.

    Args:
        of: the table.
    """

    of: Table

    @property
    def table(self) -> Table:
        return self.of

    @property
    def count(self) -> int:
        return len(self.of.columns)

    def take(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.isinf(x), np.nan, x)

    def put(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def possible(self, x: np.ndarray) -> np.ndarray:
        return ~np.isinf(x)

    def typical(self, draws: np.ndarray) -> np.ndarray:
        """Means, medians of integers, and the classes that came most often."""
        return self.of.typical(torch.from_numpy(draws)).numpy()

    def given(self, x: np.ndarray) -> Any:
        """A data frame of the library that the table came from."""
        return self.of.write(torch.from_numpy(x))

    def facts(self) -> list:
        return []  # the model's space has them
