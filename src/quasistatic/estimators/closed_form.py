r"""Rows of a table of any columns: a closed-form law, and a network that corrects it.

On a small table a network overfits, and a closed-form mixture does well. So the model starts as a
mixture, whose weights and space maximize the likelihood of held-out rows. If there are enough rows,
a network is then trained to correct it. The correction is kept only if it makes validation rows
likelier; otherwise the model is the mixture alone.
"""

__all__ = [
    "encoded",
    "fit_again",
    "fit_law",
    "fitted_from_law",
    "plan_law",
    "seconds_of_law",
]

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..distributions.mixtures import Mixture, SharedDraws
from ..distributions.mixtures.fitting import (
    BlockFit,
    Candidate,
    CategoricalFit,
    GaussianFit,
    StackedLaw,
    Trial,
    completed_for_learning,
    fitted_again,
)
from ..recipes.tabular import tabular_from_law
from ..spaces import Table
from ..spaces.columns import CompoundColumn, QuantileColumn
from ..spaces.columns.numbers import rounding_of
from ..spaces.quantile_map import QuantileMap
from .fitted import FitPlan, FitSummary
from .fitted_law import FittedLaw
from .model_selection import JUDGES, PILOT_FIT, TRAINED, is_kept, is_promising, is_tried, words
from .table_columns import parts_of

STEPS = 1000
"""T, the steps of the chain."""

LOOKED_AT, PAIRS = 10_000, 2**31
"""The law is fitted to at most this many rows, and rows times pairs of values."""

LOOKS = 64
"""Evaluations of the network for each validation row that decides whether it is kept."""

FEW, JUDGING, JUDGED_BY = 1000, 2000, 16
"""Rows up to which every fifth of them judges the spaces, and not the first one alone; and rows, of
more, that judge them, by mixtures of so many components at most."""

CLEAR = 1.0
"""Paired standard errors on the first fifth of the rows, by which a space is left out."""

COPIES, DRAWN = 4, 200_000
"""Draws of the parts without meaning that a network is trained on, of each row, and of all rows."""

TIMED = 300
"""Rows that are fitted to estimate the time of a fit."""

WIDE, WIDER = 0.9, 0.97
"""The quantile of the widths of the cells of a column on lattices that decides how narrow a normal
distribution may be; and of the widths of cells by frequency, which differ more."""


def fitted_from_law(table: Table, law: Mixture, seed: int) -> FittedLaw:
    """The model of the rows of a table with a law that is known, and no correction."""
    start = _Start(table, law, {}, {}, None, np.arange(0), None)
    return FittedLaw(_model(start, FitPlan(width=8, seed=seed)), table, FitSummary())


def atoms_of(table: Table) -> dict[str, str]:
    """What is special about the columns that have atoms or lattices, as text, by name."""
    columns = [column for column in table.columns if isinstance(column, CompoundColumn)]
    return {column.name: column.about for column in columns}


@dataclass(frozen=True, eq=False)
class _Start:
    """A closed-form law that was chosen.

    Args:
        table: the columns.
        law: of all rows.
        shares: of its candidates.
        described: the same by the candidates' descriptions.
        apart: a law that has not seen some of the rows; None if there is none at hand.
        held_out: which rows these are.
        simple: a law of few components that has not seen them either; None as before.
    """

    table: Table
    law: Mixture
    shares: dict[Candidate, float]
    described: dict[str, float]
    apart: Mixture | None
    held_out: np.ndarray
    simple: StackedLaw | None


_Tried = tuple[Table, Tensor, Trial]
"""A table, x_0 of the rows, and its candidates."""


def fit_law(rows: np.ndarray, plan: FitPlan, tables: Sequence[Table]) -> FittedLaw:
    """Fits rows (N, C), NaN a hole, in the best of several tables of the same columns."""
    begun = time.process_time()
    start = _start(rows, plan, tables)
    seconds = time.process_time() - begun
    summary = FitSummary(start.described, atoms=atoms_of(start.table))
    if is_tried(plan, len(rows)):
        learned = _learned(rows, plan, start, seconds)
        said = replace(learned.summary, atoms=summary.atoms, whole_parts=True)
        learned = replace(learned, summary=said)
        if learned.summary.kept:
            return learned
        summary = learned.summary  # the network is dropped, and the law is that of all rows
    return FittedLaw(_model(start, plan), start.table, summary, start.shares)


def fit_again(whole: FittedLaw, rows: np.ndarray, table: Table, plan: FitPlan) -> FittedLaw:
    """The law of other rows (N, C), of another table with the same columns, by the candidates and
    the weights of a law that was fitted before."""
    assert whole.shares is not None  # as the caller has checked
    x_0, fits = encoded(rows, table)
    return fitted_from_law(table, fitted_again(x_0, fits, whole.shares, plan.seed), plan.seed)


