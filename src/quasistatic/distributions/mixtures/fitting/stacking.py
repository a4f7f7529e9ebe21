r"""Stacking: mixtures of several sizes, weighted to maximize the likelihood of held-out rows."""

__all__ = ["StackedLaw", "Trial", "fitted_again", "stacked"]

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..mixture import Mixture
from .block_fits import BlockFit
from .candidates import (
    NUS,
    Candidate,
    candidates,
    chain_of,
    chains_for,
    counts,
    dense_cores,
    log_p_of,
    log_p_of_rows,
    of_size,
    real_values,
    refined,
)
from .dense_core import CLOSER
from .learning_rows import LearningRows
from .shares import nested, shares_of

FOLDS, FEW, SMALL, WORK = 5, 500, 1500, 2e6
"""Parts of the rows, each of which is held out once where there are few rows. Two parts are held
out of a small table, and one of a larger one, or of so many rows times pairs of real values."""

LEAST, TRIED = 0.01, 0.003
"""A candidate with a weight below LEAST is dropped. If its weight on the first fold is below TRIED,
its size is not fitted on the other folds."""

MOST_COMPONENTS, PATIENCE = 128, 2
"""The most components; and the sizes without an improvement after which larger ones are not
tried."""

NARROWED, WORTH = 8, 0.01
"""Of tables that are not small: the size from which the starts and the amounts of shrinkage are
tried alone that were best at half the size; and the nats a row that a size must bring."""

FEW_HOLES, ADDED = 0.1, 2
"""If at most this share of the rows have holes in real values, candidates are fitted without these
rows, which takes a third of the time; so many rounds with all rows follow."""

SIMPLE = 32
"""Components of each candidate, at most, of the law that a network corrects."""

LARGEST_LAW, REFINED = 256, 5
"""Of tables that are not small: components of the whole law at most, scales apart; and rounds by
which a law of four fifths of the rows becomes one of all."""

JUDGED, SPOILT, WRONG = 2000, 0.05, 1.0
"""Rows that a law of all rows and the one of four fifths of them are compared on. The median loss,
in nats a row, from which on such a large law is fitted afresh, and a candidate of a small table is
taken to have gone wrong: of a small table the fewer rows are likelier by some tenths anyway."""


@dataclass(frozen=True, eq=False)
class StackedLaw:
    """A mixture for a table.

    Args:
        law: of x_0.
        shares: of the candidates.
        held_out: log p of held-out rows of x_0, in nats: neither the mixtures nor the weights were
            fitted to the row.
        rows: which rows these are, with shape (len(held_out),).
        apart: the mixture with the same shares that has not seen those rows; None where several
            parts were held out, each from other mixtures.
        simple: like `apart`, of candidates with few components alone, and with its own shares. A
            network learns more about such a law, which leaves it more to say.
    """

    law: Mixture
    shares: dict[Candidate, float]
    held_out: np.ndarray
    rows: np.ndarray
    apart: Mixture | None = None
    simple: "StackedLaw | None" = None

    @property
    def described(self) -> dict[str, float]:
        """The shares by the candidates' descriptions, the largest first."""
        ordered = sorted(self.shares.items(), key=lambda item: -item[1])
        return {str(name): share for name, share in ordered}


