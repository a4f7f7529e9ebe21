"""Jobs over directories of files: equal answers, kills, damage, a full disk, and what rows cost.

    python benchmarks/scale.py rates              # rows a second and core of each verb and model
    python benchmarks/scale.py directory          # 40 files of 50,000 rows: local, ray, kills, damage
    python benchmarks/scale.py directory --rows 2000
    python benchmarks/scale.py serve              # 200 clients for 60 seconds on loopback
    python benchmarks/scale.py fit                # EM over partitions against EM in memory

Results are JSON lines on standard output. CPU seconds are those of the processes, so that a busy
machine changes them little.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

MARK = f"QUASISTATIC_BENCHMARK={os.getpid()}"
"""An entry of the environment by which the processes of this benchmark are found."""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", **dict([MARK.split("=")])}


def rows_of_visits(n: int, seed: int) -> pl.DataFrame:
    """An identity, six correlated numbers (one of them skewed), a count and a class."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    middle = np.array([[0, 1, 2, 0, 1, 2], [3, 0, 1, -2, 0, 1], [-2, 4, 0, 1, 3, -1]])[kind]
    x = rng.normal(size=(n, 6)) @ np.linalg.cholesky(0.6 * np.eye(6) + 0.4).T + middle
    columns = {f"x{k}": x[:, k] for k in range(5)}
    columns["amount"] = np.exp(x[:, 5] / 2)
    columns["visits"] = np.clip(rng.poisson(np.exp(0.5 + 0.3 * x[:, 0].clip(-3, 3))), 0, 9)
    plan = np.array(["basic", "plus", "pro"])[(kind + (rng.random(n) < 0.1)) % 3]
    first = seed * 10**7
    return pl.DataFrame({"id": np.arange(first, first + n), **columns, "plan": plan})


def told(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def command(*words: object, **how: object) -> subprocess.Popen:
    """A command line of quasistatic, started."""
    line = [sys.executable, "-m", "quasistatic", *map(str, words)]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=-1, stderr=-1, text=True, **how)


def answered(*words: object, **how: object) -> tuple[int, dict, str, float]:
    """The exit status, the JSON answer, what was said and the seconds of a command."""
    begun = time.monotonic()
    process = command(*words, "--json", **how)
    out, said = process.communicate(timeout=3600)
    facts = json.loads(out) if out.strip() else {}
    return (
        process.returncode,
        facts,
        said.strip().splitlines()[-1] if said.strip() else "",
        (time.monotonic() - begun),
    )


def fitted_run(folder: Path, train: int = 4000) -> Path:
    run = folder / "run"
    if not run.exists():
        path = folder / "train.parquet"
        rows_of_visits(train, 0).write_parquet(path)
        status, _, said, _ = answered("fit", path, "-o", run, "--steps", 0)
        assert status == 0, said
    return run


def digest(folder: Path) -> dict[str, int]:
    """The bytes of each answer, hashed."""
    return {path.name: hash(path.read_bytes()) for path in sorted(folder.glob("*.parquet"))}


def directory(folder: Path, files: int, rows: int) -> None:
    """Shown by 1 and 2 of the plan: one directory by several engines, with kills and damage."""
    run, source = fitted_run(folder), folder / "rows"
    if not source.exists():
        source.mkdir(parents=True)
        for k in range(files):
            rows_of_visits(rows, 1 + k).write_parquet(source / f"part-{k:03}.parquet")
    engines = {
        "local": ["--on", "local"],
        "ray, 1 worker": ["--on", "ray", "--workers", 1],
        "ray, 2 workers": ["--on", "ray", "--workers", 2],
    }
    found = {}
    for name, words in engines.items():
        out = folder / name.replace(", ", "-").replace(" ", "-")
        shutil.rmtree(out, ignore_errors=True)
        status, facts, said, seconds = answered("score", run, "--data", source, "-o", out, *words)
        assert status == 0, said
        found[name] = digest(out)
        told(
            engine=name,
            wall_seconds=round(seconds, 1),
            cpu_seconds=round(facts["seconds"], 1),
            rows=facts["rows"],
            rows_a_cpu_second=round(facts["rows"] / facts["seconds"]),
            equal_to_local=found[name] == found["local"],
            load=os.getloadavg()[0],
        )
    kills(folder, run, source, found["local"])
    damage(folder, run, source, found["local"])
    full_disk(folder, run, source, found["local"])


