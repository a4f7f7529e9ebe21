"""The verbs that a trained run answers: sample, score, complete."""

__all__ = ["complete_", "sample_", "score_"]

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from ..likelihood import Flow, Importance, Score
from ..recipes.runs import Opened, open_run
from ..reporting.console import Display
from ..sampling import SMC
from .arguments import Along, Folder, Out, Seed, Times, along, load_array, parse, save_array
from .image_files import rows_of, write_drawn, write_scores
from .opened_table import is_table
from .run_report import assess
from .tables import sample_table, score_table


@dataclasses.dataclass
class _Sample:
    """Exact draws from a trained run, written as a NumPy array; images also as one sheet, if --out
    ends in .png, or as a folder of PNG files, if it has no ending."""

    run: Folder
    n: int = 16
    times: Times = None
    path: Along = None
    out: Out = None
    seed: Seed = 0
    json: bool = False


def sample_(words: Sequence[str]) -> None:
    """Draw from a run and write the draws as .npy or images, or from a fitted table."""
    asked: _Sample = parse(_Sample, "sample", words)
    display = Display(asked.json)
    if is_table(asked.run):
        sample_table(asked.run, asked.n, asked.out, asked.seed, display)
        return
    opened = open_run(asked.run)
    with opened.threads():
        rng = torch.Generator().manual_seed(asked.seed)
        drawn = opened.model.sample(asked.n, along(asked.times, asked.path, opened), rng)
    path = write_drawn(asked.out or opened.result("samples.npy"), drawn.cpu().numpy(), opened)
    display.say(f"wrote {path}: {tuple(drawn.shape)}")
    display.result(samples=str(path), shape=list(drawn.shape))


@dataclasses.dataclass
class _Score:
    """The bound on the log-likelihood of data: by default the run's own test rows, beside its
    baselines."""

    run: Folder
    data: Path | None = None
    evaluations: Annotated[
        int | Literal["all"] | None,
        tyro.conf.arg(help="Of the network, an example: 64, or with --stderr the most of them."),
    ] = None
    stderr: Annotated[
        float | None, tyro.conf.arg(help="Asked for of the mean, in bits a value.")
    ] = None
    method: Annotated[
        Literal["bound", "importance", "flow"],
        tyro.conf.arg(help="From below; tighter by weighted paths; by the probability flow."),
    ] = "bound"
    paths: Annotated[int, tyro.conf.arg(help="Of importance weighting.")] = 16
    times: Times = None
    path: Along = None
    out: Out = None
    seed: Seed = 0
    json: bool = False


_UNITS = {"nats": "nats", "bits": "bits", "bits_per_dim": "bits per dimension"}


def score_(words: Sequence[str]) -> None:
    """Score held-out data, a .npy file, images, or a table, in nats and bits."""
    asked: _Score = parse(_Score, "score", words)
    display = Display(asked.json)
    if is_table(asked.run):
        score_table(asked.run, asked.data, asked.out, display)
        return
    opened = open_run(asked.run)
    x, names = rows_of(asked.data, opened, "test")
    with opened.threads():
        score = _scored(asked, opened, x)
    display.say(f"{score.about}; {score.spent / len(x):.4g} network evaluations an example")
    if asked.data is None:
        result = assess(opened, score)
        rows = [row.cells() for row in result.rows]
        display.table("bits per dimension (lower is better)", ("model", "mean", "s.e."), rows)
        display.table("the bound", ("", "mean", "s.e."), result.lines())
        facts = result.facts()
    else:
        each = {"nats": score.nats, "bits": score.bits, "bits_per_dim": score.bits_per_dim}
        rows = [
            (_UNITS[name], f"{v.mean().item():.4f}", f"{score.stderr(v):.4f}")
            for name, v in each.items()
        ]
        display.table(f"{len(score.nats)} examples", ("unit", "mean", "s.e."), rows)
        facts = {name: v.mean().item() for name, v in each.items()}
        facts |= {"examples": len(score.nats), "evaluations": score.evaluations}
    if asked.out is not None:
        path = write_scores(asked.out, names, score.nats.cpu().numpy())
        display.say(f"wrote {path}: the score of each example, in nats")
    display.result(**facts)


def _scored(asked: _Score, opened: Opened, x: np.ndarray) -> Score:
    """By the method that was asked for, with its budget."""
    rng = torch.Generator().manual_seed(asked.seed)
    times = along(asked.times, asked.path, opened)
    budget: dict[str, Any] = {}
    if asked.evaluations is not None:
        name = "evaluations" if asked.stderr is None else "most"
        budget[name] = None if asked.evaluations == "all" else asked.evaluations
    if asked.method != "bound":
        budget["method"] = {"importance": Importance(asked.paths), "flow": Flow()}[asked.method]
    return opened.model.score(x, times=times, rng=rng, stderr=asked.stderr, **budget)


@dataclasses.dataclass
class _Complete:
    """Fill in what is missing, as draws from the posterior. Without --data, the second half of
    the last axis of some test rows is hidden."""

    run: Folder
    data: Path | None = None
    mask: Annotated[Path | None, tyro.conf.arg(help="True where missing; default: NaN")] = None
    rows: Annotated[int, tyro.conf.arg(help="Test rows to complete without --data.")] = 8
    draws: int = 16
    particles: Annotated[int, tyro.conf.arg(help="That walk together.")] = 64
    repeats: Annotated[int | None, tyro.conf.arg(help="Sets of particles.")] = None
    times: Times = None
    path: Along = None
    out: Out = None
    seed: Seed = 0
    json: bool = False


def complete_(words: Sequence[str]) -> None:
    """Fill in missing values with draws from the posterior."""
    asked: _Complete = parse(_Complete, "complete", words)
    display, opened = Display(asked.json), open_run(asked.run)
    if asked.data is None:
        x = opened.experiment.data.test[: asked.rows]
        hidden = np.broadcast_to(np.arange(x.shape[-1]) >= x.shape[-1] // 2, x.shape)
    else:
        x = load_array(asked.data)
        hidden = np.isnan(x)
    if asked.mask is not None:
        hidden = load_array(asked.mask)
    rng = torch.Generator().manual_seed(asked.seed)
    times = along(asked.times, asked.path, opened)
    with opened.threads():
        made = opened.model.complete(
            x, hidden, asked.draws, times, rng, method=SMC(asked.particles, asked.repeats)
        )
    path = save_array(asked.out or opened.result("completed.npy"), made.draws.cpu().numpy())
    told = {name: getattr(made, name) for name in ("log_evidence", "evidence_stderr", "effective")}
    display.say(
        f"wrote {path}: {tuple(made.draws.shape)}, draws of {len(x)} examples; mean log-evidence "
        f"of what was seen: {made.log_evidence.mean().item():.2f} nats, each +- "
        f"{made.evidence_stderr.mean().item():.2f}; smallest effective sample size "
        f"{made.effective.min().item():.2f} of the particles"
    )
    display.result(
        completed=str(path),
        shape=list(made.draws.shape),
        **{name: [None if v != v else v for v in value.tolist()] for name, value in told.items()},
    )
