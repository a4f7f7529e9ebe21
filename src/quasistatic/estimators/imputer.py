"""Missing values of a table, as draws from what they may have been."""

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
    r"""Fills the holes of a table with what is typical of draws given the rest of each row, as a
    scikit-learn transformer: the mean of numbers, the median of whole numbers, and the class that
    comes most often. :meth:`draw` gives the draws themselves.

    Rows with holes are learned from as well: holes are integrated out, or where nearly every row
    has holes of its own, drawn given the rest of the row, under a law fitted to the rows as they
    were drawn before (stochastic expectation maximisation).

    Args:
        draws: of each hole.
        particles: that walk together, where a network has learned something to add.
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
        """The rows with something typical for each hole, as what X is: an array, or a data frame of
        the same library with its index and the order of its columns. Known values come back as they
        were. What is filled in depends on the row and on `random_state`, not on the rows beside
        it, where no network corrects the law.

        Raises:
            ValueError: if a column of classes holds one that never was.
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
        """Draws of each row given what is known of it, with shape (N, draws, C): the values where
        X was an array of numbers when it was fitted, else numbers as :meth:`Table.read` makes them.
        Equal rows get different draws. Memory grows with all of them."""
        check_is_fitted(self)
        found = self._drawn(self._rows_to_complete(X), draws or self.draws, distinct=True)
        return numeric_values(self.table_, found)

    def _drawn(
        self, x: np.ndarray, draws: int, piece: int = 0, distinct: bool = False
    ) -> np.ndarray:
        # One draw stands for a row that was seen, so that equal rows must not be filled alike.
        distinct = distinct or draws == 1
        seed = self._seed(self.random_state) + (piece if self.fitted_.shares_noise else 0)
        usable = np.where(self.table_.possible(x), x, np.nan)
        found = self.fitted_.complete(usable, draws, self.particles, seed, distinct)
        return np.where(np.isnan(x)[:, None], found, x[:, None])
