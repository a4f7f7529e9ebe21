"""What the command line says: tables and a progress bar for a person, one JSON object for a
script. Everything for a person goes to standard error when a script reads standard output."""

__all__ = ["Display"]

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ..training.train_state import Progress


class Display:
    """
    Args:
        script: whether standard output is for a script.
        quiet: whether to say nothing, as all but one of several processes do.
    """

    def __init__(self, script: bool = False, quiet: bool = False) -> None:
        self.script, self.quiet = script, quiet
        self.console = Console(stderr=script, highlight=False, soft_wrap=True, quiet=quiet)

    def say(self, text: str) -> None:
        """A line for a person."""
        self.console.print(text, markup=False)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for a person; the first column is a name, the others are figures."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for i, name in enumerate(header):
            table.add_column(name, justify="right" if i else "left")
        for row in rows:
            table.add_row(*(_text(cell) for cell in row))
        self.console.print(table)

    def result(self, **facts: object) -> None:
        """The one object that a script reads."""
        if self.script and not self.quiet:
            print(json.dumps(facts))

    @contextlib.contextmanager
    def progress(self, name: str) -> Iterator[Callable[[Progress], None]]:
        """A bar with the latest figures of a run and the time it has left, on standard error."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}"),
        )
        console = Console(stderr=True, highlight=False, quiet=self.quiet)
        with Bar(*columns, console=console, refresh_per_second=5) as bar:
            task = bar.add_task(name, total=None, latest="")

            def show(now: Progress) -> None:
                left = "" if now.seconds_left is None else f"{_clock(now.seconds_left)} left"
                figures = [
                    f"{label} {now.latest[key]:.4g}"
                    for key, label in _SHOWN.items()
                    if key in now.latest
                ]
                if now.examples_per_second is not None:
                    figures.append(f"{now.examples_per_second:,.0f}/s")
                latest = "  ".join([*figures, left])
                bar.update(task, completed=now.step, total=now.steps, latest=latest)

            yield show


_SHOWN = {
    "bits_per_dim": "bits/dim",
    "squared_error": "error",
    "hybrid_loss": "loss",
    "valid_bits_per_dim": "held-out",
}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
    )


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
