"""A table of mixed columns, as one space."""

__all__ = ["Table"]

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from rich.table import Table as Printed
from torch import Tensor

from .._utils.constants import constant, on_device
from .._utils.validation import as_tensor, instance_of, nearest
from ..distributions import Family, Product
from ..kernels import Kernel, ProductKernel
from .blocks import Block, blocks_of
from .column_parts import ColumnParts
from .columns import (
    Column,
    HoledColumn,
)
from .frames import ARRAY, Frame, Series
from .inference import clocked, infer_columns
from .native import to_native
from .space import Space, SpacePart, no_affine
from .table_text import as_page, described, printed

LISTED = 20
"""How many columns that cannot be modelled are listed."""


@dataclass(frozen=True)
class Table(Space):
    """Rows (B, C) of numeric, integer, binary and categorical columns, as numbers. A class is its
    index among the classes, and NaN is a missing value. :meth:`infer` finds the types of the
    columns, :meth:`read` makes such rows from a data frame, and :meth:`write` makes a data frame
    from rows.

    x_0 (B, W) has the columns of one kind side by side, classes as one-hot values. A constant
    column is left out. A log-likelihood is a density of the numeric columns, each in its own unit,
    times a probability of the others.

    A column with atoms has two parts in x_0, a class and a value, and the value is missing where an
    atom holds. :attr:`flat` is the table of all parts, and :meth:`split` and :meth:`join` turn rows
    into rows of parts and back. A diffusion model of a table with such columns is one of `flat`.

    Args:
        columns: in the order of the data.
        source: the library that :meth:`write` makes a table of by default: "pandas", "polars",
            "pyarrow", "array" for NumPy, or "records" for NumPy with named fields. Default "array".
        incomplete: whether any column may have missing values, also one that had none when it was
            inferred. Default False.

    Raises:
        ValueError: if two columns have one name, or every column is constant.
    """

    columns: tuple[Column, ...]
    source: str = ARRAY
    incomplete: bool = False
    shape: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        for column in self.columns:
            instance_of("each column", column, Column, "those that Table.infer makes")
        object.__setattr__(self, "shape", len(self.columns))
        super().__post_init__()
        names = [column.name for column in self.columns]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"the names of columns must differ, got {twice} more than once")
        if not self.blocks:
            raise ValueError(
                f"all {len(names)} columns are constant ({', '.join(names[:5])}): nothing is "
                "left to model"
            )

    @classmethod
    def infer(cls, data: object, types: Mapping[str, str] | None = None) -> "Table":
        """The table that can hold these rows.

        Args:
            data: a data frame of pandas, polars or pyarrow, or a NumPy array (N, C), structured or
                not.
            types: the types of some columns, by name: "numeric" (scaled, or mapped by quantiles
                where that is better), "standardized", "quantiles", "integer", "binary" or
                "categorical", or "atoms" for numbers of which some are repeated exactly or lie on
                nested lattices (:class:`AtomColumn`). The others are inferred.

        Raises:
            TypeError: if the data are no table, or a column holds neither numbers nor strings.
            ValueError: if a value is infinite, a column does not fit its type, or every column is
                constant.
        """
        frame, types = Frame.of(data), dict(types or {})
        for name in set(types) - {series.name for series in frame.columns}:
            known = nearest(name, [series.name for series in frame.columns])
            raise ValueError(f"there is no column {name!r}: {known}")
        columns, wrong = infer_columns(frame.columns, types)
        if len(wrong) == 1:
            raise wrong[0]
        if wrong:
            shown = "".join(f"\n  - {each}" for each in wrong[:LISTED])
            more = f"\n  ... and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
            raise ValueError(f"{len(wrong)} columns cannot be modelled:{shown}{more}")
        return cls(tuple(columns), frame.source)

    @cached_property
    def flat(self) -> "Table":
        """The table of the parts of all columns: those of values, and columns that have no parts,
        in the order of the table, and then the classes of columns that have two parts. It is the
        table itself if no column has parts."""
        if not self._parts.compound:
            return self
        return Table(self._parts.each, self.source, incomplete=True)

    @cached_property
    def filled(self) -> "Table":
        """The table that writes values also where a column of which missing values are a part of
        the model lacks them."""
        holed = [isinstance(column, HoledColumn) for column in self.columns]
        if not any(holed):
            return self
        each = zip(self.columns, holed, strict=True)
        columns = tuple(replace(c, filled=True) if has else c for c, has in each)  # type: ignore[call-arg]
        return replace(self, columns=columns)

    @cached_property
    def _parts(self) -> ColumnParts:
        """The parts of the columns, in the order of :attr:`flat`."""
        return ColumnParts(self.columns)

    def places(self, k: int) -> list[int]:
        """The columns of :attr:`flat` that are parts of column k."""
        return self._parts.places(k)

    def split(self, raw: Tensor) -> Tensor:
        """Rows (B, C) as rows of :attr:`flat`, NaN where a part is missing or has no meaning."""
        return self._parts.split(raw)

    def without_meaning(self, parts: Tensor) -> Tensor:
        """Which parts of rows of :attr:`flat` (B, parts) have no meaning, as the value of a column
        that is at an atom: another part of the column says so. A missing value is none of them."""
        return self._parts.without_meaning(parts)

    def join(self, parts: Tensor, rounded: bool = True) -> Tensor:
        """The inverse of :meth:`split`.

        Args:
            parts: rows of :attr:`flat`, shape (B, parts).
            rounded: whether numbers are moved to what their column can hold.
        """
        return self._parts.join(parts, rounded)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The columns of :attr:`flat` that take part in a model, grouped by kind."""
        return blocks_of(self.flat.columns)

    @property
    def state(self) -> tuple[int, ...]:
        return (sum(self.widths),)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many values of x_0 each block has."""
        return tuple(block.space.state[0] for block in self.blocks)

    @property
    def dims(self) -> int:
        """The number of columns that take part in the model."""
        return sum(column.space is not None for column in self.columns)

    @property
    def holes(self) -> bool:
        return (
            self.incomplete
            or bool(self._parts.compound)
            or any(each.missing > 0 for each in self.columns if each.space is not None)
        )

    @property
    def levels(self) -> None:
        return None

    @cached_property
    def learns_last_step(self) -> bool:
        return any(block.space.learns_last_step for block in self.blocks)

    @property
    def learned_values(self) -> Tensor:
        return torch.cat([block.space.learned_values for block in self.blocks])

    def require(self, kernel: Kernel) -> None:
        if not isinstance(kernel, ProductKernel) or kernel.widths != self.widths:
            got = kernel.widths if isinstance(kernel, ProductKernel) else type(kernel).__name__
            raise TypeError(
                f"this Table needs a ProductKernel with widths {self.widths}, one part for each of "
                f"{[type(block.space).__name__ for block in self.blocks]}, got {got}: "
                "quasistatic.recipes.tabular builds the whole model"
            )
        for piece in self.independent_parts(kernel):
            piece.space.require(piece.kernel)

    def independent_parts(self, kernel: Kernel) -> list[SpacePart]:
        assert isinstance(kernel, ProductKernel)  # `require` has checked it
        ends = pairwise(accumulate(self.widths, initial=0))
        each = zip(self.blocks, kernel.parts, ends, strict=True)
        return [SpacePart(b.space, part, list(b.columns), slice(*own)) for b, part, own in each]

    @cached_property
    def placeholder(self) -> Tensor:
        return torch.tensor([column.placeholder for column in self.columns], dtype=torch.float64)

    def expand_to_state(self, each: Tensor) -> Tensor:
        each = each[:, list(self._parts.owner)] if self._parts.compound else each
        pieces = (block.space.expand_to_state(_columns(each, block)) for block in self.blocks)
        return torch.cat(list(pieces), 1)

    def per_column(self, each: Tensor) -> Tensor:
        """The sum over the values of x_0 that belong to a column: (B, W) to (B, C)."""
        owner = self.expand_to_state(torch.arange(float(len(self.columns)))[None])[0].long()
        whole = each.new_zeros(len(each), len(self.columns))
        return whole.index_add(1, owner.to(each.device), each)

    def read(self, data: object) -> Tensor:
        """Rows as numbers. Columns may come in any order, and other columns are ignored.

        Args:
            data: as for :meth:`infer`.

        Returns:
            float64, NaN where a value is missing, shape (B, C).

        Raises:
            ValueError: if a column is missing, or holds an invalid value; the message says which,
                and in which row.
        """
        found = self._found(data)
        numbers = [each.numbers(series) for each, series in zip(self.columns, found, strict=True)]
        return self.check(torch.from_numpy(np.stack(numbers, 1)))

    def read_with_unknowns(self, data: object) -> Tensor:
        """As :meth:`read`, with infinity for a value that the column cannot hold: a class that was
        not in the data, or a number out of range.

        Args:
            data: as for :meth:`infer`.

        Returns:
            float64, shape (B, C).

        Raises:
            ValueError: if a column is missing, or holds strings instead of numbers.
        """
        found = self._found(data)
        each = [
            column.read_with_unknowns(series)
            for column, series in zip(self.columns, found, strict=True)
        ]
        return torch.from_numpy(np.stack(each, 1))

    def possible(self, rows: np.ndarray) -> np.ndarray:
        """Which of the numbers (N, C) their columns can hold, with that shape; NaN can be."""
        each = [
            np.isnan(rows[:, k])
            | ~column.invalid(np.where(np.isnan(rows[:, k]), column.placeholder, rows[:, k]))
            for k, column in enumerate(self.columns)
        ]
        return np.stack(each, 1)

    def _found(self, data: object) -> list[Series]:
        """The columns of some data, in the order of the table."""
        found = {series.name: series for series in Frame.of(data).columns}
        for column in self.columns:
            if column.name not in found:
                raise ValueError(
                    f"the data have no column {column.name!r}: {nearest(column.name, found)}"
                )
        return [clocked(found[column.name], column.dtype) for column in self.columns]

    def write(self, raw: Tensor, source: str | None = None) -> Any:
        """Rows as a data frame or array, with the names, the order and the types of the columns.

        Args:
            raw: shape (B, C).
            source: the library; None for the one that the table came from.

        Returns:
            A data frame of that library, or a NumPy array.
        """
        numbers = raw.detach().cpu().double().numpy()
        values = {each.name: each.values(numbers[:, k]) for k, each in enumerate(self.columns)}
        missing = [name for name, column in values.items() if None in column]
        dtypes = {column.name: column.dtype for column in self.columns}
        return to_native(source or self.source, values, dtypes, missing)

    def rounded(self, draws: Tensor, but: Collection[int] = ()) -> Tensor:
        """Drawn rows with the decimals that the data have.

        Args:
            draws: shape (n, C).
            but: columns that stay as they are.
        """
        each = [
            draws[:, k] if k in but else column.rounded(draws[:, k])
            for k, column in enumerate(self.columns)
        ]
        return torch.stack(each, 1)

    def typical(self, draws: Tensor) -> Tensor:
        """One row that represents several draws: the mean of numeric columns, the median of whole
        numbers, and the most frequent class.

        Args:
            draws: shape (N, n, C).

        Returns:
            Shape (N, C).
        """
        each = [column.typical(draws[..., k]) for k, column in enumerate(self.columns)]
        return torch.stack(each, 1)

    def check(self, raw: object, name: str = "x") -> Tensor:
        """Rows as floating-point numbers.

        Args:
            raw: an array (B, C) of numbers; a data frame, records and an array of objects are read
                first (:meth:`read`).
            name: what an error message calls it.

        Raises:
            ValueError: if the shape is wrong or a value is invalid; the message names the column
                and the row.
        """
        if not isinstance(raw, Tensor | list) and not (
            isinstance(raw, np.ndarray) and raw.dtype.kind in "iufb"
        ):
            return self.read(raw)
        array = as_tensor(raw, name)
        if array.ndim != 2 or array.shape[1] != len(self.columns) or len(array) == 0:
            raise ValueError(
                f"{name} must have shape (rows, {len(self.columns)}) with at least one row, got "
                f"{tuple(array.shape)}: pass one column for each column of the table"
            )
        if not array.is_floating_point():
            array = array.to(torch.get_default_dtype())
        numbers = array.detach().cpu().numpy()
        for k, column in enumerate(self.columns):
            column.check(numbers[:, k], self.incomplete)
        return array

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        if self._parts.compound:
            return self.flat.encode(self.split(raw), rng)
        absent = raw.isnan()
        filled = torch.where(absent, on_device(self.placeholder, raw).to(raw.dtype), raw)
        pieces = [block.space.encode(_columns(filled, block), rng) for block in self.blocks]
        hidden = self.expand_to_state(absent.to(raw.dtype)) > 0
        return torch.where(hidden, torch.nan, torch.cat(pieces, 1))

    def decode(self, x_0: Tensor) -> Tensor:
        if self._parts.compound:
            return self.join(self.flat.decode(x_0))
        return self._columnwise(x_0, lambda space, x: space.decode(x))

    def snap_to_levels(self, x_0: Tensor) -> Tensor:
        return self._each(x_0, lambda space, x: space.snap_to_levels(x))

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        if self._parts.compound:
            return self.join(self.flat.in_raw_units(x_0), rounded=False)
        return self._columnwise(x_0, lambda space, x: space.in_raw_units(x))

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        raise no_affine(self)

    def log_volume(self, x_0: Tensor) -> Tensor:
        """As :meth:`Space.log_volume`; zero where a value is missing.

        Args:
            x_0: shape (B, W).

        Returns:
            Shape (B, W), in nats.
        """
        volume = self._nats(x_0, lambda space, x: space.log_volume(x))
        return volume + self.log_cells(x_0) if self._parts.compound else volume

    def log_cells(self, x_0: Tensor) -> Tensor:
        """What makes log-densities of rows of :attr:`flat` those of rows: the log-width of the cell
        of each value on a lattice, and what turns the probability of an atom into a density in the
        unit of its column; zero elsewhere.

        Args:
            x_0: shape (B, W).

        Returns:
            Shape (B, W), in nats.
        """
        if not self._parts.compound:
            return torch.zeros_like(x_0)
        numbers = self.flat.decode(x_0.detach())
        return self._parts.log_cells(x_0, numbers, self._part_of_values)

    @cached_property
    def classes_of_values(self) -> Tensor | None:
        """For each real value of x_0, the first class value of each class of its column, -1 for
        none; shape (D, n). None if no column has both."""
        part = self._part_of_values.long().tolist()
        owner = self._parts.owner
        dims = len(part) - sum(size for block in self.blocks for size in block.sizes)
        first: dict[int, list[int]] = {}
        for place in range(dims, len(part)):
            if part[place] != part[place - 1]:
                first.setdefault(owner[part[place]], []).append(place)
        found = [first.get(owner[part[d]], []) for d in range(dims)]
        most = max(map(len, found), default=0)
        if not most:
            return None
        return torch.tensor([each + [-1] * (most - len(each)) for each in found])

    @property
    def _part_of_values(self) -> Tensor:
        """For each value of x_0, the column of :attr:`flat` that it belongs to, (W,)."""
        numbers = torch.arange(float(len(self._parts.owner)), dtype=torch.float64)
        return self.flat.expand_to_state(numbers[None])[0]

    def cells_in_x_0(self, x_0: Tensor) -> Tensor:
        """The width of the cell of each value that lies on a lattice, in units of x_0 (B, W); zero
        elsewhere."""
        slope = self._nats(x_0, lambda space, x: space.log_volume(x))
        unit = self.flat.expand_to_state(self._parts.units(x_0)[None])
        width = (self.log_cells(x_0) + slope).exp() * unit
        return torch.where(x_0.isnan(), 0.0, width)

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        parts = iter(_families(p))
        return self._nats(x_0, lambda space, x: space.log_prob(next(parts), x))

    def learned_log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        parts = iter(_families(p))
        return self._nats(x_0, lambda space, x: space.learned_log_prob(next(parts), x))

    def log_total_mass(self, p: Family, like: Tensor) -> None:
        return None  # each block has its own

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        parts = iter(_kernels(kernel))
        return self._nats(x_0, lambda space, x: space.edge(next(parts), x, t))

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        assert isinstance(kernel, ProductKernel)
        whole = _families(learned()) if self.learns_last_step else (None,) * len(self.blocks)
        each = zip(self.blocks, kernel.parts, kernel.split(x_t), whole, strict=True)
        laws = [
            block.space.last(part, x, t, lambda law=law: law)  # type: ignore[misc]
            for block, part, (x,), law in each
        ]
        return kernel.join(laws, x_t)

    def _each(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """f of each block's space and its values of x_0, side by side; NaN where a value is
        missing."""
        absent = x_0.isnan()
        pieces = torch.split(torch.where(absent, 0.0, x_0), list(self.widths), 1)
        each = zip(self.blocks, pieces, strict=True)
        whole = torch.cat([f(block.space, x) for block, x in each], 1)
        return torch.where(absent, torch.nan, whole)

    def _nats(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """The same for log-probabilities: zero where a value is missing."""
        return torch.where(x_0.isnan(), 0.0, self._each(x_0, f))

    def _columnwise(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """f maps the x_0 of each block, (B, W_i), to its columns; returns rows (B, C)."""
        absent = x_0.isnan()
        raw = self.placeholder.to(x_0).expand(len(x_0), -1).clone()
        pieces = torch.split(torch.where(absent, 0.0, x_0), list(self.widths), 1)
        for block, x in zip(self.blocks, pieces, strict=True):
            raw[:, list(block.columns)] = f(block.space, x).to(raw)
        return torch.where(self.per_column(absent.to(x_0.dtype)) > 0, torch.nan, raw)

    def described(self) -> list[tuple[str, str, str, str]]:
        """For each column its name, its type, its values and the share of missing values, as
        text."""
        return described(self.columns)

    def __rich__(self) -> Printed:
        return printed(self.columns)

    def __repr__(self) -> str:
        kinds = Counter(column.kind for column in self.columns)
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        holes = ", missing values allowed" if self.holes else ""
        return f"Table({len(self.columns)} columns: {counted}{holes})"

    def __str__(self) -> str:
        return as_page(self)


def _families(p: Family) -> tuple[Family, ...]:
    assert isinstance(p, Product)  # every law of a table's x is one
    return p.parts


def _kernels(kernel: Kernel) -> tuple[Kernel, ...]:
    assert isinstance(kernel, ProductKernel)
    return kernel.parts


def _columns(x: Tensor, block: Block) -> Tensor:
    """The values of a block's columns, of raw rows x (B, columns)."""
    return x.index_select(1, constant(tuple(block.columns), x, torch.long))
