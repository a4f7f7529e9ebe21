"""Partitions of rows as streams of a code, and back."""

__all__ = ["Compress", "Decompress"]

import io
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ..coding import Codec
from ..opened.fitted_table import FittedTable
from .table_verb import TableVerb


@dataclass(frozen=True)
class Compress(TableVerb):
    """A partition as one row: `rows`, `stream`, and `beside`, the columns that are not modelled as
    a Parquet file (null if there are none).

    Args:
        table: the fitted table.
        times: evenly spread time steps of the chain.
        block: rows in a block of the stream.
        verify: whether each block is read back.
        portable: whether any machine can read the stream.
    """

    name = "compress"
    table: FittedTable
    times: int = 50
    block: int = 2048
    verify: bool = True
    portable: bool = True

    @cached_property
    def codec(self) -> Codec:
        """The codec of the model's rows."""
        return Codec(
            self.table.model,
            min(self.times, self.table.model.steps),
            block=self.block,
            verify=self.verify,
            portable=self.portable,
            workers=1,
        )

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        rows = self.table.fitted(piece)
        numbers = self.table.numbers(rows)
        if not self.table.frame(self.table.rows(numbers)).equals(rows):
            raise ValueError(
                f"rows {first} to {first + len(piece) - 1} would come back changed, as a number "
                "has more digits than a float64: leave that column out"
            )
        others = piece.select(name for name in piece.columns if name not in self.table.types)
        beside = None
        if others.width:
            file = io.BytesIO()
            others.write_parquet(file)
            beside = file.getvalue()
        stream = self.codec.compress(numbers)
        return pl.DataFrame(
            {"rows": [len(piece)], "stream": [stream], "beside": [beside]},
            schema={"rows": pl.Int64, "stream": pl.Binary, "beside": pl.Binary},
        )

    def facts(self, found: pl.DataFrame) -> dict[str, float]:
        return {"stream_bytes": float(found["stream"].bin.size().sum())}


@dataclass(frozen=True)
class Decompress(TableVerb):
    """The rows of streams that `compress` wrote.

    Args:
        table: the fitted table.
    """

    name = "decompress"
    rows_in = False
    table: FittedTable

    def __call__(self, piece: pl.DataFrame, first: int = 0) -> pl.DataFrame:
        if "stream" not in piece.columns:
            raise ValueError(f"a batch of streams has a column `stream`, got {piece.columns}")
        codec, frames = Codec(self.table.model, workers=1), []
        for row in piece.iter_rows(named=True):
            rows = self.table.frame(self.table.rows(codec.decompress(row["stream"])))
            if row.get("beside") is not None:
                rows = pl.concat([pl.read_parquet(row["beside"]), rows], how="horizontal")
            frames.append(rows)
        return pl.concat(frames)
