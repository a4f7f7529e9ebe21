"""A closed-form law fitted to all rows of a directory, by map and reduce."""

__all__ = ["DirectoryFit", "fit_directory", "refined"]

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from .._utils.randomness import mixed_seed
from ..distributions.mixtures import Mixture
from ..distributions.mixtures.fitting import (
    Batch,
    BlockFit,
    GaussianFit,
    LearningRows,
    TableSums,
    expected,
    likeliest,
)
from ..estimators.closed_form import encoded, fitted_from_law
from ..estimators.fitted_law import FittedLaw
from ..opened import fit as fit_run
from ..opened import open as open_run
from ..opened.fitted_table import PIECE, FittedTable
from ..opened.table import TableModel
from .engines import Engine, Local
from .places import files_at, local_copy

ROUNDS, ENOUGH = 20, 1e-4
"""The most rounds, and the gain of a round, in nats a row, below which the iteration stops."""

NU = 1.0
"""Rows' worth of the pooled covariance, for each real value, that each covariance is shrunk by."""


@dataclass(frozen=True)
class DirectoryFit:
    """What :func:`fit_directory` did.

    Args:
        folder: the run folder.
        rows: that the law was fitted to.
        sampled: rows of the sample that it started from; no round sees them.
        log_prob: the mean log p of the rows after each round, in nats of x_0.
        gain: how much the rounds added to log p of rows that were held back, in nats a row.
        stderr: its standard error.
        kept: whether the law of all rows was kept.
    """

    folder: Path
    rows: int
    sampled: int
    log_prob: tuple[float, ...]
    gain: float
    stderr: float
    kept: bool

    def __repr__(self) -> str:
        kept = "kept" if self.kept else "not better: the law of the sample was kept"
        return (
            f"wrote {self.folder}: a law of {self.rows:,} rows, started from {self.sampled:,} "
            f"others, in {len(self.log_prob)} rounds\n"
            f"gain on held-back rows: {self.gain:.4f} ± {self.stderr:.4f} nats a row, {kept}"
        )


def fit_directory(
    data: str | Path,
    out: str | Path,
    *,
    engine: Engine | None = None,
    sample: int = 20_000,
    rounds: int = ROUNDS,
    calibration: float = 0.1,
    seed: int = 0,
    **options: Any,
) -> DirectoryFit:
    """Fits the closed-form law of a table to all rows of a directory.

    The columns, the number of components and the shrinkage are chosen by a random sample of the
    rows, as `quasistatic fit` chooses them. Expectation maximisation then goes over all other rows:
    each file gives its sufficient statistics, and their sum gives the next law. The result does not
    depend on the engine or on the partition beyond the rounding of sums. The law is kept if it
    makes rows likelier that were held back from both steps.

    Args:
        data: a file, a directory or a pattern, see :func:`run`.
        out: the run folder to write.
        engine: `Local(workers)` or `OnRay(address, workers)`; by default this process.
        sample: rows of the sample.
        rounds: at most.
        calibration: share of the sample that is held back, for outliers and to judge the law.
        seed: of the sample and of the fit.
        options: of :func:`~quasistatic.opened.table_fit.fit_table`, as `id=["name"]`.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: if there are too few rows to be worth it, or the table has no closed form.
    """
    engine, files = engine or Local(), files_at(str(data))
    numbered = list(enumerate(files))
    with engine.rounds() as each, tempfile.TemporaryDirectory() as folder:
        drawn = each(Drawing(sample, seed), numbered)
        total = sum(count for _, _, count in drawn)
        if total < 2 * sample:
            raise ValueError(
                f"{total:,} rows are not many more than the sample of {sample:,}: fit them in "
                "memory by `quasistatic fit`, or give a smaller sample"
            )
        largest = np.sort(np.concatenate([keys for _, keys, _ in drawn]))[sample - 1]
        chosen = [frame.filter(pl.Series(keys <= largest)) for frame, keys, _ in drawn]
        path = Path(folder) / "sample.parquet"
        pl.concat(chosen).write_parquet(path)
        fit_run(path, "table", out=Path(out), steps=0, calibration=calibration, rng=seed, **options)
        opened = open_run(out)
        assert isinstance(opened, TableModel)  # as it was fitted as one
        table = opened.table
        fitted = _law_of(table)
        _, fits = encoded(table.numbers(table.fitted(pl.concat(chosen))), fitted.table)
        work = Expecting(table, tuple(_shrunk(fits)), float(largest), seed)
        law, log_prob = refined(
            fitted.closed_form,
            work.fits,
            lambda law: each(replace(work, law=law), numbered),
            rounds,
        )
    held_back = table.numbers(table.held_back().select(list(table.types)))
    gain = _gain(fitted.closed_form, law, fitted.table.encode(torch.from_numpy(held_back)))
    kept = bool(gain.mean() > 0)
    if kept:
        table.density.fitted_ = replace(
            fitted_from_law(fitted.table, law, seed), summary=fitted.summary
        )
        table.save(table.held_back())
    stderr = float(gain.std() / math.sqrt(len(gain)))
    return DirectoryFit(
        Path(out), total - sample, sample, tuple(log_prob), float(gain.mean()), stderr, kept
    )


