"""What a few sentinels cost: -999 or 99999 in some rows, where a value is not known.

    python benchmarks/sentinels.py

600 rows of five columns that depend on each other linearly, and 2000 new rows without sentinels.
Each column has 1, 2 or 5 sentinels, or one column has six. Held-out nats a row of the new rows,
with sentinels in the fitted rows and without, by default settings; means over four tables. Six of
600 rows of two columns hold 99999 besides: the p-value of 50 among standard normal numbers, and the
share of draws within 5 (`DiffusionOutliers`, `DiffusionDensity`).
"""

import warnings

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import quasistatic as qs

CASES = {
    "1 in each column": (1, 5),
    "2 in each column": (2, 5),
    "5 in each column": (5, 5),
    "6 in one column": (6, 1),
}
TABLES = 4


def lost(count: int, columns: int, sentinel: float, seed: int) -> tuple[float, float]:
    """Nats a row of new rows, by clean rows and by rows with sentinels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2600, 5)) @ rng.normal(size=(5, 5))
    clean, new = x[:600], x[600:]
    spoilt = clean.copy()
    for column in range(columns):
        spoilt[rng.choice(600, count, replace=False), column] = sentinel
    before, after = (qs.DiffusionDensity().fit(rows).score(new) for rows in (clean, spoilt))
    return before, after


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    for sentinel in (-999.0, 99999.0):
        for name, (count, columns) in CASES.items():
            found = np.array([lost(count, columns, sentinel, seed) for seed in range(TABLES)])
            (before, after), most = found.mean(0), (found[:, 0] - found[:, 1]).max()
            print(
                f"{sentinel:>8.0f}, {name:<18}{before:8.2f} clean{after:8.2f} with sentinels"
                f"   lost {before - after:.3f} nats, at most {most:.3f}",
                flush=True,
            )
    x = np.random.default_rng(0).normal(size=(600, 2))
    x[:6, 0] = 99999
    p = qs.DiffusionOutliers(level=0.05).fit(x).p_values(np.array([[50.0, 0.0]]))[0]
    drawn = qs.DiffusionDensity().fit(x).sample(4000, random_state=0)[:, 0]
    print(f"six of 600 x 2: p(50) = {p:.3f}, {(abs(drawn) < 5).mean():.1%} of draws within 5")


if __name__ == "__main__":
    main()
