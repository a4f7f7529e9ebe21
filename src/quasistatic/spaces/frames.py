"""Data frames and arrays of several libraries, as named columns, and back."""

__all__ = ["Frame", "Series"]

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

DECLARED = "Categorical:"
"""What the type of a column starts with if it lists the classes, as JSON."""

CLOCK = "Clock:"
"""What the type of a column of dates, times or durations starts with; the rest is JSON."""

ARRAY, RECORDS = "array", "records"
"""The names of NumPy data in :attr:`Frame.source`; a data frame has the name of its library."""


@dataclass(frozen=True)
class Series:
    """One column: either `numbers` or `strings` in the field `names`.

    Args:
        name: of the column.
        dtype: its type in the library that it came from, as text.
        numbers: float64, NaN where a value is missing, shape (N,); None for a column of strings or
            bits.
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

    @property
    def is_temporal(self) -> bool:
        """Whether the column holds dates, times or durations."""
        return self.dtype.startswith(CLOCK)

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
            array = np.asarray(data)
            if array.dtype.names:
                named = [_of_array(name, array[name]) for name in array.dtype.names]
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


def to_native(
    source: str,
    values: Mapping[str, Sequence[Any]],
    dtypes: Mapping[str, str],
    missing: Sequence[str],
) -> Any:
    """Columns of Python values as a table of a library.

    Args:
        source: the library, as in :attr:`Frame.source`.
        values: the values of each column, None where one is missing.
        dtypes: the type of each column, as in :attr:`Series.dtype`.
        missing: the names of columns with missing values.

    Returns:
        A data frame, or a NumPy array.
    """
    if source in (ARRAY, RECORDS):
        return _as_array(source, values, dtypes, missing)
    series = []
    for name, column in values.items():
        if dtypes[name].startswith(DECLARED):
            series.append(_categories(source, name, list(column), dtypes[name]))
            continue
        made: Any = nw.new_series(name, list(column), backend=source)  # type: ignore[arg-type]
        kind = _NARWHALS.get(dtypes[name], made.dtype)
        # pandas has no integer or boolean columns with missing values: keep the type as it is.
        whole = kind in _WHOLE and name in missing and source == "pandas"
        series.append(made if whole or made.dtype == kind else made.cast(kind))
    return nw.concat([each.to_frame() for each in series], how="horizontal").to_native()


_WHOLE = (
    *(nw.Int8, nw.Int16, nw.Int32, nw.Int64, nw.UInt8, nw.UInt16, nw.UInt32, nw.UInt64),
    nw.Boolean,
)
_NARWHALS: dict[str, Any] = {
    str(each()): each
    for each in (
        *_WHOLE,
        *(nw.Float32, nw.Float64, nw.String, nw.Categorical),
    )
} | {"Enum": nw.Categorical}


def _as_array(
    source: str,
    values: Mapping[str, Sequence[Any]],
    dtypes: Mapping[str, str],
    missing: Sequence[str],
) -> np.ndarray:
    plain = {name: "O" if dtypes[name].startswith(DECLARED) else dtypes[name] for name in values}
    kinds = {name: np.dtype(plain[name]) for name in values}
    for name in missing:
        if kinds[name].kind in "iub":
            kinds[name] = np.dtype(np.float64)
    filled = {
        name: [np.nan if v is None and kinds[name].kind == "f" else v for v in column]
        for name, column in values.items()
    }
    if source == RECORDS:
        whole = np.empty(len(next(iter(filled.values()))), dtype=list(kinds.items()))
        for name, column in filled.items():
            whole[name] = column
        return whole
    kind = np.result_type(*kinds.values()) if len(set(kinds.values())) > 1 else None
    kind = kind or next(iter(kinds.values()))
    whole = np.empty((len(next(iter(filled.values()))), len(filled)), dtype=kind)
    for k, column in enumerate(filled.values()):
        whole[:, k] = column
    return whole


def _of_frame(series: Any) -> Series:
    kind = series.dtype
    if kind.is_numeric():
        numbers = series.cast(nw.Float64).to_numpy().astype(np.float64)
        return Series(series.name, str(kind), numbers=numbers)
    if kind.is_temporal():
        raise TypeError(
            f"column {series.name!r} holds times ({kind}): convert it to numbers, such "
            "as days since a date, or leave it out"
        )
    if isinstance(kind, nw.Enum | nw.Categorical):
        return _of_objects(series.name, _declared(series), series.to_list())
    return _of_objects(series.name, str(kind), series.to_list())


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
    if not all(isinstance(each, str | int) for each in classes):
        return kind
    return DECLARED + json.dumps({"classes": classes, "ordered": ordered})


def _categories(source: str, name: str, values: list[Any], dtype: str) -> Any:
    """A column of classes of a library, with the classes and the order that it had."""
    declared = json.loads(dtype.removeprefix(DECLARED))
    if source == "pandas":
        pd = importlib.import_module("pandas")  # only where the table is one of pandas
        made = pd.Categorical(values, declared["classes"], declared["ordered"])
        return nw.from_native(pd.Series(made, name=name), series_only=True)
    series: Any = nw.new_series(name, values, backend=source)  # type: ignore[arg-type]
    if not all(isinstance(each, str) for each in declared["classes"]):
        return series
    fixed = source == "polars" and declared["ordered"]
    return series.cast(nw.Enum(declared["classes"]) if fixed else nw.Categorical)


def _of_array(name: str, column: np.ndarray) -> Series:
    if column.dtype.kind in "iuf":
        return Series(name, column.dtype.str, numbers=column.astype(np.float64))
    if column.dtype.kind not in "bOUS":
        raise TypeError(
            f"column {name!r} holds {column.dtype}: a table takes numbers, bits and strings: "
            "convert it first, or leave it out"
        )
    return _of_objects(name, column.dtype.str, column.tolist())


def _of_objects(name: str, dtype: str, objects: list[Any]) -> Series:
    """A series of objects: of numbers if all are numbers, else of strings; NaN and None are missing
    values."""
    plain = [None if _is_missing(each) else each for each in objects]
    present = [each for each in plain if each is not None]
    if not present:
        return Series(name, dtype, numbers=np.full(len(plain), np.nan))
    if all(isinstance(each, int | float) and each is not True for each in present):
        numbers = [np.nan if each is None else float(each) for each in plain]
        if not any(isinstance(each, bool) for each in present):
            return Series(name, dtype, numbers=np.array(numbers, dtype=np.float64))
    odd = next((each for each in present if not isinstance(each, str | int | float | bool)), None)
    if odd is not None:
        raise TypeError(
            f"column {name!r} holds a {type(odd).__name__}, {odd!r}: a table takes numbers, bits "
            "and strings"
        )
    return Series(name, dtype, names=plain)


def _is_missing(value: Any) -> bool:
    # The NA of pandas comes before the comparison: comparing it gives NA, which has no truth value.
    return value is None or str(value) == "<NA>" or bool(value != value)
