"""A fitted closed-form law of a table, with or without a network that corrects it."""

__all__ = ["FittedLaw", "law_of"]

import math
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..distributions.mixtures import Draws, Mixture, RestrictedMixture, RowDraws
from ..distributions.mixtures.fitting import Candidate
from ..likelihood.continuous_time import continuous
from ..networks import ResidualDenoiser
from ..sampling.factors import Factor
from ..sampling.factors.within import Within
from ..spaces import Table
from .column_costs import owners
from .fitted import FitSummary, Fitted, Method
from .network_completion import (
    PILOT,
    PILOT_DRAWS,
    completed_by_row,
    drawing_times,
    informative_times,
    network_fills_better,
)
from .row_events import Given

EARLIER = (
    "this model was fitted by an earlier version. Its network saw which values a row does not "
    "have, as their column is at an atom or missing as a class: its draws have too few of these. "
    "Fit it again"
)

SAMPLED = 100
"""Time steps of the model's own rows that show whether the network fills missing values better."""


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
        found = cls(model, model.space if columns is None else columns, summary)
        atoms = found.table.flat is not found.table
        if atoms and found.network.corrects and not summary.whole_parts:
            warnings.warn(EARLIER, stacklevel=2)
        return found

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
        log_p = self.network.denoiser.log_prob(x_0.to(self.model.blank(1).device)).cpu()
        return log_p + volume.flatten(1).sum(1)

    def gain(self, rows: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        """How much the network adds to log p of each row, with shape (N,), in nats."""
        return self._scored(torch.from_numpy(rows), evaluations, seed)[1]

    def whole_parts(self, rows: Tensor, draws: Draws) -> Tensor:
        """Rows (N, C) as rows of parts (N, parts), with a draw of the law for each part that
        has no meaning. A network sees which parts of x_t are missing. It would know from a missing
        value that its column is at an atom, and give that a probability near one, although no part
        is missing in its own draws. A value that is missing in the data stays missing."""
        parts = self.table.split(rows)
        hidden = self.table.without_meaning(parts)
        if not hidden.any():
            return parts
        filled = law_of(self).complete(self.table.encode(rows), 1, draws)[:, 0]
        return torch.where(hidden, self.table.flat.decode(filled).to(parts), parts)

    def _scored(self, rows: Tensor, evaluations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """log p of rows, and what the network adds to that of the law, each (N,). With q the law's
        distribution of the parts without meaning, given the row, the bound is that of all parts
        less log q. For the law both make the exact log p of the row; the network adds to it what it
        adds to that of all parts."""
        parts = self.whole_parts(rows, RowDraws.of(rows.numpy(), seed, distinct=False))
        rng, keys = torch.Generator().manual_seed(seed), self.table.split(rows).double()
        score = continuous(self._exact, parts, evaluations, rng, by_row=True, keys=keys)
        added = score.terms["correction"].cpu()
        return (self.known(rows) + added).numpy(), added.numpy()

    def sample(self, n: int, seed: int) -> np.ndarray:
        rng = torch.Generator().manual_seed(seed)
        if self.network.corrects:
            drawn = self.model.sample(n, drawing_times(self.model), rng)
            found = self.table.join(drawn.double().cpu())
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
        filled = law_of(self).complete(x_0, draws, RowDraws.of(x, seed, distinct))
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
    def closed_form(self) -> Mixture:
        return law_of(self)

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
    """The law of x_0 on the CPU in float64, without a network's correction."""
    return fitted.network.denoiser.law.to(torch.zeros((), dtype=torch.float64))


def _with_listed(given: Given, rows: np.ndarray) -> np.ndarray:
    """Rows whose given numbers are the numbers that were given, to the last digit."""
    rows = rows.copy()
    for event in given.events:
        if event.values is not None:
            listed = np.array(event.values)
            nearest = np.abs(rows[:, event.index, None] - listed).argmin(1)
            rows[:, event.index] = listed[nearest]
    return rows
