"""Odd and large tables through every verb of the command line: what each says, how long it takes,
and how much memory.

    .venv/bin/python benchmarks/files.py            # a minute or two each
    .venv/bin/python benchmarks/files.py --large    # with a million rows
    .venv/bin/python benchmarks/files.py --reading  # reading alone, beside polars; and wide files

A verb that refuses is shown with what it says. Memory is the process's largest resident set, most
of which is Python's and PyTorch's own.
"""

import argparse
import json
import os
import resource
import subprocess
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


READERS = {
    "polars, types of 100 rows": "import polars as pl; pl.read_csv({path!r})",
    "polars, types of all rows": (
        "import polars as pl; pl.read_csv({path!r}, infer_schema_length=None)"
    ),
    "polars, types of all rows, with dates": (
        "import polars as pl; pl.read_csv({path!r}, infer_schema_length=None, try_parse_dates=True)"
    ),
    "ours, in pieces": (
        "from quasistatic.data.table_files import open_table\n"
        "sum(len(piece) for piece in open_table({path!r}).pieces(10_000))"
    ),
    "ours, whole": (
        "from quasistatic.data.table_files import open_table\nopen_table({path!r}).drawn(10**9, 0)"
    ),
}
"""Programs that read a file."""

TIMED = """import re, time
{before}
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024
start, begun = peak(), time.process_time()
{program}
print(time.process_time() - begun, start, peak())
"""
"""Prints CPU seconds, and the mebibytes at most before and after. (`getrusage` gives a child the
peak of its parent.)"""


def twelve(rows: int) -> pl.DataFrame:
    """Twelve columns: reals, whole numbers, names, bits, days, and holes."""
    rng = RNG(2)
    columns: dict = {f"real {k}": rng.normal(size=rows).round(3) for k in range(5)}
    columns |= {f"count {k}": rng.integers(0, 1000, rows) for k in range(2)}
    columns["colour"] = np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]
    columns["town"] = np.array([f"town {k}" for k in range(50)])[rng.integers(0, 50, rows)]
    columns["is"] = rng.random(rows) < 0.3
    columns["day"] = np.datetime64("2020-01-01") + rng.integers(0, 1000, rows)
    frame = pl.DataFrame(columns).with_columns(holed=pl.Series(rng.normal(size=rows).round(2)))
    return frame.with_columns(holed=pl.when(pl.Series(rng.random(rows) < 0.9)).then("holed"))


def reading(found: dict[str, dict]) -> None:
    """Reads a million rows of twelve columns, and fits files that are wide."""
    with tempfile.TemporaryDirectory() as room:
        path = str(Path(room) / "table.csv")
        for millions in (1, 2, 4):
            twelve(1_000_000 * millions).write_csv(path)
            name = f"{millions} x 10^6 rows, 12 columns: reading"
            found[name] = {}
            print(name)
            for reader, program in READERS.items():
                if millions > 1 and reader != "ours, in pieces":
                    continue  # the others hold the whole table
                before = program.split("\n")[0] if "\n" in program else "import polars"
                code = TIMED.format(before=before, program=program.format(path=path))
                said = subprocess.run(
                    [sys.executable, "-c", code], check=True, capture_output=True, text=True
                ).stdout
                seconds, start, memory = map(float, said.split())
                each = {"CPU seconds": seconds, "MiB before": start, "MiB": memory}
                found[name][reader] = each
                print(
                    f"  {reader:40} {seconds:6.1f} CPU s {memory:7.0f} MiB, {start:.0f} before",
                    flush=True,
                )
        for rows, columns in ((60, 10_000), (3, 100_000)):
            folder = Path(room)
            normal(rows, columns).write_csv(folder / "table.csv")
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            said, _, memory = run(["fit", "table.csv", "-o", "run"], folder)
            seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            name = f"{rows} rows, {columns} columns: fit"
            found[name] = {"fit": {"says": said, "CPU seconds": seconds, "MiB": memory}}
            print(f"{name}\n  {seconds:6.1f} CPU s {memory:7.0f} MiB  {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="the tables of a million rows alone")
    parser.add_argument("--reading", action="store_true", help="reading alone, and wide files")
    asked = parser.parse_args()
    found: dict[str, dict] = {}
    if asked.reading:
        reading(found)
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        write_text(RESULTS, json.dumps(kept | found, indent=2) + "\n")
        return
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
