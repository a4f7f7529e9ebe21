"""Data frames and arrays of several libraries, as named columns, and back."""

__all__ = ["Frame", "Series"]

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np

from .._utils.validation import unmasked
from . import clock
from .category_values import declared_objects

DECLARED = "Categorical:"
"""What the type of a column starts with if it lists the classes, as JSON."""

NATIVE = "Native:"
"""What the type of a column starts with whose library has several types of that kind, as JSON."""

DECIMAL = "Decimal:"
"""What the type of a column of decimal numbers starts with; the rest is JSON."""

ARRAY, RECORDS = "array", "records"
"""The names of NumPy data in :attr:`Frame.source`; a data frame has the name of its library."""


@dataclass(frozen=True)
class Series:
    """One column: either `numbers` or `strings` in the field `names`.

    Args:
        name: of the column.
        dtype: its type in the library that it came from, as text.
        numbers: float64, NaN where a value is missing, shape (N,); None for a column of strings or
            bits. Dates, times and durations are microseconds.
        names: Python objects, None where a value is missing; None for a column of numbers.
    """

    name: str
    dtype: str
    numbers: np.ndarray | None = None
    names: list[Any] | None = None

    @property
    def missing(self) -> np.ndarray:
        """True where a value is missing, shape (N,)."""
        if self.numbers is not None:
            return np.asarray(np.isnan(self.numbers))
        return np.array([name is None for name in self.names or []], dtype=bool)

    @property
    def is_category(self) -> bool:
        """Whether the data frame declares the column as one of categories, also of numbers."""
        return self.dtype in ("Categorical", "Enum") or self.dtype.startswith(DECLARED)

    def value(self, row: int) -> Any:
        """The value of a row as a Python object: whole numbers as int, None if it is missing."""
        if self.numbers is None:
            return (self.names or [])[row]
        number = float(self.numbers[row])
        if number != number:
            return None
        return int(number) if number == round(number) and abs(number) < 2**53 else number

    @property
    def is_temporal(self) -> bool:
        """Whether the column holds dates, times or durations."""
        return self.dtype.startswith(clock.PREFIX)

    def take(self, index: np.ndarray) -> "Series":
        """The values of that index (n,), whole numbers."""
        if self.numbers is not None:
            return replace(self, numbers=self.numbers[index])
        names = self.names or []
        return replace(self, names=[names[k] for k in index])


@dataclass(frozen=True)
class Frame:
    """Columns of equal length, in their order.

    Args:
        source: the library that they came from.
        columns: the columns.
    """

    source: str
    columns: tuple[Series, ...]

    @property
    def rows(self) -> int:
        """N, the number of rows."""
        return len(self.columns[0].missing)

    def take(self, index: np.ndarray) -> "Frame":
        """The rows of that index (n,), whole numbers."""
        return Frame(self.source, tuple(each.take(index) for each in self.columns))

    def named(self, names: Sequence[str]) -> "Frame":
        """The same columns with other names."""
        pairs = zip(self.columns, names, strict=True)
        return replace(self, columns=tuple(replace(each, name=name) for each, name in pairs))

    @staticmethod
    def has_names(data: object) -> bool:
        """Whether the data are a data frame, or an array with named fields."""
        frame = nw.from_native(data, eager_only=True, pass_through=True)
        return isinstance(frame, nw.DataFrame) or bool(
            isinstance(data, np.ndarray) and data.dtype.names
        )

    @classmethod
    def of(cls, data: object) -> "Frame":
        """The columns of some data.

        Args:
            data: a data frame of pandas, polars or pyarrow; a structured NumPy array; or an array
                (N, C) of numbers or objects, whose columns are named 0, 1, and so on.

        Raises:
            TypeError: if it is none of these, or a column has a type that is neither a number nor a
                string.
            ValueError: if it has no columns or no rows.
        """
        if isinstance(data, Frame):
            return data
        frame = nw.from_native(data, eager_only=True, pass_through=True)
        if isinstance(frame, nw.DataFrame):
            named = [_of_frame(frame.get_column(name)) for name in frame.columns]
            source = frame.implementation.name.lower()
        else:
            array = np.asarray(unmasked(data))
            if array.dtype.names:
                whole = data if isinstance(data, np.ma.MaskedArray) else array
                named = [_of_array(name, unmasked(whole[name])) for name in array.dtype.names]
                source = RECORDS
            elif array.ndim == 2:
                named = [_of_array(str(k), array[:, k]) for k in range(array.shape[1])]
                source = ARRAY
            else:
                raise TypeError(
                    "a table is a data frame, a structured array, or an array (rows, columns), got "
                    f"{type(data).__name__} of shape {array.shape}"
                )
        if not named or len(named[0].missing) == 0:
            raise ValueError("the table is empty: pass at least one row and one column")
        return cls(source, tuple(named))


def _of_frame(series: Any) -> Series:
    kind = series.dtype
    if isinstance(kind, nw.Decimal):
        return Series(series.name, _decimal(series), numbers=_floats(series))
    if kind.is_numeric():
        return Series(series.name, _type_name(series), numbers=_floats(series))
    if kind.is_temporal():
        return _of_times(series)
    if isinstance(kind, nw.Enum | nw.Categorical):
        found = declared_objects(series)
        if found is not None:
            return Series(series.name, DECLARED + json.dumps(found[0]), names=found[1])
        return _of_objects(series.name, _declared(series), series.to_list())
    if series.null_count() == len(series):  # no cell has to be looked at
        return Series(series.name, _type_name(series), numbers=np.full(len(series), np.nan))
    return _of_objects(series.name, _type_name(series), series.to_list())


def _floats(series: Any) -> np.ndarray:
    return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)


