"""The command line: train, sample, score, complete, report, schedule, demo, cite."""

__all__ = ["main"]

import dataclasses
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from . import __version__, comparison, config, files
from .checks import nearest
from .demo import demo
from .display import Display
from .engine import Engine
from .figures import schedule_comparison
from .information import Erasure
from .pages import assess, sections
from .pretrained import pretrained
from .recipes import RECIPES, Recipe
from .references import PAPERS, cite
from .report import save_figure, write_page
from .runs import build, default_folder, open_run, train

Folder = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(help="A run folder, or a pretrained model's name.")
]
Seed = Annotated[int, tyro.conf.arg(help="Seed of everything that is drawn.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; bad input ends with a message on standard error and exit status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return
    if words[0] == "--version":
        print(__version__)
        return
    verb, rest = words[0], words[1:]
    try:
        if verb not in VERBS:
            raise ValueError(f"there is no command {verb!r}: {nearest(verb, VERBS)}")
        VERBS[verb](rest)
    except KeyboardInterrupt:
        print(f"quasistatic {verb}: stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        print(f"quasistatic {verb}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _overview() -> str:
    lines = ["usage: quasistatic COMMAND ...   (COMMAND --help says more)", ""]
    lines += [f"  {verb:10}{(run.__doc__ or '').splitlines()[0]}" for verb, run in VERBS.items()]
    known = [f"recipes: {', '.join(RECIPES)}", f"pretrained: {', '.join(pretrained())}"]
    return "\n".join([*lines, "", *known])


def _parse(kind: type, verb: str, words: Sequence[str]) -> Any:
    return tyro.cli(kind, prog=f"quasistatic {verb}", args=list(words))


def _train(words: Sequence[str]) -> None:
    """Train a recipe into a run folder; the same command resumes it."""
    if not words or words[0] in ("-h", "--help"):
        print("usage: quasistatic train RECIPE [--out FOLDER] [--dry-run] [--json] [overrides]\n")
        for name, recipe in RECIPES.items():
            print(f"  {name:20}{' '.join((recipe.__doc__ or '').split())}")
        return
    name = words[0]
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}: {nearest(name, RECIPES)}")
    kind: Any = dataclasses.make_dataclass(
        "Train",
        [
            ("recipe", Annotated[RECIPES[name], tyro.conf.arg(name="")], RECIPES[name]()),
            ("out", Path | None, None),
            ("dry_run", bool, False),
            ("json", bool, False),
        ],
    )
    kind.__doc__ = " ".join((RECIPES[name].__doc__ or "").split())
    asked = _parse(kind, f"train {name}", words[1:])
    display = Display(asked.json, quiet=not Engine().main)
    folder = asked.out or default_folder(asked.recipe)
    if asked.dry_run:
        _dry_run(asked.recipe, folder, display)
        return
    with display.progress(f"train {name}") as show:
        run = train(asked.recipe, folder, show)
    display.say(f"{folder}: {run.step} steps, weights of step {run.best_step} kept")
    if tried := run.speed.get("seconds_a_step"):
        times = ", ".join(f"{way} {s:.3g} s" if s else f"{way} fails" for way, s in tried.items())
        display.say(f"a step took: {times}; trained in {run.speed['arithmetic']}")
    latest = run.metrics[-1] if run.metrics else {}
    facts = {"steps": run.step, "best_step": run.best_step, "speed": run.speed, "latest": latest}
    display.result(run=str(folder), **facts)


def _dry_run(recipe: Recipe, folder: Path, display: Display) -> None:
    experiment = build(recipe)
    model, data = experiment.model, experiment.data
    weights = sum(parameter.numel() for parameter in model.parameters())
    parts = model.describe()
    rows: list[tuple[str, str]] = [("folder", str(folder)), ("should reach", recipe.reaches)]
    rows += [(name, str(_brief(part))) for name, part in parts.items()]
    rows += [("weights", f"{weights:,}"), ("rows to train on", f"{len(data.train):,}")]
    settings = config.describe(recipe.fit)
    rows += [(f"fit.{key}", str(value)) for key, value in settings.items() if key != "is"]
    display.table("would train", ("part", "value"), rows)
    display.result(run=str(folder), model=parts, weights=weights, fit=settings)


def _brief(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    inner = ", ".join(f"{key}={_brief(value)}" for key, value in part.items() if key != "is")
    return f"{part.get('is', '')}({inner})"


@dataclasses.dataclass
class _Sample:
    """Exact draws from a trained run, written as a NumPy array."""

    run: Folder
    n: int = 16
    times: int | None = None
    out: Path | None = None
    seed: Seed = 0
    json: bool = False


def _sample(words: Sequence[str]) -> None:
    """Draw from a run and write the draws as .npy."""
    asked: _Sample = _parse(_Sample, "sample", words)
    display = Display(asked.json)
    opened = open_run(asked.run)
    with opened.threads():
        rng = torch.Generator().manual_seed(asked.seed)
        drawn = opened.model.sample(asked.n, asked.times, rng)
    path = _save_array(asked.out or opened.result("samples.npy"), drawn.cpu().numpy())
    display.say(f"wrote {path}: {tuple(drawn.shape)}")
    display.result(samples=str(path), shape=list(drawn.shape))


@dataclasses.dataclass
class _Score:
    """The bound on the log-likelihood of data: by default the run's own test rows, beside its
    baselines."""

    run: Folder
    data: Path | None = None
    evaluations: int | None = 64
    out: Path | None = None
    seed: Seed = 0
    json: bool = False


_UNITS = {"nats": "nats", "bits": "bits", "bits_per_dim": "bits per dimension"}


def _score(words: Sequence[str]) -> None:
    """Score held-out data, or a .npy file, in nats and bits."""
    asked: _Score = _parse(_Score, "score", words)
    display, opened = Display(asked.json), open_run(asked.run)
    rng = torch.Generator().manual_seed(asked.seed)
    if asked.data is None:
        with opened.threads():
            result = assess(opened, asked.evaluations, rng)
        rows = [row.cells() for row in result.rows]
        display.table("bits per dimension (lower is better)", ("model", "mean", "s.e."), rows)
        display.table("the bound", ("", "mean", "s.e."), result.lines())
        score, facts = result.score, result.facts()
    else:
        with opened.threads():
            score = opened.model.score(_load_array(asked.data), asked.evaluations, rng=rng)
        each = {"nats": score.nats, "bits": score.bits, "bits_per_dim": score.bits_per_dim}
        rows = [
            (_UNITS[name], f"{v.mean().item():.4f}", f"{score.stderr(v):.4f}")
            for name, v in each.items()
        ]
        display.table(f"K of {len(score.nats)} examples", ("unit", "mean", "s.e."), rows)
        facts = {name: v.mean().item() for name, v in each.items()}
        facts |= {"examples": len(score.nats), "evaluations": score.evaluations}
    if asked.out is not None:
        path = _save_array(asked.out, score.nats.cpu().numpy())
        display.say(f"wrote {path}: K of each example, in nats")
    display.result(**facts)


@dataclasses.dataclass
class _Complete:
    """Fill in what is missing, as draws from the posterior. Without --data, the second half of
    the last axis of some test rows is hidden."""

    run: Folder
    data: Path | None = None
    mask: Annotated[Path | None, tyro.conf.arg(help="True where missing; default: NaN")] = None
    rows: Annotated[int, tyro.conf.arg(help="Test rows to complete without --data.")] = 8
    draws: int = 16
    particles: Annotated[int, tyro.conf.arg(help="That walk for each draw.")] = 8
    times: Annotated[int | None, tyro.conf.arg(help="Steps to walk; default: all T.")] = None
    out: Path | None = None
    seed: Seed = 0
    json: bool = False


def _complete(words: Sequence[str]) -> None:
    """Fill in missing values with draws from the posterior."""
    asked: _Complete = _parse(_Complete, "complete", words)
    display, opened = Display(asked.json), open_run(asked.run)
    if asked.data is None:
        x = opened.experiment.data.test[: asked.rows]
        hidden = np.broadcast_to(np.arange(x.shape[-1]) >= x.shape[-1] // 2, x.shape)
    else:
        x = _load_array(asked.data)
        hidden = np.isnan(x)
    if asked.mask is not None:
        hidden = _load_array(asked.mask)
    rng = torch.Generator().manual_seed(asked.seed)
    with opened.threads():
        made = opened.model.complete(x, hidden, asked.draws, asked.times, rng, asked.particles)
    path = _save_array(asked.out or opened.result("completed.npy"), made.draws.numpy())
    evidence = made.log_evidence.mean().item()
    display.say(
        f"wrote {path}: {tuple(made.draws.shape)}, draws of {len(x)} examples; mean log-evidence "
        f"of what was seen: {evidence:.2f} nats"
    )
    display.result(
        completed=str(path), shape=list(made.draws.shape), log_evidence=made.log_evidence.tolist()
    )


@dataclasses.dataclass
class _Report:
    """One page for one run or several, by their folders or the names of pretrained models."""

    runs: tyro.conf.Positional[list[Path]]
    out: Path | None = None
    evaluations: int | None = 100
    seed: Seed = 0
    json: bool = False


def _report(words: Sequence[str]) -> None:
    """Write the page of a run, or of several."""
    asked: _Report = _parse(_Report, "report", words)
    if not asked.runs:
        raise ValueError("name at least one run folder")
    display, page = Display(asked.json), []
    every = [open_run(run) for run in asked.runs]
    rng = torch.Generator().manual_seed(asked.seed)
    for opened in every:
        with opened.threads():
            page += sections(opened, assess(opened, asked.evaluations, rng), rng)
    title = "quasistatic: " + ", ".join(opened.folder.name for opened in every)
    path = write_page(asked.out or every[0].result("report.html"), title, page)
    display.say(f"wrote {path}")
    display.result(report=str(path))


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


def _schedule(words: Sequence[str]) -> None:
    """Compare noise schedules: what each leaves of the data, and when it takes the rest."""
    asked: _Schedule = _parse(_Schedule, "schedule", words)
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


def _demo(words: Sequence[str]) -> None:
    """Everything at once, on real data, in some minutes."""
    asked: _Demo = _parse(_Demo, "demo", words)
    display = Display(asked.json)
    display.result(**demo(asked.out, display))


@dataclasses.dataclass
class _Cite:
    """The papers behind the code, by their keys."""

    key: tyro.conf.Positional[str | None] = None
    bibtex: bool = False


def _cite(words: Sequence[str]) -> None:
    """The papers that docstrings cite."""
    asked: _Cite = _parse(_Cite, "cite", words)
    papers = list(PAPERS.values()) if asked.key is None else [cite(asked.key)]
    for paper in papers:
        print(paper.bibtex() if asked.bibtex else f"{paper.key}: {paper.text()}")


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": _train,
    "sample": _sample,
    "score": _score,
    "complete": _complete,
    "report": _report,
    "schedule": _schedule,
    "demo": _demo,
    "cite": _cite,
}


def _load_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no NumPy array (.npy): {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise ValueError(f"{path} holds no single array of real numbers: save it with numpy.save")
    return array


def _save_array(path: Path, array: np.ndarray) -> Path:
    buffer = io.BytesIO()
    np.save(buffer, array)
    files.write_bytes(path, buffer.getvalue())
    return path
