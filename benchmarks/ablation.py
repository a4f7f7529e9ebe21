"""DDPM's Table 2 at small scale on MNIST: prediction x objective x variance, in bits per dimension.

    python benchmarks/ablation.py [--steps 400] [--evaluations 8]

Each cell is `quasistatic train ablation` with its axes, from the same seed; scored on the 10000
test images by the same bound (the whole chain of T = 1000 steps, a few of its terms drawn for each
image). Prints the table and keeps benchmarks/results/ablation.json.
"""

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path

import torch

import quasistatic as qs
from quasistatic.recipes import Ablation

PREDICTIONS = ("mean", "clean", "noise", "velocity")
ROWS = {
    "L, learned width": ("bound", "interpolated"),
    "L, width beta": ("bound", "large"),
    "L, width beta-tilde": ("bound", "small"),
    "L_simple, width beta": ("simple", "large"),
    "L_simple, width beta-tilde": ("simple", "small"),
    "L_hybrid, learned width": ("hybrid", "interpolated"),
}


def measure(prediction: str, row: str, steps: int, evaluations: int) -> dict:
    """One cell: trained, and scored on the test images."""
    objective, variance = ROWS[row]
    recipe = Ablation(prediction=prediction, objective=objective, variance=variance)  # type: ignore[arg-type]
    torch.manual_seed(recipe.fit.seed)
    experiment = recipe.build()
    fit = replace(recipe.fit, steps=steps)
    qs.fit(experiment.model, experiment.data.train, objective=experiment.objective, settings=fit)
    rng = torch.Generator().manual_seed(0)
    score = experiment.model.score(experiment.data.test, evaluations, rng=rng)
    bits = score.bits_per_dim
    return {"bits_per_dim": bits.mean().item(), "stderr": score.stderr(bits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=Ablation().fit.steps)
    parser.add_argument("--evaluations", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(__file__).parent / "results" / "ablation.json"
    cells: dict[str, dict] = {}
    for row, prediction in itertools.product(ROWS, PREDICTIONS):
        try:
            cell = measure(prediction, row, asked.steps, asked.evaluations)
        except qs.NonFiniteLoss as error:
            cell = {"diverged": str(error)}
        cells[f"{prediction} | {row}"] = cell
        print(prediction, "|", row, cell, flush=True)
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
