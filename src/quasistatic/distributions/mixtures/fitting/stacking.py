r"""Stacking: mixtures of several sizes, weighted to maximize the likelihood of held-out rows."""

__all__ = [
    "Candidate",
    "StackedLaw",
    "Trial",
    "fitted_again",
    "nested",
    "shares_of",
    "stacked",
]

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..gaussian_block import GaussianBlock
from ..mixture import Mixture
from .block_fits import BlockFit, GaussianFit
from .clusters import clustered
from .em import Batch, log_p_each, maximised
from .learning_rows import LearningRows

FOLDS, FEW, SMALL, WORK = 5, 500, 1500, 2e6
"""Parts of the rows, each of which is held out once where there are few rows. Two parts are held
out of a small table, and one of a larger one, or of so many rows times pairs of real values."""

LEAST, TRIED = 0.01, 0.003
"""A candidate with a weight below LEAST is dropped. If its weight on the first fold is below TRIED,
its size is not fitted on the other folds."""

NUS = (math.inf, 1.0, 0.1, 0.01)
"""Shrinkage of each component's covariance to the pooled one, in pseudo-rows a dimension. The
values fall, and each fit starts from the result of the one before."""

SCALES = (1.0, 4.0, 25.0)
"""Factors of the covariances: a mixture of these copies has heavy tails, like a Student t."""

MOST_COMPONENTS, ROWS_EACH, NUMBERS = 128, 5, 4e6
"""The most components, the fewest rows a component, and the most numbers in all covariances."""

PATIENCE = 2
"""After this many sizes without an improvement, larger sizes are not tried."""

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


class Candidate(NamedTuple):
    """Which mixture: its components, whether its clusters were whitened, nu and its scale."""

    components: int
    white: bool
    nu: float
    scale: float

    def __str__(self) -> str:
        start = ", whitened start" if self.white else ""
        wide = f", covariance x {self.scale:g}" if self.scale != 1 else ""
        return f"{self.components} components, nu {self.nu:g}{start}{wide}"


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
        chains = {False: NUS[1:2]} if quick else _chains(_dims(fits))
        laws, log_p = _climbed(rows, seen, LearningRows.of(x[fold == 0], fits), seed, most, chains)
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
        chains = {(name.components, name.white) for name, share in pairs if share > TRIED}
        chosen = [i for i, n in enumerate(self.names) if (n.components, n.white) in chains]
        names, fold = [self.names[i] for i in chosen], self.fold
        rows = LearningRows.of(self.x, self.fits)
        parts = torch.stack([fold != k for k in (*range(1, count), FOLDS)])  # all rows at the end
        laws = _candidates(*_to_learn(rows, parts), self.seed, names)
        tables = [self.log_p[:, chosen]]
        tables += [_log_p(self.x[fold == k], self.fits, laws[k - 1]) for k in range(1, count)]
        table = torch.cat(tables)
        judged = torch.cat([(fold == k).nonzero()[:, 0] for k in range(count)])
        shares = _kept(names, shares_of(table))
        law = _refined(rows, self._unspoilt(laws[-1], shares), shares, self._added(rows))
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
            found[name] = self.laws[name] if loss.median() > WRONG else laws[name]
        return found

    def _continued(self) -> "StackedLaw":
        """The stacked law without further parts."""
        shares, held_out = self._stacked(_affordable(self.names, shares_of(self.log_p)))
        apart = self._joined(shares)
        few, by_few = self._stacked([n for n in self.names if n.components <= SIMPLE])
        simple = StackedLaw(self._joined(few), few, by_few, self.rows)
        law = _refined(LearningRows.of(self.x, self.fits), self.laws, shares, REFINED)
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
    laws = _candidates(LearningRows.of(x, fits), every, seed, shares)[0]
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


def _refined(
    rows: LearningRows,
    laws: Mapping[Candidate, Mixture],
    shares: Mapping[Candidate, float],
    rounds: int,
) -> Mixture:
    """The mixture of candidates with these shares, taken by some more rounds from a part of the
    rows to all of them."""
    found: dict[Candidate, Mixture] = {}
    plain = dict.fromkeys(name._replace(scale=1.0) for name in shares)
    for size, nu in {(name.components, name.nu): None for name in plain}:
        names = [name for name in plain if (name.components, name.nu) == (size, nu)]
        batch = Batch.of([laws[name] for name in names])
        if rounds:
            batch = maximised(rows, batch, _shrunk(rows.fits, nu), rounds=rounds)
        found |= dict(zip(names, batch.each(), strict=True))
    each = [_scaled(found[name._replace(scale=1.0)], name.scale) for name in shares]
    return Mixture.joined(each, list(shares.values()))


def stacked(x: Tensor, fits: Sequence[BlockFit], seed: int = 0) -> StackedLaw:
    """The closed-form law of rows x (N, W): see :class:`Trial`."""
    return Trial.of(x, fits, seed).finished()


def _folds(rows: int, fits: Sequence[BlockFit]) -> int:
    if rows > SMALL or rows * _dims(fits) ** 2 > WORK:
        return 1
    return FOLDS if rows <= FEW else 2


def _dims(fits: Sequence[BlockFit]) -> int:
    """How many real values there are."""
    return sum(fit.width for fit in fits if isinstance(fit, GaussianFit))


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
    dims, thorough = _dims(fits), _folds(count, fits) > 1
    for k in _counts(count, dims, most):
        found = _of_size(rows, seen, k, seed, chains if k > 1 else {False: NUS[:1]})[0]
        log_p = _log_p_of(out, found)
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


