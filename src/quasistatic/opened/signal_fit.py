"""Fitting a model to signals, the rows of an array."""

__all__ = ["fit_signals"]

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._utils.naming import counted
from .._utils.randomness import Rng
from ..recipes.experiments.experiment import Experiment
from ..recipes.own_signals import OwnSignals, digest, read_signals
from ..recipes.runs import train
from ..reporting.answer import Answer, TextTable
from ..reporting.console import Display
from ..training.config import Fit
from .model import seed_of
from .network_fit import BATCH, against_law, begun, require_positive, settings_for


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        experiment = recipe.experiment(signals)
    folder = Path(out or Path("runs") / source.resolve().stem)
    facts, table = _plan(source, signals, experiment, folder)
    if dry_run:
        return Answer(facts, [table])
    display.table(table.title, table.header, table.rows)
    how = begun(folder) if steps is None else None
    if how is not None:
        display.say(f"resumes the run in {folder}, of {how.steps} steps")
    how = how or settings_for(recipe.fit, minutes, steps, experiment, device, display)
    recipe, began = replace(recipe, fit=how), time.process_time()
    with display.progress("fit") as show:
        run = train(recipe, folder, [show], experiment, device=device)
    law = experiment.law
    took = (0.0 if law is None else law.seconds, time.process_time() - began)
    found = against_law(experiment.model, experiment, took, folder, how)
    kept = f"{counted(run.step, 'step')}, weights of step {run.best_step} kept"
    kept = kept if found.kept else "the spectral law without a network"
    facts |= {"steps": run.step, "best_step": run.best_step, "law_bits_per_dim": found.law}
    facts |= {"network_bits_per_dim": found.network, "network_kept": found.kept}
    return Answer(facts, [f"wrote {folder}: {kept}", str(found)])


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
