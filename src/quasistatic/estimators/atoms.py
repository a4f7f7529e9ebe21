r"""Numbers that many rows repeat exactly: a column as a class and a value.

A column of amounts may be exactly 0 in a third of the rows, or hold 99999 where nothing is known.
Such a number is an atom: it has a probability, and no density. The column becomes two: a class,
which says which atom it is or that it is none, and a value, which is missing where the class is an
atom. Then log p of a row is that of its classes, and of its values given the classes.
"""

__all__ = ["OF", "AtomColumn", "FittedAtoms", "atoms_of", "fit_atoms"]

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._utils.naming import nearest
from ..diffusion import Diffusion
from ..distributions.mixtures import Mixture
from ..spaces import Table
from ..spaces.columns import CategoryColumn, Column, IntegerColumn, NumericColumn
from ..spaces.frames import Series
from ..spaces.inference import infer_column
from .closed_form import FittedLaw, fit_law
from .fitted import FitPlan, FitSummary, Fitted, Method
from .row_events import ColumnEvent, Given
from .table_columns import in_spaces

OF = "atoms"
"""The type that asks for them: ``types={"spend": "atoms"}``."""

RATIO, STRENGTH = 4.0, 2.0
"""An atom is repeated RATIO times as often as the numbers near it, or more, and that is likelier by
STRENGTH log N nats than at their rate."""

LEAST, SHARE, MOST = 5, 0.005, 64
"""Rows of an atom, and its share of the rows, at least; and atoms of a column, at most."""

NEAR = 20
"""Rows near a number that tell how frequent numbers are there, or a twentieth of the rows."""

VALUES = 8
"""Different numbers that are no atoms, at least: of fewer, the column is one of classes alone."""

NONE = "none"
"""The class of rows whose number is no atom."""


@dataclass(frozen=True)
class AtomColumn:
    """A column of numbers with atoms.

    Args:
        index: of the column.
        name: of the column.
        places: the atoms, ascending.
    """

    index: int
    name: str
    places: tuple[float, ...]

    @property
    def classes(self) -> str:
        """The name of the column of classes."""
        return f"{self.name}?"

    def which(self, numbers: np.ndarray) -> np.ndarray:
        """The class of each number (N,): the index of its atom, the number of atoms where it is
        none of them, NaN where it is missing."""
        equal = numbers[:, None] == np.array(self.places)
        found = np.where(equal.any(1), equal.argmax(1), len(self.places)).astype(np.float64)
        return np.where(np.isnan(numbers), np.nan, found)

    def about(self, numbers: np.ndarray) -> str:
        """A sentence on the atoms among numbers (N,)."""
        known = numbers[~np.isnan(numbers)]
        shares = sorted(((float((known == a).mean()), a) for a in self.places), reverse=True)
        shown = [f"{share:.1%} exactly {place:g}" for share, place in shares[:3]]
        more = f" and {len(shares) - 3} more" if len(shares) > 3 else ""
        return f"{', '.join(shown)}{more}; continuous elsewhere"


