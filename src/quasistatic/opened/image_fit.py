"""Fitting a model to images in a folder or an array."""

__all__ = ["fit_images"]

import copy
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from .._utils import files, serialization
from .._utils.naming import counted
from .._utils.randomness import Rng
from ..data.pictures import Images
from ..diffusion import read_config
from ..recipes.experiments.experiment import Experiment
from ..recipes.image import megaflops
from ..recipes.locations import naming_damage, result_path
from ..recipes.own_images import OwnImages
from ..recipes.runs import train
from ..recipes.spectral import Weighed, weighed
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..training.config import Fit
from ..training.fitting import fit
from .model import seed_of

MINUTES = 10.0
"""Default training time in minutes, if no number of steps is given."""

BATCH, VALIDATIONS = 32, 10
"""The number of images in each step, and how often the validation images are scored in a run."""

LOOKS = 512
"""The total number of network evaluations of each scoring of the validation images."""


def fit_images(
    data: str | Path,
    *,
    out: Path | None = None,
    size: int | tuple[int, int] | None = None,
    mode: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    calibration: float = 0.1,
    network: Literal["unet", "dit"] = "unet",
    dry_run: bool = False,
    device: str = "auto",
    rng: Rng = 0,
    display: Display | None = None,
) -> Answer:
    """Fits a model to images, and saves it in a folder. The same call resumes one that was stopped.

    Args:
        data: a folder of images, or a .npy or .npz file of bytes.
        out: the folder to write; by default `runs/` and the name of the data.
        size: height and width in pixels that files are cropped and resized to, or one number for a
            square.
        mode: what files are converted to, as Pillow names it: "1", "L" or "RGB".
        minutes: minutes that training may take; 10 by default.
        steps: gradient steps, in place of minutes.
        calibration: share of the images that is held back, 20 to 400 images.
        network: a U-Net, or a transformer over patches ("dit").
        dry_run: only describe what would be fitted.
        device: where to train: "auto" for a GPU if there is one, or the name of a device.
        rng: a seed, a generator, or None for a random seed.
        display: where progress is shown; None shows nothing.
    """
    for name, value in (("minutes", minutes), ("steps", steps)):
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be positive, got {value}")
    source, seed, display = Path(data), seed_of(rng), display or Display(quiet=True)
    recipe = OwnImages(
        path=str(source.resolve()),
        size=size,
        mode=mode,
        held_back=calibration,
        fit=Fit(batch=BATCH, lr=2e-3, weight_decay=0.01, seed=seed),
        law=True,
        network=network,
    )
    images = recipe.read()
    if mode is None and source.is_dir() and (bits := images.bits()) is not None:
        recipe, images = replace(recipe, mode="1"), bits
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        experiment = recipe.experiment(images)
    folder = Path(out or Path("runs") / source.resolve().stem)
    facts, table = _plan(images, experiment, folder)
    if dry_run:
        return Answer(facts, [table])
    display.table(table.title, table.header, table.rows)
    how = _begun(folder) if steps is None else None
    if how is not None:
        display.say(f"resumes the run in {folder}, of {how.steps} steps")
    how = how or _settings(recipe.fit, minutes, steps, experiment, device, display)
    recipe = replace(recipe, fit=how, sha256=images.sha256())
    began = time.process_time()
    with display.progress("fit") as show:
        run = train(recipe, folder, [show], experiment, device=device)
    took = time.process_time() - began
    best = min((record["valid_bits_per_dim"] for record in run.metrics), default=float("nan"))
    line = (
        f"wrote {folder}: {counted(run.step, 'step')}, weights of step {run.best_step} kept; "
        f"{best:.4f} bits per dimension of validation images"
    )
    facts |= {"steps": run.step, "best_step": run.best_step, "valid_bits_per_dim": best}
    if experiment.law is None:
        return Answer(facts, [line])
    found = _against_law(experiment, folder, how.evaluations, took)
    facts |= {"law_bits_per_dim": found.law, "network_bits_per_dim": found.network}
    facts["network_kept"] = found.kept
    return Answer(facts, [line, str(found)])


