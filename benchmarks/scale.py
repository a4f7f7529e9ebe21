"""Jobs over directories of files: equal answers, kills, damage, a full disk, and what rows cost.

    python benchmarks/scale.py rates       # rows a second and core of each verb and model
    python benchmarks/scale.py directory   # 40 files of 50,000 rows, with kills and damage
    python benchmarks/scale.py directory --rows 2000
    python benchmarks/scale.py growth      # W workers, simulated from what `directory` measured
    python benchmarks/scale.py serve       # 200 clients for 60 seconds on loopback
    python benchmarks/scale.py fit         # EM over partitions against EM in memory

Results are JSON lines on standard output. CPU seconds are those of the processes, so that a busy
machine changes them little.
"""

import argparse
import asyncio
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


def fitted_run(folder: Path, train: int = 1000) -> Path:
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


def directory(folder: Path, files: int, rows: int, on: str, speed_up: bool) -> None:
    """One directory by several engines; then, unless only the speed-up is wanted, with kills,
    damage and a full disk."""
    run, source = fitted_run(folder), folder / "rows"
    if not source.exists():
        source.mkdir(parents=True)
        for k in range(files):
            rows_of_visits(rows, 1 + k).write_parquet(source / f"part-{k:03}.parquet")
    engines = {
        "local": ["--on", "local"],
        "local, 2 workers": ["--on", "local", "--workers", 2],
        "ray, 1 worker": ["--on", "ray", "--workers", 1],
        "ray, 2 workers": ["--on", "ray", "--workers", 2],
    }
    if on != "ray":
        engines = {name: words for name, words in engines.items() if name.startswith("local")}
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
    if speed_up:
        return
    kills(folder, run, source, found["local"], on)
    damage(folder, run, source, found["local"])
    full_disk(folder, run, source, found["local"])


def kills(folder: Path, run: Path, source: Path, expected: dict[str, int], on: str = "ray") -> None:
    """The driver is killed with -9 at three moments; then a worker of a running job is."""
    out, count = folder / "killed", len(expected)
    shutil.rmtree(out, ignore_errors=True)
    words = ["score", run, "--data", source, "-o", out, "--on", on]
    words += ["--workers", 2] if on == "ray" else []
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
    if on != "ray":
        return
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


