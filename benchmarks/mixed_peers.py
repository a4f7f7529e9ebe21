"""What else gives mixed tables a likelihood: columns alone, regressions in a chain, latent classes,
and a network that starts at the shares. Each is fitted to a :class:`Task`, and gives log p of what
is there of each row of a data frame, in nats of the table's own units."""

__all__ = ["PEERS", "Density", "Task"]

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_predict

import quasistatic as qs
from quasistatic.estimators.choice import mixed_table

Density = Callable[[pd.DataFrame], np.ndarray]
"""Rows of a table to log-densities (N,), in nats."""

FLOOR = 1e-3
"""The least variance of a conditional, in units of the column's own: whole numbers repeat."""


@dataclass(frozen=True)
class Task:
    """A table in three parts, and its columns as the estimator would take them."""

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Task":
        parts = qs.data.split(np.arange(len(frame)), valid=0.15, test=0.2)
        rows = parts.train, parts.valid, parts.test
        return cls(*(frame.iloc[part].reset_index(drop=True) for part in rows))

    @cached_property
    def both(self) -> pd.DataFrame:
        return pd.concat([self.train, self.valid], ignore_index=True)

    @cached_property
    def table(self) -> qs.Table:
        table = mixed_table(self.both, None)
        assert table is not None  # or the columns would be numbers
        return table

    @cached_property
    def shares(self) -> list[np.ndarray]:
        """Of each column of classes, the probabilities of these: counts, and one more of each."""
        return [np.array(self.table.columns[k].shares) for k in self._which[0]]

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Classes (N, K) by number from 0, NaN a hole."""
        lowest = [self.table.columns[k].lowest for k in self._which[0]]
        return self.rows(frame)[:, self._which[0]] - np.array(lowest)

    def numbers(self, frame: pd.DataFrame) -> np.ndarray:
        """Real numbers and whole ones of a wide range (N, D), standardised, NaN a hole."""
        shift, scale = self._standard
        return (self.rows(frame)[:, self._which[1]] - shift) / scale

    def log_volume(self, numbers: np.ndarray) -> np.ndarray:
        """log |d numbers / d raw| of what is there of each row, with shape (N,)."""
        return -np.where(np.isnan(numbers), 0.0, np.log(self._standard[1])).sum(1)

    def rows(self, frame: pd.DataFrame) -> np.ndarray:
        """As numbers (N, C) in float64, NaN a hole."""
        return self.table.read(frame).numpy()

    @cached_property
    def _which(self) -> tuple[list[int], list[int]]:
        """The columns of classes, and those of numbers."""
        classes = [k for block in self.table.blocks if block.sizes for k in block.columns]
        numbers = [k for block in self.table.blocks if not block.sizes for k in block.columns]
        return classes, numbers

    @cached_property
    def _standard(self) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows(self.both)[:, self._which[1]]
        return np.nanmean(rows, 0), np.nanstd(rows, 0)


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


Inputs = Callable[[Task, np.ndarray, np.ndarray], np.ndarray]
"""Codes (N, k) and numbers (N, d), NaN a hole, to the inputs (N, J) of a regression."""


def chain(task: Task, inputs: Inputs, class_of: Any, mean_of: Any, variance_of: Any) -> Density:
    """Each column given those before it, classes first: a classifier, or a normal about a mean,
    whose variance is learned of the residuals that cross-validation leaves."""
    codes, numbers = task.codes(task.both), task.numbers(task.both)
    laws: list[Callable[[np.ndarray, np.ndarray], np.ndarray]] = []
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


def _class_given(x: np.ndarray, code: np.ndarray, share: np.ndarray, model: Any) -> Any:
    """Probabilities as they are told, and one more row of the shares: none of them is 0."""
    there = ~np.isnan(code)
    found, rows = clone(model).fit(x[there], code[there].astype(int)), there.sum()

    def log_p(x: np.ndarray, code: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), len(share)))
        p[:, found.classes_] = found.predict_proba(x)
        return _chosen(code, (rows * p + share) / (rows + 1))

    return log_p


def _number_given(x: np.ndarray, value: np.ndarray, mean: Any, variance: Any) -> Any:
    there = ~np.isnan(value)
    x, value = x[there], value[there]
    square = (value - cross_val_predict(mean, x, value, cv=5)) ** 2
    mean, variance = clone(mean).fit(x, value), clone(variance).fit(x, square + FLOOR)

    def log_p(x: np.ndarray, value: np.ndarray) -> np.ndarray:
        return _normal(value, mean.predict(x), np.maximum(variance.predict(x), FLOOR))

    return log_p


class Constant(LinearRegression):
    """A regression on nothing: the mean."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Constant":
        return super().fit(np.zeros((len(x), 1)), y)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return super().predict(np.zeros((len(x), 1)))


