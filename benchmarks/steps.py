"""The bound by few steps: even times against the path of least cost, and how wide to step.

    python benchmarks/steps.py [digits] [binarized-mnist] [--repeats 4] [--images 300]

As Analytic-DPM prints it: bits per dimension on test data of the committed weights, by 10 to T
steps. Paths and analytic variances are measured on validation data; the test data are scored once.
Widths: `own` is the mean and variance of the head's belief about each value, `exact` the mixture
over its levels, `analytic` the best variance of each coordinate for all examples, `small` and
`large` those of DDPM. A bit's step has no width. Keeps benchmarks/results/steps.json.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

import quasistatic as qs
from quasistatic.recipes import RECIPES

BUDGETS = (10, 25, 50, 100)
CANDIDATES, ON = 128, 128
"""Candidate times, and validation examples on which they are measured; for mixtures, whose costs
are integrals, half of both."""


def widths(model: qs.Diffusion, valid: Tensor, rng: torch.Generator) -> dict[str, qs.Diffusion]:
    """The model with each rule for the width of a step."""
    heads = {"own": model.head}
    if not model.kernel.binary:
        table = qs.sampling.timesteps.analytic_variance(model, valid, CANDIDATES, rng)
        heads["exact"] = qs.Exact(model.head)
        heads["analytic"] = qs.Spread(model.head, table)
        heads["small"] = qs.Spread(model.head, qs.FixedSmall())
        heads["large"] = qs.Spread(model.head, qs.FixedLarge())
    parts = model.space, model.kernel
    return {name: qs.Diffusion(*parts, head, model.network) for name, head in heads.items()}


def scored(
    model: qs.Diffusion, test: Tensor, times: object, repeats: int, rng: torch.Generator
) -> dict:
    """The bound of test data: each example several times over, as few steps are noisy."""
    bits = [model.score(test, None, times, rng).bits_per_dim for _ in range(repeats)]
    mean = torch.stack(bits).mean(0)
    return {"bits_per_dim": mean.mean().item(), "stderr": (mean.std() / len(mean) ** 0.5).item()}


def table(name: str, repeats: int, images: int) -> dict:
    """All budgets of one model."""
    rng = torch.Generator().manual_seed(0)
    model, data = qs.load_pretrained(name), RECIPES[name]().build().data
    valid, test = (torch.as_tensor(each) for each in (data.valid, data.test))
    test = test[torch.randperm(len(test), generator=rng)[:images]]
    full = scored(model, test, None, 1, rng)
    rows = {"T": model.steps, "full": full, "images": len(test), "widths": {}}
    print(f"\n{name}, {len(test)} test examples; all {model.steps} steps: {_text(full)}")
    for width, walked in widths(model, valid, rng).items():
        started = time.perf_counter()
        part = 2 if width == "exact" else 1
        costs = qs.sampling.timesteps.measure_costs(
            walked, valid[: ON // part], CANDIDATES // part, rng
        )
        seconds = time.perf_counter() - started
        cells = {}
        for kind, chosen in (("even", lambda n: n), ("path", costs.path)):
            budgets = [n for n in BUDGETS if kind == "even" or n <= len(costs.times)]
            cells[kind] = {n: scored(walked, test, chosen(n), repeats, rng) for n in budgets}
            print(f"{width:<10}{kind:<6}", *(f"{n}: {_text(c)}  " for n, c in cells[kind].items()))
        rows["widths"][width] = cells | {"seconds_to_measure": seconds}
    return rows


def _text(cell: dict) -> str:
    return f"{cell['bits_per_dim']:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["digits", "binarized-mnist"])
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--images", type=int, default=400)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(__file__).parent / "results" / "steps.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in asked.names:
        found[name] = table(name, asked.repeats, asked.images)
        path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
