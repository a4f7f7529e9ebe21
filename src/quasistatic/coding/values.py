r"""What is known of an array's values before any is read, and their code without the model."""

__all__ = ["Columns", "Shared", "Values", "values_of"]

import abc
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..spaces import Space
from .decimal_grids import MOST_PLACES, Grids, look
from .packing import (
    most_of_column,
    pack,
    pack_column,
    packed_size,
    squeeze,
    unpack,
    unpack_column,
    unsqueeze,
)

_SIZE = struct.Struct("<Q")


class Values(abc.ABC):
    """What the header of a stream says of values of shape (N, *shape)."""

    @property
    @abc.abstractmethod
    def told(self) -> dict[str, list[int]] | None:
        """It, for the header; None if the model says all."""

    def words(self, space: Space) -> str:
        """The space, for messages."""
        return f"{type(space).__name__} of shape {space.shape}"

    @property
    def holes(self) -> tuple[int, ...]:
        """The places, in C order, at which an example may lack a value."""
        return ()

    @abc.abstractmethod
    def seen(self, x: np.ndarray) -> "Values":
        """What is true of the values of x (N, *shape), which may be a memory map."""

    @abc.abstractmethod
    def grids(self, columns: Any) -> Grids:
        """The grids of some of the values, by an index of them."""

    @abc.abstractmethod
    def pack(self, x: np.ndarray) -> bytes:
        """The values x (n, *shape), float64, in as few bytes as hold each, then as an .xz file.
        A value that is not as was told comes out as another."""

    @abc.abstractmethod
    def unpack(self, data: bytes, count: int) -> np.ndarray:
        """What :meth:`pack` packed, (count, *shape).

        Raises:
            ValueError: if it cannot be.
        """


def values_of(space: Space, told: Any = None) -> Values:
    """The values that the header of a stream tells of, or any that a space allows.

    Raises:
        ValueError: if they are none of the space's.
    """
    if space.levels is not None:
        if told is not None:
            raise ValueError("it tells of columns, and all values have the same levels")
        return Shared(space.shape, len(space.levels))
    if told is None:
        some = tuple(range(math.prod(space.shape)))
        return Columns(space.shape, (-1,) * len(some), (), some, some if space.holes else ())
    return Columns.of(space, told)


@dataclass(frozen=True)
class Shared(Values):
    """Whole numbers below `count`, the same at all places."""

    shape: tuple[int, ...]
    count: int

    @property
    def told(self) -> None:
        return None

    def words(self, space: Space) -> str:
        return str(space)

    def seen(self, x: np.ndarray) -> Values:
        return self

    def grids(self, columns: Any) -> Grids:
        flags = torch.zeros(self.shape, dtype=torch.bool)[columns]
        return Grids(flags.long(), flags, flags)

    def pack(self, x: np.ndarray) -> bytes:
        return squeeze(pack(x.astype(np.int64), self.count))

    def unpack(self, data: bytes, count: int) -> np.ndarray:
        shape = (count, *self.shape)
        packed = unsqueeze(data, packed_size(math.prod(shape), self.count))
        return unpack(packed, self.count, shape)


@dataclass(frozen=True)
class Columns(Values):
    """Numbers that are of another kind at each place of an example.

    Args:
        shape: of an example.
        places: of each, decimals after the point; -1 if it is on no grid.
        narrow: which are floats of 32 bits, by their places in C order.
        minus: which have a minus zero.
        lacking: which may lack a value.
    """

    shape: tuple[int, ...]
    places: tuple[int, ...]
    narrow: tuple[int, ...]
    minus: tuple[int, ...]
    lacking: tuple[int, ...]

    @classmethod
    def of(cls, space: Space, told: Any) -> "Columns":
        """What a header tells; ValueError if that cannot be."""
        dims = math.prod(space.shape)
        names = ("places", "narrow", "minus", "holes")
        if not isinstance(told, dict) or set(told) != set(names):
            raise ValueError(f"it tells of columns by {names}, and has {told!r:.60}")
        lists = [told[name] for name in names]
        if not all(isinstance(each, list) and {*map(type, each)} <= {int} for each in lists):
            raise ValueError("what it tells of columns are no whole numbers")
        places, *some = map(tuple, lists)
        if len(places) != dims or not all(-1 <= k <= MOST_PLACES for k in places):
            raise ValueError(
                f"it has {len(places)} grids of -1 to {MOST_PLACES} places, not {dims}"
            )
        if not all(set(each) <= set(range(dims)) and len(set(each)) == len(each) for each in some):
            raise ValueError(f"it names columns that are not among the {dims} there are")
        if some[-1] and not space.holes:
            raise ValueError("it tells of holes, and the model allows for none")
        return cls(space.shape, places, *some)

    @property
    def told(self) -> dict[str, list[int]]:
        lists = (self.places, self.narrow, self.minus, self.lacking)
        return dict(zip(("places", "narrow", "minus", "holes"), map(list, lists), strict=True))

    @property
    def holes(self) -> tuple[int, ...]:
        return self.lacking

    def seen(self, x: np.ndarray) -> Values:
        places, *flags = look(x)
        some = (tuple(flag.nonzero()[0].tolist()) for flag in flags)
        return Columns(self.shape, tuple(places.tolist()), *some)

    def grids(self, columns: Any) -> Grids:
        places = torch.tensor(self.places).view(self.shape)
        each = (places, self._flags(self.narrow), self._flags(self.minus))
        return Grids(*(grid[columns] for grid in each))

    @property
    def _narrow(self) -> list[bool]:
        return self._flags(self.narrow).flatten().tolist()

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
        most = len(self.places) * most_of_column(count)
        if len(data) < _SIZE.size or (size := _SIZE.unpack_from(data)[0]) > most:
            raise ValueError(f"it is no {count} rows of {len(self.places)} columns")
        rest = memoryview(unsqueeze(data[_SIZE.size :], size))
        columns = []
        for places, narrow in zip(self.places, self._narrow, strict=True):
            column, rest = unpack_column(rest, count, places, narrow)
            columns.append(column)
        if rest:
            raise ValueError("there is more of it than rows")
        return np.stack(columns, 1).reshape(count, *self.shape)