def _type_name(series: Any) -> str:
    """The type of a column as text; with the one of pandas where that is not NumPy's own."""
    kind = str(series.dtype)
    if not series.implementation.is_pandas():
        return kind
    native = str(series.to_native().dtype)
    plain = {"Boolean": "bool", "String": "str"}.get(kind, kind.lower())
    return kind if native == plain else NATIVE + json.dumps({"kind": kind, "native": native})


def _decimal(series: Any) -> str:
    native = series.to_native().dtype
    about = {name: getattr(native, name, None) for name in ("precision", "scale")}
    native = str(native) if series.implementation.is_pandas() else ""
    return DECIMAL + json.dumps({**about, "native": native})


def _of_times(series: Any) -> Series:
    """A column of dates, times or durations, with the resolution that its values show."""
    kind, values = series.dtype, series
    pandas = series.implementation.is_pandas()
    native = str(series.to_native().dtype) if pandas else ""
    unit = getattr(kind, "time_unit", "us")
    if isinstance(kind, nw.Time):
        us = clock.microseconds_of(series.to_list())
        made = clock.Clock("time", "us", native=native)
    else:
        if isinstance(kind, nw.Duration):
            name, counted = "duration", values.dt.total_microseconds()
        else:
            name = "date" if isinstance(kind, nw.Date) else "datetime"
            counted = values.dt.timestamp("us")
        us = _floats(counted)
        us = np.where(series.is_null().to_numpy(), np.nan, us)
        zone = str(getattr(kind, "time_zone", None) or "")
        made = clock.Clock(name, "us", 0, zone, unit, native)
    return Series(series.name, str(made.fitted(us)), numbers=us)


def _declared(series: Any) -> str:
    """The type of a column of classes as text: with all classes and their order, where the library
    fixes them and they are strings, whole numbers or bits."""
    kind = "Enum" if isinstance(series.dtype, nw.Enum) else "Categorical"
    if series.implementation.is_pandas():
        native = series.to_native().dtype
        classes, ordered = native.categories.tolist(), bool(native.ordered)
    elif kind == "Enum":
        classes, ordered = list(series.dtype.categories), True
    else:
        return kind
    if not all(isinstance(each, str | int | float) for each in classes):
        return kind
    return DECLARED + json.dumps({"classes": classes, "ordered": ordered})


def _of_array(name: str, column: np.ndarray) -> Series:
    if column.dtype.kind in "iuf":
        return Series(name, column.dtype.str, numbers=column.astype(np.float64))
    if column.dtype.kind in "Mm":
        us = column.astype(f"{column.dtype.kind}8[us]").astype(np.int64).astype(np.float64)
        us = np.where(np.isnat(column), np.nan, us)
        kind = "datetime" if column.dtype.kind == "M" else "duration"
        found = clock.Clock(kind, "us", native=column.dtype.str).fitted(us)
        return Series(name, str(found), numbers=us)
    if column.dtype.kind not in "bOUS":
        raise TypeError(
            f"column {name!r} holds {column.dtype}: a table takes numbers, bits and strings: "
            "convert it first, or leave it out"
        )
    return _of_objects(name, column.dtype.str, column.tolist())


def _of_objects(name: str, dtype: str, objects: list[Any]) -> Series:
    """A series of objects: of numbers if all are numbers, of times if all are times, else of
    strings; NaN and None are missing values."""
    plain = [None if _is_missing(each) else _python(each) for each in objects]
    present = [each for each in plain if each is not None]
    if not present:
        return Series(name, dtype, numbers=np.full(len(plain), np.nan))
    if all(isinstance(each, int | float) and each is not True for each in present):
        numbers = [np.nan if each is None else float(each) for each in plain]
        if not any(isinstance(each, bool) for each in present):
            return Series(name, dtype, numbers=np.array(numbers, dtype=np.float64))
    if all(isinstance(each, Decimal) for each in present):
        scale = max(0, *(-int(each.as_tuple().exponent) for each in present))
        numbers = [np.nan if each is None else float(each) for each in plain]
        kind = DECIMAL + json.dumps({"precision": None, "scale": scale})
        return Series(name, kind, numbers=np.array(numbers, dtype=np.float64))
    for kind, own in _TIMES.items():
        if all(type(each) is own for each in present):
            us = clock.microseconds_of(plain)
            zone = str(getattr(present[0], "tzinfo", None) or "")
            found = clock.Clock(kind, "us", 0, zone if kind == "datetime" else "", native="object")
            return Series(name, str(found.fitted(us)), numbers=us)
    odd = next((each for each in present if not isinstance(each, str | int | float | bool)), None)
    if isinstance(odd, tuple(_TIMES.values())):
        other = next(k for k, v in enumerate(plain) if v is not None and type(v) is not type(odd))
        raise TypeError(
            f"column {name!r} holds {plain[other]!r} at index {other}, beside {odd!r}: convert all "
            "values to one type first, or leave the column out"
        )
    if odd is not None:
        raise TypeError(
            f"column {name!r} holds a {type(odd).__name__}, {odd!r}: a table takes numbers, bits, "
            "strings, dates, times and durations: convert it first, or leave it out"
        )
    return Series(name, dtype, names=plain)


_TIMES: dict[str, type] = {
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
}


def _python(value: Any) -> Any:
    """A scalar of NumPy as one of Python, a timestamp of pandas as one of Python."""
    if isinstance(value, np.generic) and value.dtype.kind not in "Mm":
        return value.item()
    for name in ("to_pydatetime", "to_pytimedelta"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value


def _is_missing(value: Any) -> bool:
    # The NA of pandas comes before the comparison: comparing it gives NA, which has no truth value.
    return value is None or str(value) == "<NA>" or bool(value != value)