def linear(task: Task) -> tuple[Density, str]:
    def inputs(task: Task, codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        hot = [
            code[:, None] == np.arange(len(share))
            for code, share in zip(codes.T, task.shares, strict=False)
        ]
        holes = np.isnan(numbers)
        ones = np.ones((len(codes), 1))  # where there is nothing else
        return np.concatenate([ones, *hot, np.nan_to_num(numbers), holes], 1).astype(float)

    models = LogisticRegression(max_iter=1000), LinearRegression(), Constant()
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
    from stepmix.stepmix import StepMix

    def rows(frame: pd.DataFrame) -> np.ndarray:
        return np.concatenate([task.codes(frame), task.numbers(frame)], 1)

    train, valid, both = rows(task.train), rows(task.valid), rows(task.both)
    whole = not np.isnan(np.concatenate([train, valid, rows(task.test)])).any()
    suffix = "" if whole else "_nan"
    kinds = [f"gaussian_diag{suffix}", *(["gaussian_full"] if whole else [])]

    def fitted(x: np.ndarray, kind: str, k: int) -> Any:
        most, every = max(map(len, task.shares)), sum(map(len, task.shares))
        how = {"max_n_outcomes": most, "total_outcomes": every}
        classes = {"model": f"categorical{suffix}", "n_columns": len(task.shares)} | how
        numbers = {"model": kind, "n_columns": x.shape[1] - len(task.shares)}
        numbers |= {"reg_covar": FLOOR} if whole else {}
        made = StepMix(
            k,
            measurement={"classes": classes, "numbers": numbers},
            n_init=3,
            abs_tol=1e-4,
            init_params="kmeans" if whole else "random",
            random_state=0,
            progress_bar=0,
        )
        return made.fit(x)

    def score(kind: str, k: int) -> float:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of components that die, which are not chosen
            found = fitted(train, kind, k).score(valid)
        return found if np.isfinite(found) else -np.inf

    grid = [(kind, k) for kind in kinds for k in (1, 2, 3, 5, 8, 13, 20, 32) if 8 * k <= len(train)]
    kind, k = max(grid, key=lambda each: score(*each))
    with np.errstate(all="ignore"):
        best = fitted(both, kind, k)

    def log_p(frame: pd.DataFrame) -> np.ndarray:
        each = [best.score(row[None]) for row in rows(frame)]
        return np.array(each) + task.log_volume(task.numbers(frame))

    return log_p, f"{k} classes, {kind}"


def network(task: Task) -> tuple[Density, str]:
    """`qs.tabular`, trained until four validations bring nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = qs.tabular(task.table)
    settings = qs.Fit(steps=4000, batch=128, ema=0.995, patience=4)
    run = qs.fit(model, task.rows(task.train), task.rows(task.valid), settings=settings)

    def log_p(frame: pd.DataFrame) -> np.ndarray:
        rng = torch.Generator().manual_seed(0)
        return model.score(task.rows(frame), rng=rng).nats.double().numpy()

    return log_p, f"best after {run.best_step} of {run.step} steps"


PEERS: dict[str, Callable[[Task], tuple[Density, str]]] = {
    "columns alone": alone,
    "linear regressions": linear,
    "boosted regressions": boosted,
    "StepMix": latent_classes,
    "network from the shares": network,
}
