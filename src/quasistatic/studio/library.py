"""The runs that the studio shows: found by name, opened when they are first needed."""

__all__ = ["Library", "found_runs"]

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..recipes.locations import locate, pretrained
from .shipped import shipped_facts

if TYPE_CHECKING:
    from .subjects import Subject

RUNS = Path("runs")
"""Where commands write runs by default."""


def found_runs() -> list[str]:
    """The pretrained models, and the runs in `runs` of the current folder."""
    own = sorted(str(path.parent) for path in RUNS.glob("*/config.json"))
    return [*pretrained(), *own]


class Library:
    """The runs of a studio.

    Args:
        runs: folders or names of pretrained models, as on the command line.

    Raises:
        FileNotFoundError: if one of them does not exist.
    """

    def __init__(self, runs: Sequence[str | Path]) -> None:
        self.folders = {str(run): locate(run) for run in runs}
        """The folder of each run, by the word that names it on the command line."""
        self._opened: dict[str, tuple[object, Subject]] = {}
        self._locks = {name: threading.Lock() for name in self.folders}

    @property
    def names(self) -> list[str]:
        """The words that name the runs, in the order given."""
        return list(self.folders)

    def facts(self, name: str) -> dict[str, Any]:
        """What a page has to know about a run. For a pretrained model this does not load PyTorch.

        Raises:
            ValueError: if there is no such run, or it is damaged.
            OSError: if a file is missing.
        """
        known = shipped_facts(name, self.folders[name]) if name in self.folders else None
        return self.open(name).facts() if known is None else known

    def open(self, name: str) -> "Subject":
        """The run of that name, opened once; again if its weights have changed.

        Raises:
            ValueError: if there is no such run, or it is damaged.
            OSError: if a file is missing.
        """
        if name not in self.folders:
            raise ValueError(f"the studio has no run {name!r}: it has {', '.join(self.folders)}")
        from .subjects import opened  # loads PyTorch

        with self._locks[name]:
            mark = _mark(self.folders[name])
            kept = self._opened.get(name)
            if kept is not None and kept[0] == mark:
                return kept[1]
            found = opened(name, self.folders[name])
            self._opened[name] = (mark, found)
            return found


def _mark(folder: Path) -> object:
    """What changes when the weights of a run are written anew."""
    path = folder / "model.safetensors"
    return path.stat().st_mtime_ns if path.is_file() else None