@dataclass(frozen=True, eq=False)
class Trial:
    """Candidates fitted without the first fold of the rows, and scored on that fold.

    Args:
        x: rows (N, W) of x_0 in float64, NaN a hole; real values of about unit scale.
        fits: how each block of values is fitted.
        seed: of the folds and the starts.
        fold: the part of each row, with shape (N,).
        laws: the candidates, fitted to the rows of the other parts.
        log_p: of the rows of part 0 by each, (M, candidates), in nats.
    """

    x: Tensor
    fits: tuple[BlockFit, ...]
    seed: int
    fold: Tensor
    laws: dict[Candidate, Mixture]
    log_p: Tensor

    @classmethod
    def of(
        cls,
        x: Tensor,
        fits: Sequence[BlockFit],
        seed: int = 0,
        most: int | None = None,
        quick: bool = False,
    ) -> "Trial":
        """The candidates for a table, their number of components doubling up to `most`, which
        is :data:`MOST_COMPONENTS` by default, or until it brings nothing. A quick trial has one
        start and one amount of shrinkage, the second of :data:`NUS`."""
        most = MOST_COMPONENTS if most is None else min(most, MOST_COMPONENTS)
        fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)) % FOLDS)
        rows, seen = _to_learn(LearningRows.of(x, fits), (fold != 0)[None])
        chains = {False: NUS[1:2]} if quick else chains_for(real_values(fits))
        out = LearningRows.of(x[fold == 0], fits)
        laws, log_p = _climbed(rows, seen, out, seed, most, chains)
        if not quick and (core := dense_cores(rows, seen, CLOSER)[0]):
            laws, log_p = laws | core, torch.cat([log_p, log_p_of_rows(out, core)], 1)
        return cls(x, tuple(fits), seed, fold, laws, log_p)

    @property
    def names(self) -> tuple[Candidate, ...]:
        """The candidates, in the order of :attr:`log_p`."""
        return tuple(self.laws)

    @property
    def rows(self) -> np.ndarray:
        """The indices of the rows in fold 0."""
        return (self.fold == 0).nonzero()[:, 0].numpy()

    @property
    def held_out(self) -> np.ndarray:
        """log p of those rows, with weights fitted to other rows, in nats."""
        return nested(self.log_p)

    @property
    def likeliest(self) -> Mixture:
        """The candidate by which those rows are likeliest."""
        return self.laws[self.names[int(self.log_p.mean(0).argmax())]]

    def finished(self) -> "StackedLaw":
        """The mixture of candidates that makes held-out rows likeliest (stacking). Of small tables
        further parts are held out, and each candidate is fitted to all rows afresh. Else the
        candidates continue from where they are, by all rows."""
        count = _folds(len(self.x), self.fits)
        if count == 1:
            return self._continued()
        pairs = zip(self.names, shares_of(self.log_p), strict=True)
        chains = {chain_of(name) for name, share in pairs if share > TRIED}
        chosen = [i for i, name in enumerate(self.names) if chain_of(name) in chains]
        names, fold = [self.names[i] for i in chosen], self.fold
        rows = LearningRows.of(self.x, self.fits)
        parts = torch.stack([fold != k for k in (*range(1, count), FOLDS)])  # all rows at the end
        laws = candidates(*_to_learn(rows, parts), self.seed, names)
        tables = [self.log_p[:, chosen]]
        tables += [log_p_of(self.x[fold == k], self.fits, laws[k - 1]) for k in range(1, count)]
        table = torch.cat(tables)
        judged = torch.cat([(fold == k).nonzero()[:, 0] for k in range(count)])
        shares = _kept(names, shares_of(table))
        law = refined(rows, self._unspoilt(laws[-1], shares), shares, self._added(rows))
        return StackedLaw(law, shares, nested(table), judged.numpy())

    def _added(self, rows: LearningRows) -> int:
        """Rounds by which rows with holes are added to a law of those without."""
        return 0 if _are_learned(rows) else ADDED

    def _unspoilt(
        self, laws: Mapping[Candidate, Mixture], names: Iterable[Candidate]
    ) -> dict[Candidate, Mixture]:
        """The laws of all rows by name, at the scale of 1. A fit whose clusters went wrong, so that
        most rows are less likely than by the law that has not seen the first fold, is replaced by
        that law."""
        found = {}
        for name in dict.fromkeys(name._replace(scale=1.0) for name in names):
            looked_at = self.x[:JUDGED]
            loss = self.laws[name].log_prob(looked_at) - laws[name].log_prob(looked_at)
            wrong = not name.core and bool(loss.median() > WRONG)
            found[name] = self.laws[name] if wrong else laws[name]
        return found

    def _continued(self) -> "StackedLaw":
        """The stacked law without further parts."""
        shares, held_out = self._stacked(_affordable(self.names, shares_of(self.log_p)))
        apart = self._joined(shares)
        few, by_few = self._stacked([n for n in self.names if n.components <= SIMPLE])
        simple = StackedLaw(self._joined(few), few, by_few, self.rows)
        law = refined(LearningRows.of(self.x, self.fits), self.laws, shares, REFINED)
        looked_at = self.x[self.fold != 0][:JUDGED]
        if (apart.log_prob(looked_at) - law.log_prob(looked_at)).median() > SPOILT:
            # A row far out among those held out has stretched a component over all others.
            law = fitted_again(self.x, self.fits, shares, self.seed)
        return StackedLaw(law, shares, held_out, self.rows, apart, simple)

    def _stacked(self, names: Sequence[Candidate]) -> tuple[dict[Candidate, float], np.ndarray]:
        """The shares of these candidates, and log p of held-out rows by other rows' shares."""
        table = self.log_p[:, [self.names.index(name) for name in names]]
        return _kept(names, shares_of(table)), nested(table)

    def _joined(self, shares: Mapping[Candidate, float]) -> Mixture:
        """The mixture of candidates that have not seen the first fold."""
        return Mixture.joined([self.laws[name] for name in shares], list(shares.values()))


