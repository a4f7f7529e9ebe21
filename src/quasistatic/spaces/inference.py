"""Inference of a column's type from its values."""

__all__ = [
    "TYPES",
    "clocked",
    "infer_column",
    "infer_columns",
    "powered",
    "standardized",
    "with_fewer_repeats",
]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .._utils.row_errors import RowError
from .atom_inference import Repeats, all_atoms, fills, find_repeats, stands_apart
from .clock import PREFIX, Clock
from .columns import (
    AtomColumn,
    BinaryColumn,
    CategoryColumn,
    Column,
    ConstantColumn,
    IntegerColumn,
    NumericColumn,
    PowerColumn,
    QuantileColumn,
)
from .columns.numbers import shift_and_scale, standardised
from .frames import Series
from .yeo_johnson import YeoJohnson, likeliest_power

LOOKED_AT = 2000
"""Numbers that a power is fitted to."""

LARGEST = 2**24
"""Whole numbers beyond this are not exact in float32, and are treated as real numbers."""

FEW = 16
"""Whole numbers with a range of at most this are diffused as classes; real numbers with at most
this many distinct values, each of them frequent, are categories."""

MANY = 256
"""The largest number of classes: a column with more is an identifier of rows."""

TAIL, SKEW, KNOTS = 6.0, 2.0, 17
"""A column whose farthest value is more than TAIL standard deviations from the mean, or whose
skewness is beyond SKEW, is mapped by at most KNOTS quantiles instead of a scale."""


def infer_column(series: Series, kind: str | None = None) -> Column:
    """The column for these values.

    Args:
        series: the values of the column.
        kind: its type, a key of `TYPES`; None to infer it.

    Raises:
        ValueError: if a value is infinite, there are too many classes, the values do not fit
            `kind`, or there is no such type.
    """
    series = clocked(series, series.dtype)
    if series.numbers is not None and np.isinf(series.numbers).any():
        row = int(np.isinf(series.numbers).argmax())
        raise RowError(
            f"column {series.name!r} holds {series.numbers[row]}",
            row,
            ": remove the row, or mark the value as missing (NaN)",
        )
    different = _different(series)
    if len(different) < 2:
        return ConstantColumn(*_common(series), different[0] if different else None)
    if kind is not None:
        if kind not in TYPES:
            raise ValueError(
                f"column {series.name!r} cannot be of type {kind!r}: choose one of "
                f"{', '.join(TYPES)}"
            )
        return TYPES[kind](series)
    if len(different) == 2:
        return _binary(series)
    if series.numbers is None or series.is_category:
        return _categorical(series)
    numbers = series.numbers[~series.missing]
    if (numbers == np.round(numbers)).all() and np.abs(numbers).max() <= LARGEST:
        return _integer(series)
    if len(different) <= FEW and len(numbers) >= 20 * len(different):
        return _categorical(series)
    return _numeric(series)


def infer_columns(
    columns: Sequence[Series], types: Mapping[str, str]
) -> tuple[list[Column], list[ValueError]]:
    """The columns for some values, and errors that say why the others cannot be modelled.

    Args:
        columns: the values.
        types: the types of some columns, by name: keys of `TYPES`.
    """
    found: list[Column] = []
    wrong: list[ValueError] = []
    for series in columns:
        try:
            found.append(infer_column(series, types.get(series.name)))
        except ValueError as error:
            wrong.append(error)
    return found, wrong


def clocked(series: Series, dtype: str) -> Series:
    """A column of dates, times or durations as steps of the clock that `dtype` names; another
    column as it is.

    Raises:
        ValueError: if the values are no such times, or times where the column holds none.
    """
    if not dtype.startswith(PREFIX):
        if series.is_temporal and not series.missing.all():
            name = Clock.of(series.dtype).name
            raise ValueError(
                f"column {series.name!r} holds values of the type {name}, and had none when the "
                "table was inferred: convert it first"
            )
        return series
    clock = Clock.of(dtype)
    if series.is_temporal and Clock.of(series.dtype).name == clock.name:
        return replace(series, numbers=clock.numbers(np.asarray(series.numbers)))
    if series.missing.all():
        return replace(series, numbers=np.full(len(series.missing), np.nan), names=None)
    raise ValueError(
        f"column {series.name!r} holds {series.dtype}, and values of the type {clock.name} are "
        "needed: convert it first"
    )


def _common(series: Series) -> tuple[str, float, str]:
    return series.name, float(series.missing.mean()), series.dtype


def _present(series: Series) -> list[Any]:
    """The values that are not missing, as Python objects."""
    if series.numbers is None:
        return [each for each in series.names or [] if each is not None]
    numbers = series.numbers[~series.missing]
    return [int(v) if v == round(v) else v for v in numbers.tolist()]


def _different(series: Series) -> list[Any]:
    """The distinct values that are not missing."""
    if series.numbers is None:
        return list(dict.fromkeys(_present(series)))
    numbers = np.unique(series.numbers[~series.missing])
    return [int(v) if v == round(v) else v for v in numbers.tolist()]


