"""The console output of the command line: tables and a progress bar for a person, one JSON object
for a script. With a script on standard output, text for a person goes to standard error."""

__all__ = ["Display"]

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._utils.printing import clock
from .answer import Answer, TextTable

if TYPE_CHECKING:
    from ..training.train_state import Progress


class Display:
    """Prints to the console: for a person, for a script, or not at all.

    Args:
        script: whether a script reads standard output.
        quiet: whether nothing is printed, as in all but one of several processes.
    """

    def __init__(self, script: bool = False, quiet: bool = False) -> None:
        self.script, self.quiet = script, quiet
        self.console = Console(stderr=script, highlight=False, soft_wrap=True, quiet=quiet)

    def say(self, text: str) -> None:
        """Prints a line for a person."""
        self.console.print(_printable(text), markup=False)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Prints a table for a person. The first column holds names, the others numbers."""
        table = Table(title=Text(_printable(title)), title_justify="left", title_style="bold")
        for i, name in enumerate(header):
            table.add_column(Text(_printable(name)), justify="right" if i else "left")
        for row in rows:
            table.add_row(*(Text(_printable(_text(cell))) for cell in row))
        self.console.print(table)

    def result(self, **facts: object) -> None:
        """Prints the one JSON object that a script reads."""
        if self.script and not self.quiet:
            print(json.dumps(_finite(facts)))

    def show(self, answer: Answer) -> None:
        """Prints the answer of a command."""
        for each in answer.shown:
            if isinstance(each, TextTable):
                self.table(each.title, each.header, each.rows)
            elif isinstance(each, str):
                self.say(each)
            else:
                self.console.print(each)
        self.result(**answer.facts)

    @contextlib.contextmanager
    def progress(self, name: str) -> Iterator[Callable[["Progress"], None]]:
        """A progress bar on standard error, with the latest figures and the time left."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}", markup=False),
        )
        console = Console(stderr=True, highlight=False, quiet=self.quiet)
        with Bar(*columns, console=console, refresh_per_second=5) as bar:
            task = bar.add_task(name, total=None, latest="")

            def show(now: "Progress") -> None:
                bar.update(task, completed=now.step, total=now.steps, latest=now.summary)

            yield show

    @contextlib.contextmanager
    def counting(
        self, name: str, total: int, unit: str = "rows"
    ) -> Iterator[Callable[[int], None]]:
        """A progress bar on standard error that counts rows or other units, with their rate and the
        time left; the function takes how many more are done."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}", markup=False),
        )
        console = Console(stderr=True, highlight=False, quiet=self.quiet)
        begun = time.monotonic()
        with Bar(*columns, console=console, refresh_per_second=5) as bar:
            task, done = bar.add_task(name, total=total, latest=""), 0
            places = 0 if unit == "rows" else 1

            def advance(count: int) -> None:
                nonlocal done
                done = min(done + count, total)
                seconds = max(time.monotonic() - begun, 1e-9)
                left = clock(seconds * (total - done) / done) if done else "?"
                latest = f"{done / seconds:,.{places}f} {unit}/s  {left} left"
                bar.update(task, completed=done, latest=latest)

            yield advance


def _finite(value: object) -> object:
    """JSON values with null in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _printable(text: str) -> str:
    """The text with control characters escaped, so that a cell cannot move the cursor."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text
    )
