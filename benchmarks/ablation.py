"""DDPM's Table 2 at small scale on MNIST: prediction x objective x variance, in bits per dimension.

    python benchmarks/ablation.py [--steps 400] [--evaluations 2]

Each cell is `quasistatic train ablation` with its axes, from the same seed; scored on the 10000
test images by the same bound (the whole chain of T = 1000 steps, a few of its terms drawn for each
image). L_simple does not see a fixed width: its two rows score one network. Prints the table and
keeps benchmarks/results/ablation.json.
"""

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import quasistatic as qs
from quasistatic.recipes import Ablation
from quasistatic.recipes.ablation import VARIANCES

PREDICTIONS = ("mean", "clean", "noise", "velocity")
ROWS = {
    "L, learned width": ("bound", "interpolated"),
    "L, width beta": ("bound", "large"),
    "L, width beta-tilde": ("bound", "small"),
    "L_simple, width beta": ("simple", "large"),
    "L_simple, width beta-tilde": ("simple", "small"),
    "L_hybrid, learned width": ("hybrid", "interpolated"),
}
TWINS = {"L_simple, width beta": ("L_simple, width beta", "L_simple, width beta-tilde")}


def trained(prediction: str, row: str, steps: int) -> qs.Diffusion:
    """The model of one cell."""
    objective, variance = ROWS[row]
    recipe = Ablation(prediction=prediction, objective=objective, variance=variance)  # type: ignore[arg-type]
    torch.manual_seed(recipe.fit.seed)
    experiment = recipe.build()
    fit = replace(recipe.fit, steps=steps)
    qs.fit(experiment.model, experiment.data.train, objective=experiment.objective, settings=fit)
    return experiment.model


def scored(model: qs.Diffusion, test: np.ndarray, evaluations: int) -> dict:
    """Its bound on the test images."""
    score = model.score(test, evaluations, rng=torch.Generator().manual_seed(0))
    bits = score.bits_per_dim
    return {"bits_per_dim": bits.mean().item(), "stderr": score.stderr(bits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=Ablation().fit.steps)
    parser.add_argument("--evaluations", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(__file__).parent / "results" / "ablation.json"
    cells: dict[str, dict] = {}
    test = qs.data.mnist().test
    rows = [row for row in ROWS if row != "L_simple, width beta-tilde"]
    for row, prediction in itertools.product(rows, PREDICTIONS):
        try:
            model = trained(prediction, row, asked.steps)
        except qs.NonFiniteLoss as error:
            cells[f"{prediction} | {row}"] = {"diverged": str(error)}
        else:
            for name in TWINS.get(row, (row,)):
                head = replace(model.head, variance=VARIANCES[ROWS[name][1]]())
                twin = qs.Diffusion(model.space, model.kernel, head, model.network)
                cells[f"{prediction} | {name}"] = scored(twin, test, asked.evaluations)
                print(prediction, "|", name, cells[f"{prediction} | {name}"], flush=True)
        path.write_text(json.dumps({"steps": asked.steps, "cells": cells}, indent=2) + "\n")
    print(f"\n{'bits per dimension, ' + str(asked.steps) + ' steps':<30}", end="")
    print("".join(f"{name:>18}" for name in PREDICTIONS))
    for row in ROWS:
        shown = [_shown(cells[f"{prediction} | {row}"]) for prediction in PREDICTIONS]
        print(f"{row:<30}" + "".join(f"{text:>18}" for text in shown))


def _shown(cell: dict) -> str:
    if "diverged" in cell:
        return "diverged"
    return f"{cell['bits_per_dim']:.3f} +- {cell['stderr']:.3f}"


if __name__ == "__main__":
    main()
