"""The studio under ten concurrent requests: is any lost, and does its memory stay bounded?

    .venv/bin/python benchmarks/studio.py --seconds 60

    .venv/bin/python benchmarks/studio.py --start

The second one measures only how long a start takes: from the command to a view that can be used, in
Chromium with the extra `browser`.

A studio of its own is started, with the pretrained digits and a small table. For each view ten
readers ask again and again for some seconds. Each answer must end with a result. The memory is
that of the server's process, before and after each view and at its peak.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import quasistatic as qs
from quasistatic._utils.files import write_text

RESULTS = Path(__file__).parent / "results" / "studio.json"
READERS = 10


@dataclass
class Tally:
    """What the readers of a view counted."""

    answers: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask(address: str, view: str, body: dict[str, Any]) -> dict[str, Any]:
    """The last event of an answer."""
    request = urllib.request.Request(f"{address}api/{view}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=600) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line]
    last: dict[str, Any] = json.loads(lines[-1])
    return last


def read(address: str, view: str, body: dict[str, Any], until: float, tally: Tally) -> None:
    """Asks until a time, and counts."""
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            last = ask(address, view, body)
            wrong = None if last["event"] == "result" else str(last)[:200]
        except OSError as error:
            wrong = repr(error)
        with tally.lock:
            tally.answers += 1
            tally.seconds.append(time.monotonic() - began)
            if wrong:
                tally.lost.append(wrong)


def memory(process: subprocess.Popen[str]) -> dict[str, float]:
    """MiB of the server now and at its peak."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if "kB" in line}
    return {"now": int(sizes["VmRSS"]) / 1024, "peak": int(sizes["VmHWM"]) / 1024}


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """CPU seconds that the server has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def small_table(folder: Path) -> tuple[Path, bytes]:
    """A fitted table and a file of its rows."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    town = rng.choice(["Bern", "Lyon", "Rome"], 300)
    frame = pl.DataFrame({"x": x.round(3), "y": (2 * x + rng.normal(size=300)).round(2), "t": town})
    frame.write_csv(folder / "rows.csv")
    qs.opened.fit(folder / "rows.csv", out=folder / "table", steps=0)
    return folder / "table", frame.head(50).write_csv().encode()


def requests(table: Path, rows: bytes) -> list[tuple[str, str, dict[str, Any]]]:
    """The name, the view and the body of each request."""
    digit = [float(v) for v in np.asarray(qs.open("digits").run.experiment.data.test[0])]
    holed = [None if k % 8 >= 4 else v for k, v in enumerate(digit)]
    file = {"name": "rows.csv", "data": base64.b64encode(rows).decode()}
    digits = {
        "sample": {"n": 8, "steps": 12},
        "complete": {"values": holed, "draws": 4, "particles": 8, "times": 12},
        "score": {"values": digit, "evaluations": 16},
        "chain": {"values": digit},
        "compress": {"count": 2, "times": 3},
        "train": {},
    }
    tables = {"sample": {"n": 50}, "complete": {"cells": {"x": "1"}}, "score": {"files": [file]}}
    found = [(view, view, {"run": "digits", **body}) for view, body in digits.items()]
    return found + [(f"{v}, table", v, {"run": str(table), **b}) for v, b in tables.items()]


def start(words: list[str], folder: str) -> tuple[subprocess.Popen[str], str, float]:
    """A studio that has just been started, its address, and the time before."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "quasistatic", "studio", *words, "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1], began


def starts(times: int = 5) -> dict[str, Any]:
    """Seconds from the command to the form of the first view in Chromium, and to its first answer:
    the least of some starts, as other programs of this machine can only add to them."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {"usable": [], "answered": [], "cpu": []}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(
            executable_path=os.environ.get("QUASISTATIC_CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox"],
        )
        for _ in range(times):
            page = chromium.new_page()
            process, address, began = start(["digits"], folder)
            page.goto(address, wait_until="commit")
            page.get_by_role("button", name="Draw", exact=True).wait_for()
            found["usable"].append(time.monotonic() - began)
            found["cpu"].append(cpu_seconds(process))
            page.locator("details.snippet").first.wait_for(timeout=120_000)
            found["answered"].append(time.monotonic() - began)
            page.close()
            process.terminate()
            process.wait(20)
        chromium.close()
    return {f"{name}_seconds": round(min(each), 2) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="The studio under ten concurrent requests.")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each view (default: 60)")
    parser.add_argument("--start", action="store_true", help="measure only the start")
    asked = parser.parse_args()
    if asked.start:
        print("from the command, in Chromium:", starts(), f"load {os.getloadavg()[0]:.1f}")
        return
    seconds = asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        table, rows = small_table(Path(folder))
        process, address, began = start(["digits", str(table)], folder)
        with urllib.request.urlopen(f"{address}api/run?name=digits") as answer:
            answer.read()
        first, cpu = time.monotonic() - began, cpu_seconds(process)
        print(f"first view after {first:.1f} s, of which {cpu:.1f} s of CPU time")
        found: dict[str, Any] = {"first_view_seconds": first, "first_view_cpu_seconds": cpu}
        found |= {"readers": READERS, "seconds": seconds, "views": {}}
        try:
            for name, view, body in requests(table, rows):
                ask(address, view, body)  # what is loaded once is not counted
                found["views"][name] = measured(address, view, body, seconds, process)
                print(f"{name:16}", found["views"][name])
        finally:
            process.terminate()
            process.wait(20)
    write_text(RESULTS, json.dumps(found, indent=2) + "\n")
    lost = sum(each["lost"] for each in found["views"].values())
    print(f"{lost} answers lost; wrote {RESULTS.name}")


def measured(
    address: str,
    view: str,
    body: dict[str, Any],
    seconds: float,
    process: subprocess.Popen[str],
) -> dict[str, Any]:
    """What ten readers of a view see in some seconds."""
    tally, before = Tally(), memory(process)
    until = time.monotonic() + seconds
    readers = [
        threading.Thread(target=read, args=(address, view, body, until, tally))
        for _ in range(READERS)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    after = memory(process)
    for each in sorted(set(tally.lost))[:3]:
        print("  lost:", each)
    return {
        "answers": tally.answers,
        "lost": len(tally.lost),
        "median_seconds": round(float(np.median(tally.seconds)), 2),
        "slowest_seconds": round(max(tally.seconds), 2),
        "memory_before_mib": round(before["now"]),
        "memory_after_mib": round(after["now"]),
        "memory_peak_mib": round(after["peak"]),
    }


if __name__ == "__main__":
    main()
