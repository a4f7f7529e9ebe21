"""The density of a table."""

__all__ = ["DiffusionDensity"]

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import DensityMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..spaces import Space
from .base import TableEstimator
from .row_events import Given, read_given
from .scores import DIGITS

LEAST_EVIDENCE = -650.0
"""Nats of log-probability below which an event never occurs: float64 has no smaller numbers."""


class DiffusionDensity(DensityMixin, TableEstimator):
    r"""The density of a table, as a scikit-learn estimator: an array of numbers, or a data frame of
    pandas, polars or pyarrow, whose columns may be numbers, bits and names. Rows may have holes.

    The model is a diffusion that starts as a mixture in closed form, normal in the real columns and
    with probabilities of its own in the others, chosen by held-out rows. From 2000 rows on a
    network corrects it, and is kept if held-out rows are likelier for it. A table of small whole
    numbers alone (0 to 31, 500 rows or more, no `types`) has a network over the levels instead.

    :meth:`Table.infer` says what a column is. Numbers of a column have a density in its own unit;
    classes, bits and whole numbers have a probability. A class that no row has is given the share
    of the rows whose class no other row has (Good and Turing).

    Args:
        steps: gradient steps at most; by default 3000, and none of fewer than 2000 rows.
        minutes: that training may take at most; by default what the steps take.
        width: hidden units of the network; by default 128 to 512, by the number of columns.
        validation: share of the rows that decide when training stops and what is kept, in tables
            of up to 1500 rows; in larger ones a fifth decides.
        evaluations: of the network for each row that is scored.
        space: of the real columns that vary, :class:`Continuous` or :class:`YeoJohnson`; by default
            what makes held-out rows likeliest. With a space all columns of numbers are real.
        types: of some columns by name, where values do not say it: see :meth:`Table.infer`;
            "atoms" gives numbers that many rows repeat exactly a probability of their own.
        identity: columns of a data frame that identify rows, which are not modelled and stay beside
            their rows. None finds them by their values (:class:`~quasistatic.spaces.roles.Roles`).
        holes: "model" makes it a part of the model which values are missing: drawn rows have holes,
            and a score is log p of the observed values and of which these are. None, the default,
            draws whole rows, and scores the observed values alone.
        random_state: seed of everything that is random.
        verbose: whether progress is shown.
        device: that trains a network, where one is trained: "auto" for a GPU if there is one, or
            the name of a device. The model stays there.

    Attributes:
        model_: the :class:`Diffusion`.
        table_: the :class:`Table` of the columns.
        summary_: what it started as, and what training won, in nats a row.
        n_features_in_, feature_names_in_: as ever.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TableEstimator._parameter_constraints,
        "evaluations": [Interval(Integral, 1, None, closed="left")],
        "holes": [StrOptions({"model"}), None],
    }

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
        identity: Sequence[str] | None = None,
        holes: Literal["model"] | None = None,
        random_state: Any = 0,
        verbose: bool = False,
        device: str = "auto",
    ) -> None:
        self.steps = steps
        self.minutes = minutes
        self.width = width
        self.validation = validation
        self.evaluations = evaluations
        self.space = space
        self.types = types
        self.identity = identity
        self.holes = holes
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fits a table of N rows; NaN, a masked value, or what the data frame has for it, is a
        hole.

        Raises:
            TypeError: if a column holds times, or what is no number and no name.
            ValueError: if a parameter is out of its range, or the table has fewer than two rows,
                holds infinity or a column of names that tell rows apart, or no column varies.
        """
        self._validate_params()
        self._fit(self._frame(X, reset=True))
        return self

    def log_evidence(self, given: Mapping[Any, Any]) -> float:
        """The log-probability of what is given of some columns, in nats; a density of real columns
        that are given exactly, in their own units.

        Args:
            given: see :meth:`sample`.

        Raises:
            ValueError: if it never occurs: which part.
        """
        check_is_fitted(self)
        return self._evidence(read_given(self.table_, given))

    def log_prob(self, X: Any, *, given: Mapping[Any, Any] | None = None) -> np.ndarray:
        """log p of the observed values of each row: :meth:`score_samples`, or with `given` their
        log-probability given some columns, with shape (N,), in nats.

        Args:
            X: rows. Where a given column is missing in a row, the row's other values are scored.
                Where it has a value, the row is minus infinity unless the value is as given.
            given: see :meth:`sample`.

        Raises:
            ValueError: if what is given never occurs: which part.
        """
        if given is None:
            return self.score_samples(X)
        check_is_fitted(self)
        found, x = read_given(self.table_, given), self._rows(X)
        odd = np.isinf(x).any(1)
        evidence = self._evidence(found)
        rows = np.where(np.isinf(x), np.nan, x)
        seed = self._seed(self.random_state)
        joint, _ = self.fitted_.log_prob_given(rows, found, self.evaluations, seed)
        return np.round(np.where(odd, -np.inf, joint - evidence), DIGITS)

    def _evidence(self, given: Given) -> float:
        """log p of what is given; an error if it never occurs, which says which part."""
        seed = self._seed(self.random_state)
        try:
            found = self.fitted_.log_evidence(given, seed)[0]
        except ValueError as error:  # no particle has a weight
            about = " and ".join(event.about for event in given.events)
            raise ValueError(f"given {about}: {error}") from None
        if found > LEAST_EVIDENCE:
            return found
        for alone in given.alone():
            value = self.fitted_.log_evidence(alone, seed)[0]
            if not value > LEAST_EVIDENCE:
                raise ValueError(
                    f"{alone.events[0].about} never occurs: its log-probability is {value:.4g} "
                    "nats; give another value, or a wider interval"
                )
        raise ValueError(f"{_together(given)}: their log-probability is {found:.4g} nats")

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of the observed values of each row, with shape (N,), in nats of the table's own
        units: a lower bound in expectation, and exact where the network corrects nothing. The score
        of a row depends on the row and on `random_state`, not on the rows beside it. Minus infinity
        for a row that cannot be: a whole number out of range, a column that was constant and is
        something else, a class that no row had in a column where every class had two rows."""
        check_is_fitted(self)
        return self._log_prob(self._rows(X), self.evaluations)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of :meth:`score_samples`, in nats a row."""
        return float(self.score_samples(X).mean())

    def sample(
        self,
        n_samples: int = 1,
        random_state: Any = None,
        *,
        given: Mapping[Any, Any] | None = None,
    ) -> Any:
        """Draws: n_samples rows as what the table was, an array (n_samples, C) or a data frame of
        the same library.

        Args:
            n_samples: how many.
            random_state: a seed, or None.
            given: some columns by name (by number, for an array): a value, a list of values of
                which it is one, or an interval (low, high) with None for an open end. Draws are
                exact where the model is a mixture in closed form, and come from weighted particles
                where a network corrects it.

        Raises:
            TypeError: if an interval is given of a column of names.
            ValueError: if what is given never occurs: which part; or no value meets an interval.
        """
        check_is_fitted(self)
        if given is not None:
            found = read_given(self.table_, given)
            self._evidence(found)
            rows = self.fitted_.sample_given(found, n_samples, self._seed(random_state))
            return self.table_.write(torch.from_numpy(rows))
        numbers = self.fitted_.sample(n_samples, self._seed(random_state))
        return self.table_.write(torch.from_numpy(numbers))


def _together(given: Given) -> str:
    about = [event.about for event in given.events]
    return f"{' and '.join(about)} never {'occur together' if len(about) > 1 else 'occurs'}"
