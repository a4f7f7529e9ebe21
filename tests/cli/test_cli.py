"""Every command, in this process: what it prints, what it writes, and what it says of mistakes."""

import json
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import quasistatic as qs
from conftest import default_dtype
from quasistatic import cli
from quasistatic._utils.references import PAPERS
from quasistatic.recipes import RECIPES
from quasistatic.training import loop as training

pytestmark = pytest.mark.usefixtures("float32")

SMALL = ["--steps", "20", "--width", "16", "--fit.steps", "20", "--fit.validations", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "heartbeat"
    with default_dtype(torch.float32):
        cli.main(["train", "heartbeat", "--out", str(folder), *SMALL])
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of a trained run that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "heartbeat"))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, and what it holds."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def heartbeats(n: int, path: Path) -> np.ndarray:
    x = qs.data.heartbeat(n, seed=7)
    np.save(path, x)
    return x


# train


def test_training_again_changes_nothing_and_takes_no_step(run, say, monkeypatch):
    before = tree(run)
    assert sorted(before) == ["config.json", "metrics.jsonl", "model.safetensors", "speed.json"]
    monkeypatch.setattr(training.Trainer, "step", lambda self: pytest.fail("it took a step"))
    said = say("train", "heartbeat", "--out", run, *SMALL)
    records = [json.loads(line) for line in before["metrics.jsonl"].decode().splitlines()]
    assert [record["step"] for record in records] == [10, 20]
    assert said["latest"] == records[-1]
    assert (said["run"], said["steps"]) == (str(run), 20)
    assert said["best_step"] == min(records, key=lambda r: r["valid_bits_per_dim"])["step"]
    assert tree(run) == before


def test_training_that_was_interrupted_goes_on_by_the_same_command(run, tmp_path, monkeypatch):
    again, step = tmp_path / "again", training.Trainer.step

    def interrupted(loop):
        if loop.state.step == 13:
            raise KeyboardInterrupt
        step(loop)

    words = ["train", "heartbeat", "--out", str(again), *SMALL, "--fit.save-every"]
    monkeypatch.setattr(training.Trainer, "step", interrupted)
    with pytest.raises(SystemExit) as stopped:
        cli.main([*words, "0"])
    assert stopped.value.code == 130
    assert "model.safetensors" not in os.listdir(again)
    monkeypatch.setattr(training.Trainer, "step", step)
    cli.main([*words, "30"])  # how often it is saved may change
    timeless = [{k: v for k, v in tree(f).items() if k != "speed.json"} for f in (again, run)]
    assert timeless[0] == timeless[1]


def test_a_recipe_override_reaches_the_model(run):
    stored = json.loads((run / "config.json").read_text())
    assert stored["model"]["network"]["width"] == 16
    assert stored["model"]["kernel"]["schedule"]["arguments"] == {"steps": 20}
    assert (stored["recipe"]["steps"], stored["recipe"]["fit"]["steps"]) == (20, 20)
    assert stored["recipe"]["mean"] == 0.2  # what was not overridden stays


def test_the_default_folder_is_the_recipe_by_name(tmp_path, monkeypatch, say):
    monkeypatch.chdir(tmp_path)
    assert say("train", "heartbeat", "--dry-run")["run"] == "runs/heartbeat"
    assert os.listdir(tmp_path) == []


def test_a_dry_run_trains_nothing_and_writes_nothing(tmp_path, monkeypatch, say):
    monkeypatch.chdir(tmp_path)
    trains = "quasistatic.recipes.runs.train"
    monkeypatch.setattr(trains, lambda *_: pytest.fail("a dry run trained"))
    said = say("train", "heartbeat", "--dry-run", *SMALL)
    network = qs.networks.MLP(20, 16, 3)
    assert said["weights"] == sum(weight.numel() for weight in network.parameters())
    assert (said["fit"]["steps"], said["fit"]["batch"]) == (20, 256)
    assert said["model"]["network"]["is"] == "MLP"
    assert os.listdir(tmp_path) == []


