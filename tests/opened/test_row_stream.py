"""Work on the rows of a file that is stopped, killed, and gone on with."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from quasistatic.opened.row_stream import RowStream
from quasistatic.reporting.console import Display

ROWS, SIZE = 70, 10


def pieces() -> Iterator[pl.DataFrame]:
    return (pl.DataFrame({"x": range(k, k + SIZE)}) for k in range(0, ROWS, SIZE))


def stream(folder: Path, **plan: int) -> RowStream:
    if not (folder / "in.csv").exists():
        (folder / "in.csv").touch()
    target = folder / "out.csv"
    display = Display(quiet=True)
    return RowStream("score", folder / "in.csv", target, SIZE, ROWS, plan, display)


class Work:
    """Squares the rows, counts the pieces, and stops at one of them."""

    def __init__(self, stop_at: int | None = None, how: Callable[[], None] | None = None) -> None:
        self.done, self.stop_at, self.how = [], stop_at, how  # type: ignore[var-annotated]

    def __call__(self, piece: pl.DataFrame, first: int, advance: Callable[[int], None]):
        if first == self.stop_at:
            assert self.how is not None
            self.how()
        self.done.append(first)
        advance(len(piece))
        return piece.select(square=pl.col("x") ** 2)


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", [interrupt, kill])
def test_stopped_work_goes_on_after_the_last_finished_piece(tmp_path, how):
    """Stopped or killed, the old target is untouched; in the end nothing else is left."""
    (tmp_path / "out.csv").write_text("before")
    if how is interrupt:
        with pytest.raises(KeyboardInterrupt):
            stream(tmp_path).run(pieces(), Work(30, how))
    else:
        code = (
            "from test_row_stream import *; stream(Path(sys.argv[1])).run(pieces(), Work(30, kill))"
        )
        here = Path(__file__).parent
        ended = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=here, timeout=120)
        assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "out.csv").read_text() == "before"
    again = Work()
    assert stream(tmp_path).run(pieces(), again) == ROWS
    assert again.done == [30, 40, 50, 60]
    found = pl.read_csv(tmp_path / "out.csv")["square"]
    assert found.to_list() == [k**2 for k in range(ROWS)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_other_options_or_data_start_afresh(tmp_path):
    for change in ({"seed": 1}, {}):
        with pytest.raises(KeyboardInterrupt):
            stream(tmp_path).run(pieces(), Work(30, interrupt))
        if not change:
            (tmp_path / "in.csv").write_text("other")
        again = Work()
        stream(tmp_path, **change).run(pieces(), again)
        assert again.done == list(range(0, ROWS, SIZE))


def test_each_output_has_its_own_part_of_the_answers(tmp_path):
    outputs = {
        tmp_path / "out.csv": lambda found: found,
        tmp_path / "more.csv": lambda found: found.select(half=pl.col("square") / 2),
    }
    seen: list[int] = []
    stream(tmp_path).run(pieces(), Work(), outputs, lambda found: seen.append(len(found)))
    assert seen == [SIZE] * 7
    assert pl.read_csv(tmp_path / "more.csv")["half"][9] == 40.5
    assert len(pl.read_csv(tmp_path / "out.csv")) == ROWS
