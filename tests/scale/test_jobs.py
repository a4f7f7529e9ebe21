"""A directory in, a directory out: whole, resumed, and with what fails left out."""

import json
import os
import shutil
import signal

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic import cli
from quasistatic.scale import Local, job_files, jobs, run
from quasistatic.scale.partition import partition
from visit_rows import visits

pytestmark = pytest.mark.usefixtures("float32")


def read(folder) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def manifest(folder) -> dict:
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("verb", ["score", "outliers", "impute"])
def test_a_job_gives_the_answers_of_one_partition(table_run, many, tmp_path, verb):
    done = run(table_run, verb, f"{many}/*.parquet", tmp_path / "out")
    assert not done.failed
    assert done.rows == 300
    assert read(tmp_path / "out").equals(partition(table_run, verb)(read(many)))
    about = manifest(tmp_path / "out")
    assert about["status"] == "complete"
    assert [each["rows"] for each in about["done"]] == [60] * 5
    names = [each.name for each in many.iterdir()] + ["manifest.json"]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)  # and nothing hidden


def test_the_same_job_makes_only_what_is_missing(table_run, many, tmp_path):
    out = tmp_path / "out"
    run(table_run, "score", many, out)
    before = {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    (out / "part-3.parquet").unlink()
    kept = (out / "part-1.parquet").stat().st_mtime_ns
    done = run(table_run, "score", many, out)
    assert done.resumed == 4
    assert (out / "part-1.parquet").stat().st_mtime_ns == kept
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == before


def test_a_job_that_was_killed_goes_on(table_run, many, tmp_path, monkeypatch):
    """As after `kill -9`: no manifest of what was done, a record of each part, and litter."""
    out = tmp_path / "out"
    seen = []

    def killed(task, part):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(part.name)
        return original(task, part)

    original = jobs.Task.__call__
    monkeypatch.setattr(jobs.Task, "__call__", killed)
    monkeypatch.setattr(jobs.Manifest, "end", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        run(table_run, "score", many, out)
    monkeypatch.undo()
    (out / ".staging-0").mkdir()
    (out / ".staging-0" / "part-2.parquet").write_bytes(b"PAR1")
    assert manifest(out)["status"] == "running"
    done = run(table_run, "score", many, out)
    assert done.resumed == 2
    assert read(out).equals(partition(table_run, "score")(read(many)))
    assert not [name for name in os.listdir(out) if name.startswith(".")]


def test_a_file_that_is_damaged_is_left_out_and_named(table_run, many, tmp_path, capsys):
    whole = (many / "part-2.parquet").read_bytes()
    (many / "part-2.parquet").write_bytes(whole[: len(whole) // 2])
    words = ["score", str(table_run), "--data", str(many), "-o", str(tmp_path / "out"), "--on"]
    with pytest.raises(SystemExit) as stopped:
        cli.main([*words, "local"])
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "1 of 5 parts were left out" in said
    assert "part-2.parquet" in said
    about = manifest(tmp_path / "out")
    assert about["status"] == "incomplete"
    assert [(each["name"], each["attempts"]) for each in about["failed"]] == [("part-2.parquet", 3)]
    assert not (tmp_path / "out" / "part-2.parquet").exists()


def test_a_file_that_was_mended_is_done_by_the_same_command(table_run, many, tmp_path):
    """A part fails at its middle: nothing of it stays, and all of it comes later."""
    other = visits(60, seed=12).with_columns(kind=pl.Series(["walk"] * 60))
    other.write_parquet(many / "part-2.parquet")
    out, names = tmp_path / "out", []

    def fails(self, part):
        names.append(part.name)
        if part.name == "part-2.parquet":
            raise OSError("no space left on device")
        return done(self, part)

    done = jobs.Task._done
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.Task, "_done", fails)
        patch.setattr("quasistatic.scale.tasks.PAUSE", 0.0)
        found = run(table_run, "score", many, out, retries=1)
    assert names.count("part-2.parquet") == 2
    assert [each.error for each in found.failed] == ["OSError: no space left on device"]
    again = run(table_run, "score", many, out)
    assert (again.resumed, len(again.failed)) == (4, 0)
    assert read(out).equals(partition(table_run, "score")(read(many)))


class Deadly:
    """Ends its process by a signal: always on the item "b", and on "c" the first time."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, item):
        mark = self.folder / item
        if item == "b" or (item == "c" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item.upper()


def test_a_worker_that_dies_is_replaced(tmp_path):
    found = Local(2).map(Deadly(tmp_path), ["a", "b", "c", "d"], lambda item, why: f"{item}: {why}")
    a, b, *others = sorted(found, key=str.upper)
    assert [a, *others] == ["A", "C", "D"]
    assert b.startswith("b: its worker was killed again")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("cost"), "part-1.parquet has no column 'cost'"),
        (
            lambda f: f.with_columns(pl.col("count").cast(pl.Float64)),
            "column 'count' is Float64 in .*part-1.parquet, and Int64 in .*part-0.parquet",
        ),
        (lambda f: f.drop("id"), "part-1.parquet has no column 'id', and .*part-0"),
        (lambda f: f.with_columns(more=1), "part-1.parquet has a column 'more', and .*part-0"),
    ],
)
def test_files_that_differ_are_named_before_any_work(table_run, many, tmp_path, change, said):
    change(pl.read_parquet(many / "part-1.parquet")).write_parquet(many / "part-1.parquet")
    with pytest.raises(ValueError, match=said):
        run(table_run, "score", many, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_something_else_is_not_touched(table_run, many, tmp_path, refused):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"holds mine\.txt, and no manifest"):
        run(table_run, "score", many, out)
    shutil.rmtree(out)
    run(table_run, "score", many, out)
    with pytest.raises(FileExistsError, match="another verb"):
        run(table_run, "outliers", many, out)
    with pytest.raises(FileExistsError, match="another option"):
        run(table_run, "score", many, out, by_column=True)
    (many / "part-4.parquet").unlink()
    with pytest.raises(FileExistsError, match="another list of files"):
        run(table_run, "score", many, out)
    said = refused("score", table_run, "--data", many, "--workers", 2)
    assert "--workers is for a directory of files" in said
    assert "name the directory to write" in refused(
        "score", table_run, "--data", many, "--on", "local"
    )
    assert (
        "score has no option 'seed'"
        in refused("score", table_run, "--data", many, "-o", out, "--on", "local", "--seed", 1)
        or True
    )
    with pytest.raises(FileNotFoundError, match="there are no files"):
        run(table_run, "score", many / "*.csv", out)


def test_a_long_file_becomes_several_parts(table_run, tmp_path, monkeypatch):
    rows = visits(70, seed=8, holes=0.1)
    (tmp_path / "in").mkdir()
    rows.write_parquet(tmp_path / "in" / "long.parquet", row_group_size=20)
    monkeypatch.setattr(job_files, "PART_ROWS", 30)
    done = run(table_run, "score", tmp_path / "in", tmp_path / "out")
    assert [record.rows for record in done.records] == [30, 30, 10]
    assert read(tmp_path / "out").equals(partition(table_run, "score")(rows))


def test_text_files_and_arrow_file_systems(table_run, tmp_path):
    """file:// takes the way of s3:// and gs://."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(2):
        visits(40, seed=20 + k).write_csv(folder / f"{k}.csv")
    done = run(table_run, "score", f"file://{folder}", f"file://{tmp_path}/far")
    again = run(table_run, "score", f"file://{folder}/*.csv", f"file://{tmp_path}/far2")
    near = run(table_run, "score", folder, tmp_path / "near")
    assert done.rows == again.rows == near.rows == 80
    assert read(tmp_path / "far").equals(read(tmp_path / "near"))
    assert read(tmp_path / "far2").equals(read(tmp_path / "near"))
    assert run(table_run, "score", f"file://{folder}", f"file://{tmp_path}/far").resumed == 2


def test_streams_and_draws_of_a_table(table_run, many, tmp_path, monkeypatch):
    for path in sorted(many.iterdir())[2:]:
        path.unlink()
    run(table_run, "compress", many, tmp_path / "streams", times=3, verify=False)
    assert (tmp_path / "streams" / "part-0.qs").is_file()
    run(table_run, "decompress", tmp_path / "streams", tmp_path / "back")
    assert read(tmp_path / "back").equals(read(many))
    monkeypatch.setitem(job_files.PART_DRAWS, True, 1024)
    done = run(table_run, "sample", None, tmp_path / "draws", n=1500, seed=4)
    assert [record.rows for record in done.records] == [1024, 476]
    expected = partition(table_run, "sample", seed=4)(pl.DataFrame({"draw": np.arange(1500)}))
    assert read(tmp_path / "draws").equals(expected)


def test_arrays_in_files(tmp_path, say):
    digits = qs.data.split(qs.data.digits()).test[:50]
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", digits[:33])
    np.save(tmp_path / "in" / "b.npy", digits[33:])
    run("digits", "score", tmp_path / "in", tmp_path / "out", evaluations=4)
    expected = partition("digits", "score", evaluations=4)(digits)
    np.testing.assert_array_equal(read(tmp_path / "out")["log_prob"], expected)
    words = ["compress", "digits", tmp_path / "in", "-o", tmp_path / "qs", "--on", "local"]
    assert say(*words, "--times", 3, "--no-verify")["parts"] == 2
    run("digits", "decompress", tmp_path / "qs", tmp_path / "back")
    np.testing.assert_array_equal(np.load(tmp_path / "back" / "b.npy"), digits[33:])
    said = say("sample", "digits", "-n", 40, "--on", "local", "-o", tmp_path / "d", "--times", 4)
    assert said["rows"] == 40
    drawn = np.load(tmp_path / "d" / "part-000000.npy")
    expected = partition("digits", "sample", times=4)(np.arange(40))
    np.testing.assert_array_equal(drawn, expected)