def seconds_of_law(rows: np.ndarray, plan: FitPlan, tables: Sequence[Table]) -> float:
    """About how long :func:`fit_law` takes: as long as a few rows need, times the number of rows,
    and the steps of a network at the pace of a few."""
    order = np.random.default_rng(plan.seed).permutation(len(rows))
    few, begun = rows[order[:TIMED]], time.perf_counter()
    start = _start(few, plan, tables)
    seconds = (time.perf_counter() - begun) * max(1.0, len(_some(rows, plan)) / len(few))
    if is_tried(plan, len(rows)):
        steps = TRAINED.steps if plan.steps is None else plan.steps
        parts = start.table.split(torch.from_numpy(rows)).numpy()
        training = steps / plan.steps_in(10.0, _model(start, plan), parts, TRAINED) * 10.0
        seconds += training if plan.minutes is None else min(training, 60 * plan.minutes)
    return seconds


def plan_law(rows: int, plan: FitPlan, table: Table) -> str:
    """Describes in a sentence what :func:`fit_law` would do with so many rows."""
    start = "a mixture in closed form, its size and its space chosen by held-out rows"
    return words(plan, rows, start, _width(table, plan))


def _width(table: Table, plan: FitPlan) -> int:
    return plan.width or min(max(4 * table.state[0], 128), 512)


def _learned(rows: np.ndarray, plan: FitPlan, start: _Start, seconds: float) -> FittedLaw:
    """A law of few components and a network that corrects it, both of some rows. The other rows
    compare it with the closed-form law. A pilot as long as the law took to fit, in seconds, or
    longer decides whether the network is trained to its end."""
    if start.apart is not None and start.simple is not None:
        valid, best = start.held_out, start.apart
        train = np.setdiff1d(np.arange(len(rows)), valid)
        law, described = start.simple.law, start.simple.described
    else:
        train, valid = plan.split(len(rows))
        x_0, fits = encoded(rows[train], start.table)
        law = best = fitted_again(x_0, fits, start.shares, plan.seed)
        described = start.described
    model, judges = _model(replace(start, law=law), plan), rows[valid[:JUDGES]]
    fitted = FittedLaw(model, start.table, FitSummary(described))
    shown_to, judged_by = _shown(fitted, rows[train], plan.seed), _shown(fitted, judges, plan.seed)
    shown = start.table.encode(torch.from_numpy(judges))
    behind = (best.log_prob(shown) - law.log_prob(shown)).numpy()
    spent = 0
    if plan.steps is None and plan.minutes is None:
        steps = max(PILOT_FIT.steps, plan.steps_in(seconds, model, shown_to, TRAINED))
        if steps < TRAINED.steps:
            before = deepcopy(model.state_dict())
            spent = plan.train(model, shown_to, judged_by, replace(PILOT_FIT, steps=steps))
            gain = replace(fitted, model=model.eval()).gain(judges, LOOKS, plan.seed)
            if not is_promising(gain, behind, more=len(_some(rows, plan)) < len(rows)):
                summary = FitSummary(start.described, *is_kept(gain - behind), spent)
                return replace(fitted, summary=summary)
            model.load_state_dict(before)
    steps = plan.train(model, shown_to, judged_by, TRAINED)
    fitted = replace(fitted, model=model.eval())
    won = fitted.gain(judges, LOOKS, plan.seed) - behind
    return replace(fitted, summary=FitSummary(described, *is_kept(won), spent + steps))


