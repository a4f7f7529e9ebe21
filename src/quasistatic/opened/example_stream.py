"""Examples of arrays or images that are answered some at a time: with a bar, and continued by the
same command if it was stopped."""

__all__ = ["ExampleStream", "stamp"]

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._utils import files
from .._utils.unfinished_work import UnfinishedWork
from ..reporting.console import Display

Arrays = dict[str, np.ndarray]

STATE = "rng"
"""The name by which a piece keeps the state of the generator after it."""


@dataclass(frozen=True)
class ExampleStream:
    """The examples that a verb answers, some at a time.

    Finished pieces are kept in a hidden folder beside the target, with the state of the generator
    after each. If the work is stopped, the same command continues after the last finished piece
    and gives the same numbers as without the stop. One piece alone is not kept.

    Args:
        verb: its name, for the bar.
        target: the file or folder that is written; None keeps no pieces.
        rows: examples of a piece.
        total: how many examples there are.
        plan: all that the answers depend on, as JSON values.
        display: where progress is shown.
    """

    verb: str
    target: Path | None
    rows: int
    total: int
    plan: Mapping[str, Any]
    display: Display = field(repr=False)

    def run(self, answer: Callable[[slice], Arrays], rng: torch.Generator | None = None) -> Arrays:
        """Answers all pieces; returns their arrays, joined along the first axis.

        Args:
            answer: the arrays of some examples, the same names for every piece.
            rng: the generator that `answer` draws from, if it does.
        """
        work = self._opened()
        found: list[Arrays] = []
        with self.display.counting(self.verb, self.total, "examples") as advance:
            for number, start in enumerate(range(0, self.total, self.rows)):
                piece = slice(start, min(start + self.rows, self.total))
                # The last piece is not kept: the target is written after it.
                is_kept = piece.stop < self.total
                path = work.piece(number, ".npz") if work is not None and is_kept else None
                if path is not None and path.is_file():
                    made = _read(path, rng)
                else:
                    made = answer(piece)
                    if path is not None:
                        _write(path, made, rng)
                found.append(made)
                advance(piece.stop - piece.start)
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def finish(self) -> None:
        """Removes the finished pieces, once the target is written."""
        work = self._opened(quiet=True)
        if work is not None:
            work.remove()

    def _opened(self, quiet: bool = False) -> UnfinishedWork | None:
        if self.target is None:
            return None
        text = json.dumps({"verb": self.verb, "rows": self.rows, **self.plan}, sort_keys=True)
        say = (lambda line: None) if quiet else self.display.say
        return UnfinishedWork.open(self.target, text, self.total > self.rows, say)


def stamp(array: np.ndarray) -> str:
    """The SHA-256 digest of an array, with its shape and type."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    for piece in np.array_split(array, max(1, len(array) // 1024)):
        digest.update(np.ascontiguousarray(piece).tobytes())
    return digest.hexdigest()


def _write(path: Path, made: Arrays, rng: torch.Generator | None) -> None:
    state = {} if rng is None else {STATE: rng.get_state().numpy()}
    buffer = io.BytesIO()
    np.savez(buffer, **made, **state)  # type: ignore[arg-type]
    files.write_bytes(path, buffer.getvalue())


def _read(path: Path, rng: torch.Generator | None) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        made = {name: stored[name] for name in stored.files}
    state = made.pop(STATE, None)
    if rng is not None and state is not None:
        rng.set_state(torch.from_numpy(state))
    return made
