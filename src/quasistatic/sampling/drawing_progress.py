"""The progress of a verb that draws: to callbacks, and to a bar if it takes a while."""

__all__ = ["DrawingProgress"]

import contextlib
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..training.callbacks import Callback, ProgressBar, interactive
from ..training.train_state import Progress

PATIENCE = 1.0
"""Seconds after which a bar is shown: most calls are over before."""

PAUSE = 0.2
"""The shortest time between two reports, in seconds."""


class DrawingProgress:
    """Reports how many of the steps of all draws are done. A context manager.

    Args:
        steps: of all draws.
        examples: drawn by all steps.
        callbacks: functions of :class:`.Progress`.
        shown: whether to show a bar; None shows one on a terminal and in a notebook.
    """

    def __init__(
        self, steps: int, examples: int, callbacks: Sequence[Callback], shown: bool | None
    ) -> None:
        self.steps, self.examples, self.callbacks = steps, examples, list(callbacks)
        self.waiting = (interactive() and not callbacks) if shown is None else shown
        self.begun = self.reported = time.monotonic()
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def __call__(self, done: int) -> None:
        """Reports that so many steps are done."""
        now = time.monotonic()
        if now - self.reported < PAUSE and done < self.steps:
            return
        self.reported, seconds = now, max(now - self.begun, 1e-9)
        if self.waiting and seconds > PATIENCE:
            self.callbacks.append(self.stack.enter_context(ProgressBar("sample")))
            self.waiting = False
        left = seconds * (self.steps - done) / done if done else None
        pace = self.examples * done / self.steps / seconds
        for callback in self.callbacks:
            callback(Progress(done, self.steps, {}, left, pace))
