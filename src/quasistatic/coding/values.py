r"""What is known of an array's values before they are read, and their code without a model."""

__all__ = ["ColumnValues", "LevelValues", "Values", "values_of"]

import abc
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..distributions import FiniteSupport, Support
from ..spaces import Space
from .decimal_grids import MOST_PLACES, DecimalGrids, scan_columns
from .packing import (
    column_limit,
    pack,
    pack_column,
    packed_size,
    squeeze,
    unpack,
    unpack_column,
    unsqueeze,
)

_SIZE = struct.Struct("<Q")
_LISTS = ("places", "narrow", "minus", "holes")


class Values(abc.ABC):
    """What the header of a stream records about values of shape (N, *shape)."""

    @property
    @abc.abstractmethod
    def header_entry(self) -> dict[str, list[int]] | None:
        """The entry `values` of a header; None if the model determines all."""

    def describe(self, space: Space) -> str:
        """The space, for messages."""
        return f"{type(space).__name__} of shape {space.shape}"

    @property
    def holes(self) -> tuple[int, ...]:
        """The places, in C order, at which a value of an example can be missing."""
        return ()

    @abc.abstractmethod
    def scan(self, x: np.ndarray) -> "Values":
        """What is true of the values of x (N, *shape), which may be a memory map."""

    @abc.abstractmethod
    def grids(self, columns: Any) -> DecimalGrids:
        """The decimal grids of some of the values, by an index of them."""

    @abc.abstractmethod
    def pack(self, x: np.ndarray) -> bytes:
        """The values x (n, *shape), float64, in as few bytes as hold each, then as an .xz file.
        A value that the header does not allow for comes back as another."""

    @abc.abstractmethod
    def unpack(self, data: bytes, count: int) -> np.ndarray:
        """What :meth:`pack` packed, (count, *shape).

        Raises:
            ValueError: if the data are not `count` packed examples.
        """


def values_of(space: Space, entry: Any = None) -> Values:
    """The values that a header describes, or any that a space allows.

    Args:
        space: of the model.
        entry: `values` of a header; None for any values of the space.

    Raises:
        ValueError: if the entry does not fit the space.
    """
    levels = space.levels if space.exact else _levels_of(space.support)
    if levels is not None:
        if entry is not None:
            raise ValueError("it describes columns, but all values have the same levels")
        return LevelValues(space.shape, len(levels))
    if entry is None:
        some = tuple(range(math.prod(space.shape)))
        return ColumnValues(space.shape, (-1,) * len(some), (), some, some if space.holes else ())
    return ColumnValues.from_header(space, entry)


def _levels_of(support: Support) -> torch.Tensor | None:
    return support.values if isinstance(support, FiniteSupport) else None


@dataclass(frozen=True)
class LevelValues(Values):
    """Whole numbers below `count`, the same at all places."""

    shape: tuple[int, ...]
    count: int

    @property
    def header_entry(self) -> None:
        return None

    def describe(self, space: Space) -> str:
        return str(space)

    def scan(self, x: np.ndarray) -> Values:
        return self

    def grids(self, columns: Any) -> DecimalGrids:
        flags = torch.zeros(self.shape, dtype=torch.bool)[columns]
        return DecimalGrids(flags.long(), flags, flags)

    def pack(self, x: np.ndarray) -> bytes:
        return squeeze(pack(x.astype(np.int64), self.count))

    def unpack(self, data: bytes, count: int) -> np.ndarray:
        shape = (count, *self.shape)
        packed = unsqueeze(data, packed_size(math.prod(shape), self.count))
        return unpack(packed, self.count, shape)


@dataclass(frozen=True)
class ColumnValues(Values):
    """Numbers of another kind at each place of an example (a column).

    Args:
        shape: of an example.
        places: of each column, decimals after the point; -1 if it is on no grid.
        narrow: the columns of 32-bit floats, by their places in C order.
        minus: the columns that can hold a minus zero.
        missing: the columns in which a value can be missing.
    """

    shape: tuple[int, ...]
    places: tuple[int, ...]
    narrow: tuple[int, ...]
    minus: tuple[int, ...]
    missing: tuple[int, ...]

    @classmethod
    def from_header(cls, space: Space, entry: Any) -> "ColumnValues":
        """The values that an entry of a header describes.

        Raises:
            ValueError: if it is malformed, or does not fit the space.
        """
        dims = math.prod(space.shape)
        if not isinstance(entry, dict) or set(entry) != set(_LISTS):
            raise ValueError(f"columns are described by {_LISTS}, got {entry!r:.60}")
        lists = [entry[name] for name in _LISTS]
        if not all(isinstance(each, list) and {*map(type, each)} <= {int} for each in lists):
            raise ValueError("columns are described by lists of whole numbers, got other values")
        places, *some = map(tuple, lists)
        if len(places) != dims or not all(-1 <= k <= MOST_PLACES for k in places):
            raise ValueError(
                f"it has {len(places)} columns, or decimals outside of -1 to {MOST_PLACES}; the "
                f"model has {dims} columns"
            )
        if not all(
            len(each) <= dims and len(set(each)) == len(each) and all(0 <= k < dims for k in each)
            for each in some
        ):
            raise ValueError(f"it names columns that are not among the {dims} of the model")
        if some[-1] and not space.holes:
            raise ValueError("it describes missing values, and the model allows for none")
        return cls(space.shape, places, *some)

    @property
    def header_entry(self) -> dict[str, list[int]]:
        lists = (self.places, self.narrow, self.minus, self.missing)
        return dict(zip(_LISTS, map(list, lists), strict=True))

    @property
    def holes(self) -> tuple[int, ...]:
        return self.missing

    def scan(self, x: np.ndarray) -> Values:
        places, *flags = scan_columns(x)
        some = (tuple(flag.nonzero()[0].tolist()) for flag in flags)
        return ColumnValues(self.shape, tuple(places.tolist()), *some)

    def grids(self, columns: Any) -> DecimalGrids:
        places = torch.tensor(self.places).view(self.shape)
        each = (places, self._flags(self.narrow), self._flags(self.minus))
        return DecimalGrids(*(grid[columns] for grid in each))

    @property
    def _narrow(self) -> list[bool]:
        flags: list[bool] = self._flags(self.narrow).flatten().tolist()
        return flags

    def _flags(self, some: tuple[int, ...]) -> torch.Tensor:
        flags = torch.zeros(len(self.places), dtype=torch.bool)
        flags[list(some)] = True
        return flags.view(self.shape)

    def pack(self, x: np.ndarray) -> bytes:
        columns = x.reshape(len(x), -1).T
        each = zip(columns, self.places, self._narrow, strict=True)
        data = b"".join(pack_column(*column) for column in each)
        return _SIZE.pack(len(data)) + squeeze(data)

    def unpack(self, data: bytes, count: int) -> np.ndarray:
        most = len(self.places) * column_limit(count)
        if len(data) < _SIZE.size or (size := _SIZE.unpack_from(data)[0]) > most:
            raise ValueError(f"these are not {count} rows of {len(self.places)} columns")
        rest = memoryview(unsqueeze(data[_SIZE.size :], size))
        columns = []
        for places, narrow in zip(self.places, self._narrow, strict=True):
            column, rest = unpack_column(rest, count, places, narrow)
            columns.append(column)
        if rest:
            raise ValueError("bytes are left after the last column")
        return np.stack(columns, 1).reshape(count, *self.shape)