def _log_p(x: Tensor, fits: Sequence[BlockFit], laws: Mapping[Candidate, Mixture]) -> Tensor:
    """log p of rows x (N, W) by each law, with shape (N, laws)."""
    return _log_p_of(LearningRows.of(x, fits), laws)


def _log_p_of(rows: LearningRows, laws: Mapping[Candidate, Mixture]) -> Tensor:
    """log p of rows by each law, with shape (N, laws)."""
    by_size: dict[int, list[int]] = {}
    for i, name in enumerate(laws):
        by_size.setdefault(name.components, []).append(i)
    each, out = list(laws.values()), rows.x.new_empty(len(rows), len(laws))
    for index in by_size.values():
        out[:, index] = log_p_each(rows, Batch.of([each[i] for i in index]))
    return out


def _chains(dims: int) -> dict[bool, tuple[float, ...]]:
    """The amounts of shrinkage that are tried from each start, whitened or not."""
    nus = NUS if dims else NUS[:1]
    return {False: nus, True: nus} if dims > 1 else {False: nus}


def _candidates(
    rows: LearningRows, seen: Tensor, seed: int, wanted: Collection[Candidate]
) -> list[dict[Candidate, Mixture]]:
    """Those candidates that are wanted, fitted to the rows that are `seen` (F, N): F of each."""
    found: list[dict[Candidate, Mixture]] = [{} for _ in seen]
    for k in {name.components: None for name in wanted}:
        chains = {}
        for white in (False, True):
            last = [NUS.index(n.nu) for n in wanted if (n.components, n.white) == (k, white)]
            if last:
                chains[white] = NUS[: max(last) + 1]
        of_size = _of_size(rows, seen, k, seed, chains)
        found = [
            a | {n: b[n] for n in wanted if n in b} for a, b in zip(found, of_size, strict=True)
        ]
    return found


def _counts(rows: int, dims: int, most: int) -> list[int]:
    """1, 2, 4, ... components, as many as rows and memory allow."""
    counts, k = [], 1
    while k <= most and (k == 1 or ROWS_EACH * k <= rows) and k * dims**2 <= NUMBERS:
        counts.append(k)
        k *= 2
    return counts or [1]


def _of_size(
    rows: LearningRows,
    seen: Tensor,
    components: int,
    seed: int,
    chains: Mapping[bool, Sequence[float]],
) -> list[dict[Candidate, Mixture]]:
    """All candidates of one size from these starts, whitened or not, with falling amounts of
    shrinkage: each law starts where the one before has come to. They are fitted side by side to the
    rows that are `seen` (F, N): F of each."""
    fits, parts, dims = rows.fits, len(seen), _dims(rows.fits)
    found: list[dict[Candidate, Mixture]] = [{} for _ in seen]
    starts, weight = list(chains), seen.to(rows.x)
    batch = clustered(rows, components, starts, weight, seed)
    for nu in NUS:
        going = [white for white in starts if nu in chains[white]]
        if not going:
            continue
        if len(going) < len(starts):
            index = [starts.index(white) * parts + k for white in going for k in range(parts)]
            batch, starts = batch.picked(torch.tensor(index)), going
        each = weight.repeat(len(starts), 1)
        batch = maximised(rows, batch, _shrunk(fits, nu), each)
        for i, law in enumerate(batch.each()):
            for scale in SCALES if dims else SCALES[:1]:
                name = Candidate(components, starts[i // parts], nu, scale)
                found[i % parts][name] = _scaled(law, scale)
    return found


def _shrunk(fits: Sequence[BlockFit], nu: float) -> list[BlockFit]:
    """The same fits with nu rows' worth of the pooled covariance for each real value, and one
    more."""
    return [_with_nu(fit, nu * (_dims(fits) + 1)) for fit in fits]


def _with_nu(fit: BlockFit, nu: float) -> BlockFit:
    return replace(fit, nu=nu) if isinstance(fit, GaussianFit) else fit


def _scaled(law: Mixture, scale: float) -> Mixture:
    """The same law with all covariances that many times as large."""
    if scale == 1:
        return law
    blocks = [
        replace(block, scale=block.scale * scale) if isinstance(block, GaussianBlock) else block
        for block in law.blocks
    ]
    return replace(law, blocks=tuple(blocks))


def shares_of(log_p: Tensor, weight: Tensor | None = None, rounds: int = 300) -> Tensor:
    """The shares w (J,) that make sum over rows of log sum_j w_j p_j largest, for log p (N, J), by
    expectation maximisation; the function is concave.

    Args:
        weight: of the rows, for several problems at once, with shape (P, N); shares are (P, J).
    """
    each = log_p.new_ones(1, len(log_p)) if weight is None else weight
    p, total = (log_p - log_p.max(1, keepdim=True)[0]).exp(), each.sum(1, keepdim=True)
    share = log_p.new_full((len(each), p.shape[1]), 1 / p.shape[1])
    for _ in range(rounds):
        # A row without weight may be possible for a candidate alone whose share has vanished.
        share = share * ((each / (share @ p.T).clamp(min=1e-300)) @ p) / total
    return share[0] if weight is None else share


def nested(log_p: Tensor) -> np.ndarray:
    """log p of each row (N,), with weights fitted to other rows."""
    part = torch.arange(len(log_p)) % FOLDS
    others = (part != torch.arange(FOLDS)[:, None]).to(log_p)
    others[others.sum(1) == 0] = 1.0  # a single row judges by itself
    share = shares_of(log_p, others)
    return (log_p + share.log()[part]).logsumexp(1).numpy()
