"""Missing values of a table, as draws from what they may have been."""

__all__ = ["DiffusionImputer"]

from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .columns import Columns
from .face import Face

TOGETHER = 1000
"""Rows that are completed at once."""


class DiffusionImputer(OneToOneFeatureMixin, TransformerMixin, Face):
    r"""Fills the NaN of a table with the mean of draws given the rest of each row, as a
    scikit-learn transformer; :meth:`draw` gives the draws themselves.

    Rows with holes are learned from as well: their holes are drawn given the rest of the row, under
    a mixture fitted to the rows as they were drawn before (Monte Carlo expectation maximisation).

    Args:
        draws: that the mean is of.
        particles: that walk together, where a network has learned something to add.
        steps, minutes, width, validation, space, random_state, verbose: of
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
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table (N, D), where NaN is missing.

        Raises:
            ValueError: if it has fewer than two rows, infinite values, a column of NaN alone, or
                no column that varies.
        """
        if self.draws < 1 or self.particles < 1:
            raise ValueError(
                f"draws and particles must be 1 or more, got {self.draws} and {self.particles}"
            )
        x = self._rows(X, reset=True, holes=True)
        self._fit(Columns.of(x).completed(x, self._seed(self.random_state)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The rows (N, D) with the mean of draws for NaN; known values come back bit-equal."""
        check_is_fitted(self)
        x = self._rows(X, holes=True)
        holed = np.isnan(x).any(1)
        out = x.copy()
        if holed.any():
            pieces = np.array_split(x[holed], -(-int(holed.sum()) // TOGETHER))
            found = np.concatenate(
                [self._drawn(piece, self.draws, i).mean(1) for i, piece in enumerate(pieces)]
            )
            out[holed] = np.where(np.isnan(x[holed]), found, x[holed])
        return out

    def draw(self, X: Any, draws: int | None = None) -> np.ndarray:
        """Draws of each row (N, D) given what is known of it, with shape (N, draws, D). Memory
        grows with all of them."""
        check_is_fitted(self)
        return self._drawn(self._rows(X, holes=True), draws or self.draws)

    def _drawn(self, x: np.ndarray, draws: int, piece: int = 0) -> np.ndarray:
        seed, rows = self._seed(self.random_state) + piece, self.columns_.take(x)
        found = self.columns_.put(self.fitted_.complete(rows, draws, self.particles, seed))
        return np.where(np.isnan(x)[:, None], found, x[:, None])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
