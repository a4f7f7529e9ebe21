"""The entropy budget of swiss roll, heartbeat and digits: which steps carry the bits.

    python benchmarks/entropy.py

Measures every step of each chain (SD15 Eq. 24): the exact steps of the roll, the roll and the
heartbeat as benchmarks/toys.py trained them into runs/toys, and the digits model that comes with
the library. Prints whether the bounds hold at every step within four standard errors, keeps the
figures in benchmarks/results/entropy.json and draws each budget into runs/entropy.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import quasistatic as qs
from quasistatic.data import roll_noise
from quasistatic.diagnostics.entropy import EntropyBudget, Estimate, entropy_budget
from quasistatic.diagnostics.oracles import HeartbeatOracle, Oracle, SwissRollOracle
from quasistatic.model import Model
from quasistatic.recipes.runs import open_run
from quasistatic.reporting import figures

EXAMPLES = 400
DRAWS = {"heartbeat": 8}
"""Of x_t for each example and step, where one leaves the truth too noisy to be seen."""

ROLL = SwissRollOracle(roll_noise(0.1))
WITHIN = 4


def cases() -> Iterator[tuple[str, Model, np.ndarray, Oracle | None]]:
    """A name, a model, held-out data and their law where it is known."""
    for name, oracle in (("heartbeat", HeartbeatOracle()), ("swiss-roll", ROLL)):
        opened = open_run(Path("runs") / "toys" / name)
        test = opened.experiment.data.test
        if name == "swiss-roll":
            yield "swiss-roll, exact steps", Model(**oracle.parts(opened.model.kernel)), test, ROLL
        yield name, opened.model, test, oracle
    digits = open_run("digits")
    yield "digits", digits.model, digits.experiment.data.test, None


def above(low: object, high: object, errors: list[torch.Tensor]) -> float:
    """By how many standard errors `low` exceeds `high` at worst; zero or less if it does not."""
    error = torch.stack(errors).square().sum(0).sqrt()
    return ((low - high) / (error + 1e-9)).max().item()


def facts(budget: EntropyBudget) -> dict:
    """The sums of a budget in bits a dimension, and whether its bounds hold."""
    unit = math.log(2) * budget.dims

    def bits(values: torch.Tensor) -> float:
        return values.sum().item() / unit

    def holds(low: object, high: object, *of: Estimate) -> bool:
        return above(low, high, [each.stderr for each in of]) <= WITHIN

    spent, upper = budget.cross_entropy, budget.upper
    row = {
        "examples": budget.examples,
        "steps": len(budget.lower),
        "allowed": bits(budget.allowed),
        "spent": bits(budget.spent),
        "rate": budget.rate.mean[0].item() / unit,
        "rate_stderr": budget.rate.stderr[0].item() / unit,
        "ceiling": budget.ceiling / unit,
        "floor": budget.floor / unit,
        "reached": budget.reached / unit,
        "lower <= upper": holds(budget.lower, upper.mean, upper),
        "lower <= cross-entropy": holds(budget.lower, spent.mean, spent),
    }
    if budget.truth is None or budget.lost is None or budget.information is None:
        return row
    truth = budget.truth
    return row | {
        "information": budget.information.mean[0].item() / unit,
        "lost": bits(budget.lost.mean),
        "lower <= truth": holds(budget.lower, truth.mean, truth),
        "truth <= upper": holds(truth.mean, upper.mean, truth, upper),
        "truth <= cross-entropy": holds(0.0, budget.lost.mean, budget.lost),
    }


def main() -> None:
    here = Path(__file__).parent
    pictures = Path("runs") / "entropy"
    pictures.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, model, data, oracle in cases():
        rng = torch.Generator().manual_seed(0)
        draws = DRAWS.get(name, 1)
        budget = entropy_budget(model, data[:EXAMPLES], draws=draws, rng=rng, oracle=oracle)
        rows[name] = facts(budget)
        print(name, json.dumps(rows[name], indent=2))
        figures.entropy_budget(budget).savefig(pictures / f"{name.replace(', ', '-')}.png", dpi=110)
    (here / "results" / "entropy.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"quasistatic {qs.__version__}")
    main()
