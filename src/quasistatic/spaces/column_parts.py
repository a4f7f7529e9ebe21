"""The parts of the columns of a table, and rows of parts."""

__all__ = ["ColumnParts"]

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .columns import Column, CompoundColumn


@dataclass(frozen=True)
class ColumnParts:
    """The ordinary columns that columns of a table are made of: those of values, and columns that
    have no parts, in the order of the table, and then the classes of columns that have two parts.

    Args:
        columns: of the table.
    """

    columns: tuple[Column, ...]

    @cached_property
    def compound(self) -> tuple[int, ...]:
        """The columns that have parts."""
        return tuple(k for k, c in enumerate(self.columns) if isinstance(c, CompoundColumn))

    @cached_property
    def each(self) -> tuple[Column, ...]:
        """The parts."""
        return tuple(self._of(k)[part] for k, part in self._order)

    @cached_property
    def owner(self) -> tuple[int, ...]:
        """For each part, the column that it belongs to."""
        return tuple(k for k, _ in self._order)

    @cached_property
    def _order(self) -> tuple[tuple[int, int], ...]:
        """For each part, the column that it belongs to, and which part of it."""
        each = [(k, i) for k in range(len(self.columns)) for i in range(len(self._of(k)))]
        return tuple(sorted(each, key=lambda place: place[1] > 0))

    def _of(self, k: int) -> tuple[Column, ...]:
        column = self.columns[k]
        return column.parts if isinstance(column, CompoundColumn) else (column,)

    def _column(self, k: int) -> CompoundColumn:
        column = self.columns[k]
        assert isinstance(column, CompoundColumn)  # as `compound` lists these
        return column

    def places(self, k: int) -> list[int]:
        """The indices of the parts of column k."""
        return [p for p, owner in enumerate(self.owner) if owner == k]

    def split(self, raw: Tensor) -> Tensor:
        """Rows (B, C) as rows of parts, NaN where a part is missing or has no meaning."""
        if not self.compound:
            return raw
        out = raw[:, list(self.owner)].clone()
        for k in self.compound:
            out[:, self.places(k)] = self._column(k).split(raw[:, k]).to(out.dtype)
        return out

    def without_meaning(self, parts: Tensor) -> Tensor:
        """Which parts (B, parts) have no meaning, as another part of their column says: an atom has
        no value. A value that is missing has all its parts missing, and each of them has a
        meaning."""
        out = torch.zeros_like(parts, dtype=torch.bool)
        for k in self.compound:
            absent = parts[:, self.places(k)].isnan()
            out[:, self.places(k)] = absent & ~absent.all(1, keepdim=True)
        return out

    def join(self, parts: Tensor, rounded: bool) -> Tensor:
        """The inverse of :meth:`split`.

        Args:
            parts: shape (B, parts).
            rounded: whether numbers are moved to what their column can hold.
        """
        if not self.compound:
            return parts
        first = [self.places(k)[0] for k in range(len(self.columns))]
        out = parts[:, first].clone()
        for k in self.compound:
            out[:, k] = self._column(k).join(parts[:, self.places(k)], rounded).to(out.dtype)
        return out

    def log_cells(self, x_0: Tensor, numbers: Tensor, of: Tensor) -> Tensor:
        """The log-width of the cell of each value on a lattice, and the log-unit of each class that
        is an atom, in nats (B, W); zero elsewhere.

        Args:
            x_0: shape (B, W).
            numbers: the rows of parts that x_0 stands for, shape (B, parts).
            of: the part that each value of x_0 belongs to, shape (W,).
        """
        out = torch.zeros_like(x_0)
        for k in self.compound:
            column = self._column(k)
            for p, part in zip(self.places(k), column.parts, strict=True):
                places = (of == p).nonzero()[:, 0]
                if part.name == column.classes_name:
                    own = torch.zeros(len(places), dtype=x_0.dtype, device=x_0.device)
                    own[: len(column.log_units)] = own.new_tensor(column.log_units)
                    out[:, places] = torch.where(x_0[:, places] > 0.5, own, 0.0)
                elif column.on_lattice and part.name == column.name:
                    cells = column.log_cell(numbers[:, p])
                    out[:, places] = cells[:, None].to(x_0.dtype)
        return torch.where(x_0.isnan(), 0.0, out)

    def units(self, like: Tensor) -> Tensor:
        """The distance between neighbours of each part on a lattice, (parts,); zero for others."""
        units = torch.zeros(len(self.owner), dtype=like.dtype, device=like.device)
        for k in self.compound:
            column = self._column(k)
            units[self.places(k)[0]] = column.unit if column.on_lattice else 0.0
        return units
