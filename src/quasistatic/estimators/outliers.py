"""What is unlike the rest of a table, with an error rate that holds whatever the model is."""

__all__ = ["DiffusionOutliers"]

import math
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .face import Face


class DiffusionOutliers(OutlierMixin, Face):
    r"""Rows that are less likely than nearly all ordinary ones, as a scikit-learn estimator.

    Some rows are held back from the model, and tell what log-density an ordinary row has. If a new
    row and those are exchangeable, its rank among them is uniform: of ordinary rows at most a share
    of `level` are called outliers on average, however good the model is (conformal p-values).

    Args:
        level: the share of ordinary rows that may be called outliers.
        calibration: share of the rows that p-values stand on.
        steps, minutes, width, validation, evaluations, space, types, random_state, verbose: of
            :class:`DiffusionDensity`.

    Attributes:
        offset_: the log-density below which a row is an outlier, in nats.
        calibration_: log-densities of the calibration rows, ascending, in nats.
    """

    offset_: float
    calibration_: np.ndarray

    def __init__(
        self,
        *,
        level: float = 0.05,
        calibration: float = 0.25,
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
        self.level = level
        self.calibration = calibration
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.evaluations = evaluations
        self.space = space
        self.types = types
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table as :meth:`DiffusionDensity.fit` does, nearly all of its rows ordinary ones.

        Raises:
            ValueError: if the table does not do (:meth:`DiffusionDensity.fit`), or a share is not
                between 0 and 1.
        """
        for name, share in (("level", self.level), ("calibration", self.calibration)):
            if not 0 < share < 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {share}")
        x, table = self._read(X)
        order = np.random.default_rng(self._seed(self.random_state)).permutation(len(x))
        count = min(max(1, round(self.calibration * len(x))), len(x) - 1)
        self._fit(x[order[count:]], table)
        return self.calibrate(self._log_prob(x[order[:count]], self.evaluations))

    def calibrate(self, log_prob: np.ndarray) -> Self:
        """Takes log-densities (n,), in nats, of ordinary rows that were not learned from for what
        p-values stand on."""
        self.calibration_ = ordinary = np.sort(log_prob)
        # p = (1 + #{calibration <= score}) / (n + 1) is at most the level below the k-th of them.
        k = math.floor(self.level * (len(ordinary) + 1) + 1e-9)
        if k == 0:
            warnings.warn(
                f"{len(ordinary)} calibration rows call nothing an outlier at level "
                f"{self.level:g}: it takes {math.ceil(1 / self.level - 1e-9) - 1} of them",
                stacklevel=3,
            )
        self.offset_ = float(self.calibration_[k - 1]) if k else -math.inf
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of what is there of each row, with shape (N,), in nats: lower is stranger, and what
        cannot be has minus infinity (:meth:`DiffusionDensity.score_samples`)."""
        check_is_fitted(self)
        return self._log_prob(self._rows(X), self.evaluations)

    def decision_function(self, X: Any) -> np.ndarray:
        """:meth:`score_samples` less `offset_`, with shape (N,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def p_values(self, X: Any) -> np.ndarray:
        """The chance that an ordinary row is this unlikely or unlikelier, with shape (N,)."""
        return self.p_values_of(self.score_samples(X))

    def p_values_of(self, log_prob: np.ndarray) -> np.ndarray:
        """The same of rows that are scored already: the rank of log_prob (N,) among those of the
        calibration rows."""
        below = np.searchsorted(self.calibration_, log_prob, side="right")
        return (1 + below) / (len(self.calibration_) + 1)

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers and 1 for the rest, with shape (N,)."""
        return np.where(self.score_samples(X) < self.offset_, -1, 1)

    def _more(self) -> dict[str, Any]:
        return {"calibration": self.calibration_.tolist()}

    def _take(self, more: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was said when it was fitted
            self.calibrate(np.array(more["calibration"]))
