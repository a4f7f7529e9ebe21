"""The verb that trains."""

__all__ = ["train_"]

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from .._utils import serialization
from .._utils.validation import nearest
from ..recipes import RECIPES, Recipe
from ..recipes.runs import build, default_folder, train
from ..reporting.console import Display
from ..training.distributed import Engine
from .arguments import parse


def train_(words: Sequence[str]) -> None:
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
    asked = parse(kind, f"train {name}", words[1:])
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
    settings = serialization.describe(recipe.fit)
    rows += [(f"fit.{key}", str(value)) for key, value in settings.items() if key != "is"]
    display.table("would train", ("part", "value"), rows)
    display.result(run=str(folder), model=parts, weights=weights, fit=settings)


def _brief(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    inner = ", ".join(f"{key}={_brief(value)}" for key, value in part.items() if key != "is")
    return f"{part.get('is', '')}({inner})"
