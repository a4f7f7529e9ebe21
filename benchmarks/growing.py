"""Fits of growing size, each in a process of its own, so that none pays for another's memory.

    python benchmarks/growing.py [--rows 1000 10000 ...] [--columns 10 30 ...]
    python benchmarks/growing.py --draw  # docs/pictures/growth.png of what was measured

Tables of real numbers, by the default settings of `DiffusionDensity`: 1000 to a million rows of ten
columns, and 10 to 1000 columns of 1000 rows. The columns depend on each other in curves, modes and
changing widths: ten of `block`, or as many such blocks as are needed, mixed a little with each
other. CPU seconds on one thread to fit, and to score 2000 new rows; the most memory of the process
beyond Python and the imports, the table included. Keeps benchmarks/results/growing.json.
"""

__all__ = ["each_alone"]

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "growing.json"
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "growth.png"
ROWS, COLUMNS = [1000, 10_000, 100_000, 1_000_000], [10, 30, 100, 300, 1000]


def each_alone(script: str, sizes: list[int], minutes: float | None) -> Iterator[dict]:
    """What `script --grow-one ROWS` prints last, a JSON object, for each size."""
    for rows in sizes:
        command = [sys.executable, script, "--grow-one", str(rows)]
        command += [] if minutes is None else ["--minutes", str(minutes)]
        yield last_line(command)


def last_line(command: list[str]) -> dict:
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def block(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Ten columns that depend on each other."""
    z = rng.normal(size=(rows, 10))
    z[:, 1] = np.sin(2 * z[:, 0]) + 0.2 * z[:, 1]
    z[:, 3] *= np.exp(z[:, 2] / 2)
    z[:, 4] += 3 * np.sign(z[:, 5])
    z[:, 6] = z[:, 0] * z[:, 2] + 0.3 * z[:, 6]
    z[:, 8] = np.hypot(z[:, 7], z[:, 9]) + 0.1 * z[:, 8]
    return z


def table(rows: int, columns: int, seed: int) -> np.ndarray:
    """Blocks of ten columns; each block but the first has half of the one before added."""
    rng = np.random.default_rng(seed)
    blocks = [block(rows, rng) for _ in range(-(-columns // 10))]
    for before, each in itertools.pairwise(blocks):
        each += 0.5 * before
    return np.concatenate(blocks, 1)[:, :columns]


def measure(rows: int, columns: int) -> dict:
    """One fit, in this process."""
    import torch
    from threadpoolctl import threadpool_limits

    import quasistatic as qs

    torch.set_num_threads(1)
    threadpool_limits(1)
    qs.DiffusionDensity().fit(table(200, 3, 2))  # imports what a fit needs
    before = peak()
    x, new = table(rows, columns, 0), table(2000, columns, 1)
    begun = time.process_time()
    density = qs.DiffusionDensity().fit(x)
    fitted = time.process_time()
    nats = density.score_samples(new)
    ended = time.process_time()
    facts = density.summary_.facts()
    return {
        "rows": rows,
        "columns": columns,
        "fit_seconds": fitted - begun,
        "score_seconds": ended - fitted,
        "peak_mib": peak() - before,
        "before_mib": before,
        "table_mib": x.nbytes / 2**20,
        "steps": facts["steps"],
        "kept": facts["kept"],
        "gain": facts["gain"],
        "nats": float(nats.mean()),
        "stderr": float(nats.std(ddof=1) / len(nats) ** 0.5),
    }


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def draw(found: list[dict]) -> None:
    """Time and memory against rows and against columns, on logarithmic axes."""
    from matplotlib.figure import Figure

    # Large letters, for it is also read at the width of a phone (390 pixels).
    figure = Figure(figsize=(6.5, 6.2), dpi=200, layout="constrained")
    axes = figure.subplots(2, 2, sharey="row", sharex="col")
    for column, (name, fixed) in enumerate({"rows": "columns", "columns": "rows"}.items()):
        least = min(each[fixed] for each in found)
        line = sorted((each for each in found if each[fixed] == least), key=lambda row: row[name])
        sizes = [row[name] for row in line]
        time_axis, memory_axis = axes[:, column]
        time_axis.plot(sizes, [row["fit_seconds"] for row in line], "o-", color="#1f5f99")
        time_axis.plot(sizes, [row["score_seconds"] for row in line], "s--", color="#c2571a")
        memory_axis.plot(sizes, [row["peak_mib"] for row in line], "o-", color="#1f5f99")
        memory_axis.plot(sizes, [row["table_mib"] for row in line], ":", color="#555555")
        memory_axis.set_xlabel(f"{name} (of {least:,} {fixed})", fontsize=13)
    axes[0, 0].set_ylabel("CPU seconds", fontsize=13)
    axes[1, 0].set_ylabel("MiB", fontsize=13)
    axes[0, 1].legend(["fit", "score 2000 rows"], fontsize=12, frameon=False)
    axes[1, 1].legend(["peak", "the table"], fontsize=12, frameon=False)
    for axis in axes.flat:
        axis.set(xscale="log", yscale="log")
        axis.tick_params(labelsize=12)
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=ROWS)
    parser.add_argument("--columns", nargs="*", type=int, default=COLUMNS)
    parser.add_argument("--one", nargs=2, type=int, metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--draw", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one)))
        return
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    if asked.draw:
        draw(kept)
        return
    sizes = [(rows, COLUMNS[0]) for rows in asked.rows]
    sizes += [(ROWS[0], columns) for columns in asked.columns]
    for rows, columns in dict.fromkeys(sizes):
        row = last_line([sys.executable, __file__, "--one", str(rows), str(columns)])
        kept = [each for each in kept if (each["rows"], each["columns"]) != (rows, columns)]
        kept.append(row)
        print(
            f"{rows:>9} x {columns:<5}{row['fit_seconds']:8.1f} s to fit{row['score_seconds']:8.2f}"
            f" s to score 2000{row['peak_mib']:8.0f} MiB beyond {row['before_mib']:.0f} (the table "
            f"has {row['table_mib']:.1f}){row['nats']:10.3f} +- {row['stderr']:.3f} nats, "
            f"{row['steps']} steps{', kept' if row['kept'] else ''}",
            flush=True,
        )
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
