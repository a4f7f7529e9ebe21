"""Damaged files, odd cells, odd terminals and wrong numbers: each ends in a clear message."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic import cli
from quasistatic.recipes.runs import open_run
from quasistatic.training.checkpoints import Folder

pytestmark = pytest.mark.usefixtures("float32")

EARLIER = Path(__file__).parent.parent / "fixtures" / "runs_of_5a09a48"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """A fitted table, without a network."""
    folder, rng = tmp_path_factory.mktemp("faults"), np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "a": rng.normal(size=120),
            "b": rng.integers(0, 50, 120),
            "c": rng.choice(["x", "y", "[/b]"], 120),
        }
    )
    frame.write_csv(folder / "t.csv")
    cli.main(["fit", str(folder / "t.csv"), "-o", str(folder / "t"), "--steps", "0"])
    return folder / "t"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1, "model": {}}'])
@pytest.mark.parametrize("name", ["table.json", "config.json", "estimator.json"])
def test_a_damaged_file_of_a_table_is_named(name, content, table, tmp_path, refused):
    folder = Path(shutil.copytree(table, tmp_path / "t"))
    (folder / name).write_text(content)
    said = refused("score", folder, "--data", table.parent / "t.csv")
    assert f"{folder / name} is damaged" in said
    assert "fit again" in said or "train again" in said


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": 1, "model": {}}', '{"format": 1, "model": {"is": 3}}'],
)
def test_a_damaged_config_of_a_run_is_named(content, tmp_path, refused):
    folder = Path(shutil.copytree(EARLIER / "digits", tmp_path / "digits"))
    (folder / "config.json").write_text(content)
    said = refused("sample", folder)
    assert f"{folder / 'config.json'} is damaged" in said
    assert "train again" in said


def test_a_config_with_other_types_is_named(tmp_path, refused):
    folder = Path(shutil.copytree(EARLIER / "digits", tmp_path / "digits"))
    whole = json.loads((folder / "config.json").read_text())
    for part, value in (("space", 3), ("network", {"is": "MLP", "width": "wide"}), ("head", None)):
        stored = whole | {"model": whole["model"] | {part: value}}
        (folder / "config.json").write_text(json.dumps(stored))
        assert f"{folder / 'config.json'} is damaged" in refused("sample", folder)
    (folder / "config.json").write_text(json.dumps(whole | {"recipe": {"is": "Fit"}}))
    assert "its recipe is a Fit" in refused("sample", folder)


def test_a_damaged_log_stops_the_report_alone_and_names_the_line(tmp_path, refused, say):
    folder = Path(shutil.copytree(EARLIER / "digits", tmp_path / "digits"))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("{broken\n")
    assert say("sample", folder, "--n", 2, "--times", 3)["shape"] == [2, 64]
    said = refused("report", folder, "--evaluations", 1, "-o", tmp_path / "page.html")
    assert f"{folder / 'metrics.jsonl'} is damaged in line 3" in said


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", '"a"', "[" * 100_000),
        *('{"seconds_a_step": 3}', '{"seconds_a_step": {"float32": "x"}}', '{"arithmetic": []}'),
        *('{"device": 3}', '{"examples_per_second": "many"}'),
    ],
)
def test_a_damaged_file_of_speeds_is_named(content, tmp_path):
    model = qs.load(EARLIER / "digits")
    path = tmp_path / "speed.json"
    path.write_text(content)
    folder = Folder(tmp_path, model, {}, 1)
    with pytest.raises(
        ValueError, match=r"is damaged .*: delete it, and it is measured anew"
    ) as no:
        folder.speed()
    assert str(path) in str(no.value)
    path.unlink()
    assert folder.speed() == {}
    path.write_text('{"device": "cpu", "seconds_a_step": {"float32": 0.1, "bf16": null}}')
    assert folder.speed()["device"] == "cpu"


@pytest.mark.parametrize("line", ["", "{", "[]", "null", "3", '{"step": "a"}', "[" * 100_000])
def test_a_damaged_line_of_the_log_is_named(line, tmp_path):
    folder = Path(shutil.copytree(EARLIER / "digits", tmp_path / "digits"))
    path, run = folder / "metrics.jsonl", open_run(folder)
    assert len(run.metrics) == 2
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"is damaged in line 3 .*: delete that line") as error:
        assert run.metrics
    assert str(path) in str(error.value)


def test_a_damaged_log_does_not_block_resuming(tmp_path, say, monkeypatch):
    from quasistatic.training import loop

    small = ["--steps", "20", "--width", "8", "--fit.steps", "12", "--fit.validations", "4"]
    words = ["train", "heartbeat", "--out", str(tmp_path / "run"), *small, "--fit.save-every", "0"]
    step = loop.Trainer.step

    def interrupted(self):
        if self.state.step == 9:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(loop.Trainer, "step", interrupted)
    with pytest.raises(SystemExit):
        cli.main(words)
    monkeypatch.setattr(loop.Trainer, "step", step)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "run" / "metrics.jsonl").write_text("\n".join([lines[0][:9], *lines[1:]]) + "\n")
    with pytest.warns(UserWarning, match="damaged in line 1"):
        assert say(*words)["steps"] == 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "digits", "--n", 10**18], "--n must be from 1 to 1,000,000,000, got 1000000"),
        (["sample", "digits", "--times", 0], "--times must be 1 or more, got 0"),
        (
            ["sample", "digits", "--stepper", "foo"],
            "is one of ancestral, ddim, dpm, unipc, heun, flo",
        ),
        (["sample", "digits", "--stepper=foo"], "flow-map, got 'foo'"),
        (["complete", "digits", "--rows", -1], "--rows must be 1 or more, got -1"),
        (["score", "digits", "--stderr", -1], "--stderr must be positive, got -1"),
        (["outliers", "binarized-mnist", "x", "--level", 2], "--level must be a share between 0"),
        (["train", "digits", "--fit.threads", 10**6], "threads must be 1024 or fewer"),
        (["train", "digits", "--dropout", 1], "dropout must be from 0 to less than 1, got 1"),
        (["impute", "digits", "x"], "is a model of arrays, which has no verb 'impute'; it has"),
        (["complete", "digits", "--data", "x", "--rows", 2, "--mask", "y"], "there is no file x"),
    ],
)
def test_a_number_out_of_range_is_refused(words, said, refused):
    assert said in refused(*words)


def test_an_option_that_a_model_does_not_have_is_refused(table, refused):
    words = ("--method", "flow", "--stderr", "0.1", "--path", "3")
    said = refused("score", table, "--data", "t.csv", *words)
    assert "is a model of a table, for which score has no --stderr, --method, --path" in said
    assert "it has --data, --by-column, --out, --on," in said
    said = refused("fit", table.parent / "t.csv", "--mode", "L")
    assert "holds a table, for which fit has no --mode; it has --out, --" in said


def test_odd_cells_are_read_and_shown_as_they_are(table, say, tmp_path, capsys):
    new = tmp_path / "new.csv"
    new.write_bytes(b"a,b,c\n1.5,123456789012345678901234567890,x\n2.5,3,y\x00y\n0.5,4,[/b]\n")
    assert say("score", table, "--data", new)["rows"] == 3
    capsys.readouterr()
    cli.main(["fit", str(table.parent / "t.csv"), "--dry-run"])
    assert "[/b] " in capsys.readouterr().out
    marked = tmp_path / "marked.csv"
    marked.write_text("[/b],[red]\n" + "".join(f"{i},{i % 7 / 3}\n" for i in range(40)))
    cli.main(["fit", str(marked), "--dry-run"])
    assert "[red]" in capsys.readouterr().out


def test_rows_without_any_value(table, refused, say, tmp_path):
    (tmp_path / "holes.csv").write_text("a,b,c\n,,\n,,\n")
    nats = say("score", table, "--data", tmp_path / "holes.csv")["nats"]
    assert nats == pytest.approx(0, abs=1e-6)
    said = refused("report", table, "--data", tmp_path / "holes.csv")
    assert "holds no values in its first 2 rows" in said


def process(*words, **environment):
    command = [sys.executable, "-m", "quasistatic", *words]
    found = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=found)


@pytest.mark.parametrize("words", [["cite"], ["cite", "--bibtex"], ["--help"]])
def test_a_closed_pipe_is_no_traceback(words):
    running = process(*words)
    running.stdout.close()
    running.wait()
    assert running.stderr.read() == b""
    assert running.returncode in (1, 141)


def test_a_terminal_of_another_encoding_shows_what_it_can():
    said, error = process("schedule", "linear", "cosine", PYTHONIOENCODING="ascii").communicate()
    assert error == b""
    assert "log-SNR at T, nats" in said.decode("ascii")
    assert "-10.12" in said.decode("ascii")  # a minus sign that is not in ASCII becomes one that is


def test_a_warning_is_a_message_without_a_place_in_the_source(tmp_path):
    rows = "".join(f"{k % 7},{k % 5 / 2}\n" for k in range(30))
    (tmp_path / "t.csv").write_text("a,b\n" + rows)
    run = tmp_path / "run"
    cli.main(["fit", str(tmp_path / "t.csv"), "-o", str(run), "--steps", "0"])
    words = [sys.executable, "-m", "quasistatic", "report", str(run)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0
    assert "quasistatic report: " in done.stderr
    assert "calibration rows" in done.stderr
    assert "UserWarning" not in done.stderr
    assert ".py" not in done.stderr
