"""What else gives mixed tables a likelihood: columns alone, regressions in a chain, and latent
classes. Each is fitted to a :class:`Task`, and gives log p of the observed values of each row of a
data frame, in nats of the table's own units."""

__all__ = ["PEERS", "Density"]

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mixed_tables import Task
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_predict

Density = Callable[[pd.DataFrame], np.ndarray]
"""Rows of a table to log-densities (N,), in nats."""

FLOOR = 1e-3
"""The least variance of a conditional, in units of the column's own: whole numbers repeat."""


def _normal(value: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """log-densities, 0 where the value is a hole."""
    log_p = -((value - mean) ** 2 / variance + np.log(2 * math.pi * variance)) / 2
    return np.where(np.isnan(value), 0.0, log_p)


def _chosen(code: np.ndarray, p: np.ndarray) -> np.ndarray:
    """log of the probability (N, classes) of each code (N,), 0 where it is a hole."""
    row = np.arange(len(code))
    return np.where(np.isnan(code), 0.0, np.log(p[row, np.nan_to_num(code).astype(int)]))


def alone(task: Task) -> tuple[Density, str]:
    def log_p(frame: pd.DataFrame) -> np.ndarray:
        codes, numbers = task.codes(frame), task.numbers(frame)
        out = task.log_volume(numbers) + _normal(numbers, 0.0, 1.0).sum(1)
        for code, share in zip(codes.T, task.shares, strict=True):
            out += _chosen(code, np.broadcast_to(share, (len(code), len(share))))
        return out

    return log_p, ""


Law = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Inputs (N, J) and the values (N,) of a column to log p of these, with shape (N,)."""

Inputs = Callable[[Task, np.ndarray, np.ndarray], np.ndarray]
"""Codes (N, k) and numbers (N, d), NaN a hole, to the inputs (N, J) of a regression."""


def chain(task: Task, inputs: Inputs, class_of: Any, mean_of: Any, variance_of: Any) -> Density:
    """Each column given those before it, classes first: a classifier, or a normal about a mean,
    whose variance is learned of the residuals that cross-validation leaves."""
    codes, numbers = task.codes(task.both), task.numbers(task.both)
    laws: list[Law] = []
    for k, share in enumerate(task.shares):
        seen = inputs(task, codes[:, :k], numbers[:, :0])
        laws.append(_class_given(seen, codes[:, k], share, class_of))
    for k in range(numbers.shape[1]):
        seen = inputs(task, codes, numbers[:, :k])
        laws.append(_number_given(seen, numbers[:, k], mean_of, variance_of))

    def log_p(frame: pd.DataFrame) -> np.ndarray:
        codes, numbers = task.codes(frame), task.numbers(frame)
        count, out = codes.shape[1], task.log_volume(numbers)
        for k in range(count):
            out += laws[k](inputs(task, codes[:, :k], numbers[:, :0]), codes[:, k])
        for k in range(numbers.shape[1]):
            out += laws[count + k](inputs(task, codes, numbers[:, :k]), numbers[:, k])
        return out

    return log_p


def _class_given(x: np.ndarray, code: np.ndarray, share: np.ndarray, model: Any) -> Law:
    """Probabilities as they are told, and one more row of the shares: none of them is 0."""
    there = ~np.isnan(code)
    found, rows = clone(model).fit(x[there], code[there].astype(int)), there.sum()

    def log_p(x: np.ndarray, code: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), len(share)))
        p[:, found.classes_] = found.predict_proba(x)
        return _chosen(code, (rows * p + share) / (rows + 1))

    return log_p


def _number_given(x: np.ndarray, value: np.ndarray, mean: Any, variance: Any) -> Law:
    there = ~np.isnan(value)
    x, value = x[there], value[there]
    square = (value - cross_val_predict(mean, x, value, cv=5)) ** 2
    mean, variance = clone(mean).fit(x, value), clone(variance).fit(x, square + FLOOR)

    def log_p(x: np.ndarray, value: np.ndarray) -> np.ndarray:
        return _normal(value, mean.predict(x), np.maximum(variance.predict(x), FLOOR))

    return log_p


def linear(task: Task) -> tuple[Density, str]:
    def inputs(task: Task, codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        hot = [
            code[:, None] == np.arange(len(share))
            for code, share in zip(codes.T, task.shares, strict=False)
        ]
        holes = np.isnan(numbers)
        ones = np.ones((len(codes), 1))  # where there is nothing else
        return np.concatenate([ones, *hot, np.nan_to_num(numbers), holes], 1).astype(float)

    models = LogisticRegression(max_iter=1000), LinearRegression(), DummyRegressor()
    return chain(task, inputs, *models), ""


def boosted(task: Task) -> tuple[Density, str]:
    def inputs(task: Task, codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(codes), 1)), codes, numbers], 1)

    how = {"early_stopping": True, "random_state": 0, "learning_rate": 0.05, "max_iter": 300}
    mean = HistGradientBoostingRegressor(**how)
    variance = HistGradientBoostingRegressor(loss="gamma", **how)
    return chain(task, inputs, HistGradientBoostingClassifier(**how), mean, variance), ""


def latent_classes(task: Task) -> tuple[Density, str]:
    """StepMix: normals of independent columns, or where there are no holes full ones too; their
    number, and which, by validation rows."""

    def rows(frame: pd.DataFrame) -> np.ndarray:
        return np.concatenate([task.codes(frame), task.numbers(frame)], 1)

    train, valid, both = rows(task.train), rows(task.valid), rows(task.both)
    whole = not any(np.isnan(part).any() for part in (both, rows(task.test)))

    def score(full: bool, k: int) -> float:
        found = _stepmix(task, train, whole, full, k).score(valid)
        return found if np.isfinite(found) else -np.inf

    counts = [k for k in (1, 2, 3, 5, 8, 13, 20, 32) if 8 * k <= len(train)]
    grid = [(full, k) for full in {False, whole} for k in counts]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of components that die, which are not chosen
        full, k = max(grid, key=lambda each: score(*each))
        best = _stepmix(task, both, whole, full, k)

    def log_p(frame: pd.DataFrame) -> np.ndarray:
        each = [best.score(row[None]) for row in rows(frame)]
        return np.array(each) + task.log_volume(task.numbers(frame))

    return log_p, f"{k} classes{', full' if full else ''}"


def _stepmix(task: Task, x: np.ndarray, whole: bool, full: bool, k: int) -> Any:
    """k components fitted to codes and numbers x (N, K + D). What StepMix has for rows with holes
    takes no floor of the variances, and no start by k-means."""
    from stepmix.stepmix import StepMix

    sizes, suffix = [len(share) for share in task.shares], "" if whole else "_nan"
    classes = {"model": f"categorical{suffix}", "n_columns": len(sizes)}
    classes |= {"max_n_outcomes": max(sizes), "total_outcomes": sum(sizes)}
    numbers = {"model": "gaussian_full" if full else f"gaussian_diag{suffix}"}
    numbers |= {"n_columns": x.shape[1] - len(sizes)} | ({"reg_covar": FLOOR} if whole else {})
    return StepMix(
        k,
        measurement={"classes": classes, "numbers": numbers},
        n_init=3,
        abs_tol=1e-4,
        init_params="kmeans" if whole else "random",
        random_state=0,
        progress_bar=0,
    ).fit(x)


PEERS: dict[str, Callable[[Task], tuple[Density, str]]] = {
    "columns alone": alone,
    "linear regressions": linear,
    "boosted regressions": boosted,
    "StepMix": latent_classes,
}
