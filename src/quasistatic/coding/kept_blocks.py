"""Finished blocks of a stream that is being written or read, for work that was stopped."""

__all__ = ["Following", "KeptBlocks"]

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .._utils import files
from .._utils.unfinished_work import UnfinishedWork


@dataclass(frozen=True)
class Following:
    """How the user follows the work.

    Args:
        say: is called with a line for the user.
        advance: is called with the numbers of examples that are done.
    """

    say: Callable[[str], None] = lambda line: None
    advance: Callable[[int], None] = lambda count: None


class KeptBlocks:
    """The finished blocks of work on a file. They are kept in a hidden folder beside it until the
    file is whole. Other work on the same file starts afresh.

    Args:
        target: the file.
        following: how the user follows the work.
        about: what the blocks depend on besides the header of the stream.
    """

    def __init__(self, target: str | Path, following: Following, about: str) -> None:
        self.target, self.following, self.about = Path(target), following, about
        self.work: UnfinishedWork | None = None
        UnfinishedWork.sweep(self.target)

    def open(self, header: bytes, several: bool) -> None:
        """Finds the finished blocks of a stream.

        Args:
            header: of the stream. It identifies the model, its settings and all values.
            several: whether the stream has several blocks. The only one is not kept.
        """
        plan = f"{self.about}, {hashlib.sha256(header).hexdigest()}"
        self.work = UnfinishedWork.open(self.target, plan, several, self.following.say)

    def get(self, number: int) -> bytes | None:
        """A finished block; None if it is not finished."""
        path = None if self.work is None else self.work.piece(number)
        return path.read_bytes() if path is not None and path.is_file() else None

    def put(self, number: int, block: bytes) -> None:
        """Keeps a finished block."""
        if self.work is not None:
            files.write_bytes(self.work.piece(number), block)

    def remove(self) -> None:
        """Removes all blocks."""
        if self.work is not None:
            self.work.remove()
