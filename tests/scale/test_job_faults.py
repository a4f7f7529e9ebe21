"""What goes wrong while a job runs: the driver is killed, a file is damaged, the disk is full."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from quasistatic.scale import partition
from visit_rows import visits

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture
def forty(tmp_path):
    """A directory of forty Parquet files; the one with number 20 is larger."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for k in range(40):
        rows = visits(12000 if k == 20 else 30, seed=100 + k, holes=0.1)
        rows.write_parquet(folder / f"part-{k:02}.parquet")
    return folder


def job(run, source, out, **how):
    """The command line of a job, started."""
    line = [sys.executable, "-m", "quasistatic", "score", run, "--data", source, "-o", out]
    line += ["--on", "local"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(word) for word in line], **pipes, **how)


def finished(run, source, out, **how):
    """The exit status of a job, and what it said."""
    process = job(run, source, out, **how)
    _, said = process.communicate(timeout=240)
    return process.returncode, " ".join(said.split())


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def read(folder):
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def test_a_driver_that_is_killed_at_three_moments_does_nothing_twice(table_run, forty, tmp_path):
    """A part is finished once its record is written, after its file."""
    out, written = tmp_path / "out", {}

    def note():
        for path in (out / ".records").glob("*.json"):
            part = out / path.stem
            assert written.setdefault(part.name, part.stat().st_mtime_ns) == part.stat().st_mtime_ns

    for count in (3, 12, 25):
        process = job(table_run, forty, out)
        while process.poll() is None and len(list(out.glob("*.parquet"))) < count:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        note()
    status, said = finished(table_run, forty, out)
    assert status == 0, said
    assert 24 <= len(written) < 40
    for name, when in written.items():
        assert (out / name).stat().st_mtime_ns == when, f"{name} was made twice"
    assert manifest(out)["status"] == "complete"
    assert read(out).equals(partition(table_run, "score")(read(forty)))


def test_a_corrupt_file_among_forty_is_tried_again_and_left_out(table_run, forty, tmp_path):
    """Its footer is whole, so that it is found only when its turn comes."""
    out, victim = tmp_path / "out", forty / "part-20.parquet"
    whole = victim.read_bytes()
    middle = len(whole) // 2
    victim.write_bytes(whole[: middle // 2] + b"\xff" * middle + whole[middle // 2 + middle :])
    status, said = finished(table_run, forty, out)
    assert status == 2
    assert "1 of 40 parts were left out" in said
    about = manifest(out)
    assert (about["status"], len(about["done"])) == ("incomplete", 39)
    assert [(each["name"], each["attempts"]) for each in about["failed"]] == [(victim.name, 3)]
    assert about["failed"][0]["error"]
    victim.write_bytes(whole)
    assert finished(table_run, forty, out)[0] == 0
    assert read(out).equals(partition(table_run, "score")(read(forty)))


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are those of Unix")
def test_a_part_for_which_the_disk_has_no_room_is_left_out_until_there_is(
    table_run, forty, tmp_path
):
    """Files may have no more bytes than the answers of thirty rows need: as on a full disk, the
    system refuses to write the larger one."""
    import resource

    out = tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    status, _ = finished(table_run, forty, out, preexec_fn=limit)
    about = manifest(out)
    assert status == 2
    assert [each["name"] for each in about["failed"]] == ["part-20.parquet"]
    assert "File too large" in about["failed"][0]["error"]
    assert not [name for name in os.listdir(out) if name.startswith(".staging")]
    assert not (out / "part-20.parquet").exists()
    assert finished(table_run, forty, out)[0] == 0
    assert read(out).equals(partition(table_run, "score")(read(forty)))
