"""Batches of Arrow, pandas, polars or NumPy as polars frames or arrays, and answers in the same
kind."""

__all__ = ["Batch", "array_batch", "table_batch"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

ARRAY_COLUMNS = ("data", "image")
"""The names that Ray Data gives to arrays and images that it reads."""


@dataclass(frozen=True)
class Batch:
    """A batch in a form that the verbs take.

    Args:
        values: rows as a polars frame, or examples as an array (N, *).
        beside: other columns of the batch by name, for examples.
        written: turns an answer, a polars frame or a dictionary of arrays, into the kind of the
            batch. An answer with as many rows as the batch keeps the index of a pandas frame.
    """

    values: Any
    beside: Mapping[str, Any]
    written: Callable[[Any], Any]


def table_batch(batch: Any, names: list[str]) -> Batch:
    """A batch of rows.

    Args:
        batch: a pyarrow Table or RecordBatch, a pandas or polars frame, a dictionary of NumPy
            arrays by column, or an array (N, C) with columns in the order of `names`.
        names: the columns of an array.

    Raises:
        TypeError: if it is none of these.
    """
    frame, written = _frame_of(batch, names)
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    return Batch(frame.with_columns(pl.col(floats).fill_nan(None)), {}, written)


def _frame_of(batch: Any, names: list[str]) -> tuple[pl.DataFrame, Callable[[Any], Any]]:
    library = type(batch).__module__.partition(".")[0]
    if isinstance(batch, pl.DataFrame):
        return batch, lambda found: found
    if library == "pyarrow":
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)  # as a table has columns
        return frame, lambda found: found.to_arrow()
    if library == "pandas":
        index = batch.index

        def to_pandas(found: pl.DataFrame) -> Any:
            made = found.to_pandas()
            return made.set_index(index) if len(made) == len(index) else made

        return pl.from_pandas(batch), to_pandas
    if isinstance(batch, Mapping):
        frame = pl.DataFrame({name: _plain(values) for name, values in batch.items()})
        return frame, _to_arrays
    if isinstance(batch, np.ndarray) and batch.ndim == 2 and batch.shape[1] == len(names):
        return pl.DataFrame(dict(zip(names, batch.T, strict=True))), _to_arrays
    raise TypeError(
        "a batch of rows is a pyarrow table, a pandas or polars frame, a dictionary of NumPy "
        f"arrays, or an array with {len(names)} columns, got {_described(batch)}"
    )


def _to_arrays(found: pl.DataFrame) -> dict[str, np.ndarray]:
    return {name: found[name].to_numpy() for name in found.columns}


def _plain(values: Any) -> Any:
    """A column that polars takes: strings as Python objects are a list."""
    array = np.asarray(values)
    return array.tolist() if array.dtype == object else array


def array_batch(batch: Any, shape: tuple[int, ...]) -> Batch:
    """A batch of examples.

    Args:
        batch: an array (N, *shape); or a dictionary of arrays, a pyarrow table or a pandas frame
            with one column of such examples, named `data` or `image` if there are several.
        shape: of one example.

    Raises:
        TypeError: if it is none of these.
        ValueError: if the examples have another shape.
    """
    if isinstance(batch, np.ndarray):
        return Batch(_shaped(batch, shape), {}, lambda found: found)
    columns, written = _columns_of(batch)
    named = [name for name in ARRAY_COLUMNS if name in columns]
    name = named[0] if named else next(iter(columns), None)
    if name is None or (not named and len(columns) > 1):
        raise TypeError(
            f"a batch of examples has one column of them, or one that is named "
            f"{' or '.join(ARRAY_COLUMNS)}, got columns {list(columns)}"
        )
    beside = {each: values for each, values in columns.items() if each != name}
    return Batch(_shaped(_stacked(columns[name]), shape), beside, written)


def _columns_of(batch: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    library = type(batch).__module__.partition(".")[0]
    if isinstance(batch, Mapping):
        return dict(batch), lambda found: found
    if library == "pyarrow":
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}

        def to_arrow(found: Mapping[str, Any]) -> Any:
            import pyarrow as pa

            return pa.table({name: np.asarray(v).tolist() for name, v in found.items()})

        return columns, to_arrow
    if library == "pandas":

        def to_pandas(found: Mapping[str, Any]) -> Any:
            import pandas as pd

            flat = {k: list(v) if np.ndim(v) > 1 else v for k, v in found.items()}
            return pd.DataFrame(flat, index=batch.index)

        return {str(name): batch[name].tolist() for name in batch.columns}, to_pandas
    raise TypeError(
        "a batch of examples is an array, a dictionary of arrays, a pyarrow table or a pandas "
        f"frame, got {_described(batch)}"
    )


def _stacked(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return np.stack([np.asarray(each) for each in array]) if array.dtype == object else array


def _shaped(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    flat = x.ndim == 2 and x.shape[1] == int(np.prod(shape))
    if x.shape[1:] != shape and not flat:
        raise ValueError(f"examples of the model have shape {shape}, got {x.shape[1:]}")
    return x.reshape(len(x), *shape)


def _described(batch: Any) -> str:
    shape = getattr(batch, "shape", None)
    return type(batch).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
