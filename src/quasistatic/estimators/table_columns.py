"""The columns of what a user passes: which table it is, and how rows come back."""

__all__ = [
    "as_user_has",
    "in_spaces",
    "is_frame",
    "numeric_values",
    "table_of",
    "types_of",
]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import torch

from ..spaces import Continuous, Space, Table
from ..spaces.columns import (
    BinaryColumn,
    CategoryColumn,
    Column,
    CompoundColumn,
    HoledColumn,
    IntegerColumn,
    NumericColumn,
    PowerColumn,
)
from ..spaces.frames import ARRAY, Frame
from ..spaces.inference import clocked, infer_column, powered, quantiled, standardized
from ..spaces.yeo_johnson import YeoJohnson


def is_frame(X: Any) -> bool:
    """Whether X is read column by column: a data frame, or an array with names among its values."""
    if isinstance(X, Frame) or Frame.has_names(X):
        return True
    array = X if isinstance(X, np.ndarray) else None
    if array is None or array.dtype.kind not in "OUS" or array.ndim != 2:
        return False
    return any(isinstance(value, str | bytes) for value in array.ravel())


def table_of(
    frame: Frame,
    types: Mapping[str, str] | None,
    space: Space | None,
    like: Table | None = None,
    holes: bool = False,
) -> Table:
    """The table whose rows a frame holds. Any column may have holes, also one that has none here,
    and whole numbers of a wide range have some room beyond their ends. Atoms and lattices are
    looked for in columns of numbers, unless `types` say what they are.

    Args:
        frame: the rows.
        types: of some columns, by name.
        space: of the columns of numbers, which are then real ones.
        like: a table of more rows, whose atoms and lattices the table has.
        holes: whether it is a part of the model which values are missing.

    Raises:
        TypeError, ValueError: of :meth:`Table.infer`, and if `space` does not fit.
    """
    given = dict(types or {})
    types = types_of(frame, types)
    if space is not None:
        free = [each for each in frame.columns if not each.is_category and not each.is_temporal]
        numbers = [each.name for each in free if each.numbers is not None]
        types = types | dict.fromkeys(numbers, "standardized") | given
    table = Table.infer(frame, types)
    if like is not None:
        table = _alike(table, frame, like)
    numbers_of = table.read(frame).numpy().T
    columns = [each.with_margin(n) for each, n in zip(table.columns, numbers_of, strict=True)]
    if space is not None:
        columns = _in_space(columns, space)
    if holes:
        columns = [
            HoledColumn.of(each).refitted(numbers) if each.missing and each.space else each
            for each, numbers in zip(columns, numbers_of, strict=True)
        ]
    return replace(table, columns=tuple(columns), incomplete=True)


def types_of(frame: Frame, types: Mapping[str, str] | None) -> dict[str, str]:
    """The types of columns by name: those that are given, and "atoms" for other numbers."""
    numbers = [each for each in frame.columns if each.numbers is not None and not each.is_category]
    return {each.name: "atoms" for each in numbers} | dict(types or {})


def _alike(table: Table, frame: Frame, like: Table) -> Table:
    """The table with the atoms and the lattices of another one of the same columns."""
    own = {series.name: series for series in frame.columns}
    columns = list(table.columns)
    for k, (mine, theirs) in enumerate(zip(table.columns, like.columns, strict=True)):
        if isinstance(theirs, CompoundColumn):
            columns[k] = theirs.refitted(theirs.numbers(clocked(own[mine.name], mine.dtype)))
        elif isinstance(mine, CompoundColumn):
            columns[k] = infer_column(own[mine.name], _PLAIN.get(type(theirs)))
        own_column = columns[k]
        if isinstance(theirs, NumericColumn | PowerColumn) and isinstance(
            own_column, NumericColumn
        ):
            columns[k] = replace(own_column, decimals=theirs.decimals)
    return replace(table, columns=tuple(columns))


_PLAIN = {
    IntegerColumn: "integer",
    NumericColumn: "numeric",
    PowerColumn: "numeric",
    CategoryColumn: "categorical",
    BinaryColumn: "binary",
}
"""The types of columns that have no atoms."""


def _in_space(columns: list[Column], space: Space) -> list[Column]:
    """The same columns, the real ones by the shifts, scales and powers of a space."""
    names = ("power", "shift", "scale", "centre", "spread")
    real = [k for k, each in enumerate(columns) if isinstance(each, NumericColumn)]
    if not isinstance(space, Continuous | YeoJohnson) or space.shape != (len(real),):
        raise ValueError(
            f"space must be Continuous or YeoJohnson for the {len(real)} real columns that vary, "
            f"got {space}"
        )
    found = list(columns)
    for place, k in enumerate(real):
        each = columns[k]
        assert isinstance(each, NumericColumn)  # as it is a real one
        number = {
            name: float(np.broadcast_to(getattr(space, name), space.shape)[place])
            for name in names
            if hasattr(space, name)
        }
        if isinstance(space, YeoJohnson):
            common = each.name, each.missing, each.dtype
            power, shift, scale, centre, spread = (number[name] for name in names)
            found[k] = PowerColumn(
                *common, power, shift, scale, centre, spread, each.low, each.high
            )
        else:
            shift, scale = number["shift"], number["scale"]
            found[k] = replace(each, at=(shift - scale, shift + scale), to=(-1.0, 1.0))
    return found


