"""Models that come with the library load, score what is written of them, and are found by name."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from quasistatic import cli
from quasistatic._utils.files import load_tensors
from quasistatic.recipes.pretrained import LIMIT, WEIGHTS, load_pretrained, locate, pack, pretrained
from quasistatic.recipes.runs import open_run

pytestmark = pytest.mark.usefixtures("float32")

every_name = pytest.mark.parametrize("name", pretrained())


def test_the_digits_come_with_the_library():
    assert "digits" in qs.pretrained()
    assert qs.load_pretrained("digits").space == qs.Quantized(64, 17, spread=2.0)


def test_the_digits_score_what_is_written_of_them():
    """On the recipe's test rows, which training has not seen."""
    text = (WEIGHTS / "README.md").read_text()
    digits = text[text.index("\n## digits\n") :]
    written, error = map(float, re.search(r"\| (\d\.\d+) ± (\d\.\d+) bits per", digits).groups())
    x = qs.data.split(qs.data.digits(), valid=0.1, test=0.2).test
    assert len(x) == 359
    rng = torch.Generator().manual_seed(0)
    score = load_pretrained("digits").score(x, 24, rng=rng)
    # The same rows: what is left is the noise of 24 terms for each of them, not their spread.
    assert abs(score.bits_per_dim.mean() - written) < score.stderr(score.bits_per_dim)
    assert error < 0.02
    assert written < 2.05  # what the recipe should reach


@every_name
def test_every_model_is_small_and_its_log_is_there(name):
    assert (WEIGHTS / name / "model.safetensors").stat().st_size < LIMIT
    text = (WEIGHTS / "README.md").read_text()
    assert f"\n## {name}\n" in text
    opened = open_run(WEIGHTS / name)
    assert opened.recipe is not None
    assert opened.metrics[-1]["step"] <= opened.recipe.fit.steps


@every_name
def test_every_model_answers_in_float32(name):
    model = load_pretrained(name)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    drawn = model.sample(2, 5, torch.Generator().manual_seed(0))
    assert model.space.check(drawn).isfinite().all()
    assert model.score(drawn, 2).bits_per_dim.isfinite().all()


def test_an_unknown_name_is_answered_by_those_that_there_are():
    with pytest.raises(ValueError, match=r"'digit': did you mean digits\? \(known: .*digits"):
        load_pretrained("digit")
    with pytest.raises(FileNotFoundError, match=r"no folder digit, .* did you mean digits\?"):
        locate("digit")


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("digits") == WEIGHTS / "digits"
    (tmp_path / "digits").mkdir()
    assert locate("digits") == Path("digits")


def test_commands_take_a_name_and_leave_the_library_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in WEIGHTS.rglob("*")}
    cli.main(["sample", "digits", "--n", "3", "--times", "5"])
    drawn = np.load(tmp_path / "digits-samples.npy")
    np.save("x.npy", drawn)
    np.save("mask.npy", drawn > 8)
    cli.main(["complete", "digits", "--data", "x.npy", "--mask", "mask.npy", "--times", "5"])
    capsys.readouterr()
    cli.main(["score", "digits", "--data", "x.npy", "--evaluations", "2", "--json"])
    assert json.loads(capsys.readouterr().out)["examples"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits-completed.npy",
        "digits-samples.npy",
        "mask.npy",
        "x.npy",
    ]
    assert {path: path.stat().st_mtime_ns for path in WEIGHTS.rglob("*")} == before


def small_run(folder: Path) -> Path:
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(10))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Clean(), qs.networks.MLP(2, 8, 1))
    qs.fit(model, torch.randn(50, 2).numpy(), run=folder, steps=2)
    return folder


def test_packing_halves_the_weights_and_keeps_what_they_are(tmp_path):
    run = small_run(tmp_path / "run")
    size = pack(run, tmp_path / "packed")
    assert size == (tmp_path / "packed" / "model.safetensors").stat().st_size
    assert size < 0.7 * (run / "model.safetensors").stat().st_size
    before, facts = load_tensors(run / "model.safetensors")
    after, same = load_tensors(tmp_path / "packed" / "model.safetensors")
    assert facts == same
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor.half())
    loaded = qs.load(tmp_path / "packed").state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert open_run(tmp_path / "packed").metrics == open_run(run).metrics


def test_what_would_lose_its_values_or_is_too_large_is_not_packed(tmp_path, monkeypatch):
    run = small_run(tmp_path / "run")
    broken = Path(shutil.copytree(run, tmp_path / "broken"))
    model = qs.load(run)
    with torch.no_grad():
        model.network.read_out.bias.fill_(1e5)
    model.save(broken)
    with pytest.raises(ValueError, match=r"read_out.bias of .* beyond the range of float16"):
        pack(broken, tmp_path / "packed")
    monkeypatch.setitem(pack.__globals__, "LIMIT", 100)  # the room has its function's name
    with pytest.raises(ValueError, match="more than the 100 that may come with the library"):
        pack(run, tmp_path / "packed")
    with pytest.raises(FileNotFoundError, match=r"no file .*no.model\.safetensors"):
        pack(tmp_path / "no", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
