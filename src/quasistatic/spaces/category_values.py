"""Categories of pandas that are dates, durations, periods or intervals: as texts, and back."""

__all__ = ["categories_of", "declared_objects"]

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def declared_objects(series: Any) -> tuple[dict[str, Any], list[Any]] | None:
    """How a column of pandas is declared whose categories are points or spans of time or intervals
    of numbers, as JSON values; and its values as texts. None for other columns.

    Args:
        series: a column of categories, of narwhals.
    """
    if not series.implementation.is_pandas():
        return None
    native = series.to_native()
    categories = native.dtype.categories
    kind = str(categories.dtype)
    if kind.startswith("interval") and categories.dtype.subtype.kind in "iuf":
        codes: Any = [[float(each.left), float(each.right)] for each in categories]
    elif kind.startswith(("datetime64", "timedelta64", "period")):
        codes = categories.asi8.tolist()
    else:
        return None
    texts = [str(each) for each in categories]
    declared = {"classes": texts, "ordered": bool(native.dtype.ordered)}
    values = [texts[code] if code >= 0 else None for code in native.cat.codes.tolist()]
    return declared | {"native": kind, "codes": codes}, values


def categories_of(declared: Mapping[str, Any]) -> Any:
    """The categories of pandas that :func:`declared_objects` described, or the classes themselves.

    Args:
        declared: the JSON values.
    """
    if "native" not in declared:
        return declared["classes"]
    pd = importlib.import_module("pandas")
    dtype = pd.api.types.pandas_dtype(declared["native"])
    codes = declared["codes"]
    if declared["native"].startswith("interval"):
        pairs = [tuple(pair) for pair in codes]
        return pd.IntervalIndex.from_tuples(pairs, closed=dtype.closed).astype(dtype)
    numbers = np.array(codes, dtype=np.int64)
    if declared["native"].startswith("period"):
        return pd.PeriodIndex.from_ordinals(numbers, freq=dtype.freq)
    if isinstance(dtype, np.dtype):
        return pd.Index(numbers.astype(dtype))
    utc = pd.DatetimeIndex(numbers.astype(f"M8[{dtype.unit}]")).tz_localize("UTC")
    return utc.tz_convert(dtype.tz)
