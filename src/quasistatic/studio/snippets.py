"""The Python code and the command line that give the same answer as a view."""

__all__ = ["Snippet", "command", "opening"]

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Snippet:
    """How to get an answer again without the studio.

    Args:
        python: code that runs by itself.
        command: for a shell; empty where no command gives this answer.
        note: what the reader has to know: which file the code reads, for example.
    """

    python: str
    command: str = ""
    note: str = ""

    def facts(self) -> dict[str, str]:
        """For the page."""
        return {"python": self.python, "command": self.command, "note": self.note}


def opening(word: str, *imports: str) -> list[str]:
    """The first lines of a snippet, which open a run's model as `model`."""
    return ["import quasistatic as qs", *imports, "", f"model = qs.open({word!r}).model"]


def command(verb: str, word: str, *words: str, options: Sequence[tuple[str, object]] = ()) -> str:
    """A command line. Options whose value is None are left out."""
    parts = ["quasistatic", verb, word, *words]
    for name, value in options:
        if value is not None:
            parts += [name, str(value)]
    return shlex.join(parts)
