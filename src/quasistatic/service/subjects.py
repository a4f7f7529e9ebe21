"""What a service asks its model: rows of a table, or examples of arrays and images."""

__all__ = ["ArraySubject", "Subject", "TableSubject", "Wrong"]

import abc
import itertools
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from ..opened.model import OpenedModel
from ..opened.table import TableModel
from ..scale.partition import Partition, partition

VERBS = ("score", "outliers", "impute", "complete", "sample")
"""The verbs of a service."""

OPTIONS_AT_ONCE = 32
"""Verbs with options that are kept ready."""

ARROW = "application/vnd.apache.arrow.stream"


class Wrong(ValueError):
    """A request that cannot be answered."""


class Subject(abc.ABC):
    """A model, as a service asks it.

    Args:
        model: the opened run.
        device: where it computes.
    """

    def __init__(self, model: OpenedModel, device: str | None = None) -> None:
        self.model, self.device = model, device
        self.verb = lru_cache(OPTIONS_AT_ONCE)(self._verb)

    @classmethod
    def of(cls, model: OpenedModel, device: str | None = None) -> "Subject":
        """The subject for a kind of model."""
        return (TableSubject if isinstance(model, TableModel) else ArraySubject)(model, device)

    def _verb(self, name: str, options: str) -> Partition:
        try:
            return partition(self.model, name, device=self.device, **json.loads(options))
        except (TypeError, ValueError) as error:
            raise Wrong(str(error)) from None

    def ready(self, name: str, options: Mapping[str, Any]) -> Hashable:
        """The key of requests that can be answered together.

        Raises:
            Wrong: if there is no such verb or option.
        """
        if name not in VERBS:
            raise Wrong(f"there is no verb {name!r}: {', '.join(VERBS)}")
        text = json.dumps(dict(options), sort_keys=True)
        self.verb(name, text)
        return name, text

    @abc.abstractmethod
    def about(self) -> dict[str, Any]:
        """The model, as JSON values."""

    @abc.abstractmethod
    def read(self, name: str, body: Any) -> tuple[Any, int]:
        """What a request asks about, and its number of rows.

        Args:
            name: of the verb.
            body: the JSON value of the request, or an Arrow table.

        Raises:
            Wrong: if it cannot be read; the message says why.
        """

    @abc.abstractmethod
    def answer(self, key: Any, values: Sequence[Any]) -> list[Any]:
        """The answers to several requests of one key."""

    @abc.abstractmethod
    def written(self, found: Any, arrow: bool) -> Any:
        """An answer as a JSON value, or as an Arrow table."""


class TableSubject(Subject):
    """A fitted table."""

    model: TableModel

    def about(self) -> dict[str, Any]:
        columns = {name: str(kind) for name, kind in self.model.table.types.items()}
        return {"kind": "table", "columns": columns, "verbs": list(VERBS)}

    def read(self, name: str, body: Any) -> tuple[Any, int]:
        if name == "sample":
            return _numbers(body)
        types = self.model.table.types
        if isinstance(body, Mapping):
            rows = body.get("rows")
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise Wrong('the body has `rows`, a list of objects: {"rows": [{"column": 1}]}')
            frame = self._of_rows(rows)
        else:
            found = pl.from_arrow(body)
            assert isinstance(found, pl.DataFrame)  # as a table has columns
            frame = found
        if not len(frame):
            raise Wrong("there are no rows: send one at least")
        absent = [column for column in types if column not in frame.columns]
        if absent:
            raise Wrong(f"the rows have no column {', '.join(map(repr, absent))}")
        try:
            own = self.model.table.fitted(frame)
            own = own.select(pl.col(each).cast(kind) for each, kind in types.items())
        except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
            raise Wrong(f"the rows do not have the types of the table: {error}") from None
        floats = [each for each, kind in own.schema.items() if kind.is_float()]
        own = own.with_columns(pl.col(floats).fill_nan(None))
        return (own, frame.select(pl.exclude(list(types)))), len(frame)

    def _of_rows(self, rows: list[dict[str, Any]]) -> pl.DataFrame:
        known = {name for row in rows for name in row}
        types = {n: kind for n, kind in self.model.table.types.items() if n in known}
        plain = {n: kind for n, kind in types.items() if not kind.is_temporal()}
        try:
            frame = pl.DataFrame(rows, schema_overrides=plain, infer_schema_length=None)
            timed = [pl.col(n).str.to_datetime() for n in types if n not in plain]
            return frame.with_columns(
                each.cast(types[n])
                for each, n in zip(timed, (n for n in types if n not in plain), strict=True)
                if frame.schema[n] == pl.String
            )
        except (TypeError, pl.exceptions.PolarsError, OverflowError) as error:
            first = str(error).splitlines()[0]
            raise Wrong(f"the rows do not have the types of the table: {first}") from None

    def answer(self, key: Any, values: Sequence[Any]) -> list[Any]:
        verb = self.verb(*key)
        if key[0] == "sample":
            return _apart(verb(pl.DataFrame({"draw": np.concatenate(values)})), map(len, values))
        whole = verb(pl.concat([own for own, _ in values]))
        times = len(whole) // sum(len(own) for own, _ in values)  # draws of each row
        sizes = [len(own) * times for own, _ in values]
        parts = _apart(whole, sizes)
        return [
            _beside(part, others, times) for part, (_, others) in zip(parts, values, strict=True)
        ]

    def written(self, found: pl.DataFrame, arrow: bool) -> Any:
        return found.to_arrow() if arrow else {"rows": found.to_dicts()}