def _against_law(experiment: Experiment, folder: Path, evaluations: int, took: float) -> Weighed:
    """Weighs the trained network against the law, on the validation images, once; the weights of
    one that does not win are set to zero in the folder too."""
    path = result_path(folder, "law.json")
    if path.is_file():
        with naming_damage(path, "delete it, and it is measured again"):
            stored = json.loads(path.read_text(encoding="utf-8"))
            return Weighed(**stored | {"seconds": tuple(stored["seconds"])})
    assert experiment.law is not None
    model, seconds = experiment.model, (experiment.law.seconds, took)
    found = weighed(model, experiment.data.valid, evaluations, seconds=seconds)
    if not found.kept:
        weights = folder / "model.safetensors"
        files.save_tensors(weights, model.state_dict(), files.load_tensors(weights)[1])
    files.write_text(path, json.dumps(asdict(found), indent=2) + "\n")
    return found


def _plan(images: Images, experiment: Experiment, folder: Path) -> tuple[dict[str, Any], TextTable]:
    """What the images are, and which model would be fitted."""
    model, data = experiment.model, experiment.data
    weights, cost = sum(w.numel() for w in model.parameters()), megaflops(model)
    parts = {"train": len(data.train), "valid": len(data.valid), "held back": len(data.test)}
    rows = [("run", str(folder)), *((name, str(count)) for name, count in parts.items())]
    names = [type(each).__name__ for each in (model.space, model.kernel, model.head, model.network)]
    rows += [("model", ", ".join(names)), ("parameters", f"{weights:,}")]
    rows += [("MFLOP an image", f"{cost:,.0f}")]
    facts = {
        "run": str(folder),
        "images": len(images),
        "shape": list(images.array.shape[1:]),
        "mode": images.mode,
        "parts": list(parts.values()),
        "parameters": weights,
        "mflop": cost,
    }
    return facts, TextTable(f"{images.path}: {images}", ("", ""), rows)


def _begun(folder: Path) -> Fit | None:
    """The settings of the run in a folder, with its number of steps; None if there is no run."""
    if not (folder / "config.json").is_file():
        return None
    stored = read_config(folder).get("fit", {})
    found = serialization.build(stored, {"Fit": Fit}) if stored else None
    return found if isinstance(found, Fit) else None


def _settings(
    how: Fit,
    minutes: float | None,
    steps: int | None,
    experiment: Experiment,
    device: str,
    display: Display,
) -> Fit:
    """The settings for a number of steps, or for as many steps as fit into the minutes."""
    valid = len(experiment.data.valid)
    looks = min(64, max(2, -(-LOOKS // valid)))
    if steps is None or minutes is not None:
        minutes = minutes or MINUTES
        steps = min(_steps_in(minutes, how, experiment, device, looks * valid), steps or 10**9)
        display.say(f"{minutes:g} min allow about {counted(steps, 'step')} of {how.batch} images")
        if steps < 100:
            display.say("these are very few steps: give more --minutes, or a smaller --size")
    return replace(
        how,
        steps=steps,
        warmup=min(100, steps // 10),
        ema=max(0.0, 1 - 10 / steps),  # the running mean covers about the last tenth
        validations=min(VALIDATIONS, steps),
        # A model that starts at a law is good at once, and better again when the rate has fallen.
        patience=3 if experiment.law is None else VALIDATIONS // 2,
        evaluations=looks,
    )


def _steps_in(minutes: float, how: Fit, experiment: Experiment, device: str, looks: int) -> int:
    """The number of steps that fit into some minutes, from the speed of a few steps of a copy of
    the model. One validation evaluation costs about a third of a training evaluation."""
    probe = replace(how, steps=6, validations=0)
    run = fit(
        copy.deepcopy(experiment.model),
        experiment.data.train,
        settings=probe,
        device=device,
        progress=False,
    )
    seconds = 1 / run.speed["examples_per_second"]
    batch = min(how.batch, len(experiment.data.train))
    return max(1, int((60 * minutes / seconds - VALIDATIONS * looks / 3) / batch))
