"""An opened model of a table."""

__all__ = ["TableModel"]

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
import torch

from .._utils.randomness import Rng
from ..coding import Codec
from ..data.table_files import write_table
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..reporting.html import Section
from .coding import coding_answer
from .fitted_table import PIECE, FittedTable
from .model import OpenedModel, placed, seed_of
from .table_coding import compress_table, decompress_table
from .table_report import table_sections


class TableModel(OpenedModel):
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
        """Writes rows to a file by the ending of its name; returns how many."""
        return write_table(path, pieces, self.table.style)

    def sample(self, n: int = 16, *, out: Path | None = None, rng: Rng = 0) -> Answer:
        """Draws rows from the model, and writes them with the names and types of the columns.

        Args:
            n: how many rows to draw.
            out: the file to write; by default `samples.csv` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        if n < 1:
            raise ValueError(f"--n is how many rows to draw, 1 or more, got {n}")
        seed = seed_of(rng)
        sizes = (min(PIECE, n - start) for start in range(0, n, PIECE))
        drawn = (self.table.draw(size, seed + number) for number, size in enumerate(sizes))
        path = Path(out or self.result("samples.csv"))
        self.write(path, drawn)
        width = len(self.table.types)
        return Answer(
            {"samples": str(path), "shape": [n, width]},
            [f"wrote {path}: {n} rows of {width} columns"],
        )

    def score(self, data: str | Path | None = None, *, out: Path | None = None) -> Answer:
        """Computes the log-density of each row, in nats of the table's own units.

        Args:
            data: the file to score.
            out: the file to write the score of each row to; by default none.
        """
        if data is None:
            raise ValueError("a fitted table holds no test rows: give some by --data")
        moments = np.zeros(3)  # the number of rows, their sum, and the sum of their squares
        impossible = 0

        def scored() -> Iterator[pl.DataFrame]:
            nonlocal impossible
            for piece in self.table.whole_pieces(Path(data)):
                nats = self.table.score(self.table.fitted(piece))
                first = int(moments[0])
                moments[:] += len(nats), nats.sum(), (nats**2).sum()
                impossible += int(np.isneginf(nats).sum())
                beside = self.table.carried(piece, first)
                yield pl.DataFrame([*beside, pl.Series("log_prob", nats)])

        shown: list[object] = []
        if out is None:
            for _ in scored():
                pass
        else:
            self.write(out, scored())
            shown.append(f"wrote {out}: the score of each row, in nats")
        count, mean = int(moments[0]), moments[1] / moments[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            error = (max(moments[2] / count - mean**2, 0.0) / (count - 1)) ** 0.5
        if impossible:
            shown.append(
                f"{impossible} rows have probability 0: they hold a value that is new to the model"
            )
        per_dim = np.log(2) * len(self.table.types)
        rows = [
            ("nats", f"{mean:.4f}", f"{error:.4f}"),
            ("bits per dimension", f"{-mean / per_dim:.4f}", f"{error / per_dim:.4f}"),
        ]
        shown += [self.table.about, TextTable(f"{count} rows", ("unit", "mean", "s.e."), rows)]
        facts = {"nats": float(mean), "stderr": float(error)}
        facts |= {"bits_per_dim": float(-mean / per_dim), "rows": count}
        return Answer(facts, shown)

    def impute(
        self,
        data: str | Path,
        *,
        draws: int = 64,
        one: bool = False,
        out: Path | None = None,
        rng: Rng = 0,
    ) -> Answer:
        """Fills missing values by the rest of each row: the mean of numbers, the median of whole
        numbers, the most frequent class. Known values keep their value.

        Args:
            data: the file to fill.
            draws: draws of each row that the filled values summarise.
            one: fill with a single draw instead.
            out: the file to write; by default `imputed` in the run's folder, with the same ending.
            rng: a seed, a generator, or None for a random seed.
        """
        seed, source, count = seed_of(rng), Path(data), 0

        def filled() -> Iterator[pl.DataFrame]:
            nonlocal count
            for number, whole in enumerate(self.table.whole_pieces(source)):
                piece = self.table.fitted(whole)
                found = self.table.impute(piece, 1 if one else draws, seed + number)
                count += sum(each.null_count() for each in piece)
                # Known values are taken from the file itself, to the last digit.
                yield whole.with_columns(
                    each.zip_with(each.is_not_null(), found[each.name].cast(each.dtype))
                    for each in piece
                )

        path = Path(out or self.result(f"imputed{source.suffix}"))
        rows = self.write(path, filled())
        return Answer(
            {"imputed": str(path), "filled": count, "rows": rows},
            [f"wrote {path}: {count} missing values of {rows} rows filled"],
        )

    def outliers(self, data: str | Path, *, level: float = 0.05, out: Path | None = None) -> Answer:
        """Finds rows that are unlike the fitted rows: log-density, p-value and verdict of each. On
        average at most a share of `level` of ordinary rows is called an outlier.

        Args:
            data: the file to judge.
            level: the share of ordinary rows that may be called outliers.
            out: the file to write; by default `outliers.csv` in the run's folder.
        """
        if not 0 < level < 1:
            raise ValueError(f"--level is a share between 0 and 1, got {level}")
        detector, count, first = self.table.detector(level), 0, 0

        def judged() -> Iterator[pl.DataFrame]:
            nonlocal count, first
            for piece in self.table.whole_pieces(Path(data)):
                found = detector.judged(self.table.fitted(piece))
                count += int(found.outlier.sum())
                columns = [
                    pl.Series("log_prob", found.log_prob),
                    pl.Series("p_value", found.p_value),
                    pl.Series("outlier", found.outlier.astype(np.int64)),
                ]
                yield pl.DataFrame([*self.table.carried(piece, first), *columns])
                first += len(piece)

        path = Path(out or self.result("outliers.csv"))
        rows = self.write(path, judged())
        line = (
            f"wrote {path}: {count} of {rows} rows are outliers at level {level:g}, by "
            f"{len(detector.ordinary_)} calibration rows"
        )
        return Answer({"outliers": str(path), "found": count, "rows": rows}, [line])

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
            block: rows that can be decoded by themselves.
            together: rows that the network processes at once.
            workers: blocks that are coded in parallel; by default the number of cores.
            verify: decode each block before it is written.
            portable: any machine reads the stream; False is faster, and only a machine with the
                same arithmetic reads it.
        """
        if file is None:
            raise ValueError("a fitted table holds no test rows: name the file to compress")
        source = Path(file)
        target = Path(out or f"{source.name}.qs")
        sizes: dict[str, Any] = {"block": block, "together": together, "workers": workers}
        if times is not None:
            sizes["times"] = times
        codec = Codec(self.table.model, verify=verify, portable=portable, **sizes)
        return coding_answer(target, compress_table(self.table, codec, source, target))

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
            anyway: read it even if a machine wrote it whose arithmetic may differ.
            workers: blocks that are decoded in parallel; by default the number of cores.
        """
        source = Path(file)
        path = Path(out or source.name.removesuffix(".qs"))
        codec = Codec(self.table.model, workers=workers)
        header = decompress_table(self.table, codec, source, path, anyway)
        shape = [header.count, len(self.table.types)]
        return Answer(
            {"out": str(path), "shape": shape},
            [f"wrote {path}: {shape[0]} rows of {shape[1]} columns"],
        )

    def report(
        self, *, data: str | Path | None = None, out: Path | None = None, rng: Rng = 0
    ) -> Answer:
        """Writes a page about the table: its columns, how likely rows are, draws beside data.

        Args:
            data: a file of rows to show beside draws.
            out: where to write; by default `report.html` in the run's folder.
            rng: a seed, a generator, or None for a random seed.
        """
        return self.page(out, self.sections(data=data, rng=rng), [self.folder.name])

    def sections(self, *, data: str | Path | None = None, rng: Rng = 0) -> list[Section]:
        if data is None:
            raise ValueError("the page of a fitted table shows rows of a file: give --data")
        return table_sections(self.table, Path(data), seed_of(rng))
