"""The verbs that show something: report, schedule, demo, cite."""

__all__ = ["cite_", "demo_", "report_", "schedule_"]

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from .._utils.references import PAPERS, cite
from ..diagnostics import schedule_comparison as comparison
from ..diagnostics.mutual_information import Erasure
from ..recipes.runs import open_run
from ..reporting.console import Display
from ..reporting.figures import schedule_comparison
from ..reporting.html import save_figure, write_page
from .arguments import Out, Seed, parse
from .demo import demo
from .opened_table import is_table
from .run_report import assess, sections
from .table_report import report_table


@dataclasses.dataclass
class _Report:
    """One page for one run or several, by their folders or the names of pretrained models; or for
    a fitted table, and rows in a file."""

    runs: tyro.conf.Positional[list[Path]]
    data: Annotated[Path | None, tyro.conf.arg(help="Rows beside a fitted table's draws.")] = None
    out: Out = None
    evaluations: int | None = 100
    seed: Seed = 0
    json: bool = False


def report_(words: Sequence[str]) -> None:
    """Write the page of a run, or of several."""
    asked: _Report = parse(_Report, "report", words)
    if not asked.runs:
        raise ValueError("name at least one run folder")
    if is_table(asked.runs[0]):
        return _report_table(asked)
    display, page = Display(asked.json), []
    every = [open_run(run) for run in asked.runs]
    rng = torch.Generator().manual_seed(asked.seed)
    for opened in every:
        with opened.threads():
            test = opened.experiment.data.test
            score = opened.model.score(test, asked.evaluations, rng=rng)
            page += sections(opened, assess(opened, score), rng)
    title = "quasistatic: " + ", ".join(opened.folder.name for opened in every)
    path = write_page(asked.out or every[0].result("report.html"), title, page)
    display.say(f"wrote {path}")
    display.result(report=str(path))


def _report_table(asked: _Report) -> None:
    if len(asked.runs) > 1 or asked.data is None:
        raise ValueError("a fitted table has a page of its own, beside rows of a file: give --data")
    report_table(asked.runs[0], asked.data, asked.out, asked.seed, Display(asked.json))


@dataclasses.dataclass
class _Schedule:
    """Noise schedules side by side: alpha_bar, log-SNR, and the information that each step loses.

    A name may have its numbers behind it: linear:1e-4,0.02 or linear_log_snr:7,-7."""

    names: tyro.conf.Positional[tuple[str, ...]] = ("linear", "cosine", "quadratic")
    steps: int = 1000
    law: Annotated[
        Literal["normal", "bit", "levels"],
        tyro.conf.arg(help="What x_0 is: N(0, 1), a fair bit, or uniform on 256 levels."),
    ] = "normal"
    out: Annotated[Path | None, tyro.conf.arg(help="A PNG to draw them into.")] = None
    json: bool = False


def schedule_(words: Sequence[str]) -> None:
    """Compare noise schedules: what each leaves of the data, and when it takes the rest."""
    asked: _Schedule = parse(_Schedule, "schedule", words)
    display, law = Display(asked.json), comparison.LAWS[asked.law]
    compared = [Erasure(name, comparison.read(name, asked.steps), law) for name in asked.names]
    for each in compared:
        display.table(each.name, *comparison.places(each))
    display.table(f"T = {asked.steps}; {law.about}", *comparison.totals(compared))
    if len(compared) > 1:
        display.say(comparison.in_short(compared))
    if asked.out is not None:
        save_figure(schedule_comparison(compared), asked.out)
        display.say(f"wrote {asked.out}")
    picture = None if asked.out is None else str(asked.out)
    display.result(law=law.about, schedules=comparison.facts(compared), picture=picture)


@dataclasses.dataclass
class _Demo:
    """Train digits, heartbeat and swiss roll; score, complete, and write report.html."""

    out: Path = Path("runs/demo")
    json: bool = False


def demo_(words: Sequence[str]) -> None:
    """Everything at once, on real data, in some minutes."""
    asked: _Demo = parse(_Demo, "demo", words)
    display = Display(asked.json)
    display.result(**demo(asked.out, display))


@dataclasses.dataclass
class _Cite:
    """The papers behind the code, by their keys."""

    key: tyro.conf.Positional[str | None] = None
    bibtex: bool = False


def cite_(words: Sequence[str]) -> None:
    """The papers that docstrings cite."""
    asked: _Cite = parse(_Cite, "cite", words)
    papers = list(PAPERS.values()) if asked.key is None else [cite(asked.key)]
    for paper in papers:
        print(paper.bibtex() if asked.bibtex else f"{paper.key}: {paper.text()}")
