"""The spread between trainings: one recipe, trained from several seeds.

    python benchmarks/seeds.py digits [heartbeat ...] [--seeds 0 1 2] [--evaluations 100]

Each training draws its own weights, order of the data, times and noise; the data and their split
are the same. Prints bits per dimension of the test examples, each with the standard error over
examples, and beside them the mean and the standard deviation between trainings. All trainings are
scored with the same times and noise. Keeps benchmarks/results/seeds.json.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from quasistatic.recipes import RECIPES
from quasistatic.recipes.runs import build, train

RESULTS = Path(__file__).parent / "results" / "seeds.json"


def one(name: str, seed: int, evaluations: int | None) -> dict[str, float]:
    """One training and its score."""
    recipe = RECIPES[name]()
    recipe = replace(recipe, fit=replace(recipe.fit, seed=seed))
    experiment = build(recipe)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, folder, experiment=experiment, progress=False)
    seconds = time.process_time() - started
    score = experiment.model.score(experiment.data.test, evaluations, rng=0)
    bits = score.bits_per_dim.double()
    return {
        "seed": seed,
        "bits_per_dim": bits.mean().item(),
        "stderr": score.stderr(bits),
        "noise": score.noise_per_dim.square().sum().sqrt().item() / len(bits),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--evaluations", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in asked.names:
        rows = []
        for seed in asked.seeds:
            row = one(name, seed, asked.evaluations)
            rows.append(row)
            print(
                f"{name}, seed {seed}: {row['bits_per_dim']:.4f} +- {row['stderr']:.4f} bits per "
                f"dimension (of which +- {row['noise']:.4f} by the estimate), {row['seconds']:.0f} "
                "CPU s",
                flush=True,
            )
        each = torch.tensor([row["bits_per_dim"] for row in rows], dtype=torch.float64)
        print(f"{name}: mean {each.mean():.4f}, deviation between trainings {each.std():.4f}")
        kept[name] = {"rows": rows, "mean": each.mean().item(), "deviation": each.std().item()}
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
