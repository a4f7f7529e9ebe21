"""Answers to the rows of a file, piece by piece: with a bar, in bounded memory, and continued by
the same command if it was stopped."""

__all__ = ["RowStream"]

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from .._utils import files
from ..data.table_files import Style, write_table
from ..reporting.console import Display

PLAN = "plan.json"

Answering = Callable[[pl.DataFrame, int, Callable[[int], None]], pl.DataFrame]
"""Answers a piece of rows; takes the number of rows before it, and a function to call with numbers
of rows that are done."""


@dataclass(frozen=True)
class RowStream:
    """The rows of a file and what is written about them.

    Finished pieces are kept in a hidden folder beside the target until the target is written. If
    the work is stopped, the same command goes on after the last finished piece. The target itself
    is written whole or not at all.

    Args:
        verb: its name, for the bar and for what is said.
        source: the file that is read.
        target: the file that is written; None writes none.
        rows: rows of a piece.
        total: how many rows there are to answer, for the bar.
        plan: what the answers depend on besides the source, as JSON values.
        display: where progress is shown.
        style: how a text file is written; by default with commas.
    """

    verb: str
    source: Path
    target: Path | None
    rows: int
    total: int
    plan: Mapping[str, Any]
    display: Display = field(repr=False)
    style: Style | None = None

    def run(
        self,
        pieces: Iterable[pl.DataFrame],
        answer: Answering,
        outputs: Mapping[Path, Callable[[pl.DataFrame], pl.DataFrame]] | None = None,
        look: Callable[[pl.DataFrame], None] | None = None,
    ) -> int:
        """Answers all pieces, then writes the outputs and removes the finished pieces.

        Args:
            pieces: the rows of the source, so many at a time.
            answer: answers a piece.
            outputs: what of the answers each file holds; by default the target holds all of them.
            look: is called with each answer.

        Returns:
            The number of rows.
        """
        folder, count = self._opened(), 0
        kept: list[Path | pl.DataFrame] = []
        with self.display.counting(self.verb, self.total) as advance:
            for number, piece in enumerate(pieces):
                path = None if folder is None else folder / f"{number:06}.parquet"
                if path is not None and path.is_file():
                    found = pl.read_parquet(path)
                    advance(min(self.rows, self.total))
                else:
                    found = answer(piece, count, advance)
                    if path is not None:
                        write_table(path, [found])
                count += len(piece)
                if look is not None:
                    look(found)
                if self.target is not None:
                    kept.append(found if path is None else path)
        if self.target is not None:
            for target, part in (outputs or {self.target: lambda found: found}).items():
                frames = (
                    each if isinstance(each, pl.DataFrame) else pl.read_parquet(each)
                    for each in kept
                )
                write_table(target, map(part, frames), self.style)
            shutil.rmtree(self._folder, ignore_errors=True)
        return count

    @property
    def _folder(self) -> Path:
        assert self.target is not None
        return self.target.parent / f".{self.target.name}.pieces"

    def _opened(self) -> Path | None:
        """The folder of finished pieces of the same work; None if there is one piece, or no
        target."""
        if self.target is None:
            return None
        folder = self._folder
        for left in self.target.parent.glob(f".{self.target.name}.*.part"):
            left.unlink(missing_ok=True)  # a process that was killed left it half-written
        status = self.source.stat()
        plan = {
            "verb": self.verb,
            "source": [str(self.source.resolve()), status.st_size, status.st_mtime_ns],
            "rows": self.rows,
            **self.plan,
        }
        text = json.dumps(plan, sort_keys=True)
        if folder.is_dir():
            path = folder / PLAN
            done = len(list(folder.glob("*.parquet")))
            if path.is_file() and path.read_text() == text:
                self.display.say(f"goes on after {done} finished pieces of {self.rows:,} rows")
                return folder
            shutil.rmtree(folder)
            if done:
                self.display.say("starts afresh: the stopped run had other options or data")
        if self.total <= self.rows:
            return None
        files.write_text(folder / PLAN, text)
        return folder
