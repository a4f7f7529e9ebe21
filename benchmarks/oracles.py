"""Every way to score against distributions whose log p is known, in nats an example.

    python benchmarks/oracles.py [--examples 500]

The exact reverse steps of each law stand in a network's place: what is missing from its log p is
the method's own. Means over draws of the law, with standard errors of the difference to its exact
log p; the sandwich on draws of the chain itself. Keeps benchmarks/results/oracles.json.
"""

import argparse
import json
from pathlib import Path

import torch

import quasistatic as qs
from quasistatic.diagnostics.oracles import (
    GaussianOracle,
    HeartbeatOracle,
    MixtureOracle,
    SwissRollOracle,
)
from quasistatic.likelihood import flow, importance, sandwich

MIXTURE = MixtureOracle((0.3, 0.7), ((-1.5, 0.5), (1.0, -0.5)), (0.1, 0.3))
PATHS = (1, 4, 16, 64)


def laws() -> dict[str, tuple]:
    """Each law with a coarse chain, on which there is something to gain, and a fine one."""
    pace, bits = qs.schedules.linear_log_snr, qs.schedules.erase_evenly
    gaussian, binomial = qs.GaussianKernel, qs.BinomialKernel
    both = [gaussian(pace(12, 8, -8)), gaussian(pace(500, 13, -10))]
    return {
        "Gaussian": (GaussianOracle((0.0, 1.0), (0.3, 1.5)), *both),
        "mixture": (MIXTURE, *both),
        "swiss roll": (SwissRollOracle(0.25), *both),
        "heartbeat": (HeartbeatOracle(), binomial(bits(12), 0.2), binomial(bits(1000), 0.2)),
    }


def difference(values: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    gap = values - truth
    return gap.mean().item(), (gap.std() / len(gap) ** 0.5).item()


def rows_of(law: object, coarse: object, fine: object, n: int) -> dict[str, tuple[float, float]]:
    rng = torch.Generator().manual_seed(0)
    short, long = (qs.Diffusion(**law.parts(kernel)) for kernel in (coarse, fine))
    x = law.sample(n, rng)
    truth = law.log_prob(x)
    rows = {f"bound, T = {short.steps}": difference(short.score(x, None, rng=rng).nats, truth)}
    for paths in PATHS:
        nats = importance(short, x, paths, rng=rng).nats
        rows[f"importance, {paths} paths"] = difference(nats, truth)
    rows[f"bound, T = {long.steps}"] = difference(long.score(x, None, rng=rng).nats, truth)
    if not long.kernel.binary:
        rows["flow, exact trace"] = difference(flow(long, x, probes=None, rng=rng).nats, truth)
        rows["flow, one probe"] = difference(flow(long, x, probes=1, rng=rng).nats, truth)
    for model, paths in ((short, 1), (short, 64), (long, 16)):
        found = sandwich(model, n, paths, rng=rng)
        gap = found.gap.mean().item(), found.stderr()
        rows[f"sandwich's gap, T = {model.steps}, {paths} paths"] = gap
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    path, found = Path(__file__).parent / "results" / "oracles.json", {}
    for name, (law, coarse, fine) in laws().items():
        found[name] = rows_of(law, coarse, fine, asked.examples)
        print(f"\n{name}: less exact log p, nats an example")
        for row, (mean, error) in found[name].items():
            print(f"  {row:<38}{mean:>9.4f} +- {error:.4f}", flush=True)
        path.write_text(json.dumps({"examples": asked.examples, "laws": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
