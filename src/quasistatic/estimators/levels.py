"""Rows of small whole numbers: a network's prior over the levels of each value."""

__all__ = [
    "FittedLevels",
    "fit_levels",
    "levels_of",
    "plan_levels",
    "seconds_of_levels",
    "table_of_levels",
]

import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..likelihood.row_noise import bound_by_row
from ..networks import MLP
from ..sampling import SMC
from ..spaces import Quantized, Table
from ..spaces.columns import IntegerColumn
from ..spaces.frames import Frame
from ..training.config import Fit
from .fitted import FitPlan, FitSummary, Fitted
from .network_completion import completed_by_row

STEPS, WIDTH, MOST_LEVELS, LEAST_ROWS, LEAST_COLUMNS = 1000, 256, 32, 500, 2
"""T of the chain, hidden units; and the tables that are taken for whole numbers."""

PARTICLES = 128
"""In each of two sets, for the log-probability of the observed values of a row."""

WALKED, FILLED_BY = 100, 50
"""Time steps of a score of a row with missing values, and of draws of missing values."""

LOOKS = 16
"""Evaluations of each validation row that tell what training won."""

TRAINED = Fit(steps=450, weight_decay=0.1, validations=9, patience=3, evaluations=12)


@dataclass(frozen=True, eq=False)
class FittedLevels(Fitted):
    """A chain on the columns of a table that vary, all of them small whole numbers."""

    about = "a lower bound on the log-probability of whole numbers"

    @classmethod
    def restored(
        cls, model: Diffusion, columns: Table | None, summary: FitSummary
    ) -> "FittedLevels":
        assert columns is not None  # as it was stored
        return cls(model, columns, summary)

    @cached_property
    def _exact(self) -> Diffusion:
        """The model in float64, where a score has the same digits in every batch."""
        return deepcopy(self.model).double()

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        rows = self._varying(x)
        count = len(self.model.space.levels)  # type: ignore[arg-type]
        level = (rows == np.round(rows)) & (rows >= 0) & (rows < count)
        hidden = np.isnan(rows)
        possible = (level | hidden).all(1)
        found = np.full(len(rows), -np.inf)
        found[possible & hidden.all(1)] = 0.0  # of a row of holes alone p is 1
        whole = possible & ~hidden.any(1)
        if whole.any():
            found[whole] = bound_by_row(self._exact, rows[whole], evaluations, seed).numpy()
        for k in np.flatnonzero(possible & hidden.any(1) & ~hidden.all(1)):
            # Each row alone, so that its particles do not depend on the rows beside it.
            rng = torch.Generator().manual_seed(seed)
            posterior = self.model.impute(rows[k : k + 1], 1, WALKED, rng, method=SMC(PARTICLES, 2))
            found[k] = posterior.log_evidence.item()
        return found

    def sample(self, n: int, seed: int) -> np.ndarray:
        drawn = self.model.sample(n, rng=torch.Generator().manual_seed(seed))
        return self._all_columns(drawn.double().numpy())

    def complete(
        self,
        x: np.ndarray,
        draws: int,
        particles: int,
        seed: int,
        distinct: bool,
        by_network: bool = True,
        done: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        own = self._varying(x)
        found = completed_by_row(self.model, own, draws, particles, seed, distinct, FILLED_BY, done)
        whole = self._all_columns(found)
        return np.where(np.isnan(x)[:, None], whole, x[:, None])

    def rows_of_model(self, x: np.ndarray) -> np.ndarray:
        return self._varying(x)

    def rows_of_table(self, rows: np.ndarray) -> np.ndarray:
        return self._all_columns(rows)

    def _varying(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x[..., [c.space is not None for c in self.table.columns]])

    def _all_columns(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the varying columns (*, D) with the constant ones, (*, C)."""
        filler = self.table.placeholder.numpy()
        whole = np.broadcast_to(filler, (*rows.shape[:-1], len(filler))).copy()
        whole[..., [c.space is not None for c in self.table.columns]] = rows
        return whole


def levels_of(rows: np.ndarray) -> int | None:
    """How many levels rows (N, D) have, if all of their values are small whole numbers and there
    are enough of them to learn a table of levels from; else None."""
    if len(rows) < LEAST_ROWS or rows.shape[1] < LEAST_COLUMNS:
        return None
    whole = (rows == np.round(rows)).all() and rows.min() >= 0
    count = int(rows.max()) + 1 if whole and rows.max() < MOST_LEVELS else 0
    return count if count >= 2 else None


def table_of_levels(frame: Frame, names: Iterable[str], count: int) -> Table:
    """The table of whole numbers below `count`. Each of the columns `names` has the range of all of
    them, as the network gives every level of every column a probability."""
    table = Table.infer(frame, dict.fromkeys(names, "integer"))
    columns = (
        replace(column, low=0, high=count - 1, shares=())
        if isinstance(column, IntegerColumn)
        else column
        for column in table.columns
    )
    return replace(table, columns=tuple(columns))


def plan_levels(plan: FitPlan, count: int) -> str:
    """What :func:`fit_levels` would do, in a sentence."""
    steps = TRAINED.steps if plan.steps is None else plan.steps
    width = plan.width or WIDTH
    return f"{count} levels a value, by an MLP of width {width}, {steps} steps at most"


def seconds_of_levels(rows: np.ndarray, plan: FitPlan, table: Table, count: int) -> float:
    """About how long :func:`fit_levels` takes, by a few steps."""
    begun, few = time.perf_counter(), 8
    fit_levels(rows[: 4 * LEAST_ROWS], replace(plan, steps=few, minutes=None), table, count)
    steps = TRAINED.steps if plan.steps is None else plan.steps
    seconds = (time.perf_counter() - begun) * max(1.0, steps / few)
    return seconds if plan.minutes is None else min(seconds, 60 * plan.minutes)


def fit_levels(x: np.ndarray, plan: FitPlan, table: Table, count: int) -> FittedLevels:
    """Fits rows (N, C) of a table whose varying columns hold whole numbers below `count`."""
    rows = x[:, [column.space is not None for column in table.columns]]
    train, valid = plan.split(len(rows))
    dims = rows.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = MLP(dims, plan.width or WIDTH, 3, outputs=count, dropout=0.4)
    share = np.stack([(rows[train] == level).mean(0) for level in range(count)], -1)
    network.start_at(torch.from_numpy(np.log(share + 1e-3)))
    kernel = GaussianKernel(linear_log_snr(STEPS, 7.0, -7.0))
    model = Diffusion(Quantized(dims, count, spread=2.0), kernel, Levels(), network)
    rng = torch.Generator().manual_seed(plan.seed)
    before = model.score(rows[valid], LOOKS, rng=rng).nats
    steps = 0 if plan.steps == 0 else plan.train(model, rows[train], rows[valid], TRAINED)
    rng = torch.Generator().manual_seed(plan.seed)
    won = model.score(rows[valid], LOOKS, rng=rng).nats - before
    return FittedLevels(model.eval(), table, FitSummary({}, won.mean().item(), True, steps))