def kills(folder: Path, run: Path, source: Path, expected: dict[str, int]) -> None:
    """The driver is killed with -9 at three moments; then a worker of a running job is."""
    out, count = folder / "killed", len(expected)
    shutil.rmtree(out, ignore_errors=True)
    words = ["score", run, "--data", source, "-o", out, "--on", "ray", "--workers", 2]
    for share in (0.1, 0.4, 0.8):
        process = command(*words, start_new_session=True)
        wait_for(lambda share=share: len(list(out.glob("*.parquet"))) >= share * count, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        told(killed_at=len(list(out.glob("*.parquet"))), of=count)
        stop_ray()
    status, facts, _, _ = answered(*words)
    told(
        after_three_kills=status,
        resumed=facts["resumed"],
        rows=facts["rows"],
        equal_to_local=digest(out) == expected,
    )
    shutil.rmtree(out, ignore_errors=True)
    process = command(*words, "--json", start_new_session=True)
    wait_for(lambda: len(list(out.glob("*.parquet"))) >= 0.2 * count, process)
    victim = next(pid for pid, name in marked() if name.startswith("ray::MapWorker"))
    os.kill(victim, signal.SIGKILL)
    text, said = process.communicate(timeout=3600)
    told(
        worker_killed=victim,
        status=process.returncode,
        rows=json.loads(text)["rows"] if text.strip() else said.strip().splitlines()[-1],
        equal_to_local=digest(out) == expected,
    )


def wait_for(met: object, process: subprocess.Popen) -> None:
    while not met() and process.poll() is None:
        time.sleep(0.02)


def marked() -> list[tuple[int, str]]:
    """The processes that this benchmark started, and what they started, with their names."""
    names: dict[int, str] = {}
    parents: dict[int, int] = {}
    own: set[int] = set()
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            try:
                pid = int(path.name)
                names[pid] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if MARK.encode() in (path / "environ").read_bytes():
                    own.add(pid)
            except OSError:
                continue
    for _ in range(3):  # a worker of Ray has a name where others have their environment
        own |= {pid for pid, parent in parents.items() if parent in own}
    return [(pid, names[pid]) for pid in own if pid in names]


def stop_ray() -> None:
    """Ends what a killed driver left of its own cluster."""
    for pid, _ in marked():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    time.sleep(1)


def damage(folder: Path, run: Path, source: Path, expected: dict[str, int]) -> None:
    """A file is cut short: it is left out, and comes when it is mended."""
    copy, out = folder / "damaged-rows", folder / "damaged"
    for each in (copy, out):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(source, copy)
    victim = copy / "part-007.parquet"
    whole = victim.read_bytes()
    victim.write_bytes(whole[: len(whole) // 2] + b"\0" * (len(whole) - len(whole) // 2))
    words = ["score", run, "--data", copy, "-o", out, "--on", "local"]
    status, facts, said, _ = answered(*words)
    told(damaged_file=victim.name, status=status, parts=facts["parts"], said=said[:200])
    victim.write_bytes(whole)
    status, facts, _, _ = answered(*words)
    told(mended=status, resumed=facts["resumed"], equal_to_local=digest(out) == expected)


def full_disk(folder: Path, run: Path, source: Path, expected: dict[str, int]) -> None:
    """A file system of its own that is too small; then with room."""
    out = folder / "small-disk"
    size = sum(path.stat().st_size for path in (folder / "local").glob("*.parquet"))
    out.mkdir(exist_ok=True)
    half = size // 2 // 1024
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={half}k", "tmpfs", out]).returncode:
        told(full_disk="skipped: no right to mount a file system")
        return
    try:
        words = ["score", run, "--data", source, "-o", out / "answers", "--on", "local"]
        status, facts, said, _ = answered(*words)
        left = [path.name for path in (out / "answers").iterdir() if path.name.startswith(".st")]
        told(full_disk=status, parts=facts.get("parts"), said=said[:200], half_written=left)
        subprocess.run(["mount", "-o", f"remount,size={8 * half}k", out], check=True)
        status, facts, _, _ = answered(*words)
        told(
            with_room=status,
            resumed=facts["resumed"],
            equal_to_local=digest(out / "answers") == expected,
        )
    finally:
        subprocess.run(["umount", out], check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["rates", "directory", "serve", "fit"])
    parser.add_argument("--folder", type=Path, default=Path("build/scale"))
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--rows", type=int, default=50_000)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.part == "directory":
        directory(asked.folder, asked.files, asked.rows)
    told(peak_megabytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
