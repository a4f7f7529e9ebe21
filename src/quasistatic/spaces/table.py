"""Tables of mixed columns as one space."""

__all__ = ["Table"]

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Printed
from torch import Tensor

from .._utils.validation import as_tensor, nearest
from ..distributions import Family, Product
from ..kernels import Kernel, ProductKernel
from .blocks import Block, blocks_of
from .columns import Column
from .frames import ARRAY, Frame, Series, written
from .inference import inferred
from .space import Space, SpacePart, no_affine

DESCRIBED = ("column", "type", "values", "missing")
"""What :meth:`Table.described` says of each column."""

WIDTH = 100
"""Of a table printed as text, in characters."""


@dataclass(frozen=True)
class Table(Space):
    """Rows (B, C) of numeric, integer, binary and categorical columns, as numbers: a class by its
    place among the classes. NaN is a hole. :meth:`read` makes such rows of a data frame, and
    :meth:`write` a data frame of rows; :meth:`infer` finds out what the columns are.

    x_0 (B, W) has the columns of one kind side by side, categories as one-hot values; a column
    that is always the same is left out. A likelihood is a density of the numeric columns, each in
    its own unit, times a probability of the others.

    Args:
        columns: in the order of the data.
        source: the library that :meth:`write` makes a table for: "pandas", "polars", "pyarrow",
            "array" for NumPy, or "records" for NumPy with named fields.
        incomplete: whether any column may have holes, also one that had none when it was inferred.

    Raises:
        ValueError: if two columns have one name, or none of them varies.
    """

    columns: tuple[Column, ...]
    source: str = ARRAY
    incomplete: bool = False
    shape: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "shape", len(self.columns))
        super().__post_init__()
        names = [column.name for column in self.columns]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"columns need names of their own, got {twice} more than once")
        if not self.blocks:
            raise ValueError(
                f"none of the {len(names)} columns varies: there is nothing to model in {names[:5]}"
            )

    @classmethod
    def infer(cls, data: object, types: Mapping[str, str] | None = None) -> "Table":
        """The table that holds these rows: a data frame of pandas, polars or pyarrow, or a NumPy
        array (N, C), structured or not.

        Args:
            types: of some columns by name, where the values do not say it: "numeric" (scaled, or
                by quantiles where that serves better), "standardized", "quantiles", "integer",
                "binary" or "categorical".

        Raises:
            TypeError: if the data are no table, or a column holds what is no number and no name.
            ValueError: if a value is infinite, a column does not fit its type, or none varies.
        """
        frame, types = Frame.of(data), dict(types or {})
        for name in set(types) - {series.name for series in frame.columns}:
            known = nearest(name, [series.name for series in frame.columns])
            raise ValueError(f"there is no column {name!r}: {known}")
        columns = (inferred(series, types.get(series.name)) for series in frame.columns)
        return cls(tuple(columns), frame.source)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The columns that take part in a model, those of one kind together."""
        return blocks_of(self.columns)

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
        return sum(len(block.columns) for block in self.blocks)

    @cached_property
    def holes(self) -> bool:  # type: ignore[override]
        return self.incomplete or any(
            each.missing > 0 for each in self.columns if each.space is not None
        )

    @property
    def levels(self) -> None:
        return None

    @cached_property
    def learns_last_step(self) -> bool:  # type: ignore[override]
        return any(block.space.learns_last_step for block in self.blocks)

    @property
    def learned_values(self) -> Tensor:
        return torch.cat([block.space.learned_values for block in self.blocks])

    def require(self, kernel: Kernel) -> None:
        if not isinstance(kernel, ProductKernel) or kernel.widths != self.widths:
            told = kernel.widths if isinstance(kernel, ProductKernel) else type(kernel).__name__
            raise TypeError(
                f"this Table needs a ProductKernel with widths {self.widths}, one part for each of "
                f"{[type(block.space).__name__ for block in self.blocks]}, got {told}: "
                "quasistatic.recipes.tabular builds the whole model"
            )
        for piece in self.independent_parts(kernel):
            piece.space.require(piece.kernel)

    def independent_parts(self, kernel: Kernel) -> list[SpacePart]:
        assert isinstance(kernel, ProductKernel)  # as `require` has made sure
        ends = pairwise(accumulate(self.widths, initial=0))
        each = zip(self.blocks, kernel.parts, ends, strict=True)
        return [SpacePart(b.space, part, list(b.columns), slice(*own)) for b, part, own in each]

    @property
    def placeholder(self) -> Tensor:
        return torch.tensor([column.placeholder for column in self.columns], dtype=torch.float64)

    def expand_to_state(self, each: Tensor) -> Tensor:
        pieces = (
            block.space.expand_to_state(each[:, list(block.columns)]) for block in self.blocks
        )
        return torch.cat(list(pieces), 1)

    def per_column(self, each: Tensor) -> Tensor:
        """The sum of what the values of x_0 have, (B, W), over those of a column: (B, C)."""
        owner = self.expand_to_state(torch.arange(float(len(self.columns)))[None])[0].long()
        whole = each.new_zeros(len(each), len(self.columns))
        return whole.index_add(1, owner.to(each.device), each)

    def read(self, data: object) -> Tensor:
        """Rows of a table (see :meth:`infer`) as numbers (B, C) in float64, NaN where a value is
        missing. Columns may come in any order, and others beside them are left.

        Raises:
            ValueError: if a column is missing, or holds what it cannot: which, and in which row.
        """
        found = self._found(data)
        numbers = [each.numbers(series) for each, series in zip(self.columns, found, strict=True)]
        return self.check(torch.from_numpy(np.stack(numbers, 1)))

    def read_with_unknowns(self, data: object) -> Tensor:
        """The same for rows that may hold what no row of this table can, a class that was not
        there or a number out of range: it stands as infinity.

        Raises:
            ValueError: if a column is missing, or holds names where numbers belong.
        """
        found = self._found(data)
        each = [
            column.read_with_unknowns(series)
            for column, series in zip(self.columns, found, strict=True)
        ]
        return torch.from_numpy(np.stack(each, 1))

    def _found(self, data: object) -> list[Series]:
        """The columns of some data, in the table's order."""
        found = {series.name: series for series in Frame.of(data).columns}
        for column in self.columns:
            if column.name not in found:
                raise ValueError(
                    f"the data have no column {column.name!r}: {nearest(column.name, found)}"
                )
        return [found[column.name] for column in self.columns]

    def write(self, raw: Tensor, source: str | None = None) -> Any:
        """Rows (B, C) as the kind of table that the columns came from, or that of another
        `source`, with their names, their order and their types."""
        numbers = raw.detach().cpu().double().numpy()
        values = {each.name: each.values(numbers[:, k]) for k, each in enumerate(self.columns)}
        missing = [name for name, column in values.items() if None in column]
        dtypes = {column.name: column.dtype for column in self.columns}
        return written(source or self.source, values, dtypes, missing)

    def typical(self, draws: Tensor) -> Tensor:
        """One row for the draws (N, n, C) of each: the mean of numeric columns, the median of
        integers, and the class that came most often; shape (N, C)."""
        each = [column.typical(draws[..., k]) for k, column in enumerate(self.columns)]
        return torch.stack(each, 1)

    def check(self, raw: object, name: str = "x") -> Tensor:
        """Rows as numbers, in floating point, or an error that names the column. A data frame, and
        an array of objects or records, is read first."""
        if not isinstance(raw, Tensor | list) and not (
            isinstance(raw, np.ndarray) and raw.dtype.kind in "iufb"
        ):
            return self.read(raw)
        array = as_tensor(raw, name)
        if array.ndim != 2 or array.shape[1] != len(self.columns) or len(array) == 0:
            raise ValueError(
                f"{name} must have shape (rows, {len(self.columns)}) and a row or more, got "
                f"{tuple(array.shape)}: a column for each of the table's"
            )
        if not array.is_floating_point():
            array = array.to(torch.get_default_dtype())
        numbers = array.detach().cpu().numpy()
        for k, column in enumerate(self.columns):
            column.check(numbers[:, k], self.incomplete)
        return array

    def encode(self, raw: Tensor, rng: torch.Generator | None = None) -> Tensor:
        absent = raw.isnan()
        filled = torch.where(absent, self.placeholder.to(raw), raw)
        pieces = [block.space.encode(filled[:, list(block.columns)], rng) for block in self.blocks]
        hidden = self.expand_to_state(absent.to(raw.dtype)) > 0
        return torch.where(hidden, torch.nan, torch.cat(pieces, 1))

    def decode(self, x_0: Tensor) -> Tensor:
        return self._columnwise(x_0, lambda space, x: space.decode(x))

    def snap_to_levels(self, x_0: Tensor) -> Tensor:
        return self._each(x_0, lambda space, x: space.snap_to_levels(x))

    def in_raw_units(self, x_0: Tensor) -> Tensor:
        return self._columnwise(x_0, lambda space, x: space.in_raw_units(x))

    def affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        raise no_affine(self)

    def log_volume(self, x_0: Tensor) -> Tensor:
        """The logarithm of what turns a density of the real values of x_0 (B, W) into one of raw
        data, or into a mass where they are whole numbers: (B, W), zero where one is missing."""
        return self._nats(x_0, lambda space, x: space.log_volume(x))

    def log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        parts = iter(_parts(p))
        return self._nats(x_0, lambda space, x: space.log_prob(next(parts), x))

    def learned_log_prob(self, p: Family, x_0: Tensor) -> Tensor:
        parts = iter(_parts(p))
        return self._nats(x_0, lambda space, x: space.learned_log_prob(next(parts), x))

    def log_total_mass(self, p: Family, like: Tensor) -> None:
        return None  # its blocks say it

    def edge(self, kernel: Kernel, x_0: Tensor, t: Tensor) -> Tensor:
        parts = iter(_kernels(kernel))
        return self._nats(x_0, lambda space, x: space.edge(next(parts), x, t))

    def last(self, kernel: Kernel, x_t: Tensor, t: Tensor, learned: Callable[[], Family]) -> Family:
        assert isinstance(kernel, ProductKernel)
        whole = _parts(learned()) if self.learns_last_step else (None,) * len(self.blocks)
        each = zip(self.blocks, kernel.parts, kernel.split(x_t), whole, strict=True)
        laws = [
            block.space.last(part, x, t, lambda law=law: law)  # type: ignore[misc]
            for block, part, (x,), law in each
        ]
        return kernel.join(laws, x_t)

    def _each(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """f of each block's space and its own values of x_0, side by side; holes stay NaN."""
        absent = x_0.isnan()
        pieces = torch.where(absent, 0.0, x_0).split(self.widths, 1)
        each = zip(self.blocks, pieces, strict=True)
        whole = torch.cat([f(block.space, x) for block, x in each], 1)
        return torch.where(absent, torch.nan, whole)

    def _nats(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """The same for nats, of which a hole has none."""
        return torch.where(x_0.isnan(), 0.0, self._each(x_0, f))

    def _columnwise(self, x_0: Tensor, f: Callable[[Space, Tensor], Tensor]) -> Tensor:
        """f of each block, (B, W_i) to its columns, as rows (B, C)."""
        absent = x_0.isnan()
        raw = self.placeholder.to(x_0).expand(len(x_0), -1).clone()
        pieces = torch.where(absent, 0.0, x_0).split(self.widths, 1)
        for block, x in zip(self.blocks, pieces, strict=True):
            raw[:, list(block.columns)] = f(block.space, x)
        return torch.where(self.per_column(absent.to(x_0.dtype)) > 0, torch.nan, raw)

    def described(self) -> list[tuple[str, str, str, str]]:
        """Of each column its name, its type, its values and the share that is missing, as text."""
        return [
            (each.name, each.kind, each.range, f"{each.missing:.1%}" if each.missing else "")
            for each in self.columns
        ]

    def __rich__(self) -> Printed:
        printed = Printed(title=f"{len(self.columns)} columns", title_justify="left")
        for name in DESCRIBED[:-1]:
            printed.add_column(name)
        printed.add_column(DESCRIBED[-1], justify="right")
        for row in self.described():
            printed.add_row(*row)
        return printed

    def __repr__(self) -> str:
        kinds = Counter(column.kind for column in self.columns)
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        holes = ", missing values allowed" if self.holes else ""
        return f"Table({len(self.columns)} columns: {counted}{holes})"

    def __str__(self) -> str:
        page = io.StringIO()
        Console(file=page, width=WIDTH, highlight=False, markup=False).print(self)
        return page.getvalue().rstrip()


def _parts(p: Family) -> tuple[Family, ...]:
    assert isinstance(p, Product)  # as every law of a table's x is
    return p.parts


def _kernels(kernel: Kernel) -> tuple[Kernel, ...]:
    assert isinstance(kernel, ProductKernel)
    return kernel.parts
