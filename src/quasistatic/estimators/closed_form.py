r"""Rows of a table of any columns: a closed-form law, and a network that corrects it.

On a small table a network overfits, and a closed-form mixture does well. So the model starts as a
mixture, whose weights and space maximize the likelihood of held-out rows. If there are enough rows,
a network is then trained to correct it. The correction is kept only if it makes validation rows
likelier; otherwise the model is the mixture alone.
"""

__all__ = [
    "FittedLaw",
    "encoded",
    "fit_law",
    "fitted_from_law",
    "law_of",
    "plan_law",
    "seconds_of_law",
]

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..distributions.mixtures import Mixture, RestrictedMixture, RowDraws
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
from ..likelihood import ContinuousTime
from ..networks import ResidualDenoiser
from ..recipes.tabular import tabular_from_law
from ..sampling.factors import Factor
from ..sampling.factors.within import Within
from ..spaces import Table
from ..spaces.columns import CompoundColumn
from ..spaces.quantile_map import QuantileMap
from .column_costs import owners
from .fitted import FitPlan, FitSummary, Fitted, Method
from .model_selection import JUDGES, PILOT_FIT, TRAINED, is_kept, is_promising, is_tried, words
from .network_completion import (
    PILOT,
    PILOT_DRAWS,
    completed_by_row,
    informative_times,
    network_fills_better,
)
from .row_events import Given

STEPS = 1000
"""T, the steps of the chain."""

LOOKED_AT, PAIRS = 10_000, 2**31
"""The law is fitted to at most this many rows, and rows times pairs of values."""

SAMPLED = 100
"""Time steps of the model's own rows that show whether the network fills missing values better."""

LOOKS = 64
"""Evaluations of the network for each validation row that decides whether it is kept."""

FEW, JUDGING, JUDGED_BY = 1000, 2000, 16
"""Rows up to which every fifth of them judges the spaces, and not the first one alone; and rows, of
more, that judge them, by mixtures of so many components at most."""

CLEAR = 1.0
"""Paired standard errors on the first fifth of the rows, by which a space is left out."""

TIMED = 300
"""Rows that are fitted to estimate the time of a fit."""

WIDE, WIDER = 0.9, 0.97
"""The quantile of the widths of the cells of a column on lattices that decides how narrow a normal
distribution may be; and of the widths of cells by frequency, which differ more."""

TIED = 0.9
"""A column whose share of distinct numbers is at most this is taken to be rounded."""


