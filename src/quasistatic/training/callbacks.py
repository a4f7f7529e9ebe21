"""What a run may report to while it trains: a progress bar, a CSV file, TensorBoard.

A callback is a function of :class:`~quasistatic.training.Progress`. It is called a few times a
second, after each validation, and at the end.
"""

__all__ = ["CSV", "Callback", "ProgressBar", "TensorBoard", "interactive"]

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from .train_state import Progress

Callback: TypeAlias = Callable[[Progress], None]
"""A function that is called with how far a run is."""


def interactive() -> bool:
    """Whether a person sees the output: a terminal or a notebook."""
    return "ipykernel" in sys.modules or bool(sys.stderr and sys.stderr.isatty())


class ProgressBar:
    """A bar on standard error, or in a notebook, with the latest metrics and the time left. It is
    a context manager, and a callback inside its block.

    Args:
        name: what stands before the bar.
        quiet: whether to show nothing.
    """

    def __init__(self, name: str = "fit", quiet: bool = False) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}"),
        )
        console = Console(stderr=True, highlight=False, quiet=quiet)
        self._bar = Bar(*columns, console=console, refresh_per_second=5)
        self._task = self._bar.add_task(name, total=None, latest="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, now: Progress) -> None:
        self._bar.update(self._task, completed=now.step, total=now.steps, latest=now.summary)


class CSV:
    """A callback that writes the metrics to a CSV file, a line for each record. A resumed run adds
    to the file.

    Args:
        path: the file; its folder is created.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._step = -1.0
        if self.path.exists():
            with self.path.open(newline="") as file:
                steps = [float(row["step"]) for row in csv.DictReader(file) if row.get("step")]
            self._step = max(steps, default=-1.0)

    def __call__(self, now: Progress) -> None:
        if now.latest.get("step", -1.0) <= self._step:
            return
        self._step = now.latest["step"]
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(now.latest)
            writer.writerow(now.latest.values())


class TensorBoard:
    """A callback that writes the metrics for TensorBoard, which has to be installed.

    Args:
        folder: where the event files go.

    Raises:
        ImportError: if TensorBoard is not installed: how to install it.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "the TensorBoard callback needs TensorBoard: pip install tensorboard"
            ) from error
        self._writer: Any = SummaryWriter(str(folder))
        self._step = -1.0

    def __call__(self, now: Progress) -> None:
        if now.latest.get("step", -1.0) <= self._step:
            return
        self._step = now.latest["step"]
        for name, value in now.latest.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(self._step))
        if now.examples_per_second is not None:
            self._writer.add_scalar("examples_per_second", now.examples_per_second, now.step)
        self._writer.flush()
