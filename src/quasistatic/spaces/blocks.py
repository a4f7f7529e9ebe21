"""Columns of one kind as one space."""

__all__ = ["Block", "blocks_of"]

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .columns import Column
from .integers import Integers
from .one_hot import OneHot
from .space import Space
from .warped import Warped


class Block(NamedTuple):
    """Columns of one kind: the space that they make, and which they are."""

    space: Space
    columns: tuple[int, ...]


def blocks_of(columns: Sequence[Column]) -> tuple[Block, ...]:
    """The columns that take part in a model, those of one kind together."""
    found = []
    for kind, build in _BUILT.items():
        index = tuple(k for k, each in enumerate(columns) if each.space is kind)
        if index:
            found.append(Block(build([columns[k] for k in index]), index))
    return tuple(found)


def _warped(columns: Sequence[Any]) -> Warped:
    return Warped(len(columns), tuple(c.at for c in columns), tuple(c.to for c in columns))


def _integers(columns: Sequence[Any]) -> Integers:
    each = (tuple(getattr(c, name) for c in columns) for name in ("low", "high", "shift", "scale"))
    return Integers(len(columns), *each)


def _one_hot(columns: Sequence[Any]) -> OneHot:
    return OneHot(tuple(len(c.shares) for c in columns), tuple(c.lowest for c in columns))


_BUILT: dict[type[Space], Callable[[Sequence[Any]], Space]] = {
    Warped: _warped,
    Integers: _integers,
    OneHot: _one_hot,
}
"""How columns of one kind make a space, in the order of their values in x_0."""