def in_spaces(
    table: Table, rows: np.ndarray, types: Mapping[str, str] | None, quantiles: bool = True
) -> list[Table]:
    """The table with its real columns standardised, bent by powers, and made normal by quantiles,
    where the user has not said how they are scaled: what held-out rows choose from.

    Args:
        table: the columns.
        rows: of the table, with shape (N, C), NaN a hole.
        types: of columns, by name, as the user gave them.
        quantiles: whether quantiles are among the choices.
    """
    free = [
        k
        for k, each in enumerate(table.columns)
        if isinstance(each, CompoundColumn | NumericColumn)
        and any(isinstance(part, NumericColumn) for part in parts_of(each))
        and (types or {}).get(each.name, "numeric") in ("numeric", "atoms")
    ]
    if not free:
        return [table]
    plain = standardized, powered
    changes = (*plain, quantiled) if quantiles else plain
    found = []
    for change in changes:
        columns = list(table.columns)
        for k in free:
            column = columns[k]
            if isinstance(column, CompoundColumn):
                columns[k] = column.in_space(change, rows[:, k])
            else:
                assert isinstance(column, NumericColumn)  # as it is free
                columns[k] = change(column, rows[:, k])
        found.append(replace(table, columns=tuple(columns)))
    return found


def parts_of(column: Column) -> tuple[Column, ...]:
    """The ordinary columns of which a column is made."""
    return column.parts if isinstance(column, CompoundColumn) else (column,)


def as_user_has(
    table: Table, numbers: np.ndarray, X: Any, order: Sequence[str] | None = None
) -> Any:
    """Rows of a table (N, C) as the kind of thing that X is: an array, or a frame of its library
    with its index. A frame has its own columns in its own order, or those of `order` where it has
    them all; columns that the table leaves out are those of X."""
    if not Frame.has_names(X):
        return _as_array(table, numbers, X)
    native = nw.from_native(X, eager_only=True, pass_through=True)
    raw, own = torch.from_numpy(numbers), [column.name for column in table.columns]
    if not isinstance(native, nw.DataFrame):
        return _as_records(table.write(raw, "records"), X, own)
    found = table.write(raw, native.implementation.name.lower())
    if native.implementation.is_pandas():
        found.index = X.index
    names = list(native.columns)
    if order is not None and set(order) <= set(names):
        names = list(order)
    if not set(own) <= set(names):
        return found
    made, ours = nw.from_native(found, eager_only=True), set(own)
    # Known values are those of the user, to the last digit.
    whole = {name for name in ours if not native.get_column(name).is_null().any()}
    each = [
        (made if name in ours - whole else native).get_column(name).to_frame() for name in names
    ]
    return nw.concat(each, how="horizontal").to_native()


def _as_records(found: np.ndarray, X: np.ndarray, own: list[str]) -> np.ndarray:
    """Records of a table with the fields of X that the table leaves out, in the order of X."""
    names = X.dtype.names or ()
    if not set(own) <= set(names):
        return found
    source = {name: found if name in own else X for name in names}
    whole = np.empty(len(X), dtype=[(name, source[name].dtype[name]) for name in names])
    for name in names:
        whole[name] = source[name][name]
    return whole


def _as_array(table: Table, numbers: np.ndarray, X: Any) -> np.ndarray:
    """An array (N, C) of the type of X, where it can hold the values."""
    if table.source == ARRAY:
        found = np.asarray(table.write(torch.from_numpy(numbers)))
    else:
        each = [c.values(numbers[:, k]) for k, c in enumerate(table.columns)]
        plain = all(isinstance(v, int | float) or v is None for column in each for v in column)
        found = np.array(each, dtype=np.float64 if plain else object).T
    wanted = getattr(X, "dtype", None)
    if isinstance(wanted, np.dtype) and wanted.kind == "f" and found.dtype.kind in "iufb":
        return found.astype(wanted)
    return found


def numeric_values(table: Table, numbers: np.ndarray) -> np.ndarray:
    """Rows of a table (*, C) whose classes are values again, where the table was an array of
    numbers; other tables' rows as they are."""
    if table.source != ARRAY:
        return numbers
    found = numbers.copy()
    for k, column in enumerate(table.columns):
        classes = getattr(column, "classes", ())
        if classes and all(isinstance(each, int | float) for each in classes):
            place = np.nan_to_num(numbers[..., k]).astype(np.int64)
            found[..., k] = np.where(
                np.isnan(numbers[..., k]), np.nan, np.array(classes, dtype=np.float64)[place]
            )
    return found
