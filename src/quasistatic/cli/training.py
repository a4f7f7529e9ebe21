"""The command that trains a recipe."""

__all__ = ["train"]

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .._utils.naming import counted, nearest
from ..recipes import RECIPES, Recipe
from .arguments import option, parse
from .verbs import shared

if TYPE_CHECKING:
    from ..reporting.console import Display


@dataclasses.dataclass
class Train:
    """The options that every recipe has."""

    recipe: Any
    out: Path | None = option("The run folder to write.", "runs/RECIPE", "FOLDER", "-o")
    device: str | None = shared.device("Device that trains")
    dry_run: bool = option("Only describe what would be trained.", False)
    json: bool = shared.json()


def train(words: Sequence[str]) -> None:
    """Trains a recipe into a run folder; the same command resumes it."""
    if not words or words[0] in ("-h", "--help"):
        print(
            "usage: quasistatic train RECIPE [-o FOLDER] [--device NAME] [--dry-run] [settings]\n"
        )
        for name, recipe in RECIPES.items():
            print(f"  {name:20}{_summary(recipe)}")
        print("\nquasistatic train RECIPE --help lists the settings of a recipe")
        return
    name = words[0]
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}: {nearest(name, RECIPES)}")
    asked = parse(_request(name), f"train {name}", words[1:])
    _train(asked, name)


def _request(name: str) -> type[Any]:
    """The dataclass of the command's options: those of the recipe, and where to write."""
    kind: Any = dataclasses.make_dataclass(
        "Train",
        [("recipe", Annotated[RECIPES[name], tyro.conf.arg(name="")], RECIPES[name]())],
        bases=(Train,),
    )
    kind.__doc__ = _summary(RECIPES[name])
    found: type[Any] = kind
    return found


def _summary(recipe: type[Recipe]) -> str:
    """The recipe's docstring without its arguments."""
    return " ".join((recipe.__doc__ or "").partition("Args:")[0].split())


def _train(asked: Any, name: str) -> None:
    from ..recipes.runs import train as train_run
    from ..reporting.answer import Answer
    from ..reporting.console import Display
    from ..training.distributed import Engine

    display = Display(asked.json, quiet=not Engine(asked.device or "auto").main)
    folder = asked.out or Path("runs") / name
    if asked.dry_run:
        _describe(asked.recipe, folder, display)
        return
    with display.progress(f"train {name}") as show:
        run = train_run(asked.recipe, folder, [show], device=asked.device)
    lines = [f"{folder}: {counted(run.step, 'step')}, weights of step {run.best_step} kept"]
    if where := run.speed.get("device"):
        lines[0] += f", trained on {where}"
    if tried := run.speed.get("seconds_a_step"):
        times = ", ".join(f"{way} {s:.3g} s" if s else f"{way} fails" for way, s in tried.items())
        lines.append(f"one step took: {times}; trained in {run.speed['arithmetic']}")
    latest = run.metrics[-1] if run.metrics else {}
    facts = {"steps": run.step, "best_step": run.best_step, "speed": run.speed, "latest": latest}
    display.show(Answer({"run": str(folder), **facts}, lines))


def _describe(recipe: Recipe, folder: Path, display: "Display") -> None:
    """Prints what would be trained."""
    from .._utils import serialization
    from ..recipes.runs import build
    from ..reporting.answer import Answer, TextTable

    experiment = build(recipe)
    model, data = experiment.model, experiment.data
    weights = sum(parameter.numel() for parameter in model.parameters())
    parts = model.describe()
    rows: list[tuple[str, str]] = [("folder", str(folder)), ("should reach", recipe.reaches)]
    rows += [(name, str(_brief(part))) for name, part in parts.items()]
    rows += [("weights", f"{weights:,}"), ("training rows", f"{len(data.train):,}")]
    settings = serialization.describe(recipe.fit)
    rows += [(f"fit.{key}", str(value)) for key, value in settings.items() if key != "is"]
    facts = {"run": str(folder), "model": parts, "weights": weights, "fit": settings}
    display.show(Answer(facts, [TextTable("would train", ("part", "value"), rows)]))


def _brief(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    inner = ", ".join(f"{key}={_brief(value)}" for key, value in part.items() if key != "is")
    return f"{part.get('is', '')}({inner})"