def _apart(whole: pl.DataFrame, sizes: Any) -> list[pl.DataFrame]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [whole[a:b] for a, b in itertools.pairwise(ends)]


def _beside(part: pl.DataFrame, others: pl.DataFrame, times: int) -> pl.DataFrame:
    """An answer with the other columns of its request in front."""
    if not others.width:
        return part
    again = others[np.repeat(np.arange(len(others)), times)]
    new = part.select(name for name in part.columns if name not in others.columns)
    return pl.concat([again, new], how="horizontal")


class ArraySubject(Subject):
    """A model of arrays or images."""

    def about(self) -> dict[str, Any]:
        model: Any = self.model
        return {"kind": "arrays", "shape": list(model.model.space.shape), "verbs": list(VERBS)}

    def read(self, name: str, body: Any) -> tuple[Any, int]:
        if name == "sample":
            return _numbers(body)
        data = body.get("data") if isinstance(body, Mapping) else body.column(0).to_pylist()
        try:
            x = np.array(data, dtype=np.float64)  # None becomes NaN, which is missing
        except (TypeError, ValueError) as error:
            raise Wrong(f"`data` holds no examples of numbers: {error}") from None
        model: Any = self.model
        shape = tuple(model.model.space.shape)
        if x.ndim < 1 or not len(x) or x[0].size != int(np.prod(shape)):
            raise Wrong(f"`data` is a list of examples of shape {list(shape)}, got {list(x.shape)}")
        x = x.reshape(len(x), *shape)
        if name not in ("impute", "complete") and np.isnan(x).any():
            raise Wrong(f"{name} takes examples without missing values")
        return x, len(x)

    def answer(self, key: Any, values: Sequence[Any]) -> list[Any]:
        found = self.verb(*key)({"draw" if key[0] == "sample" else "data": np.concatenate(values)})
        ends = np.cumsum([0, *map(len, values)]).tolist()
        return [
            {name: each[a:b] for name, each in found.items()} for a, b in itertools.pairwise(ends)
        ]

    def written(self, found: Mapping[str, np.ndarray], arrow: bool) -> Any:
        if not arrow:
            return {name: each.tolist() for name, each in found.items()}
        import pyarrow as pa

        return pa.table({name: each.tolist() for name, each in found.items()})


def _numbers(body: Any) -> tuple[np.ndarray, int]:
    """The numbers of the draws of a request for `sample`."""
    asked = body if isinstance(body, Mapping) else {}
    n, first = asked.get("n", 1), asked.get("first", 0)
    for name, value, least in (("n", n, 1), ("first", first, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**53:
            raise Wrong(f"`{name}` is a whole number, {least} or more, got {value!r}")
    if n > 10**7:
        raise Wrong(f"`n` is the number of draws of one request, 10,000,000 at most, got {n}")
    return np.arange(first, first + n), n
