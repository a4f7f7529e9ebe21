"""Digits, heartbeat and swiss roll end to end: training, scores, completions, one page."""

__all__ = ["demo"]

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..opened.run_report import UNITS, assess, sections
from ..recipes import Digits, Heartbeat, Recipe, SwissRollModern
from ..recipes.runs import TrainedRun, open_run, train
from ..reporting.console import Display
from ..reporting.html import write_page

# Fewer gradient steps and time steps than the recipe; the page says so.
ROLL = SwissRollModern(steps=1000, fit=replace(SwissRollModern().fit, steps=1000, batch=512))

DEMO: dict[str, Recipe] = {"digits": Digits(), "heartbeat": Heartbeat(), "swiss-roll": ROLL}


def demo(folder: Path, display: Display) -> dict[str, Any]:
    """Trains the three runs, scores them, completes held-out digits, and writes a page.

    Args:
        folder: the folder of the runs and of `report.html`.
        display: where progress and scores are shown.

    Returns:
        The figures as JSON values.
    """
    started = time.monotonic()
    rng = torch.Generator().manual_seed(0)
    facts: dict[str, Any] = {}
    page = []
    for name, recipe in DEMO.items():
        with display.progress(f"train {name}") as show:
            train(recipe, folder / name, [show])
        run = open_run(folder / name)
        with run.threads():
            test = run.experiment.data.test
            result = assess(run, run.model.score(test, rng=rng))
            title = f"{name}: held-out data, bits per dimension (lower is better)"
            display.table(
                title, ("model", "bits/dim", "s.e."), [row.cells() for row in result.rows]
            )
            display.table(f"{name}: its bound", ("", "mean", "s.e."), result.lines())
            facts[name] = result.facts()
            if name == "digits":
                facts["completion"] = _complete(run, rng)
                display.table(
                    "digits: the hidden right half of 16 held-out digits, error a pixel (0 to 16)",
                    ("filled in by", "RMSE"),
                    [(key, f"{value:.3f}") for key, value in facts["completion"].items()],
                )
            page += sections(run, result, rng)
    facts["seconds"] = time.monotonic() - started
    path = write_page(folder / "report.html", "quasistatic: sample, score, complete", page)
    facts["report"] = str(path)
    display.say(UNITS)
    display.say(f"wrote {path} in {facts['seconds']:.0f} s; open it in a browser")
    return facts


def _complete(run: TrainedRun, rng: torch.Generator) -> dict[str, float]:
    """Root mean squared error of the hidden right half: posterior mean, one draw, training mean."""
    data = run.experiment.data
    x = data.test[:16]
    mask = np.tile(np.tile(np.arange(8) >= 4, 8), (len(x), 1))
    made = run.model.complete(x, mask, draws=16, times=100, rng=rng)
    kept = np.array_equal(made.draws.numpy()[:, 0][~mask], x[~mask])
    if not kept:
        raise AssertionError("a known pixel came back changed")

    def rmse(guess: np.ndarray) -> float:
        return float(np.sqrt(((guess - x)[mask] ** 2).mean()))

    return {
        "posterior mean": rmse(made.mean.numpy()),
        "one posterior draw": rmse(made.draws[:, 0].numpy()),
        "mean of the training digits": rmse(np.broadcast_to(data.train.mean(0), x.shape)),
    }
