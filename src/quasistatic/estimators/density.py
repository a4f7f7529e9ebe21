"""The density of a table."""

__all__ = ["DiffusionDensity"]

from typing import Any, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .face import Face


class DiffusionDensity(DensityMixin, Face):
    r"""The density of a table of numbers, as a scikit-learn estimator: an array, or a frame of
    pandas or polars.

    The model is a diffusion that starts as a mixture of normals in closed form, chosen by held-out
    rows; from 2000 rows on a network corrects it, for as long as rows held back from it gain. A
    table of small whole numbers alone has a log-probability instead of a density.

    Args:
        steps: gradient steps at most; by default 3000, and none of fewer than 2000 rows.
        minutes: that training may take at most; by default what the steps take.
        width: hidden units of the network; by default 128 to 512, by the number of columns.
        validation: share of the rows that decide when training stops and what is kept.
        evaluations: of the network for each row that is scored.
        space: of the rows, :class:`Continuous` or :class:`YeoJohnson`; by default whichever makes
            held-out rows likelier.
        random_state: seed of everything that is random.
        verbose: whether progress is shown.

    Attributes:
        model_: the :class:`Diffusion`, of the columns that vary.
        story_: what it started as, and what training won, in nats a row.
        n_features_in_, feature_names_in_: as ever.
    """

    def __init__(
        self,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        width: int | None = None,
        validation: float = 0.15,
        evaluations: int = 64,
        space: Space | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.evaluations = evaluations
        self.space = space
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table (N, D) of finite numbers.

        Raises:
            ValueError: if it has fewer than two rows, holds NaN or infinity, or no column varies.
        """
        self._fit(self._rows(X, reset=True))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of each row, with shape (N,), in nats of the table's own units: a lower bound in
        expectation, and exact where the network corrects nothing. Minus infinity where a column
        that was constant is something else."""
        check_is_fitted(self)
        return self._log_prob(self._rows(X), self.evaluations)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`, in nats a row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws, with shape (n_samples, D)."""
        check_is_fitted(self)
        return self.columns_.put(self.fitted_.sample(n_samples, self._seed(random_state)))
