"""Two versions of the library on the same rows: paired held-out log-likelihoods, and fit times.

    PYTHONPATH=OLD/src python benchmarks/one_law.py scores old.json
    python benchmarks/one_law.py scores new.json
    python benchmarks/one_law.py compare old.json new.json

The tables and the splits are those of `density.py` and `mixed.py`. `scores` fits each table with
the code that PYTHONPATH names and writes the scores of the test rows and the CPU seconds of the
fit, on one thread. `--inside 3` leaves the test rows alone: three times it splits the rows that may
be fitted, so that choices can be made by it. `compare` prints a table, and keeps that of the test
rows in benchmarks/results/one_law.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import density
import mixed_tables
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "one_law.json"
REAL = ["wine", "breast_cancer", "diabetes"]
MIXED = ["penguins", "cars", "diabetes", "weather"]


def tasks() -> dict[str, tuple]:
    """The rows to fit and those to score, of each table."""
    real = {name: density.Task.of(density.table(name)) for name in REAL}
    mixed = {name: mixed_tables.Task.of(mixed_tables.TABLES[name]()) for name in MIXED}
    every = real | {f"{name}, mixed": task for name, task in mixed.items()}
    return {name: (task.both, task.test) for name, task in every.items()}


def inside(both: Any, times: int) -> list[tuple]:
    """Splits of the rows that may be fitted, a fifth of them to score."""
    found = []
    for seed in range(times):
        order = np.random.default_rng(100 + seed).permutation(len(both))
        cut = len(order) // 5
        rows = both.iloc if hasattr(both, "iloc") else both
        found.append((rows[order[cut:]], rows[order[:cut]]))
    return found


def scores(path: Path, names: list[str] | None, times: int) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    for name, task in tasks().items():
        if names and name not in names:
            continue
        nats, seconds = [], 0.0
        for both, test in inside(task[0], times) if times else [task]:
            started = time.process_time()
            fitted = qs.DiffusionDensity().fit(both)
            seconds += time.process_time() - started
            nats += fitted.score_samples(test).tolist()
        found[name] = {"nats": nats, "seconds": seconds}
        print(f"{name:<20}{np.mean(nats):9.3f} nats{seconds:8.1f} s", flush=True)
        path.write_text(json.dumps(found))


def compare(old: Path, new: Path, kept: bool) -> None:
    before, after = (json.loads(path.read_text()) for path in (old, new))
    made = {}
    for name in [each for each in before if each in after]:
        a, b = (np.array(each[name]["nats"]) for each in (before, after))
        can_be = np.isfinite(a) & np.isfinite(b)  # a class or a number may be new in a split inside
        a, b = a[can_be], b[can_be]
        error = float((b - a).std(ddof=1) / len(a) ** 0.5)
        made[name] = row = {
            "test": len(a),
            "old": float(a.mean()),
            "new": float(b.mean()),
            "gain": float((b - a).mean()),
            "stderr": error,
            "old_seconds": before[name]["seconds"],
            "new_seconds": after[name]["seconds"],
        }
        print(
            f"{name:<20}{row['old']:9.2f} ->{row['new']:8.2f}   {row['gain']:+.3f} +- {error:.3f}"
            f"{row['old_seconds']:8.1f} s ->{row['new_seconds']:6.1f} s"
        )
    if kept:
        RESULTS.write_text(json.dumps(made, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["scores", "compare"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--inside", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if asked.what == "scores":
        scores(asked.files[0], asked.tables, asked.inside)
    else:
        compare(*asked.files, kept=not asked.inside)


if __name__ == "__main__":
    main()
