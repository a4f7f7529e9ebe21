"""A run that is killed and resumed is the run that was not, bit for bit."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import quasistatic as qs
from quasistatic._utils import files
from quasistatic.training import checkpoints, loop, train_state

FILES = ("config.json", "metrics.jsonl", "model.safetensors")

COMMAND = """
import os, sys, time, torch
import quasistatic as qs

torch.set_num_threads(1)


class Paced(qs.Bound):
    # A step takes 3 ms or more, so that the kills land in the training of a fast machine too.
    started = False

    def __call__(self, model, raw, rng):
        if not self.started:
            print("training", flush=True)
        Paced.started = True
        time.sleep(0.003)
        return super().__call__(model, raw, rng)


def train(folder):
    x = qs.data.swiss_roll(500, 0.3)
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(20, 4.0, -6.0))
    network = qs.networks.MLP(2, 16, 1, dropout=0.1)
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), network)
    qs.fit(
        model, x[:400], x[400:], objective=Paced(), run=folder,
        steps=600, batch=48, lr=1e-2, validations=9, ema=0.98, save_every=0.01,
    )


if len(sys.argv) > 1:
    train(sys.argv[1])
import torch._dynamo  # the optimiser imports it at its first step: for seconds, in every child

for folder in sys.stdin:  # one process for each line; to import once saves the most of a minute
    if child := os.fork():
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        train(folder.strip())
        os._exit(0)
