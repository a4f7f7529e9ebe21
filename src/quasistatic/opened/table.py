"""An opened model of a table."""

__all__ = ["TableModel"]

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl
import torch

from .._utils.randomness import Rng
from ..coding import Codec
from ..data.table_files import write_table
from ..reporting.answer import Answer
from ..reporting.console import Display
from ..reporting.html import Section
from .coding import coding_answer
from .fitted_table import PIECE, FittedTable
from .given import columns_given
from .model import model_stamp, placed, seed_of
from .row_stream import RowStream
from .table_coding import compress_table, decompress_table
from .table_report import table_sections
from .table_rows import RowVerbs


class TableModel(RowVerbs):
    """An opened model of a table, which reads and writes CSV, TSV, NPY, NPZ and Parquet files.

    Args:
        table: the fitted table.
        display: where progress is shown; None shows nothing.
    """

    kind: ClassVar[str] = "a table"

    def __init__(self, table: FittedTable, display: Display | None = None) -> None:
        super().__init__(table.folder, display)
        self.table = table

    @classmethod
    def load(cls, folder: Path, device: torch.device | str | None, display: Display | None) -> Self:
        table = FittedTable.open(folder)
        placed(table.model, device)
        return cls(table, display)

    @property
    def device(self) -> torch.device:
        return self.table.model.blank(1).device

    def read(self, data: str | Path) -> Iterator[pl.DataFrame]:
        """The rows of a file, some thousand at a time, with the fitted columns in their order."""
        return self.table.pieces(Path(data))

    def write(self, path: str | Path, pieces: Iterator[pl.DataFrame]) -> int:
        """Writes rows to a file by the ending of its name, text files in the style of the file that
        was fitted. Returns the number of rows."""
        return write_table(path, pieces, self.table.style)

    def sample(
        self,
        n: int = 16,
        *,
        given: Sequence[str] = (),
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Draws rows from the model, and writes them with the names and types of the columns.

        Args:
            n: how many rows to draw.
            given: of some columns: ["species=Gentoo", "age=18..30"]; see :func:`.columns_given`.
            out: the file to write; by default `samples.csv` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        if n < 1:
            raise ValueError(f"--n is the number of rows to draw, 1 or more, got {n}")
        seed = seed_of(rng)
        columns = self._given(given)
        evidence = self.table.density.log_evidence(columns) if columns else None
        path = Path(out or self.result("samples.csv"))
        plan = {"model": model_stamp(self.folder), "options": [n, seed, list(given)]}
        stream = RowStream("sample", None, path, PIECE, n, plan, self.display, self.table.style)

        def draw(rows: range, first: int, advance: Callable[[int], None]) -> pl.DataFrame:
            found = self.table.draw(len(rows), seed + first // PIECE, columns)
            advance(len(rows))
            return found

        stream.run((range(n)[start : start + PIECE] for start in range(0, n, PIECE)), draw)
        width = len(self.table.types)
        facts: dict[str, Any] = {"samples": str(path), "shape": [n, width]}
        lines = [f"wrote {path}: {n} rows of {width} columns"]
        if evidence is not None:
            facts["log_evidence"] = evidence
            lines.append(f"log-probability of what was given: {evidence:.4f} nats")
        return Answer(facts, lines)

    def _given(self, words: Sequence[str]) -> dict[str, Any] | None:
        """What is given of columns; None if nothing is."""
        style = self.table.style
        times = [name for name, kind in self.table.types.items() if kind.is_temporal()]
        return columns_given(words, style.decimal, style.notations, times) or None

    def compress(
        self,
        file: str | Path | None = None,
        *,
        out: Path | None = None,
        times: int | None = None,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> Answer:
        """Compresses a table without loss, to about as many bits as the model's bound says.

        Args:
            file: the table.
            out: where to write; by default the file's name with .qs.
            times: evenly spread time steps of the chain, 50 by default.
            block: the number of rows in a block. Each block is decoded by itself.
            together: the number of rows that the network processes at once.
            workers: the number of blocks that are coded in parallel; by default the number of
                cores.
            verify: decode each block before it is written.
            portable: write a stream that any machine can read. False is faster, but then only a
                machine with the same floating-point arithmetic can read the stream.
        """
        if file is None:
            raise ValueError("a fitted table holds no test rows: name the file to compress")
        source = Path(file)
        target = Path(out or f"{source.name}.qs")
        sizes: dict[str, Any] = {"block": block, "together": together, "workers": workers}
        if times is not None:
            sizes["times"] = times
        codec = Codec(self.table.model, verify=verify, portable=portable, **sizes)
        return coding_answer(
            target, compress_table(self.table, codec, source, target, self.display)
        )

    def decompress(
        self,
        file: str | Path,
        *,
        out: Path | None = None,
        anyway: bool = False,
        workers: int | None = None,
    ) -> Answer:
        """Reads what :meth:`compress` wrote, exactly as it was.

        Args:
            file: the stream.
            out: the file to write, by the ending of its name; by default the stream's name without
                .qs.
            anyway: read it even if the floating-point arithmetic of its writer may differ from this
                machine's.
            workers: the number of blocks that are decoded in parallel; by default the number of
                cores.
        """
        source = Path(file)
        path = Path(out or source.name.removesuffix(".qs"))
        codec = Codec(self.table.model, workers=workers)
        header = decompress_table(self.table, codec, source, path, anyway, self.display)
        shape = [header.count, len(self.table.types)]
        return Answer(
            {"out": str(path), "shape": shape},
            [f"wrote {path}: {shape[0]} rows of {shape[1]} columns"],
        )

    def report(
        self, *, data: str | Path | None = None, out: Path | None = None, rng: Rng = 0
    ) -> Answer:
        """Writes a page about the table, for a person who decides: what the data are, how well the
        model knows rows that it has not seen, whether draws can be distinguished from data, unusual
        rows with reasons, and an example of imputation.

        Args:
            data: a file of rows to show beside draws; by default the rows that were held back.
            out: where to write; by default `report.html` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        return self.page(out, self.sections(data=data, rng=rng), [self.folder.name])

    def sections(self, *, data: str | Path | None = None, rng: Rng = 0) -> list[Section]:
        return table_sections(self.table, None if data is None else Path(data), seed_of(rng))
