"""Two tables as numbers for a classifier: numbers as they are, names as codes."""

__all__ = ["Features"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...spaces.frames import Frame, Series

MOST_CLASSES = 64
"""More names of a column are one class, the rare ones together."""


@dataclass(frozen=True, eq=False)
class Features:
    """The columns of some rows.

    Args:
        names: of the columns.
        x: with shape (N, C): numbers, or codes of names from 0; NaN is missing.
        classes: the names that the codes stand for, for each column; () for a column of numbers.
    """

    names: tuple[str, ...]
    x: np.ndarray
    classes: tuple[tuple[Any, ...], ...]

    @classmethod
    def of_both(cls, real: Any, drawn: Any) -> tuple[Self, Self]:
        """The columns of real rows, and the same ones of drawn rows.

        Raises:
            ValueError: if the drawn rows lack a column: which.
        """
        left, right = Frame.of(real), Frame.of(drawn)
        others = {series.name: series for series in right.columns}
        absent = [series.name for series in left.columns if series.name not in others]
        if absent:
            raise ValueError(f"the drawn rows have no column {', '.join(map(repr, absent[:5]))}")
        columns: list[tuple[np.ndarray, np.ndarray]] = []
        classes: list[tuple[Any, ...]] = []
        for series in left.columns:
            pair, known = _coded(series, others[series.name])
            columns.append(pair)
            classes.append(known)
        names = tuple(series.name for series in left.columns)
        sides = (np.stack([pair[side] for pair in columns], 1) for side in (0, 1))
        a, b = sides
        return cls(names, a, tuple(classes)), cls(names, b, tuple(classes))

    @property
    def is_class(self) -> np.ndarray:
        """Which columns hold names, with shape (C,)."""
        return np.array([bool(each) for each in self.classes], dtype=bool)

    def take(self, index: np.ndarray) -> "Features":
        """Some of the rows."""
        return Features(self.names, self.x[index], self.classes)

    def drop(self, column: int) -> "Features":
        """All columns but one."""
        kept = [k for k in range(len(self.names)) if k != column]
        return Features(
            tuple(self.names[k] for k in kept),
            self.x[:, kept],
            tuple(self.classes[k] for k in kept),
        )


def _coded(real: Series, drawn: Series) -> tuple[tuple[np.ndarray, np.ndarray], tuple[Any, ...]]:
    """One column of both tables as numbers, and its classes."""
    if real.numbers is not None and drawn.numbers is not None and not real.is_category:
        return (real.numbers, drawn.numbers), ()
    sides = [[_text(s, k) for k in range(len(s.missing))] for s in (real, drawn)]
    count: dict[str, int] = {}
    for name in (each for side in sides for each in side if each is not None):
        count[name] = count.get(name, 0) + 1
    kept = sorted(count, key=lambda name: -count[name])[:MOST_CLASSES]
    code = {name: float(k) for k, name in enumerate(kept)}
    rest = float(len(kept))
    found = [
        np.array([np.nan if each is None else code.get(each, rest) for each in side])
        for side in sides
    ]
    classes = (*kept, "(others)") if len(count) > len(kept) else tuple(kept)
    return (found[0], found[1]), classes or ("",)


def _text(series: Series, row: int) -> str | None:
    value = series.value(row)
    return None if value is None else str(value)


def one_hot(features: Features) -> np.ndarray:
    """Numbers for a linear model: standardised, 0 where missing, with a column that says so; names
    one-hot."""
    parts: Sequence[np.ndarray] = []
    for k, classes in enumerate(features.classes):
        column = features.x[:, k]
        missing = np.isnan(column)
        if classes:
            parts = [*parts, (column[:, None] == np.arange(len(classes))).astype(float)]
        else:
            parts = [*parts, np.where(missing, 0.0, column)[:, None]]
        if missing.any():
            parts = [*parts, missing[:, None].astype(float)]
    return np.concatenate(list(parts), 1)
