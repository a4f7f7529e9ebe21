"""The law of a number given the rest of its row, from one law of X and y."""

__all__ = ["DiffusionRegressor"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d
from torch import Tensor

from ..distributions.mixtures import RealLaw, RowsGivenOthers
from ..spaces.columns import NumericColumn
from .closed_form import fit_law
from .joint import JointEstimator, require_known

POINTS = 200
"""Quantiles of which the mean is taken where y is bent by a power."""


class DiffusionRegressor(RegressorMixin, JointEstimator):
    r"""A regressor of the rows of a table, as a scikit-learn estimator: one joint law of X and y in
    closed form, whose p(y | x) is a mixture of normal laws with weights that depend on x.

    The joint law is that of :class:`DiffusionDensity` without a network. Its size and the powers
    that bend columns are chosen by held-out rows. Missing values of X are integrated out, in
    fitting and in prediction.

    Args:
        types: of some columns by name, see :meth:`Table.infer`; numbers are real unless it says
            otherwise.
        random_state: seed of the parts of the rows that choose.

    Attributes:
        model_: the joint :class:`Diffusion`.
        table_: the :class:`Table` of the columns of X, and of y last.
        n_features_in_, feature_names_in_: as ever.
    """

    def __init__(self, *, types: Mapping[str, str] | None = None, random_state: Any = 0) -> None:
        self.types = types
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fits rows X, a table with holes, and their numbers y, (N,).

        Raises:
            ValueError: if y is constant, not finite, or not one number for each row.
        """
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        require_known(y, "numbers")
        flat = column_or_1d(y, warn=True)
        kind = np.float64
        numbers = check_array(flat, ensure_2d=False, dtype=kind, input_name="y")  # pyright: ignore[reportArgumentType]
        tables, rows = self._joint(X, numbers, "numeric")
        if len(np.unique(numbers)) < 2:
            raise ValueError(f"y is {numbers[0]:g} in every row: there is nothing to predict")
        plan = self._plan()
        self.fitted_ = fit_law(rows, plan, tables)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """E[y | x] of each row, with shape (N,)."""
        check_is_fitted(self)
        column = self.table_.columns[-1]
        linear = isinstance(column, NumericColumn) and len(column.at) == 2
        found = []
        for law in self._laws(X):
            if linear:
                found.append(self._raw((law.share * law.mean).sum(0)[:, None])[:, 0])
            else:
                levels = [(k + 0.5) / POINTS for k in range(POINTS)]
                found.append(self._raw(law.quantile(levels)).mean(1))
        return np.concatenate(found)

    def predict_quantiles(
        self, X: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    ) -> np.ndarray:
        """Quantiles of p(y | x) of each row.

        Args:
            X: rows, in which values may be missing.
            quantiles: probabilities between 0 and 1.

        Returns:
            Shape (N, quantiles).

        Raises:
            ValueError: if a probability is not between 0 and 1.
        """
        levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"quantiles are probabilities between 0 and 1, got {quantiles}")
        each = [self._raw(law.quantile(levels.tolist())) for law in self._laws(X)]
        return np.concatenate(each)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draws from p(y | x) of each row.

        Args:
            X: rows, in which values may be missing.
            n_samples: draws of each row.
            random_state: a seed or a NumPy generator.

        Returns:
            Shape (N, n_samples).
        """
        rng = torch.Generator().manual_seed(int(check_random_state(random_state).randint(2**31)))
        found = []
        for law in self._laws(X):
            chosen = torch.multinomial(law.share.T, n_samples, replacement=True, generator=rng)
            mean, deviation = (each.T.gather(1, chosen) for each in (law.mean, law.deviation))
            noise = torch.randn(chosen.shape, generator=rng, dtype=mean.dtype)
            found.append(self._raw(mean + deviation * noise))
        return np.concatenate(found)

    def _laws(self, X: Any) -> Iterator[RealLaw]:
        """p(y | x) in units of x_0, some rows at a time."""
        check_is_fitted(self)
        table = self.table_
        owner = table.expand_to_state(torch.arange(float(len(table.columns)))[None])[0].long()
        last = len(table.columns) - 1
        for x_0 in self._pieces(X):
            given = RowsGivenOthers.of(self._law, x_0, owner)
            (law,) = given.laws(last, torch.arange(len(x_0))).values()
            assert isinstance(law, RealLaw)  # y is a real column
            yield law

    def _raw(self, y: Tensor) -> np.ndarray:
        """Numbers of x_0 (n, m) in units of y."""
        table = self.table_
        owner = table.expand_to_state(torch.arange(float(len(table.columns)))[None])[0].long()
        place = int((owner == len(table.columns) - 1).nonzero()[0, 0])
        x_0 = torch.full((y.numel(), len(owner)), torch.nan, dtype=torch.float64)
        x_0[:, place] = y.flatten().double()
        found: np.ndarray = table.decode(x_0)[:, -1].reshape(y.shape).numpy()
        return found
