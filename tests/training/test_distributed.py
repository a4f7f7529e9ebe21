"""Two real processes do what one does by itself."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import quasistatic as qs
from quasistatic import cli
from quasistatic._utils import files

FILES = ("config.json", "metrics.jsonl", "model.safetensors")
HOW = {"steps": 20, "batch": 9, "lr": 1e-2, "validations": 4, "ema": 0.9, "evaluations": 2}
HOW |= {"save_every": 0.0}


COMMAND = """
import os, pathlib, sys, torch
import torch._dynamo  # the optimiser imports it at its first step: once for both, before they part
sys.path.insert(0, {tests!r})
import test_distributed

torch.set_default_dtype(torch.float64)
child = os.fork()
os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if child else "1"
test_distributed.both(pathlib.Path({folder!r}))
"""


class Stop(Exception):
    """What an impatient user does."""


def data(seed: int = 0, n: int = 300) -> np.ndarray:
    return qs.data.heartbeat(n, length=6, period=3, seed=seed)


def chain(seed: int = 5) -> qs.Diffusion:
    torch.manual_seed(seed)
    kernel = qs.BinomialKernel(qs.schedules.cosine(8))
    network = qs.networks.MLP(6, 12, 1, dropout=0.3)
    return qs.Diffusion(qs.Binary(6), kernel, qs.Clean(), network)


class Breaks(qs.Bound):
    """A loss that is infinite on some rows, from a step on."""

    def __init__(self, row: np.ndarray) -> None:
        self.row, self.calls = torch.as_tensor(row), 0

    def __call__(self, model, raw, rng):
        self.calls += 1
        losses = super().__call__(model, raw, rng)
        bad = (raw == self.row).all(1) & (self.calls > 2)
        return torch.where(bad, torch.inf, losses)


def gradient(model: torch.nn.Module, x: object, **changes) -> dict[str, torch.Tensor]:
    """The gradients of the first step, clipped to nothing else than themselves."""
    found: dict[str, torch.Tensor] = {}

    class Once(Exception):
        pass

    def keep(optimizer, args, kwargs):
        named = model.named_parameters()
        found.update({n: w.grad.clone() for n, w in named if w.grad is not None})
        raise Once

    hook = register_optimizer_step_pre_hook(keep)
    try:
        qs.fit(model, x, clip=1e9, **(HOW | changes))
    except Once:
        pass
    finally:
        hook.remove()
    return found


class Partly(torch.nn.Module):
    """A network with weights that only some rows reach, and some that none does."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.rarely = torch.nn.Linear(6, 6), torch.nn.Linear(6, 6)
        self.never = torch.nn.Linear(2, 2)

    def forward(self, x, time):
        y = self.always(x)
        rare = x[:, 0] > 0
        if rare.any():
            y = y.index_add(0, rare.nonzero()[:, 0], self.rarely(x[rare]))
        return y[..., None]


def partly() -> qs.Diffusion:
    torch.manual_seed(1)
    kernel = qs.BinomialKernel(qs.schedules.cosine(8))
    return qs.Diffusion(qs.Binary(6), kernel, qs.Clean(), Partly())


