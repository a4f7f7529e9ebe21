"""Columns of one kind, as one space."""

__all__ = ["Block", "blocks_of"]

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .columns import Column
from .integers import Integers
from .one_hot import OneHot
from .piecewise_linear import PiecewiseLinear
from .quantile_map import QuantileMap
from .space import Space
from .yeo_johnson import YeoJohnson


class Block(NamedTuple):
    """The columns of one kind and the space that they make.

    Args:
        space: of these columns.
        columns: their indices in the table.
        lattices: for each real value of x_0 the first number, the distance between numbers (0 for
            real-valued data) and the last number, in units of x_0.
        sizes: for each class variable the number of classes.
        shares: the share of each class in the data.
    """

    space: Space
    columns: tuple[int, ...]
    lattices: tuple[tuple[float, float, float], ...] = ()
    sizes: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


def blocks_of(columns: Sequence[Column]) -> tuple[Block, ...]:
    """The columns that take part in a model, grouped by kind.

    Args:
        columns: all columns of a table.

    Returns:
        Blocks in the order of their values in x_0: real values first.
    """
    found = []
    for kind, build in _BUILT.items():
        index = tuple(k for k, each in enumerate(columns) if each.space is kind)
        if index:
            found.append(build([columns[k] for k in index], index))
    return tuple(found)


def _piecewise_linear(columns: Sequence[Any], index: tuple[int, ...]) -> Block:
    space = PiecewiseLinear(
        len(columns), tuple(c.at for c in columns), tuple(c.to for c in columns)
    )
    return Block(space, index, lattices=((0.0, 0.0, 0.0),) * len(columns))


def _powers(columns: Sequence[Any], index: tuple[int, ...]) -> Block:
    names = ("power", "shift", "scale", "centre", "spread")
    space = YeoJohnson(len(columns), *(tuple(getattr(c, n) for c in columns) for n in names))
    return Block(space, index, lattices=((0.0, 0.0, 0.0),) * len(columns))


def _quantiles(columns: Sequence[Any], index: tuple[int, ...]) -> Block:
    each = (tuple(getattr(c, name) for c in columns) for name in ("at", "u", "slopes"))
    space = QuantileMap(len(columns), *each)
    return Block(space, index, lattices=((0.0, 0.0, 0.0),) * len(columns))


def _integers(columns: Sequence[Any], index: tuple[int, ...]) -> Block:
    each = (tuple(getattr(c, name) for c in columns) for name in ("low", "high", "shift", "scale"))
    space = Integers(len(columns), *each)
    lattices = tuple(
        ((c.low - c.shift) / c.scale, 1 / c.scale, (c.high - c.shift) / c.scale) for c in columns
    )
    return Block(space, index, lattices=lattices)


def _one_hot(columns: Sequence[Any], index: tuple[int, ...]) -> Block:
    sizes = tuple(len(c.shares) for c in columns)
    space = OneHot(sizes, tuple(c.lowest for c in columns))
    return Block(space, index, sizes=sizes, shares=tuple(p for c in columns for p in c.shares))


_BUILT: dict[type[Space], Callable[[Sequence[Any], tuple[int, ...]], Block]] = {
    PiecewiseLinear: _piecewise_linear,
    YeoJohnson: _powers,
    QuantileMap: _quantiles,
    Integers: _integers,
    OneHot: _one_hot,
}
"""How the columns of each kind make a block, in the order of their values in x_0."""
