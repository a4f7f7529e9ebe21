"""Imputation: draws of missing values given the observed values of a row."""

__all__ = ["DiffusionImputer"]

from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .base import TableEstimator
from .table_columns import numeric_values

TOGETHER = 1000
"""Rows that are completed at once."""


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
        particles: the number of particles of sequential Monte Carlo, used if a network corrects
            the law.
        steps, minutes, width, validation, space, types, random_state, verbose: of
            :class:`DiffusionDensity`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TableEstimator._parameter_constraints,
        "draws": [Interval(Integral, 1, None, closed="left")],
        "particles": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        draws: int = 64,
        particles: int = 64,
        steps: int | None = None,
        minutes: float | None = None,
        width: int | None = None,
        validation: float = 0.15,
        space: Space | None = None,
        types: Mapping[str, str] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.draws = draws
        self.particles = particles
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.space = space
        self.types = types
        self.random_state = random_state
        self.verbose = verbose

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
        check_is_fitted(self)
        x = self._rows_to_complete(X)
        holed = np.isnan(x).any(1)
        out = x.copy()
        if holed.any():
            pieces = np.array_split(x[holed], -(-int(holed.sum()) // TOGETHER))
            found = [
                self.table_.typical(torch.from_numpy(self._drawn(piece, self.draws, i))).numpy()
                for i, piece in enumerate(pieces)
            ]
            out[holed] = np.where(np.isnan(x[holed]), np.concatenate(found), x[holed])
        return self._as_user_has(out, X)

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
        found = self._drawn(self._rows_to_complete(X), draws or self.draws, distinct=True)
        return numeric_values(self.table_, found)

    def _drawn(
        self, x: np.ndarray, draws: int, piece: int = 0, distinct: bool = False
    ) -> np.ndarray:
        # One draw stands for a row that was seen, so that equal rows must not be filled alike.
        distinct = distinct or draws == 1
        seed = self._seed(self.random_state) + (piece if distinct else 0)
        usable = np.where(self.table_.possible(x), x, np.nan)
        found = self.fitted_.complete(usable, draws, self.particles, seed, distinct)
        return np.where(np.isnan(x)[:, None], found, x[:, None])