"""


def contents(folder: Path) -> dict[str, bytes]:
    """What a finished run leaves; nothing else may lie beside it but how fast it was."""
    assert sorted(os.listdir(folder)) == sorted([*FILES, "speed.json"])
    return {name: (folder / name).read_bytes() for name in FILES}


def python(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors


def test_a_run_killed_ten_times_is_the_run_left_alone(tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    undisturbed, many = python(alone), python()
    chance = random.Random(0)
    delays = [chance.uniform(0.0, 0.3) for _ in range(10)]
    assert sum(delays) < 600 * 0.003  # none of them comes after the end
    reached = []
    for seconds in delays:
        many.stdin.write(f"{killed}\n")
        many.stdin.flush()
        child = int(many.stdout.readline())
        assert many.stdout.readline() == "training\n"
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        assert many.stdout.readline() == f"{-signal.SIGKILL}\n"
        checkpoint = killed / "checkpoint.safetensors"
        if checkpoint.exists():
            reached.append(files.load_tensors(checkpoint)[1]["step"])
    finish(many)
    assert reached == sorted(reached)
    assert len(set(reached)) >= 3, f"the kills left checkpoints at {reached} only"
    finish(python(killed))
    finish(undisturbed)
    assert contents(killed) == contents(alone)
    # Equal files hold a run: validations of weights that moved, the best of them late.
    records = [json.loads(line) for line in (alone / "metrics.jsonl").read_text().splitlines()]
    scores = [record["valid_bits_per_dim"] for record in records]
    assert [record["step"] for record in records] == [66 * i for i in range(1, 10)] + [600]
    assert len(set(scores)) == 10
    assert files.load_tensors(alone / "model.safetensors")[1]["best_step"] > 300


WORSENING = {"steps": 400, "validations": 100, "lr": 1.0, "clip": 100.0}
"""Training that finds its best weights early and then spoils them."""


class Stop(Exception):
    """What an impatient user does."""


def train(folder: Path, show=None, **changes) -> qs.Diffusion:
    """The same small command each time, with dropout, validation and a mean of the weights."""
    x = qs.data.heartbeat(60, length=6, period=3, seed=1)
    torch.manual_seed(5)
    kernel = qs.BinomialKernel(qs.schedules.cosine(8))
    network = qs.networks.MLP(6, 16, 1, dropout=0.3)
    model = qs.Diffusion(qs.Binary(6), kernel, qs.Clean(), network)
    how = {"steps": 40, "batch": 16, "validations": 7, "evaluations": 3, "lr": 1e-2} | changes
    callbacks = [] if show is None else [show]
    qs.fit(model, x[:50], x[50:], run=folder, callbacks=callbacks, **how)
    return model


@pytest.fixture
def clock(monkeypatch):
    """A second passes each time somebody looks, so that `show` is called at every step."""
    ticks = itertools.count()
    watch = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr(loop, "time", watch)
    monkeypatch.setattr(checkpoints, "time", watch)


def after(calls: int):
    """A `show` that raises when it has been called so often, unless the run is at its end."""
    left = itertools.count(calls - 1, -1)

    def show(now: train_state.Progress) -> None:
        if next(left) <= 0 and now.step < now.steps:
            raise Stop

    return show


@pytest.mark.parametrize("save_every", [0.0, 17.0])
def test_a_run_interrupted_at_any_steps_is_the_run_left_alone(tmp_path, clock, save_every):
    train(tmp_path / "alone")
    expected = contents(tmp_path / "alone")
    chance = random.Random(1)
    for case in range(6):
        folder, interrupts = tmp_path / str(case), []
        while not (folder / "model.safetensors").exists():
            calls = chance.randrange(1, 40)
            try:
                train(folder, after(calls), save_every=save_every)
            except Stop:
                interrupts.append(calls)
        assert contents(folder) == expected, f"interrupted after {interrupts} steps"


def test_a_run_interrupted_at_any_write_is_the_run_left_alone(tmp_path, clock, monkeypatch):
    """Each rename of the whole run fails once, before it or after it."""
    calls, replace = itertools.count(), os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (next(calls), replace(a, b))[1])
    train(tmp_path / "alone")
    expected = contents(tmp_path / "alone")
    writes = next(calls)
    assert writes > 6
    for at, done in itertools.product(range(writes), (False, True)):
        left = itertools.count()

        def interrupted(source, target, at=at, done=done, left=left):
            now = next(left) == at
            if done or not now:
                replace(source, target)
            if now:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupted)
        folder = tmp_path / f"{at}-{done}"
        with pytest.raises(KeyboardInterrupt):
            train(folder)
        assert not list(folder.glob(".*")), "an interrupt leaves nothing half-written"
        monkeypatch.setattr(os, "replace", replace)
        train(folder)
        assert contents(folder) == expected, f"interrupted at write {at}"


def test_what_a_killed_write_left_behind_is_swept_and_hinders_nothing(tmp_path):
    train(tmp_path / "alone")
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / ".config.json.abc.part").write_bytes(b"{")  # killed before it held a run at all
    train(folder)
    assert contents(folder) == contents(tmp_path / "alone")


def test_a_finished_run_stays_as_it_is(tmp_path):
    first = train(tmp_path, **WORSENING)
    expected = contents(tmp_path)
    facts = files.load_tensors(tmp_path / "model.safetensors")[1]
    assert 0 < facts["best_step"] < facts["step"]
    forbidden = lambda now: pytest.fail("a finished run took a step")  # noqa: E731
    again = train(tmp_path, show=forbidden, **WORSENING)
    assert contents(tmp_path) == expected
    for name, tensor in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_patience_that_ran_out_stays_out(tmp_path, monkeypatch, clock):
    """Killed between the checkpoint that ended a run and its last file, it does not go on."""
    changes = WORSENING | {"patience": 2}
    train(tmp_path / "alone", **changes)
    expected = contents(tmp_path / "alone")
    steps = files.load_tensors(tmp_path / "alone" / "model.safetensors")[1]["step"]
    assert steps < 400

    def dies(*arguments):
        raise Stop

    folder = tmp_path / "killed"
    monkeypatch.setattr(checkpoints.Folder, "due", lambda self, now, every: True)
    with monkeypatch.context() as closing:
        closing.setattr(checkpoints.Folder, "close", dies)
        with pytest.raises(Stop):
            train(folder, **changes)
    train(folder, **changes)
    assert contents(folder) == expected


def test_patience_is_not_renewed_by_an_interrupt(tmp_path, clock):
    changes = WORSENING | {"patience": 6}
    train(tmp_path / "alone", **changes)
    expected = contents(tmp_path / "alone")
    for calls in (13, 17):  # fewer steps than its patience covers, so that some fall within it
        folder = tmp_path / str(calls)
        for _ in range(100):
            try:
                train(folder, after(calls), save_every=0.0, **changes)
                break
            except Stop:
                continue
        assert contents(folder) == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"lr": 0.02}, "fit"), ({"seed": 1}, "fit"), ({"steps": 41}, "fit")],
)
def test_a_folder_with_another_run_is_refused(tmp_path, changes, named):
    train(tmp_path)
    expected = contents(tmp_path)
    with pytest.raises(ValueError, match=f"holds a run with another {named}: train into another"):
        train(tmp_path, **changes)
    assert contents(tmp_path) == expected


def small(width: int = 8) -> qs.Diffusion:
    kernel = qs.BinomialKernel(qs.schedules.cosine(8))
    return qs.Diffusion(qs.Binary(3), kernel, qs.Clean(), qs.networks.MLP(3, width, 1))


BITS = torch.tensor([[0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])


def test_other_data_other_objective_or_other_network_is_another_run(tmp_path):
    qs.fit(small(), BITS, run=tmp_path, steps=3)
    with pytest.raises(ValueError, match="another data"):
        qs.fit(small(), 1 - BITS, run=tmp_path, steps=3)
    with pytest.raises(ValueError, match="another objective"):
        qs.fit(small(), BITS, objective=qs.Simple(), run=tmp_path, steps=3)
    with pytest.raises(ValueError, match="another model"):
        qs.fit(small(9), BITS, run=tmp_path, steps=3)
    qs.fit(small(), BITS, run=tmp_path, steps=3, save_every=0.5)  # this alone changes no result


def test_how_often_it_is_saved_is_not_part_of_a_run(tmp_path):
    train(tmp_path / "a", save_every=0.0)
    train(tmp_path / "b", save_every=1000.0)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not empty and holds no run: choose another folder"):
        qs.fit(small(), BITS, run=tmp_path, steps=3)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_damage_is_named(tmp_path, clock):
    with pytest.raises(Stop):
        train(tmp_path, after(30))
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
        train(tmp_path)
    checkpoint.write_bytes(whole)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        train(tmp_path)


class Custom(torch.nn.Module):
    """A network with a frozen weight, one that nothing uses, and two that are one."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
        self.idle = torch.nn.Linear(2, 2)
        self.read_in, self.middle = torch.nn.Linear(4, width), torch.nn.Linear(width, width)
        self.tied, self.out = torch.nn.Linear(width, width), torch.nn.Linear(width, 3)
        self.tied.weight = self.middle.weight

    def forward(self, x, time):
        h = self.read_in(torch.cat([x * self.frozen, time[:, None]], 1)).tanh()
        return self.out(self.tied(self.middle(h).tanh()).tanh())[..., None]


def test_frozen_idle_and_tied_weights_are_resumed_too(tmp_path, clock):
    def fit(folder, show=None, width=8):
        torch.manual_seed(3)
        kernel = qs.BinomialKernel(qs.schedules.cosine(8))
        model = qs.Diffusion(qs.Binary(3), kernel, qs.Clean(), Custom(width))
        callbacks = [] if show is None else [show]
        qs.fit(model, BITS, run=folder, callbacks=callbacks, steps=30, lr=1e-2, save_every=0.0)

    fit(tmp_path / "alone")
    with pytest.raises(Stop):
        fit(tmp_path / "killed", after(20))
    # A network that is only named cannot be told by its description: by its weights it can.
    with pytest.raises(ValueError, match="are those of another network"):
        fit(tmp_path / "killed", width=9)
    fit(tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "alone")