def test_a_dry_run_says_where_the_recipe_should_get(capsys, tmp_path):
    cli.main(["train", "heartbeat", "--dry-run", "--out", str(tmp_path / "x"), *SMALL])
    out = " ".join(re.sub("[│┃]", " ", capsys.readouterr().out).split())
    assert "K of at least -2.335 bits a sequence" in out
    assert str(tmp_path.name) in out or "folder" in out
    assert not (tmp_path / "x").exists()


def test_a_folder_that_holds_another_run_is_refused(run, refused):
    before = tree(run)
    said = refused("train", "heartbeat", "--out", run, *SMALL, "--fit.lr", "0.1")
    assert "holds a run with another fit and recipe" in said
    assert "train into another folder" in said
    said = refused("train", "swiss-roll", "--out", run, "--steps", "20", "--fit.steps", "20")
    assert "holds a run with another model" in said
    assert tree(run) == before


# sample


def test_a_sample_is_that_of_the_library(run, say, tmp_path):
    said = say("sample", run, "--n", "5", "--seed", "3")
    assert (said["samples"], said["shape"]) == (str(run / "samples.npy"), [5, 20])
    drawn = qs.load(run).sample(5, rng=torch.Generator().manual_seed(3)).numpy()
    assert np.array_equal(np.load(run / "samples.npy"), drawn)
    say("sample", run, "--n", "5", "--seed", "4", "--out", tmp_path / "other.npy")
    assert not np.array_equal(np.load(tmp_path / "other.npy"), drawn)


def test_a_sample_by_a_stepper_is_that_of_the_library(run, say):
    said = say("sample", run, "--n", 3, "--stepper", "ddim", "--steps", 4, "--seed", 0)
    drawn = qs.load(run).sample(3, 4, 0, stepper=qs.sampling.DDIM())
    assert np.array_equal(np.load(said["samples"]), drawn.numpy())


def test_a_sample_along_fewer_times_is_that_of_the_library(run, say):
    say("sample", run, "--n", "3", "--times", "4")
    drawn = qs.load(run).sample(3, 4, torch.Generator().manual_seed(0)).numpy()
    assert np.array_equal(np.load(run / "samples.npy"), drawn)


# score


def test_the_score_of_the_runs_own_rows_adds_up(run, say, tmp_path):
    said = say("score", run, "--evaluations", "4", "--out", tmp_path / "K.npy")
    each = np.load(tmp_path / "K.npy")
    assert said["examples"] == len(each) == 2000
    assert said["nats"] == pytest.approx(each.mean(), rel=1e-5)
    assert said["bits"] == pytest.approx(said["nats"] / np.log(2), rel=1e-5)
    assert said["bits_per_dim"] == pytest.approx(-said["bits"] / 20, rel=1e-5)
    assert sum(said["terms_bits"].values()) == pytest.approx(said["bits"], rel=1e-5)
    # Five sequences of equal probability; pi gives a sequence 0.2^4 0.8^16.
    truth, null = np.log2(1 / 5), 4 * np.log2(0.2) + 16 * np.log2(0.8)
    assert said["others"]["truth"][0] == pytest.approx(-truth / 20)
    assert said["gap_to_truth_bits"] == pytest.approx(truth - said["bits"], rel=1e-5)
    assert said["above_null_bits"] == pytest.approx(said["bits"] - null, rel=1e-5)


def test_the_score_of_a_file_is_that_of_the_library(run, say, tmp_path):
    x = heartbeats(6, tmp_path / "x.npy")
    said = say("score", run, "--data", tmp_path / "x.npy", "--out", tmp_path / "K.npy")
    score = qs.load(run).score(x, rng=torch.Generator().manual_seed(0))
    assert np.array_equal(np.load(tmp_path / "K.npy"), score.nats.numpy())
    assert said["nats"] == score.nats.mean().item()
    assert said["bits_per_dim"] == score.bits_per_dim.mean().item()
    assert (said["examples"], said["evaluations"]) == (6, 20)  # every one of the 20 terms


