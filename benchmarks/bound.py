"""How fast the bound is, and what a stratified sum costs in accuracy.

    python benchmarks/bound.py

Scores 5000 points of two values with a 3 x 256 MLP, T = 1000, at several numbers of network
evaluations a point: points a second, the standard error of the mean, and the share of the time
that the network's own forward passes take. Keeps benchmarks/results/bound.json.
"""

import json
import statistics
import time
from pathlib import Path

import torch
from overhead import Plain

import quasistatic as qs

POINTS, T, ROUNDS = 5000, 1000, 5


def seconds(work: object) -> float:
    """The median time of a call."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(T, 9.0, -7.0))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), Plain())
    x = torch.from_numpy(qs.data.swiss_roll(POINTS)).float()
    qs.fit(model, x, steps=200, batch=512, validations=1)
    half = torch.full((POINTS,), 0.5)
    rows = []
    print(f"{'evaluations':>12}{'points/s':>12}{'s.e. (bits/dim)':>18}{'network share':>15}")
    for evaluations in (1, 4, 16, 64):
        score = model.score(x, evaluations)
        took = seconds(lambda n=evaluations: model.score(x, n))
        with torch.no_grad():
            alone = evaluations * seconds(lambda: model.network(x, half))
        row = {
            "evaluations": evaluations,
            "points_per_second": POINTS / took,
            "stderr_bits_per_dim": score.stderr(score.bits_per_dim),
            "network_share": alone / took,
        }
        rows.append(row)
        print(
            f"{evaluations:>12}{row['points_per_second']:>12,.0f}"
            f"{row['stderr_bits_per_dim']:>18.4f}{row['network_share']:>15.2f}"
        )
    print("target: 5000 points a second, stratified in t")
    path = Path(__file__).parent / "results" / "bound.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
