"""Imputation: draws of missing values given the observed values of a row."""

__all__ = ["DiffusionImputer", "Filled"]

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .base import TableEstimator
from .fitted import Method
from .table_columns import numeric_values

TOGETHER, TIMED = 1000, 32
"""Rows that are completed at once, and rows by which the time is estimated."""

INTERVAL_DRAWS = 200
"""The fewest draws of an interval where the closed form draws."""


class DiffusionImputer(OneToOneFeatureMixin, TransformerMixin, TableEstimator):
    r"""Fills missing values (holes) of a table, as a scikit-learn transformer.

    Each hole is drawn several times given the observed values of its row. It is filled with the
    mean of the draws for real numbers, their median for whole numbers, and the most frequent class
    for classes. :meth:`draw` returns the draws themselves.

    Rows with holes are used for fitting too. Holes are integrated out. If there are too many
    patterns of holes for that, holes are drawn and the law is fitted again, in turns (stochastic
    expectation maximisation).

    Args:
        draws: the number of draws of each hole.
        particles: the number of particles of sequential Monte Carlo for each row, used where a
            network draws.
        method: how holes are drawn where a network corrects the closed-form law. "auto" draws by
            the network if its draws of hidden values of the model's own rows are better than those
            of the closed form by more than a standard error (for :meth:`transform`: if their means
            are). "fast" draws by the closed form, and "network" by
            the network, which takes some hundred times as long.
        steps, minutes, width, validation, space, types, identity, random_state, verbose, device: of
            :class:`DiffusionDensity`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TableEstimator._parameter_constraints,
        "draws": [Interval(Integral, 1, None, closed="left")],
        "particles": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"auto", "fast", "network"})],
    }

    def __init__(
        self,
        *,
        draws: int = 64,
        particles: int = 32,
        method: Method = "auto",
        steps: int | None = None,
        minutes: float | None = None,
        width: int | None = None,
        validation: float = 0.15,
        space: Space | None = None,
        types: Mapping[str, str] | None = None,
        identity: Sequence[str] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        device: str = "auto",
    ) -> None:
        self.draws = draws
        self.particles = particles
        self.method: Method = method
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.space = space
        self.types = types
        self.identity = identity
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table as :meth:`DiffusionDensity.fit` does.

        Raises:
            ValueError: if a parameter is out of its range, or the table does not do.
        """
        self._validate_params()
        self._fit(self._frame(X, reset=True))
        return self

    def transform(self, X: Any) -> Any:
        """Fills the holes of a table.

        Args:
            X: a table with the columns of the fitted one.

        Returns:
            The same type as X: an array, or a data frame with the same index and order of columns.
            Known values are unchanged. The filled values of a row depend on this row and on
            `random_state` alone, unless `draws` is 1: then equal rows get different draws.

        Raises:
            ValueError: if a column has a class that the fitted table did not have.
        """
        return self.fill(X).table

    def fill(
        self, X: Any, share: float | None = None, done: Callable[[int], None] | None = None
    ) -> "Filled":
        """Fills the holes of a table, with intervals if asked.

        Args:
            X: a table with the columns of the fitted one.
            share: the probability that an interval of a number holds; None makes none. Intervals
                are quantiles of the draws, of at least 200 where the closed form draws.
            done: is called with the number of rows with holes that are done.

        Raises:
            ValueError: if a column has a class that the fitted table did not have, or `share` is
                not between 0 and 1.
        """
        check_is_fitted(self)
        if share is not None and not 0 < share < 1:
            raise ValueError(f"an interval's share is a number between 0 and 1, got {share}")
        x = self._rows_to_complete(X)
        holed = np.flatnonzero(np.isnan(x).any(1))
        out, low, high = x.copy(), np.full_like(x, np.nan), np.full_like(x, np.nan)
        draws = self.draws
        by_network = self.fitted_.fills_by_network(self.method, mean=share is None)
        if share is not None and not by_network:
            draws = max(draws, INTERVAL_DRAWS)
        # The ends of an interval take more particles than a mean.
        particles = self.particles if share is None else max(self.particles, 2 * draws)
        for i, rows in enumerate(np.array_split(holed, -(-len(holed) // TOGETHER) or 1)):
            if not len(rows):
                continue
            drawn = self._drawn(x[rows], draws, by_network, i, particles, done=done)
            hidden = np.isnan(x[rows])
            typical = self.table_.typical(torch.from_numpy(drawn)).numpy()
            out[rows] = np.where(hidden, typical, x[rows])
            if share is not None:
                ends = (1 - share) / 2, (1 + share) / 2
                found = np.quantile(drawn, ends, axis=1, method="weibull")
                low[rows], high[rows] = (np.where(hidden, each, np.nan) for each in found)
        for k, column in enumerate(self.table_.columns):
            if column.kind == "integer":
                low[:, k], high[:, k] = np.floor(low[:, k]), np.ceil(high[:, k])
            elif column.named or column.space is None:
                low[:, k] = high[:, k] = np.nan
        return Filled(self._as_user_has(out, X), low, high)

    def copies(
        self,
        X: Any,
        draws: int,
        done: Callable[[int], None] | None = None,
        distinct: bool = True,
    ) -> list[Any]:
        """Completed copies of a table, for multiple imputation: each hole is filled with a single
        draw, another one in each copy.

        Args:
            X: a table with the columns of the fitted one.
            draws: how many copies to make.
            done: is called with the number of rows with holes that are done.
            distinct: whether equal rows get different draws. If not, the draws of a row do not
                depend on the other rows, unless `draws` is 1.

        Returns:
            Tables of the same type as X.
        """
        check_is_fitted(self)
        x = self._rows_to_complete(X)
        holed = np.flatnonzero(np.isnan(x).any(1))
        found = np.repeat(x[None], draws, 0)
        if len(holed):
            by_network = self.fitted_.fills_by_network(self.method, mean=False)
            drawn = self._drawn(x[holed], draws, by_network, distinct=distinct, done=done)
            found[:, holed] = drawn.transpose(1, 0, 2)
        return [self._as_user_has(each, X) for each in found]

    def seconds(self, X: Any, mean: bool = True) -> float:
        """How long :meth:`transform` would take for a table, by the CPU time of a few of its rows.
        The first call decides by which method holes are drawn.

        Args:
            X: a table with the columns of the fitted one.
            mean: False for the time of intervals or of copies.
        """
        check_is_fitted(self)
        x = self._rows_to_complete(X)
        holed = np.flatnonzero(np.isnan(x).any(1))
        few = holed[:TIMED]
        if not len(few):
            return 0.0
        by_network = self.fitted_.fills_by_network(self.method, mean=mean)
        begun = time.process_time()
        self._drawn(x[few], self.draws, by_network)
        return (time.process_time() - begun) * len(holed) / len(few)

    def draw(self, X: Any, draws: int | None = None) -> np.ndarray:
        """Draws each row given its observed values. Equal rows get different draws.

        Args:
            X: a table with the columns of the fitted one.
            draws: of each row; None takes the estimator's `draws`.

        Returns:
            An array (N, draws, C): values if the fitted table was an array of numbers, else numbers
            as :meth:`Table.read` makes them.
        """
        check_is_fitted(self)
        x, by_network = (
            self._rows_to_complete(X),
            self.fitted_.fills_by_network(self.method, mean=False),
        )
        found = self._drawn(x, draws or self.draws, by_network, distinct=True)
        return numeric_values(self.table_, found)

    def _drawn(
        self,
        x: np.ndarray,
        draws: int,
        by_network: bool,
        piece: int = 0,
        particles: int | None = None,
        distinct: bool = False,
        done: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        # One draw stands for a row that was seen, so that equal rows must not be filled alike.
        distinct = distinct or draws == 1
        seed = self._seed(self.random_state) + (piece if distinct else 0)
        usable = np.where(self.table_.possible(x), x, np.nan)
        found = self.fitted_.complete(
            usable, draws, particles or self.particles, seed, distinct, by_network, done
        )
        return np.where(np.isnan(x)[:, None], found, x[:, None])


@dataclass(frozen=True, eq=False)
class Filled:
    """A table whose holes are filled.

    Args:
        table: of the type that came in, its holes filled.
        low, high: the ends of the interval of each filled number, with shape (N, C) in the order of
            the fitted columns. NaN where a value is known, for classes, and without intervals. A
            date or a time is a number of steps of the clock of its column.
    """

    table: Any
    low: np.ndarray
    high: np.ndarray
