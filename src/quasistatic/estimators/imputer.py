"""Missing values of a table, as draws from what they may have been."""

__all__ = ["DiffusionImputer"]

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .base import Face

TOGETHER = 1000
"""Rows that are completed at once."""


class DiffusionImputer(OneToOneFeatureMixin, TransformerMixin, Face):
    r"""Fills the holes of a table with what is typical of draws given the rest of each row, as a
    scikit-learn transformer: the mean, and in mixed columns the median of whole numbers and the
    class that came most often. :meth:`draw` gives the draws themselves.

    Rows with holes are learned from as well. Of mixed columns what is there has a likelihood of its
    own; of numbers the holes are drawn given the rest of the row, under a mixture fitted to the
    rows as they were drawn before (Monte Carlo expectation maximisation).

    Args:
        draws: of each hole.
        particles: that walk together, where a network has learned something to add.
        steps, minutes, width, validation, space, types, random_state, verbose: of
            :class:`DiffusionDensity`.
    """

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

    def fit(self, X: Any, y: Any = None, minutes: float | None = None) -> Self:
        """Fits a table as :meth:`DiffusionDensity.fit` does.

        Raises:
            ValueError: if draws or particles are none, or the table does not do.
        """
        if self.draws < 1 or self.particles < 1:
            raise ValueError(
                f"draws and particles must be 1 or more, got {self.draws} and {self.particles}"
            )
        self._fit(*self._read(X), minutes)
        return self

    def transform(self, X: Any) -> Any:
        """The rows with something typical for each hole, as an array (N, D), or where columns are
        mixed as a data frame; known values come back as they were.

        Raises:
            ValueError: if mixed columns hold what they cannot: a class that never was, say.
        """
        check_is_fitted(self)
        x = self._rows(X, strict=True)
        holed = np.isnan(x).any(1)
        out = x.copy()
        if holed.any():
            pieces = np.array_split(x[holed], -(-int(holed.sum()) // TOGETHER))
            typical = self.columns_.typical
            found = [typical(self._drawn(piece, self.draws, i)) for i, piece in enumerate(pieces)]
            out[holed] = np.where(np.isnan(x[holed]), np.concatenate(found), x[holed])
        return self.columns_.given(out)

    def draw(self, X: Any, draws: int | None = None) -> np.ndarray:
        """Draws of each row given what is known of it, with shape (N, draws, D): where columns are
        mixed, numbers as :meth:`Table.read` makes them. Memory grows with all of them."""
        check_is_fitted(self)
        return self._drawn(self._rows(X, strict=True), draws or self.draws)

    def _drawn(self, x: np.ndarray, draws: int, piece: int = 0) -> np.ndarray:
        seed, rows = self._seed(self.random_state) + piece, self.columns_.take(x)
        found = self.columns_.put(self.fitted_.complete(rows, draws, self.particles, seed))
        return np.where(np.isnan(x)[:, None], found, x[:, None])
