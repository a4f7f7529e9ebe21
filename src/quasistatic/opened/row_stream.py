"""Rows that are written piece by piece: with a bar, in bounded memory, and continued by the same
command if it was stopped."""

__all__ = ["RowStream"]

import json
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from .._utils.row_errors import RowError
from .._utils.unfinished_work import UnfinishedWork
from ..data.table_files import Style, write_table
from ..reporting.console import Display

Piece = TypeVar("Piece", bound=Sized)

Answering = Callable[[Piece, int, Callable[[int], None]], pl.DataFrame]
"""Answers a piece of rows; takes the number of rows before it, and a function to call with numbers
of rows that are done."""


@dataclass(frozen=True)
class RowStream:
    """The rows that a verb writes, some thousand at a time.

    Finished pieces are kept in a hidden folder beside the target until the target is written. If
    the work is stopped, the same command continues after the last finished piece. The target itself
    is written whole or not at all.

    Args:
        verb: its name, for the bar and for messages.
        source: the file that is read; None if none is.
        target: the file that is written; None writes none.
        rows: rows of a piece.
        total: how many rows there are to answer, for the bar.
        plan: what the answers depend on besides the source, as JSON values.
        display: where progress is shown.
        style: how a text file is written; by default with commas.
    """

    verb: str
    source: Path | None
    target: Path | None
    rows: int
    total: int
    plan: Mapping[str, Any]
    display: Display = field(repr=False)
    style: Style | None = None

    def run(
        self,
        pieces: Iterable[Piece],
        answer: Answering[Piece],
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
        work, count = self._opened(), 0
        kept: list[Path | pl.DataFrame] = []
        with self.display.counting(self.verb, self.total) as advance:
            for number, piece in enumerate(pieces):
                path = None if work is None else work.piece(number, ".parquet")
                if path is not None and path.is_file():
                    found = pl.read_parquet(path)
                    advance(min(self.rows, self.total))
                else:
                    try:
                        found = answer(piece, count, advance)
                    except RowError as error:
                        raise error.in_row(count + error.index + 1) from None
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
            if work is not None:
                work.remove()
        return count

    def _opened(self) -> UnfinishedWork | None:
        """The finished pieces of the same work; None if there is one piece, or no target."""
        if self.target is None:
            return None
        UnfinishedWork.sweep(self.target)
        plan: dict[str, Any] = {"verb": self.verb, "rows": self.rows, **self.plan}
        if self.source is not None:
            status = self.source.stat()
            plan["source"] = [str(self.source.resolve()), status.st_size, status.st_mtime_ns]
        text, several = json.dumps(plan, sort_keys=True), self.total > self.rows
        return UnfinishedWork.open(self.target, text, several, self.display.say)
