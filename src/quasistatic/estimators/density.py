"""The density of a table."""

__all__ = ["DiffusionDensity"]

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .base import Face


class DiffusionDensity(DensityMixin, Face):
    r"""The density of a table, as a scikit-learn estimator: an array of numbers, or a data frame of
    pandas, polars or pyarrow, whose columns may be numbers, bits and names. Rows may have holes.

    The model is a diffusion that starts as a mixture in closed form, chosen by held-out rows; from
    2000 rows on a network corrects it, for as long as rows held back from it gain. There are three:

    - numbers: a mixture of normals;
    - mixed columns: latent classes, which are normal in the real columns and have probabilities of
      their own in the others. A data frame with a binary or a categorical column is one of these
      (:meth:`Table.infer` says what a column is), and so is whatever `types` are given for;
    - small whole numbers alone (0 to 31, 500 rows or more): a probability instead of a density.

    Args:
        steps: gradient steps at most; by default 3000, and none of fewer than 2000 rows.
        minutes: that training may take at most; by default what the steps take.
        width: hidden units of the network; by default 128 to 512, by the number of columns.
        validation: share of the rows that decide when training stops and what is kept.
        evaluations: of the network for each row that is scored.
        space: of rows of numbers, :class:`Continuous` or :class:`YeoJohnson`; by default whichever
            makes held-out rows likelier. Mixed columns have one already.
        types: of some columns by name, where values do not say it: see :meth:`Table.infer`. With
            types, or {} for none, any table is one of mixed columns.
        random_state: seed of everything that is random.
        verbose: whether progress is shown.

    Attributes:
        model_: the :class:`Diffusion`, of the columns that vary.
        table_: the :class:`Table` of mixed columns; None of numbers.
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
        types: Mapping[str, str] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.evaluations = evaluations
        self.space = space
        self.types = types
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, minutes: float | None = None) -> Self:
        """Fits a table of N rows; NaN, or what the data frame has for it, is a hole.

        Args:
            minutes: that training may take at most, in place of the estimator's own.

        Raises:
            TypeError: if a column holds times, or what is no number and no name.
            ValueError: if it has fewer than two rows, holds infinity or a column of names that
                tell rows apart, or no column varies.
        """
        self._fit(*self._read(X), minutes)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of what is there of each row, with shape (N,), in nats of the table's own units: a
        lower bound in expectation, and exact where the network corrects nothing. Where a network
        does, what numbers with holes have is estimated by particles. Minus infinity for a row that
        cannot be: a class that never was, a whole number out of range, a column that was constant
        and is something else."""
        check_is_fitted(self)
        return self._log_prob(self._rows(X), self.evaluations)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`, in nats a row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draws: n_samples rows as an array (n_samples, D), or where columns are mixed as a data
        frame of the library that the table came from."""
        check_is_fitted(self)
        rows = self.columns_.put(self.fitted_.sample(n_samples, self._seed(random_state)))
        return self.columns_.given(rows)
