"""A folder that diffusers saved works wherever the command line takes a run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic import cli

FOLDER = Path(__file__).parent.parent / "fixtures" / "diffusers"


@pytest.fixture
def folder(tmp_path, float32, monkeypatch):
    """A copy of the stored pipeline; verbs write into it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "pipeline")
    np.save("x.npy", np.random.default_rng(0).integers(256, size=(3, 3, 8, 8), dtype=np.uint8))
    return tmp_path / "pipeline"


def test_verbs_on_the_folder(folder, say):
    model, x = qs.from_diffusers(folder), np.load("x.npy")
    found = say("score", "pipeline", "--data", "x.npy", "--times", 20, "--evaluations", "all")
    expected = model.score(x, None, times=20, rng=0)
    assert found["bits_per_dim"] == pytest.approx(expected.bits_per_dim.mean().item(), rel=1e-5)
    say("sample", "pipeline", "-n", 2, "--times", 20, "--out", "drawn.npy")
    assert torch.equal(torch.from_numpy(np.load("drawn.npy")), model.sample(2, 20, 0))
    say("compress", "pipeline", "x.npy", "--times", 10)
    say("decompress", "pipeline", "x.npy.qs", "-o", "again.npy")
    assert (np.load("again.npy") == x).all()


def test_converted_it_is_a_run(folder, say):
    said = say("convert", "pipeline", "-o", "run")
    assert said["run"] == "run"
    model, x = qs.from_diffusers(folder), np.load("x.npy")
    run = qs.load("run")
    assert run.describe() == model.describe()
    assert torch.equal(run.score(x, rng=0).nats, model.score(x, rng=0).nats)
    found = say("score", "run", "--data", "x.npy", "--times", 20)
    assert found == say("score", "pipeline", "--data", "x.npy", "--times", 20)


def test_another_size(folder, say):
    say("convert", "pipeline", "-o", "run", "--size", 12, 16)
    assert qs.load("run").space.shape == (3, 12, 16)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("convert", "pipeline", "-o", "pipeline/unet"), "holds a model already"),
        (("convert", "absent"), "no folder absent"),
        (("score", "pipeline"), "was not trained from a recipe"),
    ],
)
def test_what_is_refused(words, says, folder, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_load_names_the_function_that_opens_it(folder):
    with pytest.raises(ValueError, match="open it by from_diffusers"):
        qs.load(folder)
    assert "images" in repr(qs.open(folder))