def growth(folder: Path) -> None:
    """How a job would grow with workers that have a core each: a simulation with the CPU seconds of
    each part, which `directory` measured, and those of a start, which are measured here."""
    stored = json.loads((folder / "local" / "manifest.json").read_text())
    parts = [record["seconds"] for record in stored["done"]]
    code = "import sys; from quasistatic.scale import partition; partition(sys.argv[1], 'score')"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-c", code, str(folder / "run")]
    subprocess.run(line, env=ENVIRONMENT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = {
        "as measured": parts,
        "a hundred times as many parts": parts * 100,
        "one part ten times as long, last": [*parts[:-1], 10 * parts[-1]],
        "one part ten times as long, first": [10 * parts[-1], *parts[:-1]],
    }
    told(parts=len(parts), seconds_of_parts=round(sum(parts), 1), start_seconds=round(start, 2))
    for name, seconds in jobs.items():
        alone = start + sum(seconds)
        speed_up = {w: round(alone / makespan(seconds, w, start), 1) for w in (2, 4, 8, 16, 40, 64)}
        told(job=name, seconds_alone=round(alone, 1), speed_up_of_workers=speed_up)


def makespan(seconds: list[float], workers: int, start: float) -> float:
    """Seconds until the last part is finished: each worker takes the next part when it is free."""
    free = [start] * workers
    for part in seconds:
        first = min(range(workers), key=free.__getitem__)
        free[first] += part
    return max(free)


RATES = {
    "table": [
        ("score", {}, 40_000),
        ("outliers", {"why": False}, 20_000),
        ("outliers", {}, 5_000),
        ("impute", {}, 5_000),
        ("complete", {"draws": 16}, 5_000),
        ("sample", {}, 40_000),
        ("compress", {"times": 10, "verify": False}, 60),
    ],
    "digits": [
        ("score", {"evaluations": 64}, 256),
        ("complete", {"draws": 16, "times": 25}, 8),
        ("sample", {"times": 50}, 64),
        ("compress", {"times": 50, "verify": False}, 32),
    ],
    "binarized-mnist": [
        ("score", {"evaluations": 16}, 32),
        ("sample", {"times": 25}, 32),
    ],
}
"""Verbs with options and rows, by model. Half of the values are missing for impute and complete."""


def rates(folder: Path) -> None:
    """Rows a CPU second, and the memory of a worker, each model in a process of its own."""
    fitted_run(folder)
    for model in RATES:
        line = [sys.executable, __file__, "rate", "--folder", str(folder), "--model", model]
        subprocess.run(line, env=ENVIRONMENT, check=True)


def rate(folder: Path, model: str) -> None:
    """The rates of one model, in this process."""
    import torch

    from quasistatic.scale import partition

    torch.set_num_threads(1)
    run = folder / "run" if model == "table" else model
    for verb, options, count in RATES[model]:
        answer = partition(run, verb, **options)
        batch = batch_of(answer, model, verb, count)
        answer(batch[: max(1, len(batch) // 50)])  # what is computed once
        begun = time.process_time()
        answer(batch)
        spent = time.process_time() - begun
        told(
            model=model,
            verb=verb,
            options=options,
            rows=count,
            rows_a_cpu_second=round(count / spent, 2),
        )
    told(model=model, megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def batch_of(answer: object, model: str, verb: str, count: int) -> object:
    import quasistatic as qs

    if verb == "sample":
        numbers = np.arange(count)
        return pl.DataFrame({"draw": numbers}) if model == "table" else numbers
    if model == "table":
        rows = rows_of_visits(count, 99)
        if verb not in ("impute", "complete"):
            return rows
        hidden = np.random.default_rng(0).random((count, 8)) < 0.2
        return rows.with_columns(
            pl.when(~pl.Series(hidden[:, k])).then(pl.col(name)).alias(name)
            for k, name in enumerate(rows.columns[1:])
        )
    if model == "digits":
        x = np.resize(qs.data.split(qs.data.digits()).test, (count, 64))
        return np.where(np.arange(64) % 8 >= 4, np.nan, x) if verb == "complete" else x
    return answer.model.sample(count, 10, 0).cpu().numpy()


def fit(folder: Path, files: int, rows: int) -> None:
    """A law by partitions against the same rounds in memory, and what it gains."""
    import torch

    from quasistatic.distributions.mixtures.fitting import Batch, LearningRows, expected
    from quasistatic.distributions.mixtures.fitting.em import maximised
    from quasistatic.estimators.closed_form import encoded
    from quasistatic.opened import open as open_run
    from quasistatic.scale import fit_directory
    from quasistatic.scale.fitting import refined

    torch.set_num_threads(1)
    density = open_run(fitted_run(folder)).table.density
    frame = pl.concat([rows_of_visits(2500, 60 + k) for k in range(8)])
    x_0, fits = encoded(density.numbers(frame), density.table_)
    start = density.fitted_.closed_form
    in_memory = maximised(LearningRows.of(x_0, fits), Batch.of([start]), fits, rounds=5).law

    def statistics(law):
        each = (
            expected(LearningRows.of(part, fits), Batch(law, 1), fits) for part in x_0.split(2500)
        )
        return [(sums, float(log_p), 2500) for sums, log_p in each]

    in_parts, _ = refined(start, fits, statistics, rounds=5, enough=-np.inf)
    worst = (in_parts.log_prob(x_0) - in_memory.log_prob(x_0)).abs().max()
    told(rows=len(x_0), rounds=5, parts=8, largest_difference_of_log_p=float(worst))
    source, out = folder / "fit-rows", folder / "fitted"
    shutil.rmtree(out, ignore_errors=True)
    if not source.exists():
        source.mkdir()
        for k in range(files):
            rows_of_visits(rows, 200 + k).write_parquet(source / f"part-{k:03}.parquet")
    begun = time.process_time()
    found = fit_directory(source, out, sample=4000, rounds=8, id=["id"])
    told(
        rows=found.rows,
        rounds=len(found.log_prob),
        gain_nats=round(found.gain, 4),
        stderr=round(found.stderr, 4),
        cpu_seconds=round(time.process_time() - begun, 1),
    )


def serve(folder: Path, clients: int, seconds: float) -> None:
    """Many clients on loopback, each with one request at a time; then SIGTERM under load."""
    run = fitted_run(folder)
    process = command("serve", run, "--port", 0)
    url = process.stdout.readline().split()[2].rstrip(";")
    rows = rows_of_visits(1000, 77).drop("id").to_dicts()
    found = asyncio.run(asked_by(url, rows, clients, seconds, process))
    status = process.wait(60)
    told(**found, exit_status_after_sigterm=status)


class Connection:
    """A client with one connection, which is kept: less work for each request than a library's
    client has, so that the service is measured and not its clients."""

    def __init__(self, url: str) -> None:
        self.host, _, port = url.rpartition("/")[2].partition(":")
        self.port = int(port)
        self.ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, dict[str, str]]:
        """The status and the headers of an answer."""
        if self.ends is None:
            self.ends = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.ends
        head = f"POST /score HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            writer.close()
            self.ends = None
        return int(lines[0].split()[1]), headers


async def asked_by(
    url: str, rows: list[dict], clients: int, seconds: float, process: subprocess.Popen
) -> dict:
    spent: list[float] = []
    counts: dict[str, int] = {}
    memory: list[int] = []
    ends = time.monotonic() + seconds
    each = [Connection(url) for _ in range(clients)]

    async def client(number: int, connection: Connection) -> None:
        first = (number * 37) % 990
        body = json.dumps({"rows": rows[first : first + 10]}).encode()
        while time.monotonic() < ends:
            begun = time.monotonic()
            try:
                status, headers = await asyncio.wait_for(connection.ask(body), 60)
                kind = str(status)
                if status == 429:
                    await asyncio.sleep(float(headers["retry-after"]))
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                kind, connection.ends = type(error).__name__, None
            counts[kind] = counts.get(kind, 0) + 1
            spent.append(time.monotonic() - begun)

    async def watch() -> None:
        while time.monotonic() < ends:
            text = Path(f"/proc/{process.pid}/status").read_text()
            memory.append(int(text.partition("VmRSS:")[2].split()[0]) // 1024)
            await asyncio.sleep(1)

    begun = cpu_seconds(process)
    await asyncio.gather(watch(), *(client(k, one) for k, one in enumerate(each)))
    cpu = cpu_seconds(process) - begun
    # These are on their way when the service is told to stop.
    body = json.dumps({"rows": rows[:10]}).encode()
    last = [asyncio.create_task(one.ask(body)) for one in each]
    await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    ended = await asyncio.gather(*last, return_exceptions=True)
    answered_last = sum(isinstance(one, tuple) and one[0] == 200 for one in ended)
    times = np.sort(spent)
    return {
        "clients": clients,
        "seconds": seconds,
        "answers": counts,
        "requests_a_second": round(len(times) / seconds, 1),
        "cpu_ms_a_request": round(1000 * cpu / len(times), 2),
        "p50_ms": round(1000 * float(np.quantile(times, 0.5))),
        "p99_ms": round(1000 * float(np.quantile(times, 0.99))),
        "slowest_ms": round(1000 * float(times[-1])),
        "megabytes_first": memory[0],
        "megabytes_most": max(memory),
        "answered_after_sigterm": f"{answered_last} of {len(each)}",
        "load": os.getloadavg()[0],
    }


def cpu_seconds(process: subprocess.Popen) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["rates", "rate", "directory", "growth", "serve", "fit"])
    parser.add_argument("--folder", type=Path, default=Path("build/scale"))
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--on", choices=["ray", "local"], default="ray")
    parser.add_argument("--speed-up", action="store_true", help="of `directory`: nothing else")
    parser.add_argument("--model", choices=list(RATES))
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.part == "directory":
        directory(asked.folder, asked.files, asked.rows, asked.on, asked.speed_up)
    elif asked.part == "growth":
        growth(asked.folder)
    elif asked.part == "rates":
        rates(asked.folder)
    elif asked.part == "rate":
        rate(asked.folder, asked.model)
    elif asked.part == "fit":
        fit(asked.folder, asked.files, asked.rows)
    else:
        serve(asked.folder, asked.clients, asked.seconds)
    if asked.part == "directory":
        told(peak_megabytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
