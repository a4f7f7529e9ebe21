"""The verbs that look into a trained run: sandwich, grid, budget, check."""

__all__ = ["budget_", "check_", "grid_", "sandwich_"]

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import tyro

from ..diagnostics.entropy import entropy_budget
from ..diagnostics.identities import check
from ..recipes.runs import open_run
from ..reporting.console import Display
from ..reporting.figures import entropy_budget as entropy_figure
from ..reporting.html import save_figure
from ..sampling import timesteps
from .arguments import Folder, Seed, parse
from .image_files import rows_of

Data = Annotated[
    Path | None,
    tyro.conf.arg(help="A .npy file or a folder of images; default: the run's own rows."),
]


@dataclasses.dataclass
class _Sandwich:
    """log p from below and from above, on examples that the run itself draws: how far its bound
    can be from the truth."""

    run: Folder
    n: int = 64
    paths: Annotated[int, tyro.conf.arg(help="Weighted paths for each draw.")] = 1
    times: Annotated[int | None, tyro.conf.arg(help="Steps to walk; default: all T.")] = None
    seed: Seed = 0
    json: bool = False


def sandwich_(words: Sequence[str]) -> None:
    """Bracket log p from both sides, on the model's own draws."""
    asked: _Sandwich = parse(_Sandwich, "sandwich", words)
    display, opened = Display(asked.json), open_run(asked.run)
    rng = torch.Generator().manual_seed(asked.seed)
    with opened.threads():
        found = opened.model.sandwich(asked.n, asked.paths, asked.times, rng)
    per_dim = found.dims * math.log(2)
    rows = [
        (
            name,
            f"{v.mean().item():.3f}",
            f"{found.stderr(v):.3f}",
            f"{sign * v.mean() / per_dim:.4f}",
        )
        for name, v, sign in (
            ("from below", found.lower, -1),
            ("from above", found.upper, -1),
            ("gap", found.gap, 1),
        )
    ]
    title = f"-log p of {asked.n} draws, {found.evaluations} evaluations each"
    display.table(title, ("", "nats", "s.e.", "bits per dimension"), rows)
    facts = {"lower": found.lower.mean().item(), "upper": found.upper.mean().item()}
    display.result(**facts, gap=found.gap.mean().item(), gap_stderr=found.stderr())


@dataclasses.dataclass
class _Grid:
    """Measures what steps between any two times cost on held-out data, and keeps the times along
    which the bound is best, for `--path N` of sample, score and complete."""

    run: Folder
    steps: Annotated[tuple[int, ...], tyro.conf.arg(help="Lengths of the paths to keep.")] = (
        *(10, 25, 50, 100),
    )
    data: Data = None
    examples: Annotated[int, tyro.conf.arg(help="Of held-out data, to measure on.")] = 128
    candidates: Annotated[int, tyro.conf.arg(help="Even times that a path may visit.")] = 128
    seed: Seed = 0
    json: bool = False


def grid_(words: Sequence[str]) -> None:
    """Find the times that few steps should visit."""
    asked: _Grid = parse(_Grid, "grid", words)
    display, opened = Display(asked.json), open_run(asked.run)
    held_out = rows_of(asked.data, opened, "valid")[0][: asked.examples]
    rng, model = torch.Generator().manual_seed(asked.seed), opened.model
    with opened.threads():
        costs = timesteps.measure_costs(model, held_out, asked.candidates, rng)
    paths = {n: costs.path(n) for n in asked.steps}
    per_dim = model.space.dims * math.log(2)
    rows = []
    for n, path in paths.items():
        even = costs.times[torch.linspace(0, len(costs.times) - 1, n).round().long()]
        bits = [costs.nats(times) / per_dim for times in (even, path)]
        shown = " ".join(str(t) for t in path[:: max(1, n // 5)].tolist())
        rows.append((str(n), *(f"{each:.4f}" for each in bits), shown))
    title = (
        f"bits per dimension of {len(held_out)} held-out examples, by few of {model.steps} steps"
    )
    display.table(title, ("steps", "even times", "the path", "some of its times"), rows)
    kept = opened.keep_paths(paths)
    display.say(f"wrote {kept}: for --path N of sample, score and complete")
    display.result(grid=str(kept), paths={str(n): path.tolist() for n, path in paths.items()})


@dataclasses.dataclass
class _Budget:
    """What each step has to spend and what the model spends: SD15's bounds on the entropy of every
    reverse step (Eq. 24), the model's own cross-entropy, and what they say of the likelihood."""

    run: Folder
    data: Data = None
    examples: Annotated[int, tyro.conf.arg(help="Of test data.")] = 128
    times: Annotated[int | None, tyro.conf.arg(help="Steps of the chain; default: all T.")] = None
    out: Annotated[Path | None, tyro.conf.arg(help="A PNG of it.")] = None
    seed: Seed = 0
    json: bool = False


def budget_(words: Sequence[str]) -> None:
    """The entropy budget: which steps carry the bits."""
    asked: _Budget = parse(_Budget, "budget", words)
    display, opened = Display(asked.json), open_run(asked.run)
    x = rows_of(asked.data, opened, "test")[0][: asked.examples]
    rng = torch.Generator().manual_seed(asked.seed)
    with opened.threads():
        budget = entropy_budget(opened.model, x, asked.times, rng=rng)
    rows = [
        ("no model can exceed", budget.ceiling),
        ("this model reaches", budget.reached),
        ("pi alone reaches", budget.floor),
    ]
    unit = math.log(2) * budget.dims
    display.table(
        f"mean log-likelihood at time {int(budget.times[0])}, {len(x)} examples",
        ("", "nats an example", "bits a value"),
        [(name, f"{nats:.3f}", f"{nats / unit:.4f}") for name, nats in rows],
    )
    path = asked.out or opened.result("entropy.png")
    save_figure(entropy_figure(budget), path)
    display.say(f"wrote {path}")
    facts = dict(zip(("ceiling", "reached", "floor"), (each for _, each in rows), strict=True))
    display.result(picture=str(path), **facts)


@dataclasses.dataclass
class _Check:
    """Holds the identities that every model must keep against a run."""

    run: Folder
    data: Data = None
    seed: Seed = 0
    json: bool = False


def check_(words: Sequence[str]) -> None:
    """Whether a model keeps the identities that it must."""
    asked: _Check = parse(_Check, "check", words)
    display, opened = Display(asked.json), open_run(asked.run)
    rng = torch.Generator().manual_seed(asked.seed)
    with opened.threads():
        report = check(opened.model, rows_of(asked.data, opened, "test")[0], rng)
    display.console.print(report)
    rows = {row.name: {"passed": row.passed, "error": row.error} for row in report.rows}
    display.result(passed=report.passed, identities=rows)
    if not report.passed:
        raise ValueError(f"{len(report.failed)} identities do not hold: see the table")