def test_a_table_names_the_units(run, capsys, tmp_path):
    heartbeats(6, tmp_path / "x.npy")
    cli.main(["score", str(run), "--data", str(tmp_path / "x.npy")])
    out = capsys.readouterr().out
    for unit in ("nats", "bits", "bits per dimension"):
        assert re.search(rf"{unit} +│ +-?\d+\.\d{{4}} │ +\d\.\d{{4}}", out), unit


# complete


def test_half_of_the_runs_own_rows_is_hidden_and_drawn(run, say):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = say("complete", run, "--rows", "3", "--draws", "4", "--particles", "8")
    assert said["shape"] == [3, 4, 20]
    drawn = np.load(said["completed"])
    seen = qs.data.heartbeat(2000, seed=2)[:3, :10]  # the recipe's test rows
    assert (drawn[:, :, :10] == seen[:, None]).all()
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert (drawn[:, :, 10:].std(1) > 0).any()
    assert len(said["log_evidence"]) == 3
    assert max(said["log_evidence"]) < 0  # of bits, it is a probability


def test_nan_in_a_file_is_what_is_missing(run, say, tmp_path):
    x = heartbeats(2, tmp_path / "x.npy")
    hidden = np.zeros(x.shape, bool)
    hidden[0, 3:7] = hidden[1, 12:] = True
    np.save(tmp_path / "x.npy", np.where(hidden, np.nan, x))
    words = ["--draws", "3", "--particles", "8", "--seed", "5"]
    by_nan = say("complete", run, "--data", tmp_path / "x.npy", *words)
    drawn = np.load(by_nan["completed"])
    for each in drawn.transpose(1, 0, 2):
        assert np.array_equal(each[~hidden], x[~hidden])
    # A mask of the same places is the same question.
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "mask.npy", hidden)
    out = tmp_path / "by_mask.npy"
    more = ["--data", tmp_path / "x.npy", "--mask", tmp_path / "mask.npy", "--out", out]
    by_mask = say("complete", run, *more, *words)
    assert np.array_equal(np.load(out), drawn)
    assert by_mask["log_evidence"] == by_nan["log_evidence"]


def test_known_nan_wrong_masks_and_other_data_are_refused_and_nothing_is_written(
    run, refused, tmp_path
):
    x = heartbeats(2, tmp_path / "x.npy")
    before = tree(run)
    np.save(tmp_path / "mask.npy", np.ones((2, 19), bool))
    data = ["--data", tmp_path / "x.npy"]
    said = refused("complete", run, *data, "--mask", tmp_path / "mask.npy")
    assert "the mask must have the shape of x, (2, 20), got (2, 19)" in said
    np.save(tmp_path / "mask.npy", np.ones((1, 20), bool))
    said = refused("complete", run, *data, "--mask", tmp_path / "mask.npy")
    assert "the mask must have the shape of x, (2, 20), got (1, 20)" in said
    np.save(tmp_path / "holes.npy", np.where(x == 1, np.nan, x))
    np.save(tmp_path / "mask.npy", np.zeros((2, 20), bool))
    more = ["--data", tmp_path / "holes.npy", "--mask", tmp_path / "mask.npy"]
    assert "x holds nan at (0, " in refused("complete", run, *more)
    np.save(tmp_path / "x.npy", 3 * x)
    assert "whole numbers from 0 to 1, got 3 at (0, " in refused("complete", run, *data)
    assert "--draws must be 1 or more, got 0" in refused("complete", run, "--draws", "0")
    assert tree(run) == before


# report, demo and cite


