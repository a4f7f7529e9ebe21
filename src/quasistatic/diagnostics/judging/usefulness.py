"""Train on drawn rows, test on real ones: whether draws teach what the data teach."""

__all__ = ["Usefulness", "usefulness"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score

from .features import Features

LEAST_CASES = 5
"""Real test rows of each class that a score takes."""


@dataclass(frozen=True)
class Usefulness:
    """How well a column is predicted from the others on real rows.

    Args:
        target: the column.
        measure: "AUC" of a class, the mean over classes, each against the rest; or "R2" of a
            number.
        real: by boosted trees that were fitted to other real rows.
        drawn: by trees that were fitted to as many drawn rows.
    """

    target: str
    measure: str
    real: float
    drawn: float

    def __str__(self) -> str:
        return f"{self.target} {self.measure} {self.drawn:.3f} (real {self.real:.3f})"


def usefulness(
    real: Features, drawn: Features, targets: Sequence[str], seed: int
) -> tuple[Usefulness, ...]:
    """Both scores of each target, the largest loss first. Half of the real rows train, the others
    test."""
    order = np.random.default_rng(seed).permutation(len(real.x))
    train, test = np.array_split(order, 2)
    found = []
    for target in targets:
        column = real.names.index(target)
        sides = (real.take(train), drawn.take(np.arange(min(len(train), len(drawn.x)))))
        scores = [_score(side, real.take(test), column, seed) for side in sides]
        if None not in scores:
            measure = "AUC" if real.classes[column] else "R2"
            found.append(Usefulness(target, measure, float(scores[0]), float(scores[1])))  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda each: each.drawn - each.real))


def _score(train: Features, test: Features, column: int, seed: int) -> float | None:
    """The score of trees on the test rows; None if they have too few cases."""
    known, asked = (~np.isnan(side.x[:, column]) for side in (train, test))
    others = train.drop(column)
    x, y = others.x[known], train.x[known, column]
    z, truth = test.drop(column).x[asked], test.x[asked, column]
    settings: dict[str, Any] = {
        "max_iter": 100,
        "early_stopping": False,
        "max_leaf_nodes": 15,
        "categorical_features": others.is_class,
        "random_state": seed,
    }
    if not train.classes[column]:
        if len(y) < 2 or len(truth) < LEAST_CASES or np.ptp(truth) == 0:
            return None
        model = HistGradientBoostingRegressor(**settings).fit(x, y)
        return float(r2_score(truth, model.predict(z)))
    values, counts = np.unique(truth, return_counts=True)
    values = values[(counts >= LEAST_CASES) & (len(truth) - counts >= LEAST_CASES)]
    if not len(values):
        return None
    if len(np.unique(y)) < 2:
        return 0.5
    classifier = HistGradientBoostingClassifier(**settings).fit(x, y)
    p = classifier.predict_proba(z)
    place = {value: k for k, value in enumerate(classifier.classes_)}
    each = [
        roc_auc_score(truth == value, p[:, place[value]] if value in place else np.zeros(len(z)))
        for value in values
    ]
    return float(np.mean(each))
