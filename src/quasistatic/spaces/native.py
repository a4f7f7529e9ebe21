"""Columns of Python values as a data frame or an array, with the types that they had."""

__all__ = ["to_native"]

import importlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np

from . import clock
from .category_values import categories_of
from .frames import ARRAY, DECIMAL, DECLARED, NATIVE, RECORDS


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
    each = [
        _native_series(source, name, list(column), dtypes[name], name in missing).to_frame()
        for name, column in values.items()
    ]
    return nw.concat(each, how="horizontal").to_native()


def _native_series(source: str, name: str, values: list[Any], dtype: str, missing: bool) -> Any:
    """Python values as a column of a library, with the type that it had."""
    for prefix, write in _WRITERS.items():
        if dtype.startswith(prefix):
            return write(source, name, values, dtype)
    made: Any = nw.new_series(name, values, backend=source)  # type: ignore[arg-type]
    kind = _NARWHALS.get(dtype, made.dtype)
    # NumPy's whole numbers and bits in pandas have no missing value: keep the type as it is.
    whole = kind in _WHOLE and missing and source == "pandas"
    return made if whole or made.dtype == kind else made.cast(kind)


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
    values = {n: _for_array(list(each), dtypes[n]) for n, each in values.items()}
    kinds = {name: _array_type(dtypes[name]) for name in values}
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


def _for_array(values: list[Any], dtype: str) -> list[Any]:
    """The values of a column for an array: points of time as NumPy's."""
    if not dtype.startswith(clock.PREFIX):
        return values
    found = clock.Clock.of(dtype)
    kind = _array_type(dtype)
    if kind.kind == "O":
        return list(found.values(_steps(values)).to_list())
    us = found.microseconds(_steps(values)).astype(kind.str[1:2] + "8[us]").astype(kind)
    return [np.datetime64("NaT") if v is None else u for v, u in zip(values, us, strict=True)]


def _array_type(dtype: str) -> np.dtype:
    """The type of NumPy for a column of that type."""
    if dtype.startswith(clock.PREFIX):
        native = clock.Clock.of(dtype).native
        return np.dtype(native if native[:2] in ("<M", "<m") else "O")
    if any(dtype.startswith(prefix) for prefix in _WRITERS):
        return np.dtype("O")
    return np.dtype(dtype)


def _steps(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)


def _categories(source: str, name: str, values: list[Any], dtype: str) -> Any:
    """A column of classes of a library, with the classes and the order that it had."""
    declared = json.loads(dtype.removeprefix(DECLARED))
    if source == "pandas":
        pd = importlib.import_module("pandas")  # only where the table is one of pandas
        place = {text: k for k, text in enumerate(declared["classes"])}
        codes = [place.get(value, -1) for value in values]
        kind = pd.CategoricalDtype(categories_of(declared), declared["ordered"])
        made = pd.Categorical.from_codes(codes, dtype=kind)
        return nw.from_native(pd.Series(made, name=name), series_only=True)
    series: Any = nw.new_series(name, values, backend=source)  # type: ignore[arg-type]
    if not all(isinstance(each, str) for each in declared["classes"]):
        return series
    fixed = source == "polars" and declared["ordered"]
    return series.cast(nw.Enum(declared["classes"]) if fixed else nw.Categorical)


def _written_times(source: str, name: str, values: list[Any], dtype: str) -> Any:
    found = clock.Clock.of(dtype)
    made: Any = found.values(_steps(values)).alias(name)
    if source == "polars":
        return nw.from_native(made, series_only=True)
    if source == "pyarrow":
        return nw.from_native(made.to_frame().to_arrow()[name], series_only=True)
    pd = importlib.import_module("pandas")
    if found.native in ("", "object"):
        return nw.from_native(pd.Series(made.to_list(), name=name, dtype=object), series_only=True)
    us = found.microseconds(_steps(values))
    kind = "m8[us]" if found.kind == "duration" else "M8[us]"
    series = pd.Series(us.astype(kind), name=name)
    series = series.mask([v is None for v in values])
    if found.zone:
        series = series.dt.tz_localize("UTC").dt.tz_convert(found.zone)
    return nw.from_native(series.astype(found.native), series_only=True)


def _written_decimals(source: str, name: str, values: list[Any], dtype: str) -> Any:
    about = json.loads(dtype.removeprefix(DECIMAL))
    scale = about["scale"]
    each = [None if v is None else Decimal(f"{v:.{scale}f}") for v in values]
    if source == "pandas":
        pd = importlib.import_module("pandas")
        series = pd.Series(each, name=name, dtype=about.get("native") or object)
        return nw.from_native(series, series_only=True)
    pl = importlib.import_module("polars")
    # A draw may be beyond the precision of the type.
    kind = pl.Decimal(38, scale)
    made: Any = pl.Series(name, each, dtype=kind)
    if about["precision"]:
        made = made.cast(pl.Decimal(about["precision"], scale), strict=False)
    made = made.to_frame().to_arrow()[name] if source == "pyarrow" else made
    return nw.from_native(made, series_only=True)


def _written_natively(source: str, name: str, values: list[Any], dtype: str) -> Any:
    about = json.loads(dtype.removeprefix(NATIVE))
    if source != "pandas":
        return _native_series(source, name, values, about["kind"], None in values)
    pd = importlib.import_module("pandas")
    return nw.from_native(pd.Series(values, name=name, dtype=about["native"]), series_only=True)


_WRITERS: dict[str, Any] = {
    DECLARED: _categories,
    clock.PREFIX: _written_times,
    DECIMAL: _written_decimals,
    NATIVE: _written_natively,
}
"""How a column is written whose type starts with such a word."""
