"""Fitting a model to images in a folder or an array."""

__all__ = ["fit_images"]

import copy
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from .._utils.naming import counted
from .._utils.randomness import Rng
from ..data.pictures import Images
from ..diffusion import Diffusion
from ..recipes.experiments.experiment import Experiment
from ..recipes.image import megaflops
from ..recipes.latent import LatentStage
from ..recipes.own_images import DOWN, OwnImages
from ..recipes.runs import TrainedRun, train
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..training.checkpoints import FIRST_STAGE
from ..training.config import Fit
from .model import seed_of
from .network_fit import BATCH, MINUTES, against_law, begun, require_positive, settings_for

LARGEST = 96
"""The longest shorter side of images that are modelled by their pixels by default."""

VALUES = 2**19
"""Values of the images of a step, at most, where there is an autoencoder."""

LEVEL = 0.05
"""The level of `outliers` by default."""


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
    latent: bool = False,
    pixels: bool = False,
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
        latent: train an autoencoder and a chain of its latents. This is the default for grey images
            and colours whose shorter side is above 96 pixels, if both sides are multiples of 8.
        pixels: model the pixels themselves, also of large images.
        dry_run: only describe what would be fitted.
        device: where to train: "auto" for a GPU if there is one, or the name of a device.
        rng: a seed, a generator, or None for a random seed.
        display: where progress is shown; None shows nothing.
    """
    require_positive(minutes, steps)
    if latent and pixels:
        raise ValueError("--latent and --pixels are two ways to model images: give one of them")
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
    recipe = replace(recipe, latent=latent or (not pixels and suits_latents(images)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        experiment = recipe.experiment(images)
    folder = Path(out or Path("runs") / source.resolve().stem)
    long = counted(steps, "step") if steps is not None else f"{minutes or MINUTES:g} minutes"
    facts, table = _plan(images, experiment, folder, long)
    if dry_run:
        return Answer(facts, [table])
    display.table(table.title, table.header, table.rows)
    how = begun(folder) if steps is None else None
    if how is not None:
        display.say(f"resumes the run in {folder}, of {how.steps} steps")
    stage = experiment.first
    if stage is not None:
        recipe, how = _two_stages(
            recipe,
            stage,
            how,
            begun(folder / FIRST_STAGE),
            minutes,
            steps,
            experiment,
            device,
            display,
        )
        experiment = replace(experiment, first=replace(stage, fit=recipe.coder))
    how = how or settings_for(recipe.fit, minutes, steps, experiment, device, display)
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
    if stage is not None:
        found = against_law(Diffusion.load(folder), experiment, (0.0, took), folder, how)
        records = TrainedRun(folder / FIRST_STAGE, stage.model, None).metrics
        coder = min(record["valid_bits_per_dim"] for record in records)
        facts |= {"autoencoder_bits_per_dim": coder}
        lines = [line, f"autoencoder: {coder:.2f} bits per dimension with standard normal latents"]
        lines += [f"law of the latents: {found.law:.2f}; network: {found.network:.2f}"]
        lines[-1] += "" if found.kept else ", so it is left out"
    elif experiment.law is None:
        return Answer(facts, [line])
    else:
        times = (experiment.law.seconds, took)
        found = against_law(experiment.model, experiment, times, folder, how)
        if not found.kept:
            line = (
                f"wrote {folder}: the spectral law without a network; {found.law:.4f} bits per "
                "dimension of validation images"
            )
        lines = [line, str(found)]
    facts |= {"law_bits_per_dim": found.law, "network_bits_per_dim": found.network}
    facts["network_kept"] = found.kept
    return Answer(facts, lines)


def suits_latents(images: Images) -> bool:
    """Whether images are modelled by the latents of an autoencoder by default."""
    sides = images.array.shape[-2:]
    return images.levels > 2 and min(sides) > LARGEST and not any(side % DOWN for side in sides)


def _two_stages(
    recipe: OwnImages,
    stage: LatentStage,
    how: Fit | None,
    coder: Fit | None,
    minutes: float | None,
    steps: int | None,
    experiment: Experiment,
    device: str,
    display: Display,
) -> tuple[OwnImages, Fit]:
    """The recipe with the settings of the autoencoder, and the settings of the chain: half of the
    minutes for each, or the same number of steps for both. Stages that were begun keep `coder` and
    `how`."""
    space = stage.model.space
    display.say(
        f"latents of {'x'.join(map(str, space.state))} by an autoencoder, which is trained first: "
        f"the sides of the images are {DOWN} times longer"
    )
    batch = max(2, min(BATCH, VALUES // space.dims))
    half = None if minutes is None and steps is not None else (minutes or MINUTES) / 2
    if coder is None:
        first = replace(experiment, model=stage.model, objective=stage.objective, first=None)
        coder = replace(recipe.coder, batch=batch, seed=recipe.fit.seed)
        coder = settings_for(coder, half, steps, first, device, display, 1)
        coder = replace(coder, patience=0)
    if how is not None:
        return replace(recipe, coder=coder), how
    made, law = stage.second(copy.deepcopy(stage.model))
    second = replace(experiment, model=made, law=law, first=None)
    how = settings_for(replace(recipe.fit, batch=batch), half, steps, second, device, display)
    return replace(recipe, coder=coder), how


def _plan(
    images: Images, experiment: Experiment, folder: Path, long: str
) -> tuple[dict[str, Any], TextTable]:
    """What the images are, and which model would be fitted for how long."""
    model, data = experiment.model, experiment.data
    least = 1 / (len(data.test) + 1)
    weights, cost = sum(w.numel() for w in model.parameters()), megaflops(model)
    parts = {"train": len(data.train), "valid": len(data.valid), "held back": len(data.test)}
    rows = [("run", str(folder)), *((name, str(count)) for name, count in parts.items())]
    if LEVEL < least < 1:
        rows.append(("outliers", f"need --level {math.ceil(100 * least) / 100:g} or more images"))
    names = [type(each).__name__ for each in (model.space, model.kernel, model.head, model.network)]
    rows += [("model", ", ".join(names)), ("parameters", f"{weights:,}")]
    rows += [("MFLOP an image", f"{cost:,.0f}"), ("training", f"{long} at most")]
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
