"""Fitting a model to images in a folder or an array."""

__all__ = ["fit_images"]

import copy
import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from .._utils import files, serialization
from .._utils.naming import counted
from .._utils.randomness import Rng
from ..data.pictures import Images
from ..diffusion import Diffusion, read_config
from ..recipes.experiments.experiment import Experiment
from ..recipes.image import megaflops
from ..recipes.latent import LatentStage
from ..recipes.locations import naming_damage, result_path
from ..recipes.own_images import DOWN, OwnImages
from ..recipes.runs import TrainedRun, train
from ..recipes.spectral import Weighed, weighed
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..training.checkpoints import FIRST_STAGE
from ..training.config import Fit
from ..training.fitting import fit
from .model import seed_of

MINUTES = 10.0
"""Default training time in minutes, if no number of steps is given."""

LARGEST = 96
"""The longest shorter side of images that are modelled by their pixels by default."""

VALUES = 2**19
"""Values of the images of a step, at most, where there is an autoencoder."""

LEVEL = 0.05
"""The level of `outliers` by default."""

BATCH, VALIDATIONS = 32, 10
"""The number of images in each step, and how often the validation images are scored in a run."""

LOOKS = 512
"""The total number of network evaluations of each scoring of the validation images."""

OF_EVALUATION = 1 / 3
"""The cost of a validation evaluation, in units of a training evaluation."""

OF_TIME = 0.25
"""The share of the time that these scorings may take; where they would take more, there are fewer
of them, and then fewer evaluations in each."""


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
    for name, value in (("minutes", minutes), ("steps", steps)):
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be positive, got {value}")
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
    facts, table = _plan(images, experiment, folder)
    if dry_run:
        return Answer(facts, [table])
    display.table(table.title, table.header, table.rows)
    how = _begun(folder) if steps is None else None
    if how is not None:
        display.say(f"resumes the run in {folder}, of {how.steps} steps")
    stage = experiment.first
    if stage is not None:
        recipe, how = _two_stages(
            recipe,
            stage,
            how,
            _begun(folder / FIRST_STAGE),
            minutes,
            steps,
            experiment,
            device,
            display,
        )
        experiment = replace(experiment, first=replace(stage, fit=recipe.coder))
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
    if stage is not None:
        found = _against_law(Diffusion.load(folder), experiment, (0.0, took), folder, how)
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
        found = _against_law(experiment.model, experiment, times, folder, how)
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
        coder = _settings(coder, half, steps, first, device, display, 1)
        coder = replace(coder, patience=0)
    if how is not None:
        return replace(recipe, coder=coder), how
    made, law = stage.second(copy.deepcopy(stage.model))
    second = replace(experiment, model=made, law=law, first=None)
    how = _settings(replace(recipe.fit, batch=batch), half, steps, second, device, display)
    return replace(recipe, coder=coder), how


def _against_law(
    model: Diffusion,
    experiment: Experiment,
    seconds: tuple[float, float],
    folder: Path,
    how: Fit,
) -> Weighed:
    """Weighs the trained network against the law, on the validation images, once; the weights of
    one that does not win are set to zero in the folder too."""
    path = result_path(folder, "law.json")
    if path.is_file():
        with naming_damage(path, "delete it, and it is measured again"):
            stored = json.loads(path.read_text(encoding="utf-8"))
            return Weighed(**stored | {"seconds": tuple(stored["seconds"])})
    found = weighed(model, experiment.data.valid, how.evaluations, seconds=seconds)
    if not found.kept:
        weights = folder / "model.safetensors"
        files.save_tensors(weights, model.state_dict(), files.load_tensors(weights)[1])
    files.write_text(path, json.dumps(asdict(found), indent=2) + "\n")
    return found


def _plan(images: Images, experiment: Experiment, folder: Path) -> tuple[dict[str, Any], TextTable]:
    """What the images are, and which model would be fitted."""
    model, data = experiment.model, experiment.data
    least = 1 / (len(data.test) + 1)
    weights, cost = sum(w.numel() for w in model.parameters()), megaflops(model)
    parts = {"train": len(data.train), "valid": len(data.valid), "held back": len(data.test)}
    rows = [("run", str(folder)), *((name, str(count)) for name, count in parts.items())]
    if LEVEL < least < 1:
        rows.append(("outliers", f"need --level {math.ceil(100 * least) / 100:g} or more images"))
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
    looks: int | None = None,
) -> Fit:
    """The settings for a number of steps, or for as many steps as fit into the minutes; with so
    many evaluations of each validation image, if `looks` says how many."""
    valid, times = len(experiment.data.valid), VALIDATIONS
    if looks is None:
        looks = min(64, max(2, -(-LOOKS // valid)))
    if steps is None or minutes is not None:
        minutes = minutes or MINUTES
        batch = min(how.batch, len(experiment.data.train))
        examples = _examples_in(minutes, how, experiment, device)
        times, looks = _affordable(examples, valid, looks)
        left = examples - times * looks * valid * OF_EVALUATION
        steps = min(max(1, int(left / batch)), steps or 10**9)
        display.say(f"{minutes:g} min allow about {counted(steps, 'step')} of {how.batch} images")
        if steps < 100:
            display.say("these are very few steps: give more --minutes, or a smaller --size")
    return replace(
        how,
        steps=steps,
        warmup=min(100, steps // 10),
        ema=max(0.0, 1 - 10 / steps),  # the running mean covers about the last tenth
        validations=min(times, steps),
        # A model that starts at a law is good at once, and better again when the rate has fallen.
        patience=3 if experiment.law is None else VALIDATIONS // 2,
        evaluations=looks,
    )


def _affordable(examples: float, valid: int, looks: int) -> tuple[int, int]:
    """How often the validation images are scored, and by how many evaluations each, where so many
    examples could be trained on in the whole time."""
    most = OF_TIME * examples / (OF_EVALUATION * valid)  # evaluations of each in the whole run
    times = min(VALIDATIONS, max(1, int(most / looks)))
    return times, min(looks, max(1, int(most / times)))


def _examples_in(minutes: float, how: Fit, experiment: Experiment, device: str) -> float:
    """The number of examples that can be trained on in some minutes, from the speed of a few steps
    of a copy of the model."""
    probe = replace(how, steps=6, validations=0)
    run = fit(
        copy.deepcopy(experiment.model),
        experiment.data.train,
        objective=experiment.objective,
        settings=probe,
        device=device,
        progress=False,
    )
    speed: float = run.speed["examples_per_second"]
    return 60 * minutes * speed