def test_a_report_names_the_model_and_needs_nothing_else(run, say):
    said = say("report", run, "--evaluations", "4")
    assert said["report"] == str(run / "report.html")
    page = (run / "report.html").read_text()
    assert "Heartbeat" in page
    assert "SD15 D.1.2" in page
    assert "K of at least -2.335 bits a sequence" in page
    assert page.count("<img") >= 3
    assert not re.search(r'src="(?!data:)', page)
    assert not re.search(r'href="http', page)


def test_schedules_are_compared_and_drawn(say, tmp_path, capsys):
    names = ("linear", "cosine", "linear_log_snr:7,-7")
    said = say("schedule", *names, "--law", "bit", "--out", tmp_path / "s.png")
    assert list(said["schedules"]) == list(names)
    assert said["law"] == "x_0 a fair bit, binomial kernel"
    for name, each in said["schedules"].items():
        last = each["places"][-1]
        assert last["t"] == 1000
        taken = each["bits_left_at_1"] - each["bits_left_at_T"]
        assert last["bits_lost_since_1"] == pytest.approx(taken), name
    assert said["schedules"]["linear"]["places"][-1]["alpha_bar"] == pytest.approx(4.036e-5, 1e-3)
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert said["picture"] == str(tmp_path / "s.png")


def test_without_names_the_three_of_the_textbook_are_compared(capsys):
    """Which loses more early and which late: its first exercise, and its last."""
    cli.main(["schedule"])
    out = " ".join(capsys.readouterr().out.split())
    for name in ("linear", "cosine", "quadratic"):
        assert f"{name} ┏" in out
    assert "linear loses most in the first third of the chain (95.8%)" in out
    assert "cosine most in the last (2.8%)" in out
    cli.main(["schedule", "linear", "--steps", "40"])
    assert "loses most" not in capsys.readouterr().out


