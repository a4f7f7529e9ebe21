"""Classifiers that tell drawn rows from real ones, and their AUC on rows not seen before."""

__all__ = ["Auc", "auc_of", "boosted_auc", "linear_auc"]

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .features import Features, one_hot

FOLDS = 5
"""Parts of the rows, each of which is judged by a classifier that was fitted to the others."""


class _Classifier(Protocol):
    """A classifier of scikit-learn."""

    def fit(self, x: Any, y: Any, /) -> object: ...

    def decision_function(self, x: Any, /) -> Any: ...


@dataclass(frozen=True)
class Auc:
    """How well drawn rows are distinguished from real ones.

    Args:
        value: the probability that a drawn row looks more drawn than a real row: 0.5 if nothing
            tells them apart, 1 if everything does.
        error: its standard error.
    """

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


def auc_of(score: np.ndarray, drawn: np.ndarray) -> Auc:
    """The AUC of scores (n,) of rows, drawn or not (n,), with its standard error (DeLong)."""
    real, made = np.sort(score[~drawn]), np.sort(score[drawn])

    def rank(among: np.ndarray, of: np.ndarray) -> np.ndarray:
        """The share of `among` that is below each of `of`; a tie counts half."""
        left = np.searchsorted(among, of, side="left")
        right = np.searchsorted(among, of, side="right")
        return np.asarray((left + right) / (2 * len(among)))

    above, below = rank(real, made), rank(made, real)
    variance = above.var(ddof=1) / len(made) + below.var(ddof=1) / len(real)
    return Auc(float(above.mean()), float(variance**0.5))


def boosted_auc(real: Features, drawn: Features, seed: int) -> Auc:
    """The AUC of gradient-boosted trees, which see interactions, heaps and missing values."""
    x, label = np.concatenate([real.x, drawn.x]), _label(real, drawn)
    trees = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.1,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=True,  # pyright: ignore[reportArgumentType]
        n_iter_no_change=10,
        categorical_features=real.is_class,  # pyright: ignore[reportArgumentType]
        random_state=seed,
    )
    return auc_of(_held_out(trees, x, label, seed), label)


def linear_auc(real: Features, drawn: Features, seed: int) -> Auc:
    """The AUC of a logistic regression, which sees means and shares."""
    label = _label(real, drawn)
    both = Features(real.names, np.concatenate([real.x, drawn.x]), real.classes)
    line = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    score = _held_out(line, one_hot(both), label, seed)  # pyright: ignore[reportArgumentType]
    return auc_of(score, label)


def _label(real: Features, drawn: Features) -> np.ndarray:
    return np.arange(len(real.x) + len(drawn.x)) >= len(real.x)


def _held_out(model: _Classifier, x: np.ndarray, label: np.ndarray, seed: int) -> np.ndarray:
    """The score of each row by a model that was fitted to other rows."""
    out = np.empty(len(x))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, label):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x[train], label[train])
        found = model.decision_function(x[test])
        # Models of different folds differ in scale: ranks within a fold are compared.
        out[test] = found.argsort().argsort() / len(test)
    return out