def _need_numbers(series: Series, kind: str) -> np.ndarray:
    if series.numbers is None:
        raise ValueError(
            f"column {series.name!r} holds strings, and cannot be {kind}: use 'categorical'"
        )
    return np.asarray(series.numbers[~series.missing])


def _classes(series: Series) -> tuple[tuple[Any, ...], tuple[float, ...], float]:
    """The classes in order, their shares, with one more row of each, and the share of others."""
    present = _present(series)
    # The number 1 and the text "1" are two classes.
    keys = [f"'{each}" if isinstance(each, str) else str(each) for each in present]
    values, counts = np.unique(np.array(keys, dtype=object).astype(str), return_counts=True)
    by_key = dict(zip(keys, present, strict=True))
    classes = [by_key[key] for key in values]
    order = sorted(range(len(classes)), key=lambda k: _rank(classes[k]))
    shares = (counts[order] + 1) / (counts.sum() + len(counts))
    unseen = float((counts == 1).sum() / (counts.sum() + 1))
    return tuple(classes[k] for k in order), tuple(shares.tolist()), unseen


def _rank(value: str | int | float | bool) -> tuple[Any, ...]:
    """A sort key: numbers by size, before strings."""
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def _binary(series: Series) -> BinaryColumn:
    classes, shares, unseen = _classes(series)
    if len(classes) != 2:
        raise ValueError(f"column {series.name!r} has {len(classes)} values, and cannot be binary")
    return BinaryColumn(*_common(series), classes, shares, unseen)


def _categorical(series: Series) -> CategoryColumn:
    classes, shares, unseen = _classes(series)
    if len(classes) > MANY:
        raise ValueError(
            f"column {series.name!r} has {len(classes)} different values in "
            f"{len(series.missing)} rows, which tell rows apart rather than describe them: leave "
            f"it out, or group them into {MANY} or fewer"
        )
    return CategoryColumn(*_common(series), classes, shares, unseen)


def _integer(series: Series) -> IntegerColumn:
    numbers = _need_numbers(series, "integer")
    if not (numbers == np.round(numbers)).all() or np.abs(numbers).max() > LARGEST:
        raise ValueError(
            f"column {series.name!r} holds numbers that are not whole, or beyond {LARGEST}: use "
            "'numeric'"
        )
    low, high = int(numbers.min()), int(numbers.max())
    shares: tuple[float, ...] = ()
    if high - low < FEW:
        counts = np.bincount((numbers - low).astype(np.int64)) + 1.0
        shares = tuple((counts / counts.sum()).tolist())
    return IntegerColumn(*_common(series), low, high, *shift_and_scale(numbers), shares)


def _numeric(series: Series) -> NumericColumn:
    numbers = _need_numbers(series, "numeric")
    shift, scale = shift_and_scale(numbers)
    z = (numbers - shift) / scale
    plain = np.abs(z).max() <= TAIL and abs((z**3).mean()) <= SKEW
    return _standardized(series) if plain else _by_quantiles(series)


def _standardized(series: Series) -> NumericColumn:
    return standardised(*_common(series), _need_numbers(series, "numeric"))


