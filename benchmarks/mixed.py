"""Densities of tables of mixed columns: held-out log-likelihood and fit time, same split, same run.

    python benchmarks/mixed.py [--tables penguins cars ...] [--only DiffusionDensity] [--split 1]
    python benchmarks/mixed.py --grow [--rows 1000 10000 100000] [--minutes 2]

Tables: palmerpenguins' birds, vega_datasets' cars and Seattle's weather, scikit-learn's diabetes
with its binary column, and 20 000 rows of a law that is known (`mixed_law.py`), which is told
beside them. The 20 % of test rows are scored once, by settings that the other 80 % decided.

All methods see the columns as `qs.Table` has them, without atoms, whose probabilities would not
compare with densities: names, bits and whole numbers of a narrow range
have probabilities; real numbers, and whole numbers of a wide range, densities in raw units; a row
with holes has the probability of what is there. Peers (`mixed_peers.py`):

- columns alone: shares, and a normal of each column;
- linear and boosted regressions, scikit-learn's, in a chain: each column given those before it, a
  class by a classifier, a number as normal about a regressor's mean, with a variance that is one
  for all rows, or by a regressor of its own; holes are told to them as such;
- StepMix: latent classes, up to 32, their number chosen by validation rows.

`--only` runs some methods; the others are compared as they were run before on the same split
(`kept_rows.py`).

Fit times are CPU seconds on one thread, choices included. `--grow` fits the known law at 1000 to
100 000 rows, each in a process of its own, and tells time, peak memory and how far it is from the
law. Keeps all of it in benchmarks/results/mixed.json.
"""

import argparse
import json
import math
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import mixed_law
import torch
from growing import each_alone
from kept_rows import KeptRows, paired
from mixed_peers import PEERS, Density
from mixed_tables import KNOWN, TABLES, Task
from threadpoolctl import threadpool_limits

import quasistatic as qs

RESULTS = Path(__file__).parent / "results" / "mixed.json"
OURS, LAW = "DiffusionDensity", "the law itself"


def ours(task: Task) -> tuple[Density, str]:
    density = qs.DiffusionDensity(types=task.types).fit(task.both)
    summary = density.summary_
    start = f"{next(iter(summary.start))} and {len(summary.start) - 1} more"
    return density.score_samples, f"{start}; {learned(summary.facts())}"


def learned(summary: Mapping) -> str:
    """What a network won on the validation rows, and whether it was kept."""
    if not summary["steps"]:
        return "no network"
    return f"{summary['gain']:.3f} nats by a network, {'kept' if summary['kept'] else 'not kept'}"


METHODS = PEERS | {OURS: ours, LAW: lambda task: (mixed_law.log_prob, "")}


def compare(name: str, methods: list[str], split: int) -> dict:
    """What each method comes to on the test rows, and by how much ours is better on the same."""
    task, kept = Task.of(TABLES[name](), split), KeptRows("mixed", name, split)
    for method in [each for each in methods if each != LAW or name == KNOWN]:
        started = time.process_time()
        density, setting = METHODS[method](task)
        seconds = time.process_time() - started
        kept.put(method, {"nats": density(task.test)}, {"seconds": seconds, "setting": setting})
    found = kept.get()
    rows = {}
    for method in [each for each in METHODS if each in found]:
        nats, facts = found[method][0]["nats"], found[method][1]
        rows[method] = paired(nats) | facts
        if OURS in found:
            rows[method]["behind"] = paired(found[OURS][0]["nats"] - nats)
    return {"split": split, "test": len(task.test), "methods": rows}


def show(name: str, found: dict) -> None:
    print(f"\n{name}: {found['test']} test rows")
    for method, row in found["methods"].items():
        behind = row.get("behind", {"nats": math.nan, "stderr": math.nan})
        print(
            f"{method:<26}{row['nats']:9.2f} +- {row['stderr']:.2f} nats   {OURS} is "
            f"{behind['nats']:+7.2f} +- {behind['stderr']:.2f}{row['seconds']:9.1f} s   "
            f"{row['setting']}",
            flush=True,
        )


def grow_one(rows: int, minutes: float | None) -> dict:
    """One fit, in this process."""
    frame, new = mixed_law.drawn(rows), mixed_law.drawn(2000, 1)
    before = _peak()
    started = time.process_time()
    density = qs.DiffusionDensity(minutes=minutes).fit(frame)
    seconds, peak = time.process_time() - started, _peak()
    nats, summary = density.score_samples(new), density.summary_
    made = {"rows": rows, "seconds": seconds, "peak_mib": peak, "before_mib": before}
    made |= {"steps": summary.steps, "kept": summary.kept, "gain": summary.gain}
    return made | paired(nats) | {"short": paired(mixed_law.log_prob(new) - nats)}


def _peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def keep(name: str, found: object) -> None:
    """Puts it beside what other runs have found."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {name: found}, indent=2) + "\n")


def grow(sizes: list[int], minutes: float | None) -> None:
    made: list[dict] = []
    for row in each_alone(__file__, sizes, minutes):
        made.append(row)
        print(
            f"{row['rows']:>9} rows{row['seconds']:8.1f} s{row['steps']:6} steps"
            f"{row['peak_mib'] - row['before_mib']:8.0f} MiB beyond {row['before_mib']:.0f}"
            f"{row['nats']:9.3f} +- {row['stderr']:.3f} nats, short of the law by "
            f"{row['short']['nats']:.3f} +- {row['short']['stderr']:.3f}; {learned(row)}",
            flush=True,
        )
        keep("grow", made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--split", type=int, default=1)
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--grow-one", type=int)
    parser.add_argument("--rows", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--minutes", type=float)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if asked.grow_one:
        print(json.dumps(grow_one(asked.grow_one, asked.minutes)))
        return
    if asked.grow:
        grow(asked.rows, asked.minutes)
        return
    for name in asked.tables:
        found = compare(name, asked.only, asked.split)
        show(name, found)
        keep(name, found)


if __name__ == "__main__":
    main()