def refined(
    law: Mixture,
    fits: Sequence[BlockFit],
    statistics: Any,
    rounds: int = ROUNDS,
    enough: float = ENOUGH,
) -> tuple[Mixture, list[float]]:
    """Where expectation maximisation over partitions takes a mixture.

    Args:
        law: where it starts.
        fits: the M-step of each block.
        statistics: maps a mixture to the statistics of each partition, a list of triples: the sums,
            the sum of log p and the number of rows, as :class:`Expecting` gives them.
        rounds: at most.
        enough: the gain of a round, in nats a row, below which the iteration stops.

    Returns:
        The mixture, and the mean log p of the rows by the mixture before each round.
    """
    before, log_prob = -math.inf, list[float]()
    for _ in range(rounds):
        found = [each for each in statistics(law) if each is not None]
        sums = reduce(add, (each[0] for each in found))
        now = sum(each[1] for each in found) / sum(each[2] for each in found)
        log_prob.append(now)
        law = likeliest(law, sums, fits).law
        if now - before < enough:
            break
        before = now
    return law, log_prob


@dataclass(frozen=True)
class Drawing:
    """Draws rows of a file: those with the smallest of random keys, so that the sample of all files
    is the same whatever the partition of the work.

    Args:
        rows: of the sample of all files.
        seed: of the keys.
    """

    rows: int
    seed: int

    def __call__(self, numbered: tuple[int, str]) -> tuple[pl.DataFrame, np.ndarray, int]:
        """The rows of a file that may be in the sample, their keys, and the rows of the file."""
        number, uri = numbered
        frames, keys, count = [], [], 0
        for piece in _pieces(uri):
            own = keys_of(self.seed, number, count, len(piece))
            frames.append(piece)
            keys.append(own)
            count += len(piece)
            if sum(map(len, keys)) > 4 * self.rows:
                frames, keys = self._fewer(frames, keys)
        frames, keys = self._fewer(frames, keys)
        return frames[0], keys[0], count

    def _fewer(
        self, frames: list[pl.DataFrame], keys: list[np.ndarray]
    ) -> tuple[list[pl.DataFrame], list[np.ndarray]]:
        whole, each = pl.concat(frames), np.concatenate(keys)
        if len(each) <= self.rows:
            return [whole], [each]
        kept = each <= np.partition(each, self.rows - 1)[self.rows - 1]
        return [whole.filter(pl.Series(kept))], [each[kept]]


def keys_of(seed: int, number: int, first: int, count: int) -> np.ndarray:
    """A random key for each of `count` rows of file `number`, from row `first`: a multiple of the
    rows of a piece."""
    return np.random.default_rng([mixed_seed(seed, number), first]).random(count)


@dataclass(frozen=True, eq=False)
class Expecting:
    """The expectation step over a file.

    Args:
        table: reads rows.
        fits: the M-step of each block.
        largest: rows with a key up to it are in the sample, and are left out.
        seed: of the keys.
        law: the mixture.
    """

    table: FittedTable
    fits: tuple[BlockFit, ...]
    largest: float
    seed: int
    law: Mixture | None = None

    def __call__(self, numbered: tuple[int, str]) -> tuple[TableSums, float, int] | None:
        """The sufficient statistics of a file's rows, the sum of log p, and the number of rows;
        None if there are none."""
        assert self.law is not None  # as `fit_directory` gives one
        number, uri = numbered
        total: TableSums | None = None
        log_p, count, first = 0.0, 0, 0
        for piece in _pieces(uri):
            others = keys_of(self.seed, number, first, len(piece)) > self.largest
            first += len(piece)
            own = piece.filter(pl.Series(others))
            if not len(own):
                continue
            sums, some = expected(self._rows(own), Batch(self.law, 1), self.fits)
            total = sums if total is None else total + sums
            log_p, count = log_p + float(some), count + len(own)
        return None if total is None else (total, log_p, count)

    def _rows(self, piece: pl.DataFrame) -> LearningRows:
        """The rows, a value missing that the model does not know."""
        density, table = self.table.density, self.table.density.table_
        x = density.numbers_with_unknowns(self.table.fitted(piece))
        x_0: Tensor = table.encode(torch.from_numpy(np.where(np.isinf(x), np.nan, x)))
        return LearningRows.of(x_0, self.fits)


def _pieces(uri: str) -> Iterator[pl.DataFrame]:
    from ..data.table_files import open_table

    with local_copy(uri) as path:
        yield from open_table(path).pieces(PIECE)


def _law_of(table: FittedTable) -> FittedLaw:
    fitted = table.density.fitted_
    if not isinstance(fitted, FittedLaw) or fitted.network.corrects:
        raise ValueError(
            "a law over partitions is a closed form, and the sample is a table of small whole "
            "numbers or has atoms: give a type, as types={column: 'integer'}, or fit the sample"
        )
    return fitted


def _shrunk(fits: Iterable[BlockFit]) -> list[BlockFit]:
    each = list(fits)
    dims = sum(fit.width for fit in each if isinstance(fit, GaussianFit))
    nu = NU * (dims + 1)
    return [replace(fit, nu=nu) if isinstance(fit, GaussianFit) else fit for fit in each]


def _gain(before: Mixture, after: Mixture, x_0: Tensor) -> np.ndarray:
    return np.asarray((after.log_prob(x_0) - before.log_prob(x_0)).numpy())