@dataclass(frozen=True, eq=False)
class FittedAtoms(Fitted):
    """A model of a table in which some columns have atoms.

    Args:
        inner: of the table with a column of classes more for each of these, and their values.
        atoms: the columns that have atoms.
    """

    inner: FittedLaw
    atoms: tuple[AtomColumn, ...]

    about = (
        "a lower bound on log p(x), exact where nothing is corrected: a probability of the numbers "
        "that have one, and a density of the others"
    )

    @classmethod
    def restored(
        cls, model: Diffusion, columns: Table | None, summary: FitSummary
    ) -> "FittedAtoms":
        assert columns is not None  # as it was stored
        inner = FittedLaw.restored(model, None, summary)
        names = [column.name for column in columns.columns]
        atoms = []
        for column in inner.table.columns[len(names) :]:
            assert isinstance(column, CategoryColumn)  # as it was made
            places = tuple(float(each) for each in column.classes if each != NONE)
            atoms.append(AtomColumn(names.index(column.name[:-1]), column.name[:-1], places))
        return cls(model, columns, summary, inner, tuple(atoms))

    def law_of_columns(self) -> Mixture:
        names = [column.name for column in self.atoms]
        raise ValueError(
            f"the columns {names} have atoms, and a table with such columns has no costs of "
            "columns: fit without types={...: 'atoms'}"
        )

    def log_prob(self, x: np.ndarray, evaluations: int, seed: int) -> np.ndarray:
        return self.inner.log_prob(self.rows_of_model(x), evaluations, seed)

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.rows_of_table(self.inner.sample(n, seed))

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
        split = self.rows_of_model(x)
        found = self.inner.complete(split, draws, particles, seed, distinct, by_network, done)
        whole = self.rows_of_table(found.reshape(-1, found.shape[-1]))
        whole = whole.reshape(len(x), draws, -1)
        return np.where(np.isnan(x)[:, None], whole, x[:, None])

    def fills_by_network(self, method: Method, mean: bool) -> bool:
        return self.inner.fills_by_network(method, mean)

    def log_evidence(self, given: Given, seed: int) -> tuple[float, float]:
        each = [self.inner.log_evidence(case, seed) for case in self._cases(given)]
        value, error = (np.array(part) for part in zip(*each, strict=True))
        total = float(np.logaddexp.reduce(value))
        if not math.isfinite(total):
            return total, 0.0
        return total, float(np.sqrt(((np.exp(value - total) * error) ** 2).sum()))

    def sample_given(self, given: Given, n: int, seed: int) -> np.ndarray:
        cases = list(self._cases(given))
        value = np.array([self.inner.log_evidence(case, seed)[0] for case in cases])
        share = np.exp(value - np.logaddexp.reduce(value))
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n, share / share.sum())
        pairs = zip(cases, counts.tolist(), strict=True)
        rows = [self.inner.sample_given(case, count, seed) for case, count in pairs if count]
        return self.rows_of_table(rng.permutation(np.concatenate(rows)))

    def log_prob_given(
        self, x: np.ndarray, given: Given, evaluations: int, seed: int
    ) -> tuple[np.ndarray, float]:
        split, cases = self.rows_of_model(x), list(self._cases(given))
        found = np.full(len(x), -np.inf)
        for case in cases:
            # A value that is missing where an atom holds is no unknown value of an interval.
            joint = self.inner.log_prob_given(split, case, evaluations, seed)[0]
            found = np.logaddexp(found, np.where(self._may_be(split, case), joint, -np.inf))
        return found, self.log_evidence(given, seed)[0]

    def _may_be(self, split: np.ndarray, case: Given) -> np.ndarray:
        """Which rows do not contradict a case by their classes, (N,)."""
        found = np.ones(len(split), dtype=bool)
        for event in case.events:
            if event.index >= len(self.table.columns):
                own = split[:, event.index]
                found &= np.isnan(own) | event.holds(own)
        return found

    def _cases(self, given: Given) -> Iterator[Given]:
        """What is given, as cases of which one holds, each with classes and values of its own."""
        of_column = {each.index: (k, each) for k, each in enumerate(self.atoms)}
        ways: list[list[tuple[ColumnEvent, ...]]] = []
        for event in given.events:
            if event.index not in of_column:
                ways.append([(event,)])
                continue
            k, column = of_column[event.index]
            ways.append(_ways(event, column, len(self.table.columns) + k))
        for case in itertools.product(*ways):
            yield Given(self.inner.table, tuple(itertools.chain(*case)))

    def rows_of_model(self, x: np.ndarray) -> np.ndarray:
        return _split(x, self.atoms)

    def rows_of_table(self, rows: np.ndarray) -> np.ndarray:
        count = len(self.table.columns)
        out = rows[..., :count].copy()
        for k, column in enumerate(self.atoms):
            which = rows[..., count + k]
            atom = which < len(column.places)  # NaN is not
            place = np.array(column.places)[np.where(atom, which, 0).astype(np.int64)]
            own = np.where(atom, place, out[..., column.index])
            out[..., column.index] = np.where(np.isnan(which), np.nan, own)
        return out


def _ways(event: ColumnEvent, column: AtomColumn, classes: int) -> list[tuple[ColumnEvent, ...]]:
    """What is given of a column with atoms, as cases of its class and its value."""
    places = np.array(column.places)
    met = np.flatnonzero(event.holds(places)).astype(float).tolist()
    ways: list[tuple[ColumnEvent, ...]] = []
    if met:
        ways.append((ColumnEvent(classes, column.classes, event.about, tuple(met)),))
    none = ColumnEvent(classes, column.classes, event.about, (float(len(places)),))
    if event.values is None:
        return [*ways, (none, event)]
    others = tuple(value for value in event.values if value not in column.places)
    return [*ways, (none, replace(event, values=others))] if others else ways


