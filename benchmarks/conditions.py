"""Conditions and guidance where the truth is known: the bound, guided walks, rows given a value.

    python benchmarks/conditions.py

Three tables. The bound given a class, of a labelled mixture with a perfect network: how far it is
below log p(x | y), for chains of more steps. Walks guided at w = 0.5, 1 and 3: the mean, the
variance and log Z of p(x | y)^(1 + w) p(x)^(-w) / Z by weighted walks (`CorrectedGuidance`), beside
those of plain walks (`Guidance`) and the truth on a fine grid. And rows of a table given a
condition of probability 0.01: time for a row by rejection and given it, and the p-values of a
two-sample test for each column (Kolmogorov-Smirnov).
"""

import math
import time

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp

import quasistatic as qs
from quasistatic.diagnostics.oracles import LabelledMixtureOracle

PLANE = LabelledMixtureOracle(
    labels=(0, 1, 1),
    weights=(0.5, 0.2, 0.3),
    means=((1.5, 0.0), (-1.0, 1.0), (-1.0, -1.5)),
    variances=((0.3, 0.2), (0.2, 0.3), (0.25, 0.25)),
)
LINE = LabelledMixtureOracle((0, 1, 1), (0.5, 0.3, 0.2), ((1.2,), (-1.0,), (0.3,)), (0.4, 0.3, 0.5))


EXAMPLES = 10_000


def bounds() -> None:
    x, y = PLANE.draw(EXAMPLES, 0)
    each = torch.stack([PLANE.given(k).log_prob(x) for k in range(2)], 1)
    exact = each[torch.arange(EXAMPLES), y]
    print(f"log p(x | y) of a labelled mixture: {exact.mean():.3f} nats an example")
    for steps in (10, 30, 100):
        kernel = qs.GaussianKernel(qs.schedules.cosine(steps))
        model = qs.Diffusion(**PLANE.parts(kernel)).double()
        gap = exact - model.score(x, None, given=y, rng=1).nats
        print(f"  T = {steps:3}: K is {gap.mean():.3f} ± {gap.std() / EXAMPLES**0.5:.3f} below it")


def truth(w: float) -> tuple[float, float, float]:
    """The mean, the variance and log Z of p(x | y)^(1 + w) p(x)^(-w) / Z."""
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    log_p = (1 + w) * LINE.given(0).log_prob(grid) - w * LINE.log_prob(grid)
    x, z = grid[:, 0], torch.trapezoid(log_p.exp(), grid[:, 0])
    p = log_p.exp() / z
    mean = torch.trapezoid(p * x, x)
    return float(mean), float(torch.trapezoid(p * (x - mean) ** 2, x)), math.log(float(z))


def walks() -> None:
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(400, 8.0, -7.0))
    model = qs.Diffusion(**LINE.parts(kernel)).double()
    print("guided walks: mean, variance and log Z")
    for w in (0.5, 1.0, 3.0):
        method = qs.CorrectedGuidance(w, particles=128, repeats=12)
        found = model.guided(50, method, rng=1, given=0)
        (mean,), (error,) = found.mean()
        (var,), (var_error,) = found.mean(lambda x, mean=mean: (x - mean) ** 2)
        plain = model.sample(1500, 100, given=0, guidance=qs.Guidance(w), rng=0)[:, 0]
        mu, variance, log_z = truth(w)
        print(f"  w = {w:g}: truth {mu:.3f}, {variance:.3f}, {log_z:.3f}")
        print(
            f"    weighted {mean:.3f} ± {error:.3f}, {var:.3f} ± {var_error:.3f}, "
            f"{found.log_evidence:.3f} ± {found.evidence_stderr:.3f}; least effective sample "
            f"size {found.effective:.0%}"
        )
        print(f"    plain    {plain.mean():.3f} ± {plain.std() / 1500**0.5:.3f}, {plain.var():.3f}")


def rows() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["rare", "usual"], 4000, p=[0.01, 0.99])
    size = np.where(kind == "rare", 5.0, 3.7) + 0.4 * rng.normal(size=4000)
    age = np.round(24 + 5 * rng.normal(size=4000) + 3 * (size - 3.7))
    frame, rare = pd.DataFrame({"kind": kind, "size": size, "age": age}), {"kind": "rare"}
    density = qs.DiffusionDensity(steps=0).fit(frame)
    print(f"rows given kind = rare, of probability {math.exp(density.log_evidence(rare)):.4f}")
    density.sample(100, 0)
    begun = time.process_time()
    many = density.sample(100_000, 1)
    kept = many[many["kind"] == "rare"]
    rejection = 1e3 * (time.process_time() - begun) / len(kept)
    begun = time.process_time()
    drawn = density.sample(20_000, 2, given=rare)
    given = 1e3 * (time.process_time() - begun) / len(drawn)
    p = {name: ks_2samp(kept[name], drawn[name]).pvalue for name in ("size", "age")}
    print(
        f"  a row takes {rejection:.2f} CPU ms by rejection and {given:.4f} given it, "
        f"1/{rejection / given:.0f}; p-values "
        + ", ".join(f"{name} {value:.2f}" for name, value in p.items())
    )


if __name__ == "__main__":
    bounds()
    walks()
    rows()