def both(folder: Path) -> None:
    """What each of two processes does; what it saw goes to a file of its own."""
    rank = int(os.environ["RANK"])
    said = {}
    tensors = {f"gradient.{k}": v for k, v in gradient(chain(), data()).items()}
    tensors |= {f"partly.{k}": v for k, v in gradient(partly(), data(), batch=2).items()}
    # Weights that differ at the start become those of the first process.
    model = chain(seed=5 + rank)
    shown: list[int] = []
    show = lambda now: shown.append(now.step)  # noqa: E731
    run = qs.fit(model, data(), data(1, 700), run=folder / "alone", callbacks=[show], **HOW)
    tensors |= {f"trained.{k}": v for k, v in model.state_dict().items()}
    said |= {"shown": len(shown), "metrics": run.metrics, "speed": run.speed["processes"]}
    worse = {"steps": 60, "validations": 30, "lr": 1.0, "clip": 100.0, "patience": 2}
    said["stopped"] = qs.fit(chain(), data(), data(1), **(HOW | worse)).step
    # A folder that one process began goes on.
    qs.fit(chain(), data(), data(1, 700), run=folder / "one-two", **HOW)
    for name, attempt in {
        "broken": lambda: qs.fit(chain(), data(), objective=Breaks(data()[0]), **HOW),
        "other data": lambda: qs.fit(chain(), data(rank), **HOW),
        "other run": lambda: qs.fit(chain(), data(2), run=folder / "alone", **HOW),
    }.items():
        try:
            attempt()
        except (ValueError, qs.NonFiniteLoss) as error:
            said[name] = f"{type(error).__name__}: {error}"
    files.save_tensors(folder / f"rank-{rank}.safetensors", tensors, said)

    def leave(now):
        if now.step >= 11:
            os._exit(0)

    qs.fit(chain(), data(), data(1, 700), run=folder / "two-one", callbacks=[leave], **HOW)


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """A folder in which two processes have done their part."""
    folder = tmp_path_factory.mktemp("pair")

    def stop(now):
        if now.step == 7:
            raise Stop

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    ticks, how = iter(range(10**6)), HOW | {"accumulate": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quasistatic.training.loop.time.monotonic", lambda: float(next(ticks)))
        with pytest.raises(Stop):
            qs.fit(chain(), data(), data(1, 700), run=folder / "one-two", callbacks=[stop], **how)
    torch.set_default_dtype(before)
    assert (folder / "one-two" / "checkpoint.safetensors").exists()
    code = COMMAND.format(tests=str(Path(__file__).parent), folder=str(folder))
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port())}
    shared |= {"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | shared,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return folder


def seen(pair: Path, rank: int) -> tuple[dict[str, torch.Tensor], dict]:
    return files.load_tensors(pair / f"rank-{rank}.safetensors")


def part(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def alone(folder: Path | None = None, **changes) -> tuple[qs.Diffusion, list]:
    model = chain()
    how = HOW | {"accumulate": 2} | changes
    run = qs.fit(model, data(), data(1, 700), run=folder, **how)
    return model, run.metrics


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    assert a.keys() == b.keys()
    return all(torch.allclose(a[k], b[k], rtol=1e-10, atol=1e-13) for k in a)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_gradient_of_two_processes_is_that_of_one(pair, rank):
    got = part(seen(pair, rank)[0], "gradient")
    expected = gradient(chain(), data(), accumulate=2)
    assert close(got, expected)
    # It is the whole batch's: another one than that of either part, or of no part at all.
    assert not close(got, gradient(chain(), data()))


@pytest.mark.parametrize("rank", [0, 1])
def test_weights_that_one_process_alone_reaches_are_no_obstacle(pair, rank):
    got = part(seen(pair, rank)[0], "partly")
    assert close(got, gradient(partly(), data(), batch=2, accumulate=2))
    assert not any("never" in name for name in got)


def test_two_processes_end_with_the_weights_of_one(pair):
    model, metrics = alone()
    for rank in range(2):
        tensors, said = seen(pair, rank)
        assert close(part(tensors, "trained"), model.state_dict())
        for got, expected in zip(said["metrics"], metrics, strict=True):
            assert got == pytest.approx(expected, rel=1e-9)
        assert said["speed"] == 2
    assert "valid_bits_per_dim" in metrics[0]


def test_one_process_writes_and_shows(pair):
    assert seen(pair, 0)[1]["shown"] > 0
    assert seen(pair, 1)[1]["shown"] == 0
    assert sorted(os.listdir(pair / "alone")) == sorted([*FILES, "speed.json"])
    stored = files.load_tensors(pair / "alone" / "model.safetensors")[0]
    assert close(stored, part(seen(pair, 1)[0], "trained"))


def test_all_stop_early_at_the_same_step(pair):
    steps = [seen(pair, rank)[1]["stopped"] for rank in range(2)]
    assert steps[0] == steps[1] < 60


@pytest.mark.parametrize("name", ["one-two", "two-one"])
def test_a_run_goes_on_with_another_number_of_processes(pair, name):
    """Begun by one process and ended by two, or the other way round, it is the run left alone."""
    if name == "two-one":
        facts = files.load_tensors(pair / name / "checkpoint.safetensors")[1]
        assert 0 < facts["step"] < 20
        with pytest.raises(ValueError, match="a run with 2 parts a step"):
            alone(pair / name, accumulate=1)
        alone(pair / name)
    expected = files.load_tensors(pair / "alone" / "model.safetensors")
    got = files.load_tensors(pair / name / "model.safetensors")
    assert close(got[0], expected[0])
    assert got[1] == expected[1]
    configs = [(pair / folder / "config.json").read_text() for folder in (name, "alone")]
    assert configs[0] == configs[1]


def test_what_one_process_cannot_do_stops_all_with_the_same_message(pair):
    first, second = (seen(pair, rank)[1] for rank in range(2))
    for name, said in {
        "broken": r"NonFiniteLoss: the loss is inf at step",
        "other data": "ValueError: process 1 has other data than process 0",
        "other run": f"ValueError: {pair / 'alone'} holds a run with another data",
    }.items():
        assert first[name].startswith(said)
        assert first[name] == second[name]


def test_the_command_line_trains_over_two_processes(tmp_path):
    """`accelerate launch` of a recipe, against the same by one process in two parts."""
    words = ["train", "heartbeat", "--out", str(tmp_path / "two"), "--json", "--steps", "50"]
    words += ["--width", "8", "--fit.steps", "4", "--fit.batch", "16", "--fit.validations", "2"]
    launch = [
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--num_cpu_threads_per_process", "1", "--main_process_port", str(port())]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "-m", "quasistatic", *words],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # one process speaks
    assert said["speed"]["processes"] == 2
    assert (said["run"], said["steps"]) == (str(tmp_path / "two"), 4)
    words[3:5] = [str(tmp_path / "one"), "--fit.accumulate=2"]
    with torch.random.fork_rng():
        torch.set_default_dtype(torch.float32)
        cli.main(words)
    a, b = (files.load_tensors(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    assert all(torch.allclose(a[k], b[k], rtol=1e-5, atol=1e-6) for k in a)
    configs = [(tmp_path / name / "config.json").read_text() for name in ("one", "two")]
    assert configs[0] == configs[1]
