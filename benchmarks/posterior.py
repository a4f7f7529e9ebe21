"""Posteriors against closed forms, their coverage, and what they cost.

    python benchmarks/posterior.py oracles [--dims 2 8 32]
    python benchmarks/posterior.py coverage [--examples 200] [--particles 64]
    python benchmarks/posterior.py cost

oracles: a normal law and a mixture of three in several dimensions, with exact steps in a
network's place, T = 400: half of the values known, all of them seen with noise, and a dense linear
view of half as many numbers. Every walk; the errors of mean, covariance and log-evidence in
standard errors (root mean square over entries), and of the mean in posterior deviations.
coverage: digits that the model itself drew in 50 steps, the right half hidden: how often central
intervals of the draws hold the hidden value (simulation-based calibration, ties at random).
cost: the same task on held-out digits: the spread of the log-evidence and the error of the
posterior mean as particles and steps grow, particle-steps a second, and memory.
Each keeps its part of benchmarks/results/posterior.json.
"""

import argparse
import json
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.oracles import GaussianOracle, MixtureOracle
from quasistatic.recipes import RECIPES
from quasistatic.sampling import PLAIN, Found, posterior

RESULTS = Path(__file__).parent / "results" / "posterior.json"
STEPS, SETS, PARTICLES, DRAWS = 400, 24, 256, 3000
CHAIN = 50
LEVELS = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Exact:
    """The closed form for a mixture of normals seen through matrix x + noise: (D,), (D, D), ()."""

    mean: Tensor
    covariance: Tensor
    log_evidence: Tensor

    @classmethod
    def of(cls, law: MixtureOracle | GaussianOracle, matrix: Tensor, y: Tensor, noise: Tensor):
        mixture = law.mixture
        parts = []
        for log_weight, mean, spread in zip(
            mixture.log_weight, mixture.mean, mixture.variance, strict=True
        ):
            prior = torch.diag(spread)
            seen = matrix @ prior @ matrix.T + torch.diag(noise)
            gain = prior @ matrix.T @ torch.linalg.inv(seen)
            view = torch.distributions.MultivariateNormal(matrix @ mean, seen)
            joint = log_weight + view.log_prob(y)
            parts.append((joint, mean + gain @ (y - matrix @ mean), prior - gain @ matrix @ prior))
        joint, means, covariances = (torch.stack(each) for each in zip(*parts, strict=True))
        share = joint.softmax(0)
        mean = share @ means
        off = means - mean
        between = torch.einsum("k,ki,kj->ij", share, off, off)
        covariance = torch.einsum("k,kij->ij", share, covariances) + between
        return cls(mean, covariance, joint.logsumexp(0))


def laws(dims: int) -> dict[str, GaussianOracle | MixtureOracle]:
    rng = torch.Generator().manual_seed(dims)
    means = torch.randn(3, dims, generator=rng)
    spreads = 0.1 + 0.4 * torch.rand(3, dims, generator=rng)
    rows = [tuple(map(tuple, each.tolist())) for each in (means, spreads)]
    return {
        "normal": GaussianOracle(rows[0][0], rows[1][0]),
        "mixture": MixtureOracle((0.3, 0.3, 0.4), *rows),
    }


def tasks(law: GaussianOracle | MixtureOracle, dims: int):
    """Name, factor, and the closed form, for an example drawn from the law."""
    rng = torch.Generator().manual_seed(1)
    x = law.sample(1, rng)[0]
    noisy = x + 0.5**0.5 * torch.randn(dims, generator=rng)
    half = max(1, dims // 2)
    known = torch.where(torch.arange(dims) < half, 0.0, math.inf)
    matrix = torch.randn(half, dims, generator=rng) / dims**0.5
    view = matrix @ x + 0.1**0.5 * torch.randn(half, generator=rng)
    eye, tiny = torch.eye(dims), torch.full((half,), 1e-12)
    yield "half known", qs.Observed(x[None], known[None]), Exact.of(law, eye[:half], x[:half], tiny)
    seen = torch.full((dims,), 0.5)
    yield "noise", qs.Observed(noisy[None], 0.5), Exact.of(law, eye, noisy, seen)
    spread = torch.full((half,), 0.1)
    yield "dense A", qs.Linear(view[None], matrix, 0.1), Exact.of(law, matrix, view, spread)


def rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def in_errors(values: Tensor, truth: Tensor) -> float:
    """How far the mean of values (n, *) is from the truth, in standard errors."""
    error = values.std(0) / len(values) ** 0.5
    off = values.mean(0) - truth
    moves = error > 1e-6  # a value that is known exactly has no error to compare with
    assert off[~moves].abs().max() < 1e-4 if (~moves).any() else True
    return rms(off[moves] / error[moves])


def moments(x_0: Tensor, share: Tensor, exact: Exact) -> tuple[Tensor, Tensor]:
    """The mean and the covariance that each set of (sets, n, D) has."""
    mean = (share[..., None] * x_0).sum(1)
    off = x_0 - exact.mean
    return mean, torch.einsum("sn,sni,snj->sij", share, off, off)


def row(x_0: Tensor, share: Tensor, exact: Exact) -> dict[str, float]:
    mean, covariance = moments(x_0, share, exact)
    deviation = exact.covariance.diagonal().clamp(min=1e-10).sqrt()
    far = ((mean.mean(0) - exact.mean) / deviation)[deviation > 1e-4]
    return {
        "mean": in_errors(mean, exact.mean),
        "covariance": in_errors(covariance, exact.covariance),
        "mean_in_deviations": rms(far),
    }


def weighted(model: qs.Diffusion, factor: qs.factors.Factor, exact: Exact) -> dict[str, float]:
    rng = torch.Generator().manual_seed(2)
    found: Found = posterior(model, factor.on(model.space), 1, PARTICLES, SETS, None, rng)
    each = (found.log_weight[0].logsumexp(1) - math.log(PARTICLES) - exact.log_evidence).exp()
    told = row(found.x_0[0], found.log_weight[0].softmax(1), exact)
    spread = (each.std() / SETS**0.5).item()
    return told | {
        "evidence": abs(each.mean().item() - 1) / spread,
        "log_evidence_off": found.log_evidence.item() - exact.log_evidence.item(),
        "effective": found.effective.item(),
    }


def oracles(dims: list[int]) -> list[dict]:
    rows = []
    print(f"errors in standard errors{'':<23}mean    cov     log-evidence (off, nats)   mean/sd")
    for size in dims:
        for name, law in laws(size).items():
            kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(STEPS, 12, -9))
            model = qs.Diffusion(**law.parts(kernel))
            for task, factor, exact in tasks(law, size):
                for walk in ("weighted", *PLAIN):
                    if walk == "weighted":
                        told = weighted(model, factor, exact)
                    else:
                        rng = torch.Generator().manual_seed(2)
                        x = model.posterior(factor, DRAWS, None, rng, walk=walk).draws
                        x = x.double().reshape(SETS, -1, size)
                        share = torch.full(x.shape[:2], 1 / x.shape[1])
                        told = row(x, share, exact)
                    rows.append({"dims": size, "law": name, "task": task, "walk": walk} | told)
                    evidence = (
                        f"{told['evidence']:.2f} ({told['log_evidence_off']:+.3f})"
                        if "evidence" in told
                        else "-"
                    )
                    print(
                        f"{size:>3} {name:<8} {task:<11} {walk:<10}{'':>10}"
                        f"{told['mean']:>8.2f}{told['covariance']:>8.2f}{evidence:>20}"
                        f"{told['mean_in_deviations']:>15.3f}",
                        flush=True,
                    )
    return rows


