"""One function for a partition of a data set, for any engine: Dask, Ray, Spark, or a loop."""

__all__ = ["Partition", "partition"]

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .._utils.naming import nearest
from ..diffusion import Diffusion
from ..opened import open as open_run
from ..opened.fitted_table import unused
from ..opened.images import ImageModel
from ..opened.model import OpenedModel
from ..opened.table import TableModel
from ..opened.trained import TrainedModel
from ..recipes.locations import locate
from .array_verbs import ARRAY_VERBS, ArrayVerb
from .batches import array_batch, table_batch
from .table_verb import TableVerb
from .table_verbs import TABLE_VERBS

RUNS_AT_ONCE = 4
"""Opened runs that a process keeps."""


def partition(
    model: str | Path | OpenedModel | Diffusion,
    verb: str,
    *,
    device: str | None = None,
    **options: Any,
) -> "Partition":
    """A function from a batch of rows to a batch of answers, for `map_partitions` of Dask,
    `map_batches` of Ray Data or `mapInPandas` of Spark.

    The answer for a row depends on the row, the options and the seed, and not on the batch that it
    is in. So any partitions give the same answers. The function pickles: it takes the name of the
    run with it, and each process opens the run once, at the first batch.

    Args:
        model: a run folder, the name of a pretrained model, an opened run, or a
            :class:`.Diffusion`, which is pickled with its weights. A folder must have the same path
            on every machine.
        verb: "score", "outliers", "impute", "complete", "sample", "compress" or "decompress".
        device: where the model computes, as in :func:`quasistatic.open`; the CPU by default.
        options: of the verb: for a table those of :mod:`.table_verbs`, for arrays and images those
            of :mod:`.array_verbs`, as `level=0.01` for "outliers" or `seed=1` for "sample".

    Raises:
        FileNotFoundError: if there is no such run.
        ValueError: if the model has no such verb, or the verb no such option, or an option is out
            of range.
    """
    if isinstance(model, OpenedModel):
        made = Partition(model.folder.resolve(), verb, options, device)
    elif isinstance(model, Diffusion):
        made = Partition(model, verb, options, device)
    elif isinstance(model, str | Path):
        made = Partition(locate(model).resolve(), verb, options, device)
    else:
        raise TypeError(
            "a partition is answered by a run folder, an opened run or a Diffusion, got a "
            f"{type(model).__name__}: save a fitted estimator by `quasistatic fit`, and give the "
            "run folder"
        )
    made.answer  # noqa: B018  opens the run, so that wrong options are named here
    return made


@dataclasses.dataclass(eq=False)
class Partition:
    """A verb of a model as a function of a batch; see :func:`partition`.

    Args:
        source: a run folder, or the model itself.
        verb: the name of the verb.
        options: of the verb, by name.
        device: where the model computes.
    """

    source: Path | Diffusion
    verb: str
    options: Mapping[str, Any]
    device: str | None = None

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        source = self.source if isinstance(self.source, Path) else type(self.source).__name__
        return f"partition({str(source)!r}, {self.verb!r}{options})"

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __call__(self, batch: Any) -> Any:
        """Answers a batch.

        Args:
            batch: of a table, a pyarrow table, a pandas or polars frame, or a dictionary of NumPy
                arrays, with the fitted columns; other columns are copied to the answers. Of arrays,
                an array (N, *), or a dictionary of arrays with a column `data` or `image`. For
                `sample`, the numbers of the draws, from 0.

        Returns:
            The same kind of batch.
        """
        if isinstance(self.answer, TableVerb):
            table = self.opened.table  # type: ignore[union-attr]
            rows = table_batch(batch, list(table.types))
            found = self.answer(rows.values)
            if self.answer.rows_in and set(rows.values.columns) <= set(table.types):
                # The number of a row within its batch says nothing.
                found = found.select(pl.exclude(unused("row", rows.values.columns)))
            return rows.written(found)
        return self._arrays(batch)

    def _arrays(self, batch: Any) -> Any:
        answer = self.answer
        assert isinstance(answer, ArrayVerb)  # as there are two kinds
        if self.verb in ("sample", "decompress"):
            column = "draw" if self.verb == "sample" else "stream"
            plain = isinstance(batch, np.ndarray)
            values: Any = batch if plain else batch[column]
            found = answer(values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values))
            return next(iter(found.values())) if plain else array_like(batch, found)
        rows = array_batch(batch, tuple(self.model.space.shape))
        found = answer(rows.values)
        if isinstance(batch, np.ndarray):
            return found if len(found) > 1 else next(iter(found.values()))
        beside = rows.beside if self.verb != "compress" else {}
        return rows.written({**beside, **found})

    @cached_property
    def opened(self) -> OpenedModel | None:
        """The opened run; None if the model was given itself."""
        return None if isinstance(self.source, Diffusion) else _opened(self.source, self.device)

    @cached_property
    def model(self) -> Diffusion:
        """The diffusion model."""
        if isinstance(self.source, Diffusion):
            return self.source.eval() if self.device is None else self.source.to(self.device).eval()
        if isinstance(self.opened, TableModel):
            return self.opened.table.model
        assert isinstance(self.opened, TrainedModel)  # as there are two kinds
        return self.opened.model

    @cached_property
    def answer(self) -> TableVerb | ArrayVerb:
        """The verb with its options, bound to the model."""
        if isinstance(self.opened, TableModel):
            return self._bound(TABLE_VERBS, self.opened.table)  # type: ignore[no-any-return]
        subject: Any = self.model
        if self.verb == "outliers":
            if not isinstance(self.opened, ImageModel):
                raise ValueError("outliers are found by the run folder of a model of images")
            subject = self.opened.detector
        return self._bound(ARRAY_VERBS, subject)  # type: ignore[no-any-return]

    def _bound(self, verbs: Mapping[str, Callable[..., Any]], subject: Any) -> Any:
        if self.verb not in verbs:
            raise ValueError(f"there is no verb {self.verb!r}: {nearest(self.verb, list(verbs))}")
        made = verbs[self.verb]
        known = list(inspect.signature(made).parameters)[1:]
        for name in self.options:
            if name not in known:
                raise ValueError(
                    f"{self.verb} has no option {name!r}; it has {', '.join(known) or 'none'}"
                )
        return partial(made, subject)(**self.options)


def array_like(batch: Any, found: Mapping[str, Any]) -> Any:
    """Arrays by name in the kind of a batch."""
    return (
        array_batch({"data": np.empty((0, 1))}, (1,)).written(found)
        if isinstance(batch, Mapping)
        else _framed(batch, found)
    )


def _framed(batch: Any, found: Mapping[str, Any]) -> Any:
    if type(batch).__module__.startswith("pandas"):
        import pandas as pd

        return pd.DataFrame({k: list(v) if np.ndim(v) > 1 else v for k, v in found.items()})
    import pyarrow as pa

    return pa.table({name: np.asarray(v).tolist() for name, v in found.items()})


@lru_cache(maxsize=RUNS_AT_ONCE)
def _opened(folder: Path, device: str | None) -> OpenedModel:
    return open_run(folder, device)
