"""A network in shards on two processes trains as on one, and resumes on another number."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic._utils import files
from quasistatic.training.distributed import Engine
from quasistatic.training.sharded import ShardedEngine

HOW = {"steps": 12, "batch": 8, "lr": 1e-2, "validations": 3, "ema": 0.9, "evaluations": 2}
HOW |= {"save_every": 0.0}

COMMAND = """
import os, pathlib, sys, torch
import torch._dynamo, torch.distributed.checkpoint  # once for both, before they part
sys.path.insert(0, {tests!r})
import test_sharded

torch.set_default_dtype(torch.float64)
child = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if child else "1"
test_sharded.both(pathlib.Path({folder!r}))
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def chain() -> qs.Diffusion:
    torch.manual_seed(5)
    kernel = qs.GaussianKernel(qs.schedules.cosine(20))
    return qs.Diffusion(qs.Continuous(6), kernel, qs.Noise(), qs.networks.MLP(6, 16, 2))


def data(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6)) @ np.triu(np.ones((6, 6)))


class Stop(Exception):
    """The run is stopped."""


def trained(folder: Path, engine: Engine, **how: int) -> None:
    """A run, which may be stopped."""
    with contextlib.suppress(Stop):
        qs.fit(
            chain(),
            data(60, 0),
            data(20, 1),
            run=folder,
            engine=engine,
            progress=False,
            **(HOW | how),
        )


def both(folder: Path) -> None:
    """What each of two processes does."""
    engine = ShardedEngine("cpu")
    assert engine.ranks == 2
    trained(folder / "two", engine)
    model = chain()
    engine.place(model)
    held = sum(w.to_local().numel() for w in model.network.parameters())
    (folder / f"held-{engine.rank}.json").write_text(json.dumps(held))
    trained(folder / "stopped", _Stopping("cpu"))
    trained(folder / "back", engine)


class _Stopping(ShardedEngine):
    """An engine on which each process stops after six steps."""

    taken = 0

    def clip(self, weights, most):
        self.taken += 1
        if self.taken > 6:
            raise Stop
        return super().clip(weights, most)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        trained(folder / "one", ShardedEngine("cpu"), accumulate=2)
        trained(folder / "plain", Engine("cpu"), accumulate=2)
        trained(folder / "back", _Stopping("cpu"), accumulate=2)
        line = COMMAND.format(tests=str(Path(__file__).parent), folder=str(folder))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        trained(folder / "stopped", ShardedEngine("cpu"), accumulate=2)
    finally:
        torch.set_default_dtype(before)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return files.load_tensors(folder / "model.safetensors")[0]


def assert_alike(one: Path, other: Path, atol: float) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=atol)


def test_one_process_is_the_plain_engine_bit_for_bit(folder):
    assert_alike(folder / "one", folder / "plain", 0.0)


def test_two_processes_under_fsdp_are_one(folder):
    assert_alike(folder / "two", folder / "one", 1e-10)
    assert not list((folder / "two").glob("*checkpoint*"))
    records = [
        json.loads((folder / name / "metrics.jsonl").read_text().splitlines()[-1])
        for name in ("two", "one")
    ]
    assert records[0] == pytest.approx(records[1], abs=1e-9)


def test_each_process_holds_half_of_the_network(folder):
    count = sum(w.numel() for w in chain().network.parameters())
    held = [json.loads((folder / f"held-{rank}.json").read_text()) for rank in (0, 1)]
    assert sum(held) == count
    assert max(held) < 0.7 * count


def test_shards_of_two_processes_are_resumed_by_one_and_of_one_by_two(folder):
    assert_alike(folder / "stopped", folder / "one", 1e-10)
    assert_alike(folder / "back", folder / "one", 1e-10)
