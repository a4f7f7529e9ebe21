"""The verb that fits a model to images in a folder or an array."""

__all__ = ["fit_images"]

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from .._utils import serialization
from ..data.pictures import Images
from ..diffusion import read_config
from ..recipes import Experiment, OwnImages
from ..recipes.image import megaflops
from ..recipes.runs import train
from ..reporting.console import Display
from ..training.loop import Fit, fit
from .arguments import Out, Seed, parse
from .images import Given

MINUTES, BATCH, VALIDATIONS, LOOKS = 10.0, 32, 10, 512
"""Minutes of training if nothing is said; images a step; and how often, by how many evaluations of
the network in all, the images to choose by are scored."""


@dataclasses.dataclass
class _Fit:
    """A model of images in a folder, or in an array of bytes. Some are held back from it, and tell
    what an ordinary image is. The same command goes on where it was stopped."""

    data: Given
    out: Out = None
    size: Annotated[
        int | tuple[int, int] | None,
        tyro.conf.arg(help="Height and width that files are cut and resized to; or one number."),
    ] = None
    mode: Annotated[
        Literal["1", "L", "RGB"] | None,
        tyro.conf.arg(help="What files are converted to: black and white, grey, colour."),
    ] = None
    minutes: Annotated[float | None, tyro.conf.arg(help="That training may take: 10.")] = None
    steps: Annotated[int | None, tyro.conf.arg(help="Of training, in place of minutes.")] = None
    calibration: Annotated[float, tyro.conf.arg(help="Share held back, of 20 to 400.")] = 0.1
    seed: Seed = 0
    dry_run: Annotated[bool, tyro.conf.arg(help="Say what would be fitted.")] = False
    json: bool = False


def fit_images(words: Sequence[str]) -> None:
    """Fit a model to images."""
    asked: _Fit = parse(_Fit, "fit", words)
    for name in ("minutes", "steps"):
        value = getattr(asked, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be positive, got {value}")
    display = Display(asked.json)
    recipe = OwnImages(
        path=str(asked.data.resolve()),
        size=asked.size,
        mode=asked.mode,
        held_back=asked.calibration,
        fit=Fit(batch=BATCH, lr=2e-3, weight_decay=0.01, seed=asked.seed),
    )
    images = recipe.read()
    if asked.mode is None and asked.data.is_dir() and (bits := images.bits()) is not None:
        recipe, images = replace(recipe, mode="1"), bits
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(asked.seed)
        experiment = recipe.experiment(images)
    folder = asked.out or Path("runs") / asked.data.resolve().stem
    facts = _plan(images, experiment, folder, display)
    if asked.dry_run:
        display.result(**facts)
        return
    how = _begun(folder) if asked.steps is None else None
    if how is not None:
        display.say(f"goes on with the run in {folder}, of {how.steps} steps")
    how = how or _settings(recipe.fit, asked, experiment, display)
    recipe = replace(recipe, fit=how, sha256=images.sha256())
    with display.progress("fit") as show:
        run = train(recipe, folder, show, experiment)
    best = min((record["valid_bits_per_dim"] for record in run.metrics), default=float("nan"))
    display.say(
        f"wrote {folder}: {run.step} steps, weights of step {run.best_step} kept; "
        f"{best:.4f} bits per dimension of images that it chose by"
    )
    display.result(**facts, steps=run.step, best_step=run.best_step, valid_bits_per_dim=best)


def _plan(images: Images, experiment: Experiment, folder: Path, display: Display) -> dict:
    """Says what the images are, and which model there would be."""
    model, data = experiment.model, experiment.data
    weights, cost = sum(w.numel() for w in model.parameters()), megaflops(model)
    parts = {"train": len(data.train), "valid": len(data.valid), "held back": len(data.test)}
    rows = [("run", str(folder)), *((name, str(count)) for name, count in parts.items())]
    names = [type(each).__name__ for each in (model.space, model.kernel, model.head, model.network)]
    rows += [("model", ", ".join(names)), ("parameters", f"{weights:,}")]
    rows += [("MFLOP an image", f"{cost:,.0f}")]
    display.table(f"{images.path}: {images}", ("", ""), rows)
    return {
        "run": str(folder),
        "images": len(images),
        "shape": list(images.array.shape[1:]),
        "mode": images.mode,
        "parts": list(parts.values()),
        "parameters": weights,
        "mflop": cost,
    }


def _begun(folder: Path) -> Fit | None:
    """How the run in a folder is trained, if there is one: its steps were counted when it began."""
    if not (folder / "config.json").is_file():
        return None
    stored = read_config(folder).get("fit", {})
    kinds = {"Fit": Fit}
    return serialization.build(stored, kinds) if stored else None


def _settings(how: Fit, asked: _Fit, experiment: Experiment, display: Display) -> Fit:
    """How to train for so many steps, or for what the minutes hold on this machine."""
    valid = len(experiment.data.valid)
    looks = min(64, max(2, -(-LOOKS // valid)))
    steps = asked.steps
    if steps is None or asked.minutes is not None:
        minutes = asked.minutes or MINUTES
        steps = min(_steps_in(minutes, how, experiment, looks * valid), steps or 10**9)
        display.say(f"{minutes:g} minutes hold about {steps} steps of {how.batch} images")
        if steps < 100:
            display.say("that is hardly any: give more --minutes, or a smaller --size")
    return replace(
        how,
        steps=steps,
        warmup=min(100, steps // 10),
        ema=max(0.0, 1 - 10 / steps),  # the mean is of about the last tenth
        validations=min(VALIDATIONS, steps),
        patience=3,
        evaluations=looks,
    )


def _steps_in(minutes: float, how: Fit, experiment: Experiment, looks: int) -> int:
    """How many steps that many minutes hold, by the pace of a few on a copy of the model; to look
    at an image once costs a third of learning from it."""
    probe = replace(how, steps=6, validations=0)
    run = fit(copy.deepcopy(experiment.model), experiment.data.train, settings=probe)
    seconds = 1 / run.speed["examples_per_second"]
    batch = min(how.batch, len(experiment.data.train))
    return max(1, int((60 * minutes / seconds - VALIDATIONS * looks / 3) / batch))
