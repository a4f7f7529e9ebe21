"""Odd and large tables through every verb of the command line: what each says, how long it takes,
and how much memory.

    .venv/bin/python benchmarks/files.py            # a minute or two each
    .venv/bin/python benchmarks/files.py --large    # with a million rows

A verb that refuses is shown with what it says. Memory is the process's largest resident set, most
of which is Python's and PyTorch's own.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from quasistatic._utils.files import write_text

RESULTS = Path(__file__).parent / "results" / "files.json"
RNG = np.random.default_rng


def normal(rows: int, columns: int) -> pl.DataFrame:
    """Reals that hang together."""
    rng = RNG(0)
    x = rng.normal(size=(rows, columns)) + rng.normal(size=(rows, 1))
    return pl.DataFrame(x.round(3), schema=[f"x{i}" for i in range(columns)], orient="row")


def mixed(rows: int) -> pl.DataFrame:
    """A name, a bit, whole and real numbers, and holes."""
    rng = RNG(1)
    kind = rng.integers(0, 3, rows)
    frame = pl.DataFrame(
        {
            "kind": np.array(["a", "b", "c"])[kind],
            "is": rng.random(rows) < 0.2 + 0.3 * kind,
            "count": rng.poisson(20 + 10 * kind),
            "size": (rng.normal(size=rows) + kind).round(2),
            "weight": np.exp(rng.normal(size=rows)).round(3),
        }
    )
    hidden = pl.Series(rng.random(rows) < 0.1)
    return frame.with_columns(size=pl.when(~hidden).then("size"))


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "100 rows, mixed": lambda: mixed(100),
    "one column": lambda: normal(500, 1),
    "one column of names": lambda: mixed(500).select("kind"),
    "1000 columns, 500 rows": lambda: normal(500, 1000),
    "a constant column": lambda: normal(500, 3).with_columns(x1=pl.lit(7)),
    "all columns constant": lambda: normal(500, 2).select(x0=pl.lit(1), x1=pl.lit("a")),
    "a column of NaN alone": lambda: normal(500, 3).with_columns(x1=pl.lit(None, pl.Float64)),
    "the same, mixed": lambda: mixed(500).with_columns(size=pl.lit(None, pl.Float64)),
    "an infinite value": lambda: normal(500, 3).with_columns(
        x1=pl.when(pl.int_range(500) == 7).then(float("inf")).otherwise("x1")
    ),
    "a column of ids": lambda: mixed(500).with_columns(id="r" + pl.int_range(500).cast(pl.String)),
    "two rows": lambda: normal(2, 3),
}
LARGE: dict[str, Callable[[], pl.DataFrame]] = {
    "10^6 rows, 10 reals": lambda: normal(1_000_000, 10),
    "10^6 rows, mixed": lambda: mixed(1_000_000),
}


def verbs(rows: int) -> dict[str, list[str]]:
    """What is said to each verb; of large tables, a part is imputed and compressed."""
    table, part = "table.csv", "part.csv"
    return {
        "fit": ["fit", table, "-o", "run", "--seed", "0"],
        "score": ["score", "run", "--data", table],
        "sample": ["sample", "run", "--n", str(min(rows, 10_000))],
        "impute": ["impute", "run", part, "-o", "whole.csv"],
        "outliers": ["outliers", "run", table],
        "compress": ["compress", "run", part, "-o", "table.qs", "--workers", "1", "--times", "25"],
        "decompress": ["decompress", "run", "table.qs", "-o", "again.csv"],
    }


def run(words: list[str], folder: Path) -> tuple[str, float, float]:
    """What a command says last, its seconds, and its mebibytes at most."""
    log, started = folder / "log.txt", time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.execv(sys.executable, [sys.executable, "-m", "quasistatic", *words])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - started
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    said = (lines or [""])[-1] if status else "done"
    return said, seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="the tables of a million rows alone")
    asked = parser.parse_args()
    found: dict[str, dict] = {}
    for name, make in (LARGE if asked.large else TABLES).items():
        frame, found[name] = make(), {}
        print(f"\n{name}", flush=True)
        with tempfile.TemporaryDirectory() as room:
            folder = Path(room)
            frame.write_csv(folder / "table.csv")
            frame[:1000].write_csv(folder / "part.csv")
            for verb, words in verbs(len(frame)).items():
                said, seconds, memory = run(words, folder)
                found[name][verb] = {"says": said, "seconds": seconds, "MiB": memory}
                print(f"  {verb:10} {seconds:6.1f} s {memory:7.0f} MiB  {said}", flush=True)
                if verb == "fit" and said != "done":
                    break
            else:
                same = pl.read_csv(folder / "again.csv").equals(pl.read_csv(folder / "part.csv"))
                print(f"  compressed rows came back as they were: {same}", flush=True)
                found[name]["came_back"] = same
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    write_text(RESULTS, json.dumps(kept | found, indent=2) + "\n")


if __name__ == "__main__":
    main()