def test_cite_lists_every_paper_and_one_by_its_key(capsys, refused):
    cli.main(["cite"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(PAPERS)
    cli.main(["cite", "SD15", "--bibtex"])
    entry = capsys.readouterr().out
    assert entry.startswith("@inproceedings{SD15,\n")
    assert "  eprint = {1503.03585},\n" in entry
    assert "did you mean DDPM" in refused("cite", "DDPN")


def test_help_names_every_command_and_every_recipe(capsys):
    cli.main([])
    out = capsys.readouterr().out
    for name in (*cli.COMMANDS, *RECIPES):
        assert re.search(rf"\b{name}\b", out), name
    cli.main(["--version"])
    assert capsys.readouterr().out == f"{qs.__version__}\n"


# mistakes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "there is no command 'trian': did you mean train?"),
        (["train", "heartbeet"], "there is no recipe 'heartbeet': did you mean heartbeat?"),
        (["train", "swiss"], "latent-bark, mnist, swiss-roll, swiss-roll-modern)"),
        (["train", "heartbeat", "--widht", "3"], "--width INT"),
        (["train", "heartbeat", "--fit.stpes", "3"], "--fit.steps INT"),
        (["train", "heartbeat", "--fit.steps", "0"], "steps must be 1 or more, got 0"),
        (["train", "heartbeat", "--steps", "1"], "needs at least 2 steps, got steps = 1"),
        (["train", "heartbeat", "--width", "wide"], "--width"),
        (["sample"], "A run folder, or the name of a pretrained model. (required)"),
        (["report"], "name at least one run folder"),
        (["schedule", "cosin"], "there is no schedule 'cosin': did you mean cosine?"),
        (["schedule", "--steps", "1"], "steps must be a whole number from 2 to 1,000,000, got 1"),
    ],
)
def test_a_mistake_is_answered_by_what_was_meant(words, said, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(*words)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("verb", ["sample", "score", "complete", "report"])
def test_a_missing_run_is_named(verb, refused, tmp_path):
    assert f"there is no folder {tmp_path / 'no'}" in refused(verb, tmp_path / "no")
    (tmp_path / "empty").mkdir()
    said = refused(verb, tmp_path / "empty")
    assert "holds no config.json: it is not a run" in said


def test_an_unfinished_run_is_no_model_yet(run, refused):
    (run / "model.safetensors").unlink()
    said = refused("sample", run)
    assert "holds an unfinished run: the command that started it resumes it" in said


def test_truncated_weights_are_named_and_nothing_is_written(run, refused):
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    before = tree(run)
    for verb in ("sample", "score", "complete", "report"):
        said = refused(verb, run)
        assert f"{weights} is damaged or no safetensors file" in said
        assert "train again or restore a copy" in said
    assert tree(run) == before


def test_another_format_is_named(run, refused):
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    said = refused("score", run)
    assert "has format 99, and this version of quasistatic reads 1" in said


def test_a_damaged_config_is_named(run, refused):
    (run / "config.json").write_text('{"format": 1')
    assert f"{run / 'config.json'} is damaged" in refused("score", run)


def test_files_that_are_no_arrays_are_named(run, refused, tmp_path):
    path = tmp_path / "x.npy"
    words = ("score", run, "--data", path)
    assert f"there is no file {path}" in refused(*words)
    path.write_text("1, 0, 1")
    assert f"{path} is no NumPy array (.npy or .npz)" in refused(*words)
    np.save(path, np.array(["yes", "no"]))
    assert "it holds no real numbers but <U3: save numbers alone" in refused(*words)
    np.savez(tmp_path / "many.npz", a=np.zeros(2), b=np.zeros(2))
    said = refused("score", run, "--data", tmp_path / "many.npz")
    assert "it holds 2 arrays: save one alone with numpy.save" in said
    np.save(path, np.zeros((0, 20)))
    assert "its array has shape (0, 20), and no values" in refused(*words)
    np.save(path, np.zeros((2, 4, 5)))
    assert "x must have shape (examples, 20), got (2, 4, 5)" in refused(*words)


def test_a_run_without_a_recipe_asks_for_data(refused, say, tmp_path):
    x = heartbeats(30, tmp_path / "x.npy")
    kernel = qs.BinomialKernel(qs.schedules.cosine(5))
    model = qs.Diffusion(qs.Binary(20), kernel, qs.Clean(), qs.networks.MLP(20, 8, 1))
    qs.fit(model, x, run=tmp_path / "own", steps=2)
    said = refused("score", tmp_path / "own")
    assert "was not trained from a recipe and holds no data: give the data as a file" in said
    said = say("score", tmp_path / "own", "--data", tmp_path / "x.npy")
    assert said["examples"] == 30


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["--method", "importance", "--paths", "2", "--times", "5"], "tighter with every path"),
        (["--evaluations", "all", "--times", "6"], "a lower bound"),
        (["--stderr", "0.05"], "a lower bound"),
    ],
    ids=["importance", "all", "stderr"],
)
def test_score_says_what_its_number_is_and_what_it_cost(run, words, about, capsys):
    cli.main(["score", str(run), *words])
    said = capsys.readouterr().out
    assert about in said
    assert "network evaluations an example" in said


def test_a_distilled_run_draws_and_scores_in_few_evaluations(say, tmp_path, refused):
    small = ("--steps", 2, "--updates", 2, "--batch", 16, "--trajectories", 8)
    said = say("distill", "digits", *small, "-o", tmp_path / "few")
    assert said["evaluations"] == [1, 2]
    assert said["density"]
    few = ("--n", 3, "-o", tmp_path / "x.npy")
    say("sample", tmp_path / "few", "--stepper", "flow-map", "--steps", 2, *few)
    assert np.load(tmp_path / "x.npy").shape == (3, 64)
    assert "trained for walks of 1, 2 evaluations, got 3" in refused(
        "sample", tmp_path / "few", "--stepper", "flow-map", "--steps", 3, *few
    )
    assert "MLP has no flow map" in refused("sample", "digits", "--stepper", "flow-map", *few)
    np.save(tmp_path / "data.npy", np.load(tmp_path / "x.npy"))
    told = say("score", tmp_path / "few", "--data", tmp_path / "data.npy", "--method", "flow-map")
    assert told["evaluations"] == 3
    assert "give 1, 2, 4, 8" in refused("distill", "digits", "--steps", 3, "-o", tmp_path / "no")


