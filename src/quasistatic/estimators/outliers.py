"""Outliers of a table, with a false-alarm rate that holds for any model."""

__all__ = ["DiffusionOutliers", "Judged"]

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._utils import files
from ..spaces import Space
from ..spaces.clock import PREFIX, Clock
from ..spaces.frames import Frame
from .base import TableEstimator
from .cross_fitting import FOLDS, cross_fitted, fold_of
from .density import DiffusionDensity
from .explanation import Explanation, explain_rows, ordinary_costs
from .fitted_law import FittedLaw
from .model_selection import is_tried
from .scores import DIGITS, log_prob_of

ORDINARY = "calibration.safetensors"

LARGEST = 1e30
"""The largest absolute value of a decision."""

MOST = 500
"""The most calibration rows that a row with holes is compared with: each pattern of holes needs
them to be scored again."""


class DiffusionOutliers(OutlierMixin, TableEstimator):
    r"""Rows that are less likely than nearly all ordinary ones, as a scikit-learn estimator.

    The p-value of a row is its rank among the log-densities of ordinary rows (calibration rows)
    under laws that have not seen them. Two ways are offered:

    - "cross" (the default) uses all rows. They are divided into five parts, and for each part a law
      is fitted to the other four. The log-density of each row under the law that has not seen it is
      a calibration score, and a new row has the mean of its log-densities under the five laws. The
      false-alarm rate is about `level`, as tests on simulated laws show, and is not guaranteed.
    - "split" sets a share of the rows aside, and neither the model nor the description of the
      columns uses them. If a new row is ordinary, its rank among them is uniform. So on average at
      most a share of `level` of ordinary rows are called outliers, however good the model is. It
      needs more rows for the same power.

    Where a network is tried (2000 rows, or `steps`), for tables of small whole numbers, and after
    :meth:`calibrate`, "split" is used in either case.

    A row with holes is scored by its observed values. It is compared with the calibration rows that
    have at least these values, scored by the same columns, because log-densities of different
    columns cannot be compared.

    Args:
        level: the share of ordinary rows that may be called outliers.
        conformal: "cross" or "split".
        calibration: share of the rows that "split" sets aside for p-values.
        steps, minutes, width, validation, evaluations, space, types, identity, random_state,
            verbose, device: of :class:`DiffusionDensity`.

    Attributes:
        offset_: the log-density below which a row without holes is an outlier, in nats.
        calibration_: log-densities of the calibration rows without holes, ascending, in nats.
        ordinary_: the calibration rows, with shape (n, C), as numbers: NaN is a hole, and infinity
            what a column cannot hold.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TableEstimator._parameter_constraints,
        "level": [Interval(Real, 0, 1, closed="neither")],
        "conformal": [StrOptions({"cross", "split"})],
        "calibration": [Interval(Real, 0, 1, closed="neither")],
        "evaluations": [Interval(Integral, 1, None, closed="left")],
    }

    offset_: float
    calibration_: np.ndarray
    ordinary_: np.ndarray

    def __init__(
        self,
        *,
        level: float = 0.05,
        conformal: Literal["cross", "split"] = "cross",
        calibration: float = 0.25,
        steps: int | None = None,
        minutes: float | None = None,
        width: int | None = None,
        validation: float = 0.15,
        evaluations: int = 64,
        space: Space | None = None,
        types: Mapping[str, str] | None = None,
        identity: Sequence[str] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        device: str = "auto",
    ) -> None:
        self.level = level
        self.conformal = conformal
        self.calibration = calibration
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.evaluations = evaluations
        self.space = space
        self.types = types
        self.identity = identity
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table, as :meth:`DiffusionDensity.fit` does; nearly all rows should be ordinary.

        Raises:
            ValueError: if a parameter is out of its range, or the table does not do.
        """
        self._validate_params()
        frame = self._frame(X, reset=True)
        own = self._modelled(frame)
        if self.conformal == "cross" and self._uses_no_network(own):
            self._fit(frame)
            laws = cross_fitted(self, own, self._seed(self.random_state))
            if laws is not None:
                return self._calibrate_across(own, laws)
        order = np.random.default_rng(self._seed(self.random_state)).permutation(frame.rows)
        count = min(max(1, round(self.calibration * frame.rows)), frame.rows - 1)
        self._fit(frame, order[count:])
        held_back = frame.take(order[:count])
        return self._calibrate(self.table_.read_with_unknowns(held_back).numpy())

    def calibrate(self, X: Any) -> Self:
        """Replaces the calibration rows.

        Args:
            X: ordinary rows that the model was not fitted to.

        Returns:
            The estimator itself.
        """
        check_is_fitted(self, "fitted_")
        return self._calibrate(self._rows(X))

    def _uses_no_network(self, frame: Frame) -> bool:
        """Whether the model of a table is a closed form for sure, and there are rows enough."""
        few = frame.rows < 2 * FOLDS
        return not few and self._table(frame)[1] is None and not is_tried(self._plan(), frame.rows)

    def _calibrate_across(self, frame: Frame, laws: Sequence[FittedLaw]) -> Self:
        """Calibrates by all rows, each under the law that has not seen it."""
        fold = fold_of(frame.rows, self._seed(self.random_state))
        folds = []
        for k, law in enumerate(laws):
            held_out = frame.take(np.flatnonzero(fold == k))
            folds.append(_Fold(law, law.table.read_with_unknowns(held_out).numpy()))
        return self._calibrate(self.table_.read_with_unknowns(frame).numpy(), tuple(folds))

    def _calibrate(self, x: np.ndarray, folds: tuple["_Fold", ...] = ()) -> Self:
        self.ordinary_, self._folds = x, folds
        self._by_holes: dict[bytes, np.ndarray] = {}
        self._ordinary_costs: np.ndarray | None = None
        # A column that is always missing is no hole of a row.
        empty = np.logical_and(np.isnan(x).all(0), bool(len(x)))
        self.calibration_ = ordinary = self._among(empty)
        k = self._called(len(ordinary))
        if k == 0:
            warnings.warn(
                f"{len(ordinary)} calibration rows without holes call nothing an outlier at level "
                f"{self.level:g}: it takes {math.ceil(1 / self.level - 1e-9) - 1} of them",
                stacklevel=3,
            )
        self.offset_ = float(ordinary[k - 1]) if k else -math.inf
        return self

    def _called(self, count: int) -> int:
        """k: rows less likely than the k-th least likely of `count` calibration rows are
        outliers."""
        # p = (1 + #{calibration <= score}) / (n + 1) is at most the level below the k-th of them.
        return math.floor(self.level * (count + 1) + 1e-9)

    def _among(self, hidden: np.ndarray) -> np.ndarray:
        """Log-densities, ascending, of the calibration rows by the columns that are not `hidden`
        (D,). Rows without some of these values are left out."""
        key = hidden.tobytes()
        if key not in self._by_holes and self._folds:
            parts = [self._fold_scores(fold, fold.among(hidden)) for fold in self._folds]
            self._by_holes[key] = np.sort(np.concatenate(parts))
        elif key not in self._by_holes:
            has_all = ~(np.isnan(self.ordinary_) & ~hidden).any(1)
            rows = np.where(hidden, np.nan, self.ordinary_[has_all])
            rows = rows[:MOST] if hidden.any() else rows
            found = self._log_prob(rows, self.evaluations) if len(rows) else np.empty(0)
            self._by_holes[key] = np.sort(found)
        return self._by_holes[key]

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of the observed values of each row, with shape (N,), in nats; lower is less likely.
        An impossible row has minus infinity (:meth:`DiffusionDensity.score_samples`). Calibrated
        across parts, it is the mean of log p under the five laws, or the log of their mean p for a
        row that is impossible under some of them: they have not seen its rarest value."""
        check_is_fitted(self)
        return self._scores(X, self._rows(X))

    def _scores(self, X: Any, x: np.ndarray) -> np.ndarray:
        """The score of rows X, which the table of the whole model reads as x (N, C)."""
        if not self._folds:
            return self._log_prob(x, self.evaluations)
        frame = self._named(X)
        each = [
            self._fold_scores(fold, fold.law.table.read_with_unknowns(frame).numpy())
            for fold in self._folds
        ]
        mean = np.mean(each, 0)
        some = np.isinf(mean) & np.isfinite(each).any(0)
        mean[some] = np.logaddexp.reduce(np.stack(each)[:, some], 0) - math.log(len(each))
        return np.asarray(np.round(mean, DIGITS))

    def _fold_scores(self, fold: "_Fold", x: np.ndarray) -> np.ndarray:
        """log p of rows (N, C), as the table of a part reads them, under its law."""
        return log_prob_of(fold.law, x, self.evaluations, 0) if len(x) else np.empty(0)

    def decision_function(self, X: Any) -> np.ndarray:
        """:meth:`score_samples` less the log-density below which a row with these holes is an
        outlier (`offset_` if it has none), with shape (N,): negative for outliers, and never NaN or
        infinite. Where the calibration rows are too few to call any row an outlier, it is
        log(1 + exp(d)), where d is the score less the lowest calibration score: in the order of the
        scores, and not negative."""
        return self.judged(X).decision

    def p_values(self, X: Any) -> np.ndarray:
        """The probability that an ordinary row is as unlikely as each row, or more; shape (N,)."""
        return self.judged(X).p_value

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers and 1 for the rest, with shape (N,)."""
        return np.where(self.judged(X).outlier, -1, 1)

    def explain(self, X: Any, most: int = 3) -> list[Explanation]:
        """Explains why rows are unusual: the columns that cost most given the others, and the
        values that were expected there. Costs are compared with their means over the calibration
        rows. They are those of the closed-form law, also where a network corrects the score.

        Args:
            X: rows with the columns of the fitted table, outliers or not.
            most: how many columns to name for a row. The first is always named. A further one is
                named if it costs 3 nats more than in ordinary rows, given the columns that are not
                named yet.

        Returns:
            One explanation a row, whose text is like `age 340: expected 20 to 81`.

        Raises:
            ValueError: if the model has no closed form: a table of small whole numbers.
        """
        check_is_fitted(self)
        law, frame = self.fitted_.law_of_columns(), self._named(X)
        x = self.table_.read_with_unknowns(frame).numpy()
        if self._ordinary_costs is None:
            self._ordinary_costs = ordinary_costs(self.table_, law, self.ordinary_[:MOST])
        own = {series.name: series for series in frame.columns}
        series = [own[column.name] for column in self.table_.columns]

        def value(row: int, column: int) -> Any:
            dtype = self.table_.columns[column].dtype
            timed = dtype.startswith(PREFIX) and np.isfinite(x[row, column])
            return Clock.of(dtype).text(x[row, column]) if timed else series[column].value(row)

        return explain_rows(self.table_, law, x, self._ordinary_costs, most, value)

    def judged(self, X: Any) -> "Judged":
        """Scores, p-values and decisions together: the rows are scored only once."""
        check_is_fitted(self)
        x = self._rows(X)
        log_prob = self._scores(X, x)
        p_value, offset, lowest = (np.empty(len(x)) for _ in range(3))
        patterns, which = np.unique(np.isnan(x), axis=0, return_inverse=True)
        for i, hidden in enumerate(patterns):
            rows, ordinary = which.ravel() == i, self._among(hidden)
            below = np.searchsorted(ordinary, log_prob[rows], side="right")
            p_value[rows] = (1 + below) / (len(ordinary) + 1)
            k = self._called(len(ordinary))
            offset[rows] = ordinary[k - 1] if k else -math.inf
            finite = ordinary[np.isfinite(ordinary)]
            lowest[rows] = finite[0] if len(finite) else 0.0
        return Judged(log_prob, p_value, offset, lowest)

    def save(self, path: str | Path) -> None:
        super().save(path)
        rows = {"rows": torch.from_numpy(self.ordinary_)}
        files.save_tensors(Path(path) / ORDINARY, rows, {"parts": len(self._folds)})
        for k, fold in enumerate(self._folds):
            part = DiffusionDensity()
            part.fitted_, part.n_features_in_ = fold.law, len(fold.law.table.columns)
            part.save(Path(path) / f"part-{k}")
            rows = {"rows": torch.from_numpy(fold.held_out)}
            files.save_tensors(Path(path) / f"part-{k}" / ORDINARY, rows, {})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        made = super().load(path)
        tensors, facts = files.load_tensors(Path(path) / ORDINARY)
        folds = []
        for k in range(facts.get("parts", 0)):
            part = Path(path) / f"part-{k}"
            held_out = files.load_tensors(part / ORDINARY)[0]["rows"].numpy()
            law = DiffusionDensity.load(part).fitted_
            assert isinstance(law, FittedLaw)  # as it was stored
            folds.append(_Fold(law, held_out))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `fit` warned already
            return made._calibrate(tensors["rows"].numpy(), tuple(folds))


