"""Examples of arrays that are answered some at a time: the numbers are those of one piece, and a
command that was stopped goes on."""

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic.model import Model
from quasistatic.opened import example_stream, inference
from quasistatic.opened import open as open_run

ROWS = 23


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    made = qs.Diffusion(
        qs.Continuous(3),
        qs.GaussianKernel(qs.schedules.cosine(12)),
        qs.Noise(),
        qs.networks.MLP(3, width=8),
    )
    made.save(tmp_path / "run")
    return open_run(tmp_path / "run")


def rows():
    return np.random.default_rng(0).normal(size=(ROWS, 3))


class Stopped(Exception):
    pass


def stops_after(monkeypatch, pieces):
    """Stops the next stream after so many pieces are kept."""
    write, count = example_stream._write, 0

    def stopping(*args):
        nonlocal count
        write(*args)
        count += 1
        if count == pieces:
            raise Stopped

    monkeypatch.setattr(example_stream, "_write", stopping)
    return write


@pytest.mark.parametrize(
    "options",
    [
        {"evaluations": 3},
        {"evaluations": "all", "times": 5},
        {"method": "importance", "paths": 4},
        {"method": "flow", "times": 6},
    ],
)
def test_a_score_in_pieces_is_the_score_of_all(options, run, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "host_chunk_size", 8)
    piecewise = run.score(rows(), out=tmp_path / "s.npy", rng=3, **options)
    monkeypatch.setattr(inference.InferenceVerbs, "_stream", whole_stream)
    whole = run.score(rows(), out=tmp_path / "w.npy", rng=3, **options)
    assert np.array_equal(np.load(tmp_path / "s.npy"), np.load(tmp_path / "w.npy"))
    assert piecewise.facts == whole.facts


def whole_stream(self, verb, target, size, x, options):
    return example_stream.ExampleStream(verb, None, len(x), len(x), {}, self.display)


@pytest.mark.parametrize("verb", ["score", "complete"])
def test_a_stopped_command_goes_on_and_gives_the_same(verb, run, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "host_chunk_size", 8)
    monkeypatch.setattr(inference, "TOGETHER", 5)
    x = rows()
    options = {"evaluations": 3}
    if verb == "complete":
        x[::2, 1] = np.nan
        options = {"draws": 3, "particles": 4, "times": 4}
    answer = getattr(run, verb)
    answer(x, out=tmp_path / "whole.npy", rng=1, **options)
    write = stops_after(monkeypatch, 2)
    with pytest.raises(Stopped):
        answer(x, out=tmp_path / "cut.npy", rng=1, **options)
    assert (tmp_path / ".cut.npy.pieces").is_dir()
    assert not (tmp_path / "cut.npy").exists()
    monkeypatch.setattr(example_stream, "_write", write)
    said = []
    monkeypatch.setattr(run.display, "say", said.append)
    answer(x, out=tmp_path / "cut.npy", rng=1, **options)
    assert said == ["continues after 2 finished pieces"]
    assert (tmp_path / "cut.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not list(tmp_path.glob(".*.pieces"))


def test_other_options_start_afresh(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "host_chunk_size", 8)
    write = stops_after(monkeypatch, 1)
    with pytest.raises(Stopped):
        run.score(rows(), evaluations=3, out=tmp_path / "s.npy", rng=1)
    monkeypatch.setattr(example_stream, "_write", write)
    said = []
    monkeypatch.setattr(run.display, "say", said.append)
    run.score(rows(), evaluations=3, out=tmp_path / "s.npy", rng=2)
    assert said == ["starts afresh: the stopped run had other options or data"]
