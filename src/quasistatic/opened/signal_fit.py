"""Fitting a model to signals, the rows of an array."""

__all__ = ["fit_signals"]

import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .._utils.naming import counted
from .._utils.randomness import Rng
from ..diffusion import read_config
from ..recipes.experiments.experiment import Experiment
from ..recipes.own_signals import OwnSignals, digest, read_signals
from ..recipes.runs import train
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..training.config import Fit
from ..training.fitting import fit
from .model import seed_of
from .network_fit import BATCH, MINUTES, against_law, begun, require_positive, settings_for

PILOT = 0.1
"""The share of the minutes for which each start is tried."""


def fit_signals(
    data: str | Path,
    *,
    out: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    calibration: float = 0.1,
    dry_run: bool = False,
    device: str = "auto",
    rng: Rng = 0,
    display: Display | None = None,
) -> Answer:
    """Fits a model to signals, and saves it in a folder. The same call resumes one that was
    stopped.

    Where minutes limit the training, a tenth of them each trains a network that corrects the law of
    the signals, and one without a law. Validation signals choose between the two.

    Args:
        data: a .npy or .npz file with an array (N, L): N signals of L samples.
        out: the folder to write; by default `runs/` and the name of the data.
        minutes: minutes that training may take; 10 by default.
        steps: gradient steps, in place of minutes.
        calibration: share of the signals that is held back, 20 to 1024 signals.
        dry_run: only describe what would be fitted.
        device: where to train: "auto" for a GPU if there is one, or the name of a device.
        rng: a seed, a generator, or None for a random seed.
        display: where progress is shown; None shows nothing.
    """
    require_positive(minutes, steps)
    source, seed, display = Path(data), seed_of(rng), display or Display(quiet=True)
    signals = read_signals(source)
    recipe = OwnSignals(
        path=str(source.resolve()),
        held_back=calibration,
        sha256=digest(signals),
        fit=Fit(batch=BATCH, lr=2e-3, weight_decay=0.01, seed=seed),
    )
    experiment = _built(recipe, signals, seed)
    folder = Path(out or Path("runs") / source.resolve().stem)
    facts, table = _plan(source, signals, experiment, folder)
    if dry_run:
        return Answer(facts, [table])
    display.table(table.title, table.header, table.rows)
    how = begun(folder) if steps is None else None
    pilot: Pilot | None = None
    if how is not None:
        display.say(f"resumes the run in {folder}, of {how.steps} steps")
        recipe = replace(recipe, start=_stored_start(folder))
    elif steps is None:
        minutes = minutes or MINUTES
        pilot = _compared(recipe, experiment, signals, minutes, device, display)
        recipe, minutes = replace(recipe, start=pilot.start), minutes * (1 - 2 * PILOT)
    if recipe.start == "network":
        experiment = _built(recipe, signals, seed)
    how = how or settings_for(recipe.fit, minutes, steps, experiment, device, display)
    recipe, began = replace(recipe, fit=how), time.process_time()
    with display.progress("fit") as show:
        run = train(recipe, folder, [show], experiment, device=device)
    facts |= {"steps": run.step, "best_step": run.best_step, "start": recipe.start}
    said = [] if pilot is None else [str(pilot)]
    law = experiment.law
    if law is None:
        best = min(record["valid_bits_per_dim"] for record in run.metrics)
        facts |= {"valid_bits_per_dim": best}
        line = (
            f"wrote {folder}: {counted(run.step, 'step')}, weights of step {run.best_step} kept; a "
            f"network without a law, {best:.2f} bits per dimension of validation signals"
        )
        return Answer(facts, [line, *said])
    took = law.seconds, time.process_time() - began
    found = against_law(experiment.model, experiment, took, folder, how)
    kept = f"{counted(run.step, 'step')}, weights of step {run.best_step} kept"
    kept = kept if found.kept else "the spectral law without a network"
    facts |= {"law_bits_per_dim": found.law}
    facts |= {"network_bits_per_dim": found.network, "network_kept": found.kept}
    return Answer(facts, [f"wrote {folder}: {kept}", *said, str(found)])


@dataclass(frozen=True)
class Pilot:
    """Two models after equal short trainings, in bits per dimension of validation signals.

    Args:
        law: of a network that corrects the law of the signals.
        network: of a network alone.
        minutes: that each was trained for.
    """

    law: float
    network: float
    minutes: float

    @property
    def start(self) -> Literal["law", "network"]:
        """The better start."""
        return "law" if self.law <= self.network else "network"

    def __str__(self) -> str:
        chosen = "the law" if self.start == "law" else "a network without a law"
        return (
            f"starts at {chosen}: after {60 * self.minutes:.0f} s of training each, a network that "
            f"corrects the law has {self.law:.2f} bits per dimension of validation signals, and "
            f"one without a law {self.network:.2f}"
        )


def _compared(
    recipe: OwnSignals,
    experiment: Experiment,
    signals: np.ndarray,
    minutes: float,
    device: str,
    display: Display,
) -> Pilot:
    """Trains a model of either start for a share of the minutes."""
    alone, quiet = replace(recipe, start="network"), Display(quiet=True)
    bits = []
    with display.progress("pilot") as show:
        for each in (experiment, _built(alone, signals, recipe.fit.seed)):
            model = copy.deepcopy(each.model)
            how = settings_for(recipe.fit, PILOT * minutes, None, each, device, quiet)
            how = replace(how, validations=0)
            fit(
                model,
                each.data.train,
                settings=how,
                device=device,
                progress=False,
                callbacks=[show],
            )
            model = model.to("cpu")
            found = model.score(each.data.valid, how.evaluations, rng=recipe.fit.seed)
            bits.append(found.bits_per_dim.mean().item())
    pilot = Pilot(bits[0], bits[1], PILOT * minutes)
    display.say(str(pilot))
    return pilot


def _built(recipe: OwnSignals, signals: np.ndarray, seed: int) -> Experiment:
    """The experiment with weights that a seed gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return recipe.experiment(signals)


def _stored_start(folder: Path) -> Literal["law", "network"]:
    """What the run in a folder started at."""
    stored = read_config(folder).get("recipe", {}).get("start", "law")
    return "network" if stored == "network" else "law"


def _plan(
    source: Path, signals: np.ndarray, experiment: Experiment, folder: Path
) -> tuple[dict[str, Any], TextTable]:
    """What the signals are, and which model would be fitted."""
    model, data = experiment.model, experiment.data
    parts = {"train": len(data.train), "valid": len(data.valid), "held back": len(data.test)}
    weights = sum(w.numel() for w in model.parameters())
    names = [type(each).__name__ for each in (model.space, model.kernel, model.head, model.network)]
    rows = [("run", str(folder)), *((name, str(count)) for name, count in parts.items())]
    rows += [("values", f"{signals.min():.5g} to {signals.max():.5g}")]
    rows += [("model", ", ".join(names)), ("parameters", f"{weights:,}")]
    facts = {
        "run": str(folder),
        "signals": len(signals),
        "shape": list(signals.shape[1:]),
        "parts": list(parts.values()),
        "parameters": weights,
    }
    title = f"{source}: {len(signals):,} signals of {signals.shape[1]:,} samples"
    return facts, TextTable(title, ("", ""), rows)