@dataclass(frozen=True, eq=False)
class _Fold:
    """A law that has not seen a part of the rows.

    Args:
        law: of the other parts.
        held_out: the rows of the part, as the law's table reads them, with shape (n, C).
    """

    law: FittedLaw
    held_out: np.ndarray

    def among(self, hidden: np.ndarray) -> np.ndarray:
        """The rows that have all columns but the `hidden` ones (C,), which are hidden in them."""
        has_all = ~(np.isnan(self.held_out) & ~hidden).any(1)
        rows = np.where(hidden, np.nan, self.held_out[has_all])
        return rows[: MOST // FOLDS] if hidden.any() else rows


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores, p-values and decisions of N rows.

    Args:
        log_prob: of the observed values of each row, with shape (N,), in nats.
        p_value: the chance that an ordinary row is this unlikely or unlikelier, (N,).
        offset: the log-density below which a row with these holes is an outlier, (N,), in nats;
            minus infinity where the calibration rows are too few to call any row one.
        lowest: the lowest finite log-density of a calibration row with these values, (N,), in nats.
    """

    log_prob: np.ndarray
    p_value: np.ndarray
    offset: np.ndarray
    lowest: np.ndarray

    @property
    def decision(self) -> np.ndarray:
        """How far each row is from being called an outlier, (N,), in nats; negative if it is."""
        calls = np.isfinite(self.offset)
        off = self.log_prob - np.where(calls, self.offset, self.lowest)
        margin = np.where(calls, np.clip(off, -LARGEST, LARGEST), np.logaddexp(0.0, off))
        return np.asarray(margin)

    @property
    def outlier(self) -> np.ndarray:
        """Whether each row is an outlier, with shape (N,)."""
        return self.log_prob < self.offset
