"""A campaign of faults: killed runs, full disks, damaged files, forged streams, wrong arguments.

    python benchmarks/faults.py [--minutes 5] [--only kills streams ...] [--seed 0] [--each]

Each kind has a share of the time (and what it takes to prepare), fixed seeds, and one process at a
time. A fault is
survived if nothing is lost and nothing is misstated:

- kills: a training run, killed with SIGKILL at random moments and resumed, ends in the bytes of
  the run that was left alone;
- disks: a file that may not grow any more (RLIMIT_FSIZE) or whose disk is full at its fsync or
  its rename: an OSError, the earlier files are intact, and nothing half-written stays;
- folders: a file of a run, a model or a table that is altered, cut, emptied or gone: the same
  answer as before, or an error that this library raises; weights that were altered never load;
- streams: a flipped bit is refused, and a forged header with a right checksum ends in a StreamError
  or in the values that were written, within 5 s;
- files: NumPy and CSV files, cut or altered: an array or a table, or an error of this library;
- tables: large and odd tables, each once: a fit, or an error of this library, within 30 s of CPU
  time and 8 GiB;
- arguments: wrong arguments of the verbs: an answer, or an error of this library (not of PyTorch or
  NumPy beneath) within 20 s of CPU time.

Prints tried, survived and failed for each kind, names each failure, keeps
benchmarks/results/faults.json, and exits with 1 if anything failed.
"""

import argparse
import contextlib
import errno
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

import quasistatic as qs
from quasistatic.coding.header import MAGIC
from quasistatic.data.numpy_files import read_numpy
from quasistatic.diagnostics.oracles import HeartbeatOracle

RESULTS = Path(__file__).parent / "results" / "faults.json"
OURS = str(Path(qs.__file__).parent)
CLEAR = (ValueError, TypeError, OSError)
"""What an error of this library is one of."""


@dataclass
class Tally:
    """The outcome of one kind of fault."""

    tried: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, what: str, problem: str | None) -> None:
        """Counts a fault, and the problem that it led to."""
        self.tried += 1
        if problem is not None:
            self.failures.append(f"{what}: {problem}")


class TooLong(BaseException):
    """A call that does not end."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Within the block, a call that takes more CPU time ends in :class:`TooLong`."""

    def ring(signum: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


Faults = Iterator[tuple[str, str | None]]
"""Faults, each with a name and the problem that it led to; None if it was survived."""


def problem_of(error: BaseException) -> str | None:
    """None for an error that this library raises; else where the error comes from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    # The estimators' checks of parameters and arrays are scikit-learn's, as their users expect.
    checked = last.filename.startswith(OURS) or "/sklearn/utils/" in last.filename
    if isinstance(error, CLEAR) and checked and str(error):
        return None
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__} from {where}: {str(error)[:160]!r}"


def outcome(call: Callable[[], object]) -> tuple[object, str | None]:
    """What a call returns, or the problem with the error that it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(), None
    except TooLong as error:
        return None, f"it did not end in time: {traceback.extract_tb(error.__traceback__)[-1]}"
    except Exception as error:
        return None, problem_of(error)


# Kills and full disks.


class Paced(qs.Bound):
    """A step takes a millisecond or more, so that kills land in the training."""

    def __call__(self, model, raw, rng):
        time.sleep(0.001)
        return super().__call__(model, raw, rng)


def train(folder: Path, steps: int = 300) -> None:
    x = qs.data.swiss_roll(300, 0.3)
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(20, 4.0, -6.0))
    network = qs.networks.MLP(2, 16, 1, dropout=0.1)
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), network)
    how = {"steps": steps, "batch": 32, "lr": 1e-2, "validations": 5, "ema": 0.98}
    qs.fit(model, x[:240], x[240:], objective=Paced(), run=folder, save_every=0.01, **how)


def child(work: Callable[[], object]) -> int:
    """Runs work in a forked process; its id."""
    if process := os.fork():
        return process
    code = 1
    with contextlib.suppress(BaseException):
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        work()
        code = 0
    os._exit(code)