@dataclass(frozen=True, eq=False)
class FittedLaw(Fitted):
    """A closed-form law, with or without a network that corrects it. Without one, all answers are
    computed in closed form.

    Args:
        model, table, summary: of :class:`Fitted`.
        shares: the weights of the candidates, with which it can be fitted to other rows; None once
            it was stored.
    """

    shares: Mapping[Candidate, float] | None = field(default=None, repr=False)

    about = (
        "a lower bound on log p(x) in continuous time; exact where nothing is corrected, but for "
        "whole numbers of a wide range, which have the density at the middle of their cell"
    )

    @classmethod
    def restored(cls, model: Diffusion, columns: Table | None, summary: FitSummary) -> "FittedLaw":
        assert isinstance(model.space, Table)  # as it was stored
        return cls(model, model.space if columns is None else columns, summary)

    def rows_of_model(self, x: np.ndarray) -> np.ndarray:
        return self.table.split(torch.from_numpy(x)).numpy()

    def rows_of_table(self, rows: np.ndarray) -> np.ndarray:
        return self.table.join(torch.from_numpy(rows)).numpy()

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        rows = torch.from_numpy(x)
        if not self.network.corrects:
            return self.known(rows).numpy()
        return self._scored(rows, evaluations, seed)[0]

    def known(self, rows: Tensor) -> Tensor:
        """log p of the observed values of rows by the closed-form law, with shape (N,)."""
        x_0 = self.table.encode(rows)
        volume = self.table.log_volume(x_0)
        return self.network.denoiser.log_prob(x_0) + volume.flatten(1).sum(1)

    def gain(self, rows: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        """How much the network adds to log p of each row, with shape (N,), in nats."""
        return self._scored(torch.from_numpy(rows), evaluations, seed)[1]

    def _scored(self, rows: Tensor, evaluations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        method, rng = ContinuousTime(evaluations, by_row=True), torch.Generator().manual_seed(seed)
        score = self._exact.score(self.table.split(rows), method=method, rng=rng)
        cells = self.table.log_cells(self.table.encode(rows)).sum(1)
        return (score.nats.cpu() + cells).numpy(), score.terms["correction"].numpy()

    def sample(self, n: int, seed: int) -> np.ndarray:
        rng = torch.Generator().manual_seed(seed)
        if self.network.corrects:
            found = self.table.join(self.model.sample(n, rng=rng).double().cpu())
        else:
            found = self.table.decode(self.network.denoiser.law.sample(n, rng))
        return self.table.rounded(found).numpy()

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
        if by_network and self.network.corrects:
            return self._by_network(x, draws, particles, seed, distinct, done)
        found = self._by_law(x, draws, seed, distinct)
        if done is not None:
            done(len(x))
        return found

    def fills_by_network(self, method: Method, mean: bool) -> bool:
        if method == "fast" or not self.network.corrects:
            return False
        return method == "network" or self._network_fills_better[mean]

    def _by_law(self, x: np.ndarray, draws: int, seed: int, distinct: bool) -> np.ndarray:
        rows = torch.from_numpy(x)
        x_0 = self.table.encode(rows)
        filled = self.network.denoiser.law.complete(x_0, draws, RowDraws.of(x, seed, distinct))
        raw = self.table.rounded(self.table.filled.decode(filled.flatten(0, 1)))
        raw = raw.reshape(len(rows), draws, -1)
        return torch.where(rows.isnan()[:, None], raw, rows[:, None]).numpy()

    def log_evidence(self, given: Given, seed: int) -> tuple[float, float]:
        each = [self._log_evidence(case, seed) for case in given.cases()]
        value, error = (np.array(part) for part in zip(*each, strict=True))
        total = float(np.logaddexp.reduce(value))
        if len(each) == 1 or not math.isfinite(total):
            return total, float(error[0])
        return total, float(np.sqrt(((np.exp(value - total) * error) ** 2).sum()))

    def _log_evidence(self, case: Given, seed: int) -> tuple[float, float]:
        """log p of a case, in nats, and its standard error."""
        if self.network.corrects:
            found, error = super().log_evidence(case, seed)
            cells = float(self._log_cells(case.event().known).logsumexp(0))
            return found + cells + case.log_unit, error
        event, rng = case.event(), torch.Generator().manual_seed(seed)
        log_p, error = RestrictedMixture(law_of(self), event).log_evidence(rng)
        log_p = log_p + self._log_volume(event.known) + case.log_unit
        return float(log_p.logsumexp(0)), error

    def sample_given(self, given: Given, n: int, seed: int) -> np.ndarray:
        cases = list(given.cases())
        if len(cases) == 1:
            return self._sample_given(given, cases[0], n, seed)
        value = np.array([self._log_evidence(case, seed)[0] for case in cases])
        share = np.exp(value - np.logaddexp.reduce(value))
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n, share / share.sum())
        pairs = zip(cases, counts.tolist(), strict=True)
        rows = [self._sample_given(given, case, count, seed) for case, count in pairs if count]
        return np.asarray(rng.permutation(np.concatenate(rows)))

    def _sample_given(self, given: Given, case: Given, n: int, seed: int) -> np.ndarray:
        """n draws of a case."""
        if self.network.corrects:
            return super().sample_given(case, n, seed)
        law = RestrictedMixture(law_of(self), case.event())
        rng, found, count = torch.Generator().manual_seed(seed), [], 0
        while count < n:  # rounding may move a value out of its interval
            drawn = self.table.decode(law.sample(n - count, rng))
            rows = self.table.rounded(drawn, {event.index for event in given.events}).numpy()
            found.append(_with_listed(given, rows))
            found[-1] = found[-1][given.holds(found[-1])]
            count += len(found[-1])
        return np.concatenate(found)

    def log_prob_given(
        self, x: np.ndarray, given: Given, evaluations: int, seed: int
    ) -> tuple[np.ndarray, float]:
        if self.network.corrects:
            return super().log_prob_given(x, given, evaluations, seed)
        rng = torch.Generator().manual_seed(seed)
        hidden = np.isnan(x[:, [event.index for event in given.events]])
        found = np.full(len(x), -np.inf)
        patterns, which = np.unique(hidden, axis=0, return_inverse=True)
        for k, open_ in enumerate(patterns):
            rows = np.flatnonzero(which.ravel() == k)
            left = [event for event, each in zip(given.events, open_, strict=True) if each]
            met = [event for event, each in zip(given.events, open_, strict=True) if not each]
            rows = rows[Given(given.table, tuple(met)).holds(x[rows])]
            if not len(rows):
                continue
            if not left:
                found[rows] = self.known(torch.from_numpy(x[rows])).numpy()
                continue
            found[rows] = self._joint(x[rows], Given(given.table, tuple(left)), rng)
        return found, self.log_evidence(given, seed)[0]

    def _joint(self, x: np.ndarray, given: Given, rng: torch.Generator) -> np.ndarray:
        """log p of rows together with what is given of columns that they do not have, (N,)."""
        known = self.table.encode(torch.from_numpy(x))
        owner = owners(self.table)
        for each in given.events:  # a value that is given is not one that is missing
            known[:, owner == each.index] = math.nan
        found = np.full(len(x), -np.inf)
        patterns, which = torch.unique(known.isnan(), dim=0, return_inverse=True)
        for k in range(len(patterns)):  # all rows of an event have the same holes
            rows = (which == k).nonzero()[:, 0].numpy()
            for case in given.cases():
                event = case.event(known[rows])
                log_p, _ = RestrictedMixture(law_of(self), event).log_evidence(rng)
                log_p = log_p + self._log_volume(event.known) + case.log_unit
                log_p = log_p.reshape(len(rows), -1)
                found[rows] = np.logaddexp(found[rows], log_p.logsumexp(1).numpy())
        return found

    def _log_volume(self, x_0: Tensor) -> Tensor:
        """What turns the density of known values of x_0 (N, W) into one of raw values, (N,)."""
        return self.table.log_volume(x_0).flatten(1).sum(1)

    def _log_cells(self, x_0: Tensor) -> Tensor:
        """The part of it that comes from lattices, (N,)."""
        return self.table.log_cells(x_0).flatten(1).sum(1)

    def _factor(self, given: Given) -> Factor:
        rows = np.full((1, len(given.table.columns)), np.nan)
        for each in given.events:
            if each.values is not None and len(each.values) == 1:
                rows[:, each.index] = each.values
        event = given.event()
        if len(event.known) > 1:
            raise ValueError(
                "a list of real numbers is given, which the weighted walk of a network does not "
                "take: give an interval, or call once for each number"
            )
        return Within(torch.from_numpy(rows), event.allowed, event.low, event.high)

    def _by_network(
        self,
        x: np.ndarray,
        draws: int,
        particles: int,
        seed: int,
        distinct: bool,
        done: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        times, parts = informative_times(self.model), self.rows_of_model(x)
        found = completed_by_row(self.model, parts, draws, particles, seed, distinct, times, done)
        joined = self.table.filled.join(torch.from_numpy(found).flatten(0, 1))
        whole = self.table.rounded(joined).reshape(len(x), draws, -1).numpy()
        return np.where(np.isnan(x)[:, None], whole, x[:, None])

    @cached_property
    def _network_fills_better(self) -> tuple[bool, bool]:
        """Whether the network's draws of missing values are better, and whether their means are: by
        rows of the model's own law, so that a fitted model needs no data to decide."""
        rows = self.rows_of_table(self.model.sample(PILOT, SAMPLED, 0).double().cpu().numpy())
        return network_fills_better(
            rows,
            np.where((spread := rows.std(0)) > 0, spread, 1.0),
            lambda x: self._by_law(x, PILOT_DRAWS, 0, False),
            lambda x: self._by_network(x, PILOT_DRAWS, PILOT_DRAWS, 0, False),
        )

    @property
    def _law(self) -> Mixture:
        """The law of x_0 in float64."""
        return self.network.denoiser.law.to(torch.zeros((), dtype=torch.float64))

    @property
    def closed_form(self) -> Mixture:
        return self.network.denoiser.law

    @property
    def network(self) -> ResidualDenoiser:
        """The law and its correction."""
        network = self.model.network
        assert isinstance(network, ResidualDenoiser)  # as it was built
        return network

    @cached_property
    def _exact(self) -> Diffusion:
        """The model in float64, where a score has the same digits in every batch."""
        return deepcopy(self.model).double()


def law_of(fitted: FittedLaw) -> Mixture:
    """The law of x_0 in float64, without a network's correction."""
    return fitted.network.denoiser.law.to(torch.zeros((), dtype=torch.float64))


def fitted_from_law(table: Table, law: Mixture, seed: int) -> FittedLaw:
    """The model of the rows of a table with a law that is known, and no correction."""
    start = _Start(table, law, {}, {}, None, np.arange(0), None)
    return FittedLaw(_model(start, FitPlan(width=8, seed=seed)), table, FitSummary())


def atoms_of(table: Table) -> dict[str, str]:
    """What is special about the columns that have atoms or lattices, as text, by name."""
    columns = [column for column in table.columns if isinstance(column, CompoundColumn)]
    return {column.name: column.about for column in columns}


def _with_listed(given: Given, rows: np.ndarray) -> np.ndarray:
    """Rows whose given numbers are the numbers that were given, to the last digit."""
    rows = rows.copy()
    for event in given.events:
        if event.values is not None:
            listed = np.array(event.values)
            nearest = np.abs(rows[:, event.index, None] - listed).argmin(1)
            rows[:, event.index] = listed[nearest]
    return rows


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
        learned = replace(learned, summary=replace(learned.summary, atoms=summary.atoms))
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
    parts = start.table.split(torch.from_numpy(rows)).numpy()
    shown_to, judged_by = parts[train], parts[valid[:JUDGES]]
    fitted = FittedLaw(model, start.table, FitSummary(described))
    shown = start.table.encode(torch.from_numpy(judges))
    behind = (best.log_prob(shown) - law.log_prob(shown)).numpy()
    spent = 0
    if plan.steps is None and plan.minutes is None:
        steps = max(PILOT_FIT.steps, plan.steps_in(seconds, model, shown_to, TRAINED))
        if steps < TRAINED.steps:
            before = deepcopy(model.state_dict())
            spent = plan.train(model, shown_to, judged_by, replace(PILOT_FIT, steps=steps))
            gain = replace(fitted, model=model.eval()).gain(judges, LOOKS, plan.seed)
            if not is_promising(gain, behind):
                summary = FitSummary(start.described, *is_kept(gain - behind), spent)
                return replace(fitted, summary=summary)
            model.load_state_dict(before)
    steps = plan.train(model, shown_to, judged_by, TRAINED)
    fitted = replace(fitted, model=model.eval())
    won = fitted.gain(judges, LOOKS, plan.seed) - behind
    return replace(fitted, summary=FitSummary(described, *is_kept(won), spent + steps))


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
    table, _, best = max(laws, key=lambda each: _judged(*each))
    held_out = looked_at[best.rows]
    return _Start(table, best.law, best.shares, best.described, best.apart, held_out, best.simple)


def _trial(rows: np.ndarray, table: Table, plan: FitPlan, most: int | None = None) -> _Tried:
    """Candidates for a table, of so many components at most, judged by a fifth of the rows."""
    x_0, fits = encoded(rows, table)
    whole = completed_for_learning(x_0, fits, plan.seed)
    return table, x_0, Trial.of(whole, fits, plan.seed, most)


def _not_clearly_worse(trials: list[_Tried]) -> list[_Tried]:
    """The trials that the best one does not beat by :data:`CLEAR` paired standard errors."""
    each = [_raw(*trial) for trial in trials]
    best = max(each, key=lambda nats: nats.mean())
    error = [(best - nats).std() / len(best) ** 0.5 for nats in each]
    gap = [(best - nats).mean() for nats in each]
    return [t for t, g, e in zip(trials, gap, error, strict=True) if g <= CLEAR * e]


def _judged(table: Table, x_0: Tensor, of: Trial | StackedLaw) -> float:
    """Mean log p of held-out rows in raw units, by a trial or by a stacked law."""
    return float(_raw(table, x_0, of).mean())


def _raw(table: Table, x_0: Tensor, of: Trial | StackedLaw) -> np.ndarray:
    """log p of held-out rows in raw units, (n,), by a trial or by a stacked law."""
    volume = table.log_volume(x_0[torch.from_numpy(of.rows)]).flatten(1).sum(1)
    return np.asarray(of.held_out + volume.numpy())


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
        tied = torch.tensor([_tie(column) for column in x_0[:, : len(lattices)].T.numpy()])
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
        fits.append(GaussianFit(floor))
    if sizes:
        fits.append(CategoricalFit(sizes, share.log()))
    return x_0, fits


def _tie(values: np.ndarray) -> float:
    """How far apart the numbers of a real column (N,) are, if they were rounded; else 0."""
    seen = values[~np.isnan(values)]
    different = np.unique(seen)
    if len(different) < 3 or len(different) > TIED * len(seen):
        return 0.0
    return float(np.quantile(np.diff(different), 0.05))


def _model(start: _Start, plan: FitPlan) -> Diffusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        width = _width(start.table, plan)
        return tabular_from_law(start.table.flat, start.law, steps=STEPS, width=width).eval()