def test_a_grid_is_measured_once_and_walked_by_every_verb(run, say, tmp_path, refused):
    assert "`quasistatic grid" in refused("sample", run, "--path", "5")
    said = say("grid", run, "--steps", "3", "5", "--candidates", "12", "--examples", "20")
    assert {len(path) for path in said["paths"].values()} == {3, 5}
    drawn = say("sample", run, "--path", "5", "--n", "3", "--out", tmp_path / "x.npy")
    assert drawn["shape"] == [3, 20]
    scored = say("score", run, "--path", "3", "--evaluations", "all")
    assert scored["evaluations"] == 3
    say("complete", run, "--path", "3", "--rows", "1", "--draws", "1", "--out", tmp_path / "y.npy")
    assert "keeps paths of 3, 5 steps, and 7" in refused("score", run, "--path", "7")
    assert "give one of them" in refused("sample", run, "--path", "5", "--times", "5")


def test_a_run_is_looked_into(run, say, tmp_path):
    said = say("sandwich", run, "--n", "40", "--times", "10", "--paths", "2")
    assert said["lower"] < said["upper"] + 4 * said["gap_stderr"]
    said = say("budget", run, "--times", "10", "--examples", "20", "--out", tmp_path / "b.png")
    assert said["ceiling"] >= said["reached"]
    assert (tmp_path / "b.png").stat().st_size > 10_000
    assert say("check", run)["passed"]


def test_methods_refuse_what_they_cannot_do(run, refused):
    assert "score by the bound" in refused("score", run, "--method", "flow")
    importance = refused("score", run, "--method", "importance", "--evaluations", "3")
    assert "has a cost of its own" in importance


def test_compress_and_decompress(run, say, refused, tmp_path):
    x = (np.arange(20) % 5 == np.arange(40)[:, None] % 5).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    target = tmp_path / "x.qs"
    told = say("compress", run, tmp_path / "x.npy", "-o", target, "--times", 5)
    assert told["bytes"] == target.stat().st_size
    assert told["examples"] == 40
    again = say("decompress", run, target, "-o", tmp_path / "y.npy")
    assert again["shape"] == [40, 20]
    assert np.array_equal(np.load(tmp_path / "y.npy"), x)
    assert "no stream" in refused("decompress", run, tmp_path / "x.npy")
    assert "no file" in refused("decompress", run, tmp_path / "z.qs")
    told = say("compress", run, tmp_path / "x.npy", "-o", target, "--layers", 4)
    whole = target.read_bytes()
    target.write_bytes(whole[: len(whole) - 40])
    again = say("decompress", run, target, "-o", tmp_path / "y.npy")
    assert again["t"] > 0
    target.write_bytes(whole)
    assert say("decompress", run, target, "-o", tmp_path / "y.npy")["t"] == 0
    assert np.array_equal(np.load(tmp_path / "y.npy"), x)


def test_compress_takes_the_run_s_test_data(run, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = say("compress", run, "--times", 3, "--no-verify")
    assert told["out"] == "test.npy.qs"
    assert told["net_bits_per_dim"] <= told["bits_per_dim"]


@pytest.mark.parametrize("verb", ["score", "outliers", "impute"])
@pytest.mark.parametrize("words", [["FILE"], ["--data", "FILE"], ["--data=FILE"]])
def test_the_data_of_a_command_have_a_position_or_a_name(verb, words):
    from quasistatic.cli import verbs
    from quasistatic.cli.arguments import given, parse, with_data

    command = getattr(verbs, verb.capitalize())
    asked = given(parse(command, verb, with_data(command, ["RUN", *words, "--device", "cpu"])))
    assert (str(asked["run"]), asked["data"]) == ("RUN", "FILE")