def _split(x: np.ndarray, atoms: Sequence[AtomColumn]) -> np.ndarray:
    """Rows (N, C) with values that are missing at atoms, and the classes of these columns."""
    values, classes = x.copy(), []
    for column in atoms:
        which = column.which(x[:, column.index])
        values[which < len(column.places), column.index] = np.nan
        classes.append(which)
    return np.concatenate([values, np.stack(classes, 1)], 1)


def atoms_of(table: Table, x: np.ndarray, names: Sequence[str]) -> tuple[AtomColumn, ...]:
    """The columns of these names that have atoms, with their atoms.

    Args:
        table: the columns.
        x: rows (N, C); NaN is missing.
        names: of the columns in which atoms are looked for.

    Raises:
        ValueError: if there is no such column, or it holds no numbers.
    """
    found, own = [], [column.name for column in table.columns]
    for name in names:
        if name not in own:
            raise ValueError(f"there is no column {name!r}: {nearest(name, own)}")
    for k, column in enumerate(table.columns):
        if column.name not in names:
            continue
        if column.named:
            raise ValueError(f"column {column.name!r} holds names, which have no atoms")
        few = isinstance(column, IntegerColumn) and bool(column.shares)  # classes already
        numeric = isinstance(column, NumericColumn | IntegerColumn)
        places = _atoms(x[~np.isnan(x[:, k]), k]) if numeric and not few else ()
        if places:
            found.append(AtomColumn(k, column.name, places))
    return tuple(found)


def _atoms(v: np.ndarray) -> tuple[float, ...]:
    """The atoms among numbers (N,)."""
    different, count = np.unique(v, return_counts=True)
    least = max(LEAST, SHARE * len(v))
    won = {
        float(different[i]): _wins(i, different, count, len(v))
        for i in np.flatnonzero(count >= least).tolist()
    }
    best = sorted(won, key=lambda place: -won[place])[:MOST]
    kept = sorted(place for place in best if won[place] > STRENGTH * np.log(len(v)))
    if len(different) - len(kept) < VALUES:
        return ()
    return tuple(kept)


def _wins(i: int, different: np.ndarray, count: np.ndarray, rows: int) -> float:
    """By how many nats the repeats of a number are likelier than by the rate of those near it."""
    others = np.delete(np.arange(len(different)), i)
    near = others[np.abs(different[others] - different[i]).argsort(kind="stable")]
    taken = count[near].cumsum()
    enough = int(np.searchsorted(taken, max(NEAR, rows // 20))) + 1
    near = near[:enough]
    # Repeats: in a column of real numbers those of one number are seldom seen by chance.
    expected, own = float(count[near].mean()) - 1 + 1 / len(near), float(count[i]) - 1
    if own <= RATIO * expected:
        return 0.0
    return own * math.log(own / expected) - own + expected


def fit_atoms(
    table: Table,
    x: np.ndarray,
    atoms: Sequence[AtomColumn],
    plan: FitPlan,
    types: Mapping[str, str] | None,
) -> FittedAtoms:
    """Fits rows (N, C) of a table, some of whose columns have atoms."""
    rows, columns = _split(x, atoms), list(table.columns)
    for k, each in enumerate(atoms):
        columns[each.index] = _of_values(table.columns[each.index], rows[:, each.index])
        which = rows[:, len(table.columns) + k]
        names = [*(repr(place) for place in each.places), NONE]
        counts = np.bincount(which[~np.isnan(which)].astype(np.int64), minlength=len(names)) + 1.0
        shares = tuple((counts / counts.sum()).tolist())
        missing = float(np.isnan(which).mean())
        columns.append(CategoryColumn(each.classes, missing, "String", tuple(names), shares))
    inner = Table(tuple(columns), table.source, incomplete=True)
    fitted = fit_law(rows, plan, in_spaces(inner, rows, types))
    about = {each.name: each.about(x[:, each.index]) for each in atoms}
    summary = replace(fitted.summary, atoms=about)
    return FittedAtoms(fitted.model, table, summary, fitted, tuple(atoms))


def _of_values(column: Column, values: np.ndarray) -> Column:
    """The column of the values that are no atoms, (N,), NaN elsewhere."""
    series = Series(column.name, column.dtype, numbers=values)
    if not isinstance(column, IntegerColumn):
        return infer_column(series, "standardized")
    found = infer_column(series, "integer")
    if isinstance(found, IntegerColumn) and not found.shares:
        return replace(found, low=column.low, high=column.high)
    return infer_column(series, "standardized")
