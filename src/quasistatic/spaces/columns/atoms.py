r"""Columns of numbers with atoms and lattices: a class, and a value that is missing at an atom.

A column of amounts may be exactly 0 in a third of the rows, hold 99999 where nothing is known, and
have most of its other values at multiples of 50. Such a number is an atom: it has a probability and
no density. The column has two parts: a class, which says which atom it is or on which lattice it
lies, and a value, which is missing where an atom holds. log p of a row is that of its classes, and
of its values given the classes.
"""

__all__ = ["AtomColumn"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from .column import Column
from .compound import CompoundColumn, PartEvent
from .lattice import Lattices
from .named import CategoryColumn
from .numbers import IntegerColumn, NumericColumn, QuantileColumn, standardised

MOST_SHOWN = 3
"""Atoms that a text lists."""

LEAST_SHOWN = 0.005
"""The share of a lattice that a text lists, at least."""

CLOSE = 1e-9
"""How far a number may be from an atom, as a share of it."""


@dataclass(frozen=True)
class AtomColumn(CompoundColumn):
    """Numbers of which some are repeated exactly.

    Args:
        atoms: the numbers that have a probability of their own, ascending.
        decimals: of the lattice on which all other numbers lie; -1 if they are real numbers.
        steps: of nested lattices, in units of 10^-decimals; (1,) for a single one, () for real
            numbers.
        value: the column of the other numbers; None if there are none.
        shares: of each atom, and then of each lattice, in the data; of the atoms and of the other
            numbers, if these are real.
        low, high: the smallest and the largest number seen.
        left, right: the ends of the other numbers, beyond which nothing is drawn; infinite where
            there is none. Real numbers beyond them are impossible, and so are numbers on a
            lattice beyond an end that is an atom.
        unseen: the probability that a new number is none of the atoms, where there are no others.
        unit: the distance between numbers that are rounded. A probability divided by it is a
            density in the unit of the column, which can be compared with that of other columns. 1
            where a probability stays as it is.
    """

    kind: ClassVar[str] = "numeric with atoms"

    atoms: tuple[float, ...]
    decimals: int
    steps: tuple[int, ...]
    value: Any
    shares: tuple[float, ...]
    low: float
    high: float
    left: float = -math.inf
    right: float = math.inf
    unseen: float = 0.0
    unit: float = 1.0

    @cached_property
    def lattices(self) -> Lattices | None:
        """The lattices of the other numbers; None if they are real."""
        if not self.steps:
            return None
        return Lattices(self.decimals, self.steps, self.atoms, self.left, self.right)

    @cached_property
    def parts(self) -> tuple[Column, ...]:
        names = [repr(float(each)) for each in self.atoms]
        if self.value is not None:
            names += [f"lattice {s}" for s in self.lattices.labels] if self.lattices else ["none"]
        common = self.classes_name, self.missing, "String"
        classes = CategoryColumn(*common, tuple(names), self.shares)
        if self.value is None:
            return (classes,)
        return (self.value, classes) if len(names) > 1 else (self.value,)

    def which(self, v: Tensor) -> Tensor:
        """The class of each number (N,): NaN where it is missing."""
        atom, own = self._atom(v)
        if self.value is None:
            return torch.where(v.isnan(), torch.nan, atom.to(v.dtype))
        at = self.lattices.lattice(self.lattices.index(v.nan_to_num())) if self.lattices else 0
        found = torch.where(own, atom, len(self.atoms) + at).to(v.dtype)
        return torch.where(v.isnan(), torch.nan, found)

    def _atom(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest atom of each number, and whether the number is that atom."""
        if not self.atoms:
            return torch.zeros_like(v, dtype=torch.long), torch.zeros_like(v, dtype=torch.bool)
        atoms = torch.tensor(self.atoms, dtype=torch.float64, device=v.device)
        exact = v.double().nan_to_num()
        found = torch.searchsorted((atoms[1:] + atoms[:-1]) / 2, exact)
        close = CLOSE if v.dtype == torch.float64 else 4 * torch.finfo(v.dtype).eps
        return found, (atoms[found] - exact).abs() <= close * atoms[found].abs()

    def split(self, numbers: Tensor) -> Tensor:
        which = self.which(numbers)
        if self.value is None:
            return which[:, None]
        value = torch.where(which < len(self.atoms), torch.nan, numbers)
        return torch.stack([value, which], 1) if len(self.parts) > 1 else value[:, None]

    def join(self, parts: Tensor, rounded: bool = True) -> Tensor:
        which = parts[:, -1]
        if len(self.parts) == 1 and self.value is not None:
            which = torch.where(which.isnan(), torch.nan, 0.0)
        index = which.nan_to_num().round().long()
        found = parts[:, 0] if self.value is not None else torch.full_like(which, torch.nan)
        if self.value is not None and rounded:
            found = _reflected(found, self.left, self.right)
            if self.lattices:
                k = (index - len(self.atoms)).clamp(min=0)
                placed = self.lattices.place(found.nan_to_num(), k).to(found.dtype)
                found = torch.where(found.isnan(), torch.nan, placed)
        if self.atoms:
            atoms = torch.tensor(self.atoms, dtype=torch.float64, device=which.device)
            atom = atoms[index.clamp(max=len(atoms) - 1)].to(found.dtype)
            found = torch.where(index < len(atoms), atom, found)
        return torch.where(which.isnan(), torch.nan, found)

    def cases(
        self, values: tuple[float, ...] | None, low: float, high: float
    ) -> list[tuple[PartEvent | None, ...]]:
        if values is not None:
            return self._cases_of(values)
        places = np.array(self.atoms)
        met = np.flatnonzero((places >= low) & (places <= high)).astype(float).tolist()
        found = [self._case(None, tuple(met))] if met else []
        if self.value is None:
            return found
        if self.lattices is None and low == high and met:
            return found  # a single number of a continuum has no probability beside an atom
        if self.lattices is None:
            return [*found, self._case(PartEvent(None, low, high), (float(len(self.atoms)),))]
        for k in range(len(self.steps)):
            ends = self.lattices.interval(low, high, k)
            if ends is not None:
                found.append(self._case(PartEvent(None, *ends), (float(len(self.atoms) + k),)))
        return found

    def _cases_of(self, values: Sequence[float]) -> list[tuple[PartEvent | None, ...]]:
        """The cases of listed numbers, by their classes."""
        which = self.which(torch.tensor(list(values), dtype=torch.float64)).tolist()
        met = tuple(sorted({k for k in which if k < len(self.atoms)}))
        found = [self._case(None, met)] if met else []
        for k in sorted({k for k in which if k >= len(self.atoms)}):
            own = tuple(v for v, kind in zip(values, which, strict=True) if kind == k)
            found.append(self._case(PartEvent(own), (k,)))
        return found

    def _case(
        self, value: PartEvent | None, classes: tuple[float, ...]
    ) -> tuple[PartEvent | None, ...]:
        if self.value is None:
            return (PartEvent(classes),)
        return (value, PartEvent(classes)) if len(self.parts) > 1 else (value,)

    def in_space(self, change: Callable[[Any, np.ndarray], Column], numbers: np.ndarray) -> Self:
        """The column with its values in another space; real numbers by quantiles, if an end is
        kept.

        Args:
            change: makes the part of values from itself and its numbers, NaN where there is none.
            numbers: of the column, with shape (N,).
        """
        if not isinstance(self.value, NumericColumn):
            return self
        known = torch.tensor(np.asarray(numbers), dtype=torch.float64)
        values = self.split(known)[:, 0].numpy()
        ends = self.left, self.right
        if not self.lattices and any(map(math.isfinite, ends)):
            return replace(self, value=QuantileColumn.of(self.value, values, ends))
        return replace(self, value=change(self.value, values))

    def log_cell(self, values: Tensor) -> Tensor:
        if self.lattices is None:
            return torch.zeros_like(values)
        low, high = self.lattices.cells(values.nan_to_num())
        width = (high - low).clamp(min=0.5 / self.lattices.unit) / self.unit
        return torch.where(values.isnan(), 0.0, width.log().to(values.dtype))

    @property
    def log_units(self) -> tuple[float, ...]:
        return (-math.log(self.unit),) * len(self.atoms)

    def refitted(self, numbers: np.ndarray) -> "AtomColumn":
        known = torch.tensor(np.asarray(numbers), dtype=torch.float64)
        parts = self.split(known).numpy()
        count = len(self.shares)
        which = parts[~np.isnan(parts[:, -1]), -1].astype(np.int64)
        if len(self.parts) == 1 and self.value is not None:
            which = np.zeros_like(which)
        counts = np.bincount(which, minlength=count) + 1.0
        shares = tuple((counts / counts.sum()).tolist())
        missing = float(np.isnan(numbers).mean())
        found = replace(self, shares=shares, missing=missing)
        seen = parts[~np.isnan(parts[:, 0]), 0]
        if self.value is None or len(np.unique(seen)) < 2:
            return found  # too few to have a scale of their own
        if self.by_frequency:
            return replace(found, value=QuantileColumn.of_cells(self.name, seen, self.unit))
        return replace(found, value=standardised(self.name, 0.0, "<f8", seen))

    @property
    def by_frequency(self) -> bool:
        """Whether each number on the lattice has a cell as wide as it is frequent."""
        return bool(self.steps) and isinstance(self.value, QuantileColumn)

    @property
    def on_lattice(self) -> bool:
        return self.lattices is not None and self.value is not None

    @property
    def range(self) -> str:
        return self.about

    @property
    def about(self) -> str:
        """Which numbers are atoms, the lattices, and what is continuous."""
        if self.by_frequency:
            return f"multiples of {self.unit:.10g}, each by its own frequency"
        shares = dict(zip(self.atoms, self.shares, strict=False))
        first = sorted(shares, key=lambda atom: -shares[atom])[:MOST_SHOWN]
        found = [f"{_percent(shares[atom])} exactly {atom:.10g}" for atom in first]
        if len(shares) > len(first):
            found[-1] += f" and {len(shares) - len(first)} more"
        if self.value is None:
            return f"{', '.join(found)}; nothing else"
        if self.lattices:
            of = self.shares[len(self.atoms) :]
            labels = zip(self.lattices.labels, of, strict=True)
            shown = [f"{label} ({_percent(p)})" for label, p in labels if p >= LEAST_SHOWN]
            found.append(f"multiples of {', '.join(shown)}")
        return f"{'; '.join(found)}; continuous{self._ends}"

    @property
    def _ends(self) -> str:
        low, high = (math.isfinite(end) for end in (self.left, self.right))
        if low and high:
            return f" from {self.left:.6g} to {self.right:.6g}"
        if low:
            return f" above {self.left:.6g}"
        return f" below {self.right:.6g}" if high else ""

    def typical(self, draws: Tensor) -> Tensor:
        """The mean of real numbers; the median, which is one of the draws, of numbers on a
        lattice."""
        return (
            draws.mean(1) if not self.steps and self.value is not None else draws.median(1).values
        )

    def invalid(self, numbers: np.ndarray) -> np.ndarray:
        v = torch.tensor(np.asarray(numbers), dtype=torch.float64)
        own = self._atom(v)[1].numpy()
        if self.value is None:
            return np.asarray(~own)
        if isinstance(self.value, IntegerColumn):
            return np.asarray(~own & self.value.invalid(numbers))
        fits = np.isfinite(numbers)
        # Numbers on a lattice may be new extremes, but not beyond an end at which many rows are.
        if not self.steps or self.left in self.atoms:
            fits &= numbers >= self.left
        if not self.steps or self.right in self.atoms:
            fits &= numbers <= self.right
        if self.by_frequency:
            fits &= (numbers >= self.left) & (numbers <= self.right)
        if self.decimals == 0:
            fits &= numbers == np.round(numbers)
        return np.asarray(~fits & ~own)

    @property
    def accepted(self) -> str:
        if self.value is None:
            return "the numbers that were seen when the table was inferred: infer it again"
        kind = "whole numbers" if self.decimals == 0 else "finite numbers"
        return f"{kind}{self._ends}: infer the table from rows with the whole range"

    def values(self, numbers: np.ndarray) -> list[Any]:
        whole = (np.round(numbers) == numbers) & (self.decimals == 0)
        pairs = zip(numbers.tolist(), whole.tolist(), strict=True)
        return [None if n != n else round(n) if exact else n for n, exact in pairs]


def _reflected(v: Tensor, left: float, right: float) -> Tensor:
    """Numbers beyond an end as far inside of it, so that they do not pile up there."""
    v = torch.where(v < left, 2 * left - v, v) if math.isfinite(left) else v
    v = torch.where(v > right, 2 * right - v, v) if math.isfinite(right) else v
    return v.clamp(left, right)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
