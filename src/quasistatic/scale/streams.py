"""Training rows that stay in files or in Ray's object store: a step reads the blocks it needs."""

__all__ = ["BlockRows"]

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from ..data.sources import Source
from .places import file_system, files_at, is_remote

Read = Callable[[pl.DataFrame], np.ndarray]
"""Turns rows of a file into raw data of a model, (n, C)."""


class BlockRows(Source):
    """Rows in blocks, for :func:`quasistatic.fit`.

    Each epoch takes the blocks in a new random order. The rows of some blocks that follow each
    other are mixed, so that these blocks alone are in memory. The order depends on the seed of the
    run, so that a run that was stopped resumes with the same rows.

    Args:
        counts: the rows of each block.
        read: gives a block by its number, with shape (n, *shape).
        facts: what tells these data from others, as JSON values.
        together: how many blocks are mixed; more mix better and take more memory.

    Raises:
        ValueError: if there are no rows.
    """

    def __init__(
        self,
        counts: Sequence[int],
        read: Callable[[int], np.ndarray],
        facts: dict[str, Any],
        together: int = 8,
    ) -> None:
        if not sum(counts):
            raise ValueError("there are no rows to train on")
        if together < 1:
            raise ValueError(f"together must be 1 or more, got {together}")
        self.counts, self.read, self.facts, self.together = list(counts), read, facts, together
        self.first = np.concatenate([[0], np.cumsum(self.counts)])
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self.reads = 0

    @classmethod
    def of_files(
        cls, data: str, columns: Sequence[str], read: Read | None = None, together: int = 8
    ) -> "BlockRows":
        """The row groups of Parquet files.

        Args:
            data: a file, a directory or a pattern, here or on s3 or gs.
            columns: that are read.
            read: turns a frame of these columns into raw data; by default into float64.
            together: see :class:`BlockRows`.

        Raises:
            ModuleNotFoundError: if pyarrow is not installed.
            ValueError: if a file has no such column.
        """
        blocks: list[tuple[str, int]] = []
        counts, sizes = [], {}
        for uri in files_at(data):
            file = _parquet(uri)
            absent = [name for name in columns if name not in file.schema_arrow.names]
            if absent:
                raise ValueError(f"{uri} has no column {', '.join(map(repr, absent))}")
            about = file.metadata
            sizes[uri] = about.num_rows
            for group in range(about.num_row_groups):
                blocks.append((uri, group))
                counts.append(about.row_group(group).num_rows)

        def block(number: int) -> np.ndarray:
            uri, group = blocks[number]
            return _numbers(_parquet(uri).read_row_group(group, list(columns)), read)

        return cls(counts, block, {"files": sizes, "columns": list(columns)}, together)

    @classmethod
    def of_ray(
        cls, dataset: Any, columns: Sequence[str], read: Read | None = None, together: int = 8
    ) -> "BlockRows":
        """The blocks of a Ray data set. It is computed once, and lies in Ray's object store, which
        spills to disk.

        Args:
            dataset: a `ray.data.Dataset`.
            columns: that are read.
            read: see :meth:`of_files`.
            together: see :class:`BlockRows`.
        """
        import ray

        references = dataset.select_columns(list(columns)).materialize().to_arrow_refs()
        count = ray.remote(num_cpus=0)(_count)
        counts = ray.get([count.remote(reference) for reference in references])

        def block(number: int) -> np.ndarray:
            return _numbers(ray.get(references[number]), read)

        return cls(counts, block, {"rows": sum(counts), "columns": list(columns)}, together)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._block(0).shape[1:]

    def __len__(self) -> int:
        return int(self.first[-1])

    def order(self, rng: torch.Generator) -> Tensor:
        blocks = torch.randperm(len(self.counts), generator=rng).tolist()
        parts = []
        for start in range(0, len(blocks), self.together):
            some = blocks[start : start + self.together]
            rows = torch.cat([torch.arange(*self.first[k : k + 2]) for k in some])
            parts.append(rows[torch.randperm(len(rows), generator=rng)])
        return torch.cat(parts)

    def batch(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        index = rows.numpy()
        block = np.searchsorted(self.first, index, side="right") - 1
        out: np.ndarray | None = None
        for number in np.unique(block).tolist():
            own = block == number
            found = self._block(number)[index[own] - self.first[number]]
            if out is None:
                out = np.empty((len(index), *found.shape[1:]), found.dtype)
            out[own] = found
        assert out is not None  # a batch has rows
        return torch.from_numpy(out)

    def fingerprint(self) -> dict[str, Any]:
        return {"rows": len(self), "together": self.together, **self.facts}

    def _block(self, number: int) -> np.ndarray:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        self.reads += 1
        self._kept[number] = self.read(number)
        while len(self._kept) > self.together + 1:  # a batch may lie across two groups of blocks
            self._kept.popitem(last=False)
        return self._kept[number]


def _count(block: Any) -> int:
    return int(block.num_rows)


def _parquet(uri: str) -> Any:
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "rows in Parquet files need pyarrow: pip install 'quasistatic[scale]'"
        ) from None
    if not is_remote(uri):
        return pq.ParquetFile(uri)
    system, path = file_system(uri)
    return pq.ParquetFile(system.open_input_file(path))


def _numbers(block: Any, read: Read | None) -> np.ndarray:
    frame = pl.from_arrow(block)
    assert isinstance(frame, pl.DataFrame)  # as a block has columns
    if read is not None:
        return read(frame)
    return frame.cast(pl.Float64).to_numpy()