def right_half(model: qs.Diffusion) -> Tensor:
    columns = torch.arange(model.space.dims).reshape(8, 8) % 8
    return (columns >= 4).reshape(model.space.shape)


def coverage(examples: int, particles: int) -> dict:
    model = qs.load_pretrained("digits")
    rng = torch.Generator().manual_seed(0)
    x = model.sample(examples, CHAIN, rng)
    mask = right_half(model).expand(x.shape)
    started = time.perf_counter()
    found = model.complete(x, mask, 63, CHAIN, rng, particles=particles)
    seconds = time.perf_counter() - started
    draws, truth = found.draws[:, :, mask[0]], x[mask].reshape(examples, 1, -1)
    below, ties = (draws < truth).sum(1), (draws == truth).sum(1)
    rank = below + (torch.rand(below.shape, generator=rng) * (ties + 1)).floor()
    place = (rank + torch.rand(rank.shape, generator=rng)) / 64
    told = {}
    for level in LEVELS:
        inside = ((place - 0.5).abs() < level / 2).double().mean(1)
        told[level] = [inside.mean().item(), (inside.std() / examples**0.5).item()]
        print(f"central {level:.0%}: {told[level][0]:.3f} +- {told[level][1]:.3f}")
    print(f"{examples} digits in {seconds:.0f} s, {CHAIN} steps, {particles} particles twice")
    one = {"examples": examples, "particles": particles, "seconds": seconds, "inside": told}
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept.get("coverage", {}) | {str(particles): one}


def measured(model: qs.Diffusion, x: Tensor, mask: Tensor, particles: int, steps: int) -> dict:
    sets, rng = 8, torch.Generator().manual_seed(0)
    seen = qs.Observed(x, torch.where(mask, math.inf, 0.0)).on(model.space)
    started = time.perf_counter()
    found = posterior(model, seen, len(x), particles, sets, steps, rng)
    seconds = time.perf_counter() - started
    each = found.log_weight.logsumexp(2) - math.log(particles)
    share = found.log_weight[:, 0].softmax(1)
    mean = torch.einsum("en,en...->e...", share, model.space.in_raw_units(found.x_0[:, 0]))
    return {
        "particles": particles,
        "steps": steps,
        "log_evidence_sd": rms(each.std(1)),
        "log_evidence": found.log_evidence.mean().item(),
        "rmse_of_mean": rms((mean - x)[mask]),
        "particle_steps_a_second": len(x) * sets * particles * steps / seconds,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cost() -> dict:
    model = qs.load_pretrained("digits")
    x = torch.from_numpy(np.asarray(RECIPES["digits"]().build().data.test[:12])).float()
    mask = right_half(model).expand(x.shape)
    curves = {
        "particles": [measured(model, x, mask, p, CHAIN) for p in (4, 16, 64, 256)],
        "steps": [measured(model, x, mask, 64, steps) for steps in (10, 25, 50, 100, 200)],
    }
    for name, rows in curves.items():
        print(f"\nby {name}")
        for each in rows:
            print("  ".join(f"{key} {value:.4g}" for key, value in each.items()))
    return curves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["oracles", "coverage", "cost"])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--particles", type=int, default=64)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.part == "oracles":
        torch.set_default_dtype(torch.float64)
        told: object = oracles(asked.dims)
    else:
        told = coverage(asked.examples, asked.particles) if asked.part == "coverage" else cost()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {asked.part: told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