def _shown(fitted: FittedLaw, rows: np.ndarray, seed: int) -> np.ndarray:
    """Rows of parts that a network is trained on: where parts have no meaning, each row several
    times, with other draws of them."""
    raw, draws = torch.from_numpy(rows), SharedDraws(torch.Generator().manual_seed(seed))
    first = fitted.whole_parts(raw, draws)
    if not fitted.table.without_meaning(fitted.table.split(raw)).any():
        return first.numpy()
    copies = max(1, min(COPIES, DRAWN // len(rows)))
    return torch.cat([first, *(fitted.whole_parts(raw, draws) for _ in range(copies - 1))]).numpy()


def _start(rows: np.ndarray, plan: FitPlan, tables: Sequence[Table]) -> _Start:
    """The table in which held-out rows are likeliest, in raw units, and the law there."""
    looked_at = _some(rows, plan)
    rows = rows[looked_at]
    if len(tables) > 1 and len(rows) > FEW:  # rows enough to tell spaces apart by a part of them
        chosen = np.random.default_rng(plan.seed).permutation(len(rows))[:JUDGING]
        few = [_trial(rows[chosen], table, plan, JUDGED_BY) for table in tables]
        tables = [max(few, key=lambda each: _judged(*each))[0]]
    trials = _not_clearly_worse([_trial(rows, table, plan) for table in tables])
    laws = [(table, x_0, trial.finished()) for table, x_0, trial in trials]
    table, _, best = _preferred(laws)
    held_out = looked_at[best.rows]
    return _Start(table, best.law, best.shares, best.described, best.apart, held_out, best.simple)


def _trial(rows: np.ndarray, table: Table, plan: FitPlan, most: int | None = None) -> _Tried:
    """Candidates for a table, of so many components at most, judged by a fifth of the rows."""
    x_0, fits = encoded(rows, table)
    whole = completed_for_learning(x_0, fits, plan.seed, rounds=2 if most is None else 1)
    return table, x_0, Trial.of(whole, fits, plan.seed, most)


def _not_clearly_worse(trials: list[_Tried]) -> list[_Tried]:
    """The trials that the best one does not beat by :data:`CLEAR` paired standard errors."""
    each = [_raw(*trial) for trial in trials]
    best = max(each, key=lambda nats: nats.mean())
    error = [(best - nats).std() / len(best) ** 0.5 for nats in each]
    gap = [(best - nats).mean() for nats in each]
    return [t for t, g, e in zip(trials, gap, error, strict=True) if g <= CLEAR * e]


def _preferred(laws: list[tuple[Table, Tensor, StackedLaw]]) -> tuple[Table, Tensor, StackedLaw]:
    """The law by which held-out rows are likeliest; one with few quantiles, unless those with many
    beat it by :data:`CLEAR` paired standard errors."""
    best = max(laws, key=lambda each: _judged(*each))
    fewest = min(_quantiles(table) for table, *_ in laws)
    simple = max(
        (each for each in laws if _quantiles(each[0]) == fewest), key=lambda each: _judged(*each)
    )
    gain = _raw(*best) - _raw(*simple)
    return best if gain.mean() > CLEAR * gain.std() / len(gain) ** 0.5 else simple


def _quantiles(table: Table) -> int:
    """How many quantiles the columns of real numbers have."""
    parts = [part for column in table.columns for part in parts_of(column)]
    return sum(len(part.at) for part in parts if isinstance(part, QuantileColumn))


def _judged(table: Table, x_0: Tensor, of: Trial | StackedLaw) -> float:
    """Mean log p of held-out rows in raw units, by a trial or by a stacked law."""
    return float(_raw(table, x_0, of).mean())


def _raw(table: Table, x_0: Tensor, of: Trial | StackedLaw) -> np.ndarray:
    """log p of held-out rows in raw units, (n,), by a trial or by a stacked law. Quantiles are also
    those of the held-out rows, which makes these likelier by as many nats as there are quantiles,
    over all rows (Akaike 1974): that is taken off."""
    volume = table.log_volume(x_0[torch.from_numpy(of.rows)]).flatten(1).sum(1)
    return np.asarray(of.held_out + volume.numpy() - _quantiles(table) / len(x_0))


def _some(rows: np.ndarray, plan: FitPlan) -> np.ndarray:
    """Which rows a law is fitted to, so that time and memory do not grow with the table."""
    most = int(max(200, min(LOOKED_AT, PAIRS // rows.shape[1] ** 2)))
    if len(rows) <= most:
        return np.arange(len(rows))
    return np.sort(np.random.default_rng(plan.seed).permutation(len(rows))[:most])


def encoded(rows: np.ndarray, table: Table) -> tuple[Tensor, list[BlockFit]]:
    """x_0 of rows, and how each of its blocks is fitted."""
    x_0 = table.encode(torch.from_numpy(rows))
    blocks = table.blocks
    sizes = tuple(size for block in blocks for size in block.sizes)
    share = torch.tensor([p for block in blocks for p in block.shares], dtype=torch.float64)
    lattices = [cell for block in blocks for _, cell, _ in block.lattices]
    fits: list[BlockFit] = []
    if lattices:
        cell = torch.tensor(lattices, dtype=torch.float64)
        tied = torch.tensor([rounding_of(column) for column in x_0[:, : len(lattices)].T.numpy()])
        # On a lattice the density at a number stands for its mass: of a normal as wide as this,
        # or wider, all masses add up to 1.001 at most.
        floor = torch.where(cell > 0, 0.4 * cell**2, tied**2 / 12)
        cells = table.cells_in_x_0(x_0)[:, : len(lattices)]
        quantile = [
            WIDER if isinstance(block.space, QuantileMap) else WIDE
            for block in blocks
            for _ in block.lattices
        ]
        for k in (cells > 0).any(0).nonzero()[:, 0].tolist():
            floor[k] = 0.4 * cells[cells[:, k] > 0, k].quantile(quantile[k]) ** 2
        fits.append(GaussianFit(floor, classes=table.classes_of_values))
    if sizes:
        fits.append(CategoricalFit(sizes, share.log()))
    return x_0, fits


def _model(start: _Start, plan: FitPlan) -> Diffusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        width = _width(start.table, plan)
        return tabular_from_law(start.table.flat, start.law, steps=STEPS, width=width).eval()