def wait(process: int) -> int:
    """The exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a finished run, without that of its speed."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    found.pop("speed.json", None)
    return found


def kills(chance: random.Random, place: Path) -> Faults:
    import torch._dynamo  # noqa: F401 - the optimiser imports it, for seconds in each child

    started = time.monotonic()
    assert wait(child(lambda: train(place / "alone"))) == 0
    whole, expected, number = time.monotonic() - started, contents(place / "alone"), 0
    while True:
        folder, times = place / f"killed {number}", 0
        number += 1
        while times < 6:
            process = child(lambda folder=folder: train(folder))
            time.sleep(chance.uniform(0, whole / 2))
            os.kill(process, signal.SIGKILL)
            times += 1
            if wait(process) == 0:
                break
        finished = wait(child(lambda folder=folder: train(folder)))
        same = finished == 0 and contents(folder) == expected
        yield f"{times} kills of run {number}", None if same else "another result, or none"
        shutil.rmtree(folder, ignore_errors=True)


def disks(chance: random.Random, place: Path) -> Faults:
    def limited(size: int, work: Callable[[], object]) -> int:
        def run() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then ends in an OSError
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            try:
                work()
            except OSError as error:
                os._exit(7 if problem_of(error) is None else 8)

        return wait(child(run))

    def failing(name: str, work: Callable[[], object]) -> int:
        def run() -> None:
            real, left = getattr(os, name), chance.randrange(4)

            def call(*words):
                nonlocal left
                left -= 1
                if left < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(*words)

            setattr(os, name, call)
            try:
                work()
            except OSError as error:
                os._exit(7 if problem_of(error) is None else 8)

        return wait(child(run))

    assert wait(child(lambda: train(place / "alone", 60))) == 0
    expected, number = contents(place / "alone"), 0
    model = qs.load(place / "alone")
    model.save(place / "model")
    before = contents(place / "model")
    while True:
        number += 1
        run = place / f"run {number}"
        trains = chance.random() < 0.5
        work = partial(train, run, 60) if trains else partial(model.save, place / "model", n=number)
        if chance.random() < 0.5:
            how = f"files of at most {(size := int(10 ** chance.uniform(1, 4)))} bytes"
            code = limited(size, work)
        else:
            how = f"a full disk at {(name := chance.choice(['fsync', 'replace', 'chmod']))}"
            code = failing(name, work)
        problem = None if code in (0, 7) else f"it ended with {code}, not with an OSError of ours"
        parts = [path.name for path in place.rglob("*.part")]
        if parts:
            problem = f"left half-written: {parts}"
        if run.exists():
            if wait(child(lambda: train(run, 60))) or contents(run) != expected:  # noqa: B023
                problem = "the run does not resume to the same result"
            shutil.rmtree(run)
        elif outcome(lambda: qs.load(place / "model"))[1]:
            problem = "the model saved before is lost"
        elif contents(place / "model")["config.json"] != before["config.json"]:
            problem = "the config saved before is lost"
        yield how, problem


# Damaged files.


def damaged(data: bytes, chance: random.Random) -> tuple[str, bytes | None]:
    """The bytes of a file after a fault; None if the file is gone."""
    way = chance.choice(["bit", "bit", "bit", "cut", "empty", "gone", "junk", "text"])
    if way == "bit" and data:
        altered = bytearray(data)
        altered[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return "a flipped bit", bytes(altered)
    if way == "cut" and data:
        return "cut short", data[: chance.randrange(len(data))]
    if way == "gone":
        return "gone", None
    if way == "junk":
        return "junk", chance.randbytes(100)
    if way == "text":
        texts = ["{", "[]", "{}", "null", '{"format": 1, "model": {}}', '"a"', "[" * 10_000]
        return "other text", chance.choice(texts).encode()
    return "empty", b""


def folders(chance: random.Random, place: Path) -> Faults:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=150), "b": rng.integers(0, 9, 150)})
    frame["c"] = rng.choice(["u", "v"], 150)
    frame.to_csv(place / "t.csv", index=False)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        qs.opened.fit(place / "t.csv", out=place / "table", steps=0)
    train(place / "run", 60)
    outliers = qs.DiffusionOutliers(steps=0).fit(frame[["a", "b"]].to_numpy(float))
    outliers.save(place / "outliers")
    rows = frame[["a", "b"]].to_numpy(float)[:9]
    answers: dict[str, Callable[[Path], object]] = {
        "table": lambda folder: qs.open(folder).score(place / "t.csv").facts["nats"],
        "run": lambda folder: (
            qs.open(folder).model.score(torch.zeros(3, 2), 4, rng=0).nats.tolist()
        ),
        "outliers": lambda folder: qs.DiffusionOutliers.load(folder).predict(rows).tolist(),
    }
    expected = {name: answer(place / name) for name, answer in answers.items()}
    while True:
        name = chance.choice(sorted(answers))
        shutil.copytree(place / name, place / "copy")
        path = chance.choice(sorted(p for p in (place / "copy").iterdir() if p.is_file()))
        how, data = damaged(original := path.read_bytes(), chance)
        path.unlink() if data is None else path.write_bytes(data)
        found, problem = outcome(lambda: answers[name](place / "copy"))  # noqa: B023
        weights = path.suffix == ".safetensors" and data is not None and data != original
        if weights and found is not None:
            problem = "altered weights were loaded"
        # A digit of a JSON file may be another digit: the answer is then that of another model.
        if found is not None and path.suffix != ".json" and found != expected[name]:
            problem = "another answer and no error"
        yield f"{path.name} of a {name}: {how}", problem
        shutil.rmtree(place / "copy")


ODD = [
    *(0, -1, 1, 2, 2**31, 2**32, 2**63, 10**8, 10**30, 1e308, math.nan, math.inf, 0.5, None, True),
    *("", "a", "zz" * 200, [], [[]], {}, {"a": 1}, [0], [1, 2], [-1] * 9, ["a"], [10**8]),
    *([2**40, 2**40], "<f8", "|O", "<U9", "V8", ">i4", "layers", "examples", "0" * 16),
]
"""What a field of a header is made to say."""


def streams(chance: random.Random, place: Path) -> Faults:
    kernel = qs.BinomialKernel(qs.schedules.erase_evenly(12), mean=0.2)
    model = qs.Diffusion(**HeartbeatOracle(20, 5).parts(kernel))
    x = ((np.arange(20) + np.arange(60)[:, None] * 3) % 5 == 0).astype(np.uint8)
    codec, layered = (
        qs.Codec(model, 6, block=25, workers=1, verify=False),
        qs.LayeredCodec(model, 4),
    )
    rows = {"examples": x, "layers": x[:10]}
    written = {"examples": codec.compress(x), "layers": layered.compress(x[:10])}

    def read(name: str, data: bytes) -> np.ndarray:
        if name == "layers":
            return layered.decompress(data, anyway=True).array
        return codec.decompress(data, anyway=True)

    while True:
        name = chance.choice(sorted(written))
        data, flipped = written[name], chance.random() < 0.5
        if flipped:
            altered = bytearray(data)
            altered[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            what, forged = f"a flipped bit of {name}", bytes(altered)
        else:
            what, forged = forge(name, data, chance)
        started = time.process_time()
        try:
            found = read(name, forged)
            same = np.array_equal(found, rows[name])
            problem = None if same and not flipped else "read, without an error"
        except qs.StreamError:
            problem = None
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:100]}"
        if time.process_time() - started > 5:
            problem = "it took more than 5 s"
        yield what, problem


def forge(name: str, data: bytes, chance: random.Random) -> tuple[str, bytes]:
    """A stream with wrong fields of its header, and a right checksum."""
    _, version, length = struct.unpack_from("<8sHI", data)
    facts, rest = json.loads(zlib.decompress(data[14 : 14 + length])), data[18 + length :]
    fields = chance.sample(sorted(facts), chance.choice([1, 1, 1, 2, 3]))
    for each in fields:
        if chance.random() < 0.1:
            del facts[each]
        else:
            facts[each] = chance.choice(ODD)
    text = zlib.compress(json.dumps(facts).encode())
    start = struct.pack("<8sHI", MAGIC, version, len(text)) + text
    return f"{name} with forged {fields}", start + struct.pack("<I", zlib.crc32(start)) + rest


def tables_and_arrays(chance: random.Random, place: Path) -> Faults:
    from quasistatic.data.table_files import open_table

    x, sources = np.arange(24.0).reshape(6, 4), {}
    for name, save in (("x.npy", np.save), ("x.npz", np.savez), ("y.npz", np.savez_compressed)):
        save(place / name, x)
        sources[name] = (place / name).read_bytes()
    sources["t.csv"] = b"a,b,c\n" + b"".join(b"%d,%d.5,x%d\n" % (i, i, i % 3) for i in range(30))
    sources["t.tsv"] = sources["t.csv"].replace(b",", b"\t")
    while True:
        name = chance.choice(sorted(sources))
        how, data = damaged(sources[name], chance)
        path = place / name
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        read = read_numpy if name[-4:] in (".npy", ".npz") else open_table
        started = time.process_time()
        _, problem = outcome(lambda: read(path))  # noqa: B023
        if time.process_time() - started > 5:
            problem = "it took more than 5 s"
        yield f"{name}: {how}", problem


def odd_tables() -> dict[str, Callable[[BinaryIO], object]]:
    """Tables that are large or odd: what writes each."""

    def numbers(columns: int, rows: int) -> Callable[[BinaryIO], object]:
        def write(file: BinaryIO) -> None:
            values = np.random.default_rng(0).normal(size=(rows, columns))
            file.write(",".join(f"c{i}" for i in range(columns)).encode() + b"\n")
            np.savetxt(file, values, "%.3f", ",")

        return write

    def lines(head: bytes, row: bytes, times: int) -> Callable[[BinaryIO], object]:
        return lambda file: file.write(head + b"".join(row % (i, i % 7) for i in range(times)))

    return {
        "100,000 columns, 3 rows": numbers(100_000, 3),
        "10,000 columns, 60 rows": numbers(10_000, 60),
        "300 columns, 60 rows": numbers(300, 60),
        "100 MB of commas in a line": lambda file: file.write(b"," * 100_000_000),
        "100 MB of commas in 100,000 lines": lambda file: file.write(
            (b"," * 999 + b"\n") * 100_000
        ),
        "100 MB of quotes": lambda file: file.write(b'"' * 100_000_001),
        "integers beyond int64": lines(b"a,b\n", b"%d0000000000000000000000000,%d.5\n", 60),
        "NUL in cells": lines(b"a,b\n", b"%d.5,x\0%d\n", 60),
        "markup in names and cells": lines(b"[/b],[red]\n", b"%d.5,[bold]%d[/b]\n", 60),
        "a row of holes": lines(b"a,b\n,\n", b"%d.5,%d.25\n", 60),
        "holes alone": lambda file: file.write(b"a,b\n" + b",\n" * 60),
        "a cell of 20 MB": lambda file: file.write(
            b"a,b\n" + b"x" * 20_000_000 + b",1\n" + b"y,2\n" * 60
        ),
    }


def tables(chance: random.Random, place: Path) -> Faults:
    """Each table once: fitted without a network, scored and reported."""
    every = list(odd_tables().items())
    chance.shuffle(every)
    for number, (what, write) in enumerate(every):
        path = place / f"{number}.csv"
        with path.open("wb") as file:
            write(file)

        def work(path: Path = path, out: Path = place / f"{number}") -> None:
            resource.setrlimit(resource.RLIMIT_CPU, (30, 31))
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

            def use() -> None:
                qs.opened.fit(path, out=out, steps=0)
                qs.open(out).score(path)
                qs.open(out).report(data=path, out=out / "page.html")

            if (problem := outcome(use)[1]) is not None:
                (place / "problem").write_text(problem)
                os._exit(7)

        code = wait(child(work))
        problem = (place / "problem").read_text() if code == 7 else None
        if code not in (0, 7):
            problem = "more than 30 s" if code == -signal.SIGXCPU else f"ended with {code}"
        yield what, problem
        path.unlink()


# Wrong arguments.


def calls() -> dict[str, Callable[[], object]]:
    """Wrong calls, by what is wrong."""
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(12, 5.0, -5.0))

    def make() -> qs.Diffusion:
        network = qs.networks.MLP(4, 8, 1, outputs=5)
        return qs.Diffusion(qs.Quantized(4, 5), kernel, qs.Levels(), network)

    model, x = make(), torch.randint(5, (6, 4), generator=torch.Generator().manual_seed(0))
    bad_rows = {
        "another width": torch.zeros(3, 5),
        "no rows": torch.zeros(0, 4),
        "text": "abc",
        "names": np.array([["a"] * 4]),
        "objects": np.array([[object()] * 4]),
        "levels beyond": x + 9,
        "between levels": x + 0.5,
        "nan": x + math.nan,
        "infinity": x + math.inf,
        "complex": x + 1j,
        "one axis": torch.zeros(4),
        "none": None,
        "ragged": [[1, 2], [1]],
        "a dict": {"a": 1},
    }
    verbs: dict[str, Callable[[object], object]] = {
        "score": lambda v: model.score(v, 4, rng=0),
        "compress": lambda v: model.compress(v, 4),
        "complete": lambda v: model.complete(v, torch.ones(6, 4) > 0, 2, rng=0),
        "impute": lambda v: model.impute(v, 2, rng=0),
        "encode": lambda v: model.encode(v, 4, rng=0),
        "density fit": lambda v: qs.DiffusionDensity(steps=0).fit(v),
        "imputer fit": lambda v: qs.DiffusionImputer(steps=0).fit(v),
        "outliers fit": lambda v: qs.DiffusionOutliers(steps=0).fit(v),
        "fit": lambda v: qs.fit(make(), v, steps=2),
        "fit, valid": lambda v: qs.fit(make(), x, v, steps=2),
    }
    # Rows that an estimator or a verb can take after all.
    taken = {
        ("density fit", "nan"),
        ("imputer fit", "nan"),
    }
    found: dict[str, Callable[[], object]] = {}
    for verb, call in verbs.items():
        for what, value in bad_rows.items():
            if (verb, what) not in taken:
                found[f"{verb}({what})"] = lambda call=call, value=value: call(value)
    odd = (0, -1, 2.5, math.nan, math.inf, "3", None, (), [], {}, 10**30, True, object())
    numbers: dict[str, Callable[[object], object]] = {
        "sample(n)": lambda v: model.sample(v) if v != 10**30 else None,
        "sample(times)": lambda v: model.sample(1, v, rng=0),
        "sample(rng)": lambda v: model.sample(1, 2, v),
        "score(evaluations)": lambda v: model.score(x, v, rng=0),
        "score(stderr)": lambda v: model.score(x, stderr=v, most=4, rng=0),
        "score(method)": lambda v: model.score(x, method=v),
        "score(times)": lambda v: model.score(x, 2, v, rng=0),
        "complete(draws)": lambda v: model.complete(x, x > 2, v, 3, 0) if v != 10**30 else None,
        "SMC(particles)": lambda v: qs.SMC(particles=v),
        "SMC(repeats)": lambda v: qs.SMC(repeats=v),
        "Importance(paths)": lambda v: (
            model.score(x, method=qs.Importance(v)) if v != 10**30 else 0
        ),
        "MLP(width)": lambda v: qs.networks.MLP(4, v) if v != 10**30 else None,
        "MLP(depth)": lambda v: qs.networks.MLP(4, 8, v) if v != 10**30 else None,
        "Quantized(count)": lambda v: qs.Quantized(4, v),
        "Continuous(shape)": lambda v: qs.Continuous(v),
        "Continuous(scale)": lambda v: qs.Continuous(4, 0.0, v),
        "BinomialKernel(mean)": lambda v: qs.BinomialKernel(qs.schedules.cosine(9), mean=v),
        "cosine(steps)": lambda v: qs.schedules.cosine(v) if v != 10**30 else None,
        "Codec(block)": lambda v: qs.Codec(model, 4, block=v).compress(x.numpy()),
        "Codec(workers)": lambda v: qs.Codec(model, 4, workers=v) if v != 10**30 else None,
        "compress(times)": lambda v: model.compress(x, v),
        "decompress(data)": lambda v: model.decompress(v),
        "fit(steps)": lambda v: qs.fit(make(), x, steps=v) if v not in (10**30, None) else None,
        "fit(batch)": lambda v: qs.fit(make(), x, steps=1, batch=v),
        "fit(lr)": lambda v: qs.fit(make(), x, steps=1, lr=v),
        "fit(ema)": lambda v: qs.fit(make(), x, steps=1, ema=v),
        "load(folder)": lambda v: qs.load(v),
        "open(folder)": lambda v: qs.open(v),
        "load_pretrained(name)": lambda v: qs.load_pretrained(v),
        "Outliers(level)": lambda v: qs.DiffusionOutliers(level=v, steps=0).fit(x.numpy()),
        "Density(steps)": lambda v: (
            qs.DiffusionDensity(steps=v).fit(x.numpy()) if v not in (10**30, None) else None
        ),
        "Imputer(draws)": lambda v: qs.DiffusionImputer(draws=v, steps=0).fit(x.numpy()),
        "Diffusion(network)": lambda v: qs.Diffusion(model.space, kernel, qs.Levels(), v),
        "Diffusion(head)": lambda v: qs.Diffusion(model.space, kernel, v, model.network),
        "Diffusion(kernel)": lambda v: qs.Diffusion(model.space, v, qs.Levels(), model.network),
        "Diffusion(space)": lambda v: qs.Diffusion(v, kernel, qs.Levels(), model.network),
        "posterior(factor)": lambda v: model.posterior(v),
        "Linear(matrix)": lambda v: qs.Linear(v, [0.0], 1.0),
        "sandwich(n)": lambda v: model.sandwich(v, rng=0) if v != 10**30 else None,
    }
    for name, call in numbers.items():
        for value in odd:
            shown = type(value).__name__ if type(value) is object else repr(value)
            found[f"{name} = {shown}"] = lambda call=call, value=value: call(value)
    found["a network of another width"] = lambda: qs.Diffusion(
        qs.Quantized(4, 5), kernel, qs.Levels(), qs.networks.MLP(5, 8, 1, outputs=5)
    )
    found["decompress of another model"] = lambda: qs.Diffusion(
        qs.Quantized(4, 5), kernel, qs.Levels(), qs.networks.MLP(4, 9, 1, outputs=5)
    ).decompress(model.compress(x, 4))
    return found


def arguments(chance: random.Random, place: Path) -> Faults:
    """Each call once; one that returns counts as an answer."""
    os.chdir(place)
    every = list(calls().items())
    chance.shuffle(every)
    for what, call in every:
        with time_limit(20):
            _, problem = outcome(call)
        yield what, problem


KINDS: dict[str, tuple[Callable[[random.Random, Path], Faults], float]] = {
    "kills": (kills, 0.25),
    "disks": (disks, 0.15),
    "folders": (folders, 0.2),
    "streams": (streams, 0.15),
    "files": (tables_and_arrays, 0.1),
    "tables": (tables, 0.3),
    "arguments": (arguments, 0.15),
}
"""Each kind with its share of the time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--each", action="store_true", help="print every fault as it comes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    shares, found = sum(KINDS[name][1] for name in asked.only), {}
    print(f"{'':<12}{'tried':>8}{'survived':>10}{'failed':>8}", flush=True)
    for name in asked.only:
        faults, share = KINDS[name]
        tally, started = Tally(), math.inf
        with tempfile.TemporaryDirectory() as place:
            here = os.getcwd()
            for what, problem in faults(random.Random(asked.seed), Path(place).resolve()):
                tally.note(what, problem)
                if asked.each:
                    print(f"    {what}: {problem or 'survived'}", flush=True)
                started = min(started, time.monotonic())  # without what a kind prepares
                if time.monotonic() - started > 60 * asked.minutes * share / shares:
                    break
            os.chdir(here)
        failed = len(tally.failures)
        print(f"{name:<12}{tally.tried:8,}{tally.tried - failed:10,}{failed:8,}", flush=True)
        for failure in tally.failures[:40]:
            print(f"    {failure}", flush=True)
        found[name] = {
            "tried": tally.tried,
            "survived": tally.tried - failed,
            "failures": tally.failures,
        }
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    asked.results.write_text(json.dumps(found | {"seed": asked.seed}, indent=2) + "\n")
    sys.exit(any(kind["failures"] for kind in found.values()))


if __name__ == "__main__":
    main()
