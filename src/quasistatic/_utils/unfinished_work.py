"""Finished pieces of work on a file: kept until the file is whole, so that a command that was
stopped continues when it is called again."""

__all__ = ["UnfinishedWork"]

import glob
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from . import files

PLAN = "plan"


@dataclass(frozen=True)
class UnfinishedWork:
    """The finished pieces of a file that is being written, in a hidden folder beside it.

    Args:
        folder: that holds them.
        done: how many pieces an earlier call finished.
    """

    folder: Path
    done: int

    @classmethod
    def open(
        cls, target: Path, plan: str, several: bool, say: Callable[[str], None]
    ) -> Self | None:
        """The finished pieces of the same work on `target`. Those of other work are removed.

        Args:
            target: the file that is being written.
            plan: all that the pieces depend on, as text.
            several: whether there are several pieces. If not, nothing is kept.
            say: tells the user that work continues, or starts afresh.

        Returns:
            None if nothing is kept.
        """
        folder = target.parent / f".{target.name}.pieces"
        if folder.is_dir():
            path = folder / PLAN
            same = path.is_file() and path.read_text(encoding="utf-8") == plan
            done = sum(each.name != PLAN and each.suffix != ".part" for each in folder.iterdir())
            if same:
                files.sweep(folder)
                say(f"continues after {done} finished pieces")
                return cls(folder, done)
            shutil.rmtree(folder)
            if done:
                say("starts afresh: the stopped run had other options or data")
        if not several:
            return None
        files.write_text(folder / PLAN, plan)
        return cls(folder, 0)

    @staticmethod
    def sweep(target: Path) -> None:
        """Removes what processes that were killed left half-written beside `target`."""
        for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
            left.unlink(missing_ok=True)

    def piece(self, number: int, ending: str = "") -> Path:
        """Where a piece is kept. It is there if an earlier call finished it."""
        return self.folder / f"{number:06}{ending}"

    def remove(self) -> None:
        """Removes all pieces."""
        shutil.rmtree(self.folder, ignore_errors=True)