def _by_quantiles(series: Series) -> NumericColumn:
    numbers = _need_numbers(series, "numeric")
    count = min(KNOTS, max(3, len(numbers) // 20))
    farthest = torch.special.ndtri(torch.tensor(1 - 0.5 / len(numbers), dtype=torch.float64))
    normal = torch.linspace(-farthest, farthest, count, dtype=torch.float64)
    quantiles = np.quantile(numbers, torch.special.ndtr(normal).numpy())
    at, to = _rising(quantiles.tolist(), normal.tolist())
    if len(at) < 2:
        return _standardized(series)
    ends = float(numbers.min()), float(numbers.max())
    return NumericColumn(*_common(series), at, to, *ends)


def _rising(at: Sequence[float], to: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """Strictly rising knots: knots at the same place become one, at the mean of their targets."""
    places: list[float] = []
    means: list[list[float]] = []
    width = (at[-1] - at[0]) * 1e-9
    for place, target in zip(at, to, strict=True):
        if places and place - places[-1] <= width:
            means[-1].append(target)
        else:
            places.append(place)
            means.append([target])
    return tuple(places), tuple(sum(each) / len(each) for each in means)


def powered(column: NumericColumn, numbers: np.ndarray) -> PowerColumn:
    """A column of the same numbers (N,), NaN a hole, bent by the power under which they are
    likeliest to be normal."""
    seen = numbers[~np.isnan(numbers)]
    shift, scale = shift_and_scale(seen)
    u = (seen - shift) / scale
    power = likeliest_power(torch.from_numpy(u[:: max(1, -(-len(u) // LOOKED_AT))]))
    bent = YeoJohnson(1, (power,)).encode(torch.from_numpy(u)[:, None])[:, 0].numpy()
    after = shift_and_scale(bent)
    common = column.name, column.missing, column.dtype
    ends = column.low, column.high
    return PowerColumn(*common, power, shift, scale, *after, *ends, column.decimals)


def standardized(column: NumericColumn, numbers: np.ndarray) -> NumericColumn:
    """A column of the same numbers (N,), NaN a hole, by a shift and a scale."""
    found = _standardized(Series(column.name, column.dtype, numbers=numbers))
    return replace(found, decimals=column.decimals)


def _atoms(series: Series) -> Column:
    """Numbers of which some are repeated exactly; another column of numbers if none are. Real
    numbers are no classes, however few they are, unless they are two."""
    numbers = series.numbers
    if numbers is None or series.is_category:
        raise ValueError(
            f"column {series.name!r} holds names, which have no atoms: use 'categorical'"
        )
    numbers = numbers[~series.missing]
    whole = bool((numbers == np.round(numbers)).all())
    if len(np.unique(numbers)) == 2:
        return _binary(series)
    if whole and numbers.max() - numbers.min() < FEW:
        return _integer(series)
    found = find_repeats(numbers)
    if found.found:
        return _with_atoms(series, found)
    if whole and np.abs(numbers).max() <= LARGEST:
        return _integer(series)
    return replace(_numeric(series), decimals=found.decimals)


def with_fewer_repeats(column: Column, numbers: np.ndarray) -> tuple[Column, ...]:
    """Other descriptions of a column of numbers, in the order in which they are preferred: each
    number by its own frequency, without atoms, with atoms on a single lattice, with the column's
    own atoms and lattices, and with every number as an atom. Densities under all of them are in one
    unit. It is the column alone where there is no choice.

    Args:
        column: as it was inferred.
        numbers: of its rows, with shape (N,), NaN a hole.
    """
    if not isinstance(column, AtomColumn | IntegerColumn | NumericColumn):
        return (column,)
    known = numbers[~np.isnan(numbers)]
    series = Series(column.name, column.dtype, numbers=numbers)
    found: list[Column] = [column]
    if isinstance(column, AtomColumn):
        if column.decimals < 0 and column.value is not None:
            return (column,)  # a density and a probability cannot be compared
        single = find_repeats(known, nested=False) if len(column.steps) > 1 else None
        if single is not None and single.found:
            found.insert(0, _with_atoms(series, single))
        if not stands_apart(np.array(column.atoms), known):
            found.insert(0, _without_atoms(series, column.unit))
    elif isinstance(column, IntegerColumn) and column.shares:
        return (column,)
    every = all_atoms(known)
    if every is not None:
        if fills(every):
            found.insert(0, _by_frequency(series, known, every))
        if not (isinstance(column, AtomColumn) and column.value is None):
            found.append(_with_atoms(series, every))
    return tuple(found)


def _by_frequency(series: Series, known: np.ndarray, every: Repeats) -> AtomColumn:
    """The column of rounded numbers (N,), each with a cell as wide as it is frequent."""
    value = QuantileColumn.of_cells(series.name, known, every.unit)
    decimals = round(-math.log10(every.unit))
    ends = float(known.min()), float(known.max())
    left = ends[0] if value.slopes[0] == 0 else -math.inf
    right = ends[1] if value.slopes[1] == 0 else math.inf
    return AtomColumn(
        *_common(series),
        (),
        decimals,
        (1,),
        value,
        (1.0,),
        *ends,
        left,
        right,
        unit=every.unit,
    ).refitted(np.asarray(series.numbers))


def _without_atoms(series: Series, unit: float) -> Column:
    """A plain column of numbers that lie on a lattice of this unit."""
    numbers = series.numbers
    assert numbers is not None  # as it is a column of numbers
    if unit == 1 and np.nanmax(np.abs(numbers)) <= LARGEST:
        return _integer(series)
    return replace(_numeric(series), decimals=round(-math.log10(unit)))


def _with_atoms(series: Series, found: Repeats) -> AtomColumn:
    """The column of numbers with these atoms and lattices."""
    numbers = np.asarray(series.numbers)
    known = numbers[~series.missing]
    count = len(found.atoms) + (0 if found.whole else max(len(found.steps), 1))
    single = float((np.unique(known, return_counts=True)[1] == 1).sum()) / (len(known) + 1)
    ends = float(known.min()), float(known.max())
    rest = known[~np.isin(known, found.atoms)]
    value = None if found.whole else standardised(series.name, 0.0, "<f8", rest)
    return AtomColumn(
        *_common(series),
        found.atoms,
        found.decimals,
        found.steps,
        value,
        (1 / count,) * count,
        *ends,
        found.left,
        found.right,
        single if found.whole else 0.0,
        found.unit,
    ).refitted(numbers)


TYPES: dict[str, Callable[[Series], Column]] = {
    "numeric": _numeric,
    "standardized": _standardized,
    "quantiles": _by_quantiles,
    "integer": _integer,
    "binary": _binary,
    "categorical": _categorical,
    "atoms": _atoms,
}
"""The types that can be asked for, by name."""