def _kept(names: Sequence[Candidate], shares: Tensor) -> dict[Candidate, float]:
    """The candidates with shares that matter; these shares add up to 1."""
    pairs = zip(names, shares.tolist(), strict=True)
    kept = {name: share for name, share in pairs if share > LEAST}
    return {name: share / sum(kept.values()) for name, share in kept.items()}


def fitted_again(
    x: Tensor, fits: Sequence[BlockFit], shares: Mapping[Candidate, float], seed: int
) -> Mixture:
    """The mixture of candidates with these shares, fitted to rows x (N, W)."""
    every = torch.ones(1, len(x), dtype=torch.bool)
    laws = candidates(LearningRows.of(x, fits), every, seed, shares)[0]
    return Mixture.joined([laws[name] for name in shares], list(shares.values()))


def _are_learned(rows: LearningRows) -> bool:
    """Whether candidates are fitted to all rows, and not to those without holes alone."""
    holed = 1 - rows.whole.double().mean().item()
    return not 0 < holed <= FEW_HOLES


def _to_learn(rows: LearningRows, seen: Tensor) -> tuple[LearningRows, Tensor]:
    """The rows that candidates are fitted to, and which of them each part has (F, N)."""
    if _are_learned(rows):
        return rows, seen
    return LearningRows.of(rows.x[rows.whole], rows.fits), seen[:, rows.whole]


def stacked(x: Tensor, fits: Sequence[BlockFit], seed: int = 0) -> StackedLaw:
    """The closed-form law of rows x (N, W): see :class:`Trial`."""
    return Trial.of(x, fits, seed).finished()


def _folds(rows: int, fits: Sequence[BlockFit]) -> int:
    if rows > SMALL or rows * real_values(fits) ** 2 > WORK:
        return 1
    return FOLDS if rows <= FEW else 2


def _affordable(names: Sequence[Candidate], shares: Tensor) -> list[Candidate]:
    """The candidates of the largest shares, as many as :data:`LARGEST_LAW` allows."""
    components = 0
    chosen: list[Candidate] = []
    for i in shares.argsort(descending=True).tolist():
        if chosen and (shares[i] <= LEAST or components + names[i].components > LARGEST_LAW):
            continue
        components += names[i].components
        chosen.append(names[i])
    return chosen


def _climbed(
    rows: LearningRows,
    seen: Tensor,
    out: LearningRows,
    seed: int,
    most: int,
    chains: Mapping[bool, tuple[float, ...]],
) -> tuple[dict[Candidate, Mixture], Tensor]:
    """Candidates fitted to the rows that are `seen` (1, N), and log p of others by each, (M,
    candidates). The number of components doubles until it brings nothing on those."""
    fits = rows.fits
    laws: dict[Candidate, Mixture] = {}
    columns, best, idle, count = [], -math.inf, 0, int(seen.sum())
    dims, thorough = real_values(fits), _folds(count, fits) > 1
    for k in counts(count, dims, most):
        found = of_size(rows, seen, k, seed, chains if k > 1 else {False: NUS[:1]})[0]
        log_p = log_p_of_rows(out, found)
        laws |= found
        columns.append(log_p)
        plain = {name: log_p[:, i].mean().item() for i, name in enumerate(found) if name.scale == 1}
        first = max(plain, key=lambda name: plain[name])
        worth = 0.0 if thorough else WORTH
        idle, best = (0 if plain[first] > best + worth else idle + 1), max(plain[first], best)
        if idle == PATIENCE:
            break
        if not thorough and 2 * k >= NARROWED and len(chains[first.white]) > 1:
            last = max(NUS.index(first.nu), 1) if dims else 0
            chains = {first.white: NUS[min(1, last) : last + 1]}
    return laws, torch.cat(columns, 1)
