"""Two versions of the library on the same rows, holes and seeds, with paired standard errors.

    PYTHONPATH=OLD/src python benchmarks/one_law.py scores old.json
    python benchmarks/one_law.py scores new.json
    python benchmarks/one_law.py compare old.json new.json

and likewise with `impute` and `outliers` in place of `scores`. Each runs the code that PYTHONPATH
names on one thread, and adds its answers for each row to the file. `compare` prints a table and
keeps it in build/one_law.json.

- `scores`: held-out log-likelihood of the tables and splits of `density.py` and `mixed.py`, and
  the CPU seconds of a fit, the least of three. `--inside 3` leaves the test rows alone: three times
  it splits the rows that may be fitted, so that choices can be made by it; `compare --inside 3`
  keeps nothing.
- `impute`: `DiffusionImputer` on the tables, splits and holes of `impute.py`, and in small tables
  on four more draws of holes. CRPS of 64 draws and RMSE of their mean, over the hidden values.
- `outliers`: ROC-AUC of a class that was left out against held-out rows of the other classes, by
  `DiffusionOutliers` (in small tables over five splits), and for digits also by the recommended
  score of `anomaly.py`.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anomaly
import density_tables
import impute
import mixed_tables
import numpy as np
import torch
from sklearn import datasets
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent.parent / "build" / "one_law.json"
REAL = ["wine", "breast_cancer", "diabetes"]
FITS = 3
"""Fits of a table, of which the fastest is reported."""
MIXED = ["penguins", "cars", "diabetes", "weather"]
SMALL = ["wine", "breast_cancer", "diabetes"]
HOLED = [*SMALL, "digits", "digits_half"]
HOLES = 5
"""How many times holes are drawn in the small tables: first those of `impute.py`, then others."""
ODD = {"wine": (0, 1, 2), "breast_cancer": (0, 1), "digits": (0, 4, 8)}
"""For each table, the classes that are left out in turn."""
SPLITS = 5
"""How many times the rows of a small table are split."""

Row = dict[str, Any]


def inside(both: Any, times: int) -> list[tuple[Any, Any]]:
    """Splits of the rows that may be fitted, a fifth of them to score."""
    found = []
    for seed in range(times):
        order = np.random.default_rng(100 + seed).permutation(len(both))
        cut = len(order) // 5
        rows = both.iloc if hasattr(both, "iloc") else both
        found.append((rows[order[cut:]], rows[order[:cut]]))
    return found


def log_likelihoods(times: int) -> dict[str, Callable[[], Row]]:
    """For each table, the scores of its test rows."""
    real = {name: density_tables.Task.of(density_tables.TABLES[name](), 0) for name in REAL}
    mixed = {name: mixed_tables.Task.of(mixed_tables.TABLES[name](), 0) for name in MIXED}
    every = real | {f"{name}, mixed": task for name, task in mixed.items()}
    qs.DiffusionDensity().fit(np.random.default_rng(0).normal(size=(50, 3)))  # loads what it needs

    def scored(task: Any) -> Row:
        nats, seconds = [], 0.0
        for rows, test in inside(task.both, times) if times else [(task.both, task.test)]:
            spent = []
            for _ in range(1 if times else FITS):
                started = time.process_time()
                fitted = qs.DiffusionDensity().fit(rows)
                spent.append(time.process_time() - started)
            seconds += min(spent)
            nats += fitted.score_samples(test).tolist()
        return {"nats": nats, "seconds": seconds}

    return {name: lambda task=task: scored(task) for name, task in every.items()}


def imputations(times: int) -> dict[str, Callable[[], Row]]:
    """For each table, sums over the hidden values of each test row."""

    def filled(name: str) -> Row:
        task = impute.Task.of(name.removesuffix("_half"), 0, name.endswith("_half"))
        started = time.process_time()
        draw = impute.imputer(task)
        seconds = time.process_time() - started
        sums = np.zeros((3, len(task.test)))
        for hidden in [task.hidden, *more_holes(task)] if name in SMALL else [task.hidden]:
            draws = draw(np.where(hidden, np.nan, task.test))
            for i in np.flatnonzero(hidden.any(1)):
                row = impute.scores(task.test[[i]], draws[[i]], hidden[[i]])
                sums[:, i] += hidden[i].sum() * np.array([1, row["crps"], row["rmse"] ** 2])
        count, crps, square = sums[:, sums[0] > 0].tolist()
        return {"count": count, "crps": crps, "square": square, "seconds": seconds}

    return {name: lambda name=name: filled(name) for name in HOLED}


def more_holes(task: impute.Task) -> list[np.ndarray]:
    """Other random holes, so that the noise of the holes and of the draws is smaller."""
    rng = np.random.default_rng(1)
    return [rng.random(task.test.shape) < 0.3 for _ in range(HOLES - 1)]


def outlier_scores(times: int) -> dict[str, Callable[[], Row]]:
    """For each class left out, the scores of ordinary rows and of that class; the larger the
    stranger."""

    def by_estimator(x: np.ndarray, odd: np.ndarray, splits: int) -> Row:
        ordinary, number, seconds = x[~odd], np.arange((~odd).sum())[:, None], 0.0
        row: Row = {"ids": [], "ordinary": [], "odd": []}
        for seed in range(splits):
            parts = qs.data.split(number, valid=0.1, test=0.2, seed=seed)
            train, test = np.concatenate([parts.train, parts.valid])[:, 0], parts.test[:, 0]
            started = time.process_time()
            detector = qs.DiffusionOutliers().fit(ordinary[train])
            seconds += time.process_time() - started
            row["ids"].append(test.tolist())
            row["ordinary"].append((-detector.score_samples(ordinary[test])).tolist())
            row["odd"].append((-detector.score_samples(x[odd])).tolist())
        return row | {"seconds": seconds}

    def by_bands(label: int) -> Row:
        case = anomaly.Case.without(label)
        detector = anomaly_detector().fit(anomaly.recalling(case), case.reference, case.calibration)
        scored = [detector.score(rows).scores for rows in (case.test, case.odd)]
        ids = list(range(len(case.test)))
        row = {"ids": [ids], "ordinary": [scored[0].tolist()], "odd": [scored[1].tolist()]}
        return row | {"seconds": 0.0}

    made: dict[str, Callable[[], Row]] = {}
    for name in ODD:
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        for label in ODD[name]:
            task = x, y == label, 1 if name == "digits" else SPLITS
            made[f"{name} without {label}"] = lambda task=task: by_estimator(*task)
    for label in ODD["digits"]:
        made[f"digits without {label}, SNR bands"] = lambda label=label: by_bands(label)
    return made


def anomaly_detector() -> Any:
    """The detector of `anomaly.py`, in the module where either version has it."""
    try:
        from quasistatic.diagnostics.anomalies import AnomalyDetector
    except ModuleNotFoundError:
        from quasistatic.anomalies import AnomalyDetector
    return AnomalyDetector


def paired(name: str, before: Row, after: Row) -> Iterator[tuple[str, float, float, float, float]]:
    """The measures of a task: name, old, new, new - old and its paired standard error."""
    if "nats" in before:
        a, b = (np.array(each["nats"]) for each in (before, after))
        can_be = np.isfinite(a) & np.isfinite(b)  # a class or a number may be new in a split inside
        a, b = a[can_be], b[can_be]
        error = (b - a).std(ddof=1) / len(a) ** 0.5
        yield "log p, nats", a.mean(), b.mean(), (b - a).mean(), error
    elif "crps" in before:
        count = np.array(before["count"])
        for measure in ("crps", "square"):
            a, b = (np.array(each[measure]) for each in (before, after))
            old, new, gain = (each.sum() / count.sum() for each in (a, b, b - a))
            error = np.sqrt(((b - a - gain * count) ** 2).sum()) / count.sum()
            if measure == "square":  # by the slope of the square root
                old, new = np.sqrt(old), np.sqrt(new)
                gain, error = new - old, error / (old + new)
            yield {"crps": "CRPS", "square": "RMSE"}[measure], old, new, gain, error
    else:
        (a, a_shares), (b, b_shares) = (auc(each) for each in (before, after))
        pairs = zip(a_shares, b_shares, strict=True)
        variances = [(new - old).var(ddof=1) / len(new) for old, new in pairs]
        yield "AUC", a, b, b - a, np.sqrt(sum(variances))


def auc(row: Row) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """The mean over splits of the area under the ROC curve, and the shares of single rows in it
    (DeLong): for each ordinary row the share of odd rows above it, and for each odd row the share
    of ordinary rows below it, as means over the splits that test the row."""
    areas, by_odd, by_id = [], [], {}
    for ids, *scores in zip(row["ids"], row["ordinary"], row["odd"], strict=True):
        ordinary, odd = np.array(scores[0])[:, None], np.array(scores[1])
        above = (odd > ordinary) + 0.5 * (odd == ordinary)
        areas.append(above.mean())
        by_odd.append(above.mean(0))
        for number, share in zip(ids, above.mean(1), strict=True):
            by_id.setdefault(number, []).append(share)
    shares = np.array([np.mean(by_id[number]) for number in sorted(by_id)])
    return float(np.mean(areas)), (shares, np.mean(by_odd, 0))


TASKS = {"scores": log_likelihoods, "impute": imputations, "outliers": outlier_scores}


def measure(what: str, path: Path, names: list[str] | None, times: int) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    for name, answer in TASKS[what](times).items():
        if names and name not in names:
            continue
        started = time.process_time()
        found.setdefault(what, {})[name] = answer()
        print(f"{name:<36}{time.process_time() - started:8.1f} CPU seconds", flush=True)
        path.write_text(json.dumps(found))


def compare(old: Path, new: Path, kept: bool) -> None:
    before, after = (json.loads(path.read_text()) for path in (old, new))
    made: dict[str, dict[str, Row]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for what in [each for each in TASKS if each in before and each in after]:
        for name in [each for each in before[what] if each in after[what]]:
            pair = before[what][name], after[what][name]
            seconds = {"old_seconds": pair[0]["seconds"], "new_seconds": pair[1]["seconds"]}
            made.setdefault(what, {})[name] = dict(seconds)
            for label, *numbers in paired(name, *pair):
                a, b, gain, error = map(float, numbers)
                row = {"old": a, "new": b, "difference": gain, "stderr": error}
                made[what][name][label] = row
                print(
                    f"{name:<36}{label:<12}{a:9.3f} ->{b:8.3f}   {gain:+.4f} +- {error:.4f}"
                    f"{seconds['old_seconds']:8.1f} s ->{seconds['new_seconds']:6.1f} s"
                )
    if kept:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(made, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*TASKS, "compare"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tables", nargs="+", help="names of some tables")
    parser.add_argument("--inside", type=int, default=0, help="splits of the rows to fit")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if asked.what == "compare":
        compare(*asked.files, kept=not asked.inside)
    else:
        measure(asked.what, asked.files[0], asked.tables, asked.inside)


if __name__ == "__main__":
    main()
