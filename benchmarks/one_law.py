"""Two versions of the library on the same rows: paired held-out log-likelihoods, and fit times.

    PYTHONPATH=OLD/src python benchmarks/one_law.py scores old.json
    python benchmarks/one_law.py scores new.json
    python benchmarks/one_law.py compare old.json new.json

The tables and the splits are those of `density.py` and `mixed.py`. `scores` fits each table with
the code that PYTHONPATH names and writes the scores of the test rows and the CPU seconds of the
fit, on one thread. `compare` prints a table and keeps it in benchmarks/results/one_law.json.
"""

import argparse
import json
import time
from pathlib import Path

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


def scores(path: Path, names: list[str] | None) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    for name, (both, test) in tasks().items():
        if names and name not in names:
            continue
        started = time.process_time()
        fitted = qs.DiffusionDensity().fit(both)
        seconds = time.process_time() - started
        found[name] = {"nats": fitted.score_samples(test).tolist(), "seconds": seconds}
        print(f"{name:<20}{fitted.score(test):9.3f} nats{seconds:8.1f} s", flush=True)
        path.write_text(json.dumps(found))


def compare(old: Path, new: Path) -> None:
    before, after = (json.loads(path.read_text()) for path in (old, new))
    made = {}
    for name in [each for each in before if each in after]:
        a, b = (np.array(each[name]["nats"]) for each in (before, after))
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
    RESULTS.write_text(json.dumps(made, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["scores", "compare"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tables", nargs="+")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if asked.what == "scores":
        scores(asked.files[0], asked.tables)
    else:
        compare(*asked.files)


if __name__ == "__main__":
    main()
