"""Posteriors against closed forms, their coverage, and what they cost.

    python benchmarks/posterior.py oracles [--dims 2 8 32]
    python benchmarks/posterior.py coverage [--examples 200] [--particles 64] [--repeats 8]
    python benchmarks/posterior.py evidence
    python benchmarks/posterior.py cost

oracles: a normal law and a mixture of three in several dimensions, with exact steps in a
network's place, T = 400: half of the values known, all of them seen with noise, and a dense linear
view of half as many numbers. Every walk; the errors of mean, covariance and log-evidence in
standard errors (root mean square over entries), and of the mean in posterior deviations.
coverage: digits that the model itself drew in 50 steps, the right half hidden: how often central
intervals of the draws hold the hidden value (simulation-based calibration, ties at random). Without
--particles and --repeats they are the defaults of SMC.
evidence: how often intervals of the log-evidence hold the truth, on a mixture in closed form.
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
from quasistatic.sampling import SMC, Guided, WeightedParticles
from quasistatic.sampling.guidance import RULES

RESULTS = Path(__file__).parent / "results" / "posterior.json"
STEPS, SETS, PARTICLES, DRAWS = 400, 24, 256, 3000
CHAIN = 50
LEVELS = (0.5, 0.8, 0.95)
DRAWN = 63
"""Draws of each digit, so that a value has one of 64 ranks."""


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


def weighted(model: qs.Diffusion, factor: qs.Factor, exact: Exact) -> dict[str, float]:
    rng = torch.Generator().manual_seed(2)
    method = SMC(PARTICLES, SETS)
    found: WeightedParticles = method.run(model, factor.on(model.space), 1, None, rng)
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
                for walk in ("SMC", *RULES):
                    if walk == "SMC":
                        told = weighted(model, factor, exact)
                    else:
                        rng = torch.Generator().manual_seed(2)
                        x = model.posterior(factor, DRAWS, None, rng, method=Guided(walk)).draws
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


def coverage(examples: int, particles: int | None, repeats: int | None, together: int) -> dict:
    """The digits come in parts, so that memory does not grow with their number."""
    model = qs.load_pretrained("digits")
    rng = torch.Generator().manual_seed(0)
    method = SMC(particles or SMC().particles, repeats)
    wall, cpu = time.perf_counter(), time.process_time()
    places, ancestors = [], []
    for first in range(0, examples, together):
        count = min(together, examples - first)
        place, found = placed(model, method, count, rng)
        places.append(place)
        ancestors.append(found.ancestors.double())
        told = inside(torch.cat(places))
        sofar = "  ".join(
            f"{level:.0%} {mean:.4f} +- {se:.4f}" for level, (mean, se) in told.items()
        )
        print(f"{first + count} digits, {time.process_time() - cpu:.0f} s CPU: {sofar}", flush=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for level, (mean, error) in told.items():
        print(f"central {level:.0%}: {mean:.4f} +- {error:.4f}")
    sets = f"{found.repeats} sets of {method.particles} particles"
    print(f"{examples} digits, {CHAIN} steps, {sets}: {wall:.0f} s, {cpu:.0f} s of CPU time")
    print(f"ancestors: {torch.cat(ancestors).mean():.1f} on average")
    one = {"examples": examples, "seconds": wall, "cpu_seconds": cpu, "inside": told}
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept.get("coverage", {}) | {sets: one}


def inside(places: Tensor) -> dict[float, tuple[float, float]]:
    """Of each level: the share of places (examples, values) in its central interval, and the
    standard error of the share over examples."""
    told = {}
    for level in LEVELS:
        each = ((places - 0.5).abs() < level / 2).double().mean(1)
        told[level] = (each.mean().item(), (each.std() / len(each) ** 0.5).item())
    return told


def placed(
    model: qs.Diffusion, method: SMC, count: int, rng: torch.Generator
) -> tuple[Tensor, qs.sampling.Posterior]:
    """The place of each hidden value of new digits among its draws, in [0, 1], and the posterior.
    Places are uniform where the draws have the distribution of the value."""
    x = model.sample(count, CHAIN, rng)
    mask = right_half(model).expand(x.shape)
    found = model.complete(x, mask, DRAWN, CHAIN, rng, method=method)
    draws, truth = found.draws[:, :, mask[0]], x[mask].reshape(count, 1, -1)
    below, ties = (draws < truth).sum(1), (draws == truth).sum(1)
    rank = below + (torch.rand(below.shape, generator=rng) * (ties + 1)).floor()
    return (rank + torch.rand(rank.shape, generator=rng)) / (DRAWN + 1), found


def measured(model: qs.Diffusion, x: Tensor, mask: Tensor, particles: int, steps: int) -> dict:
    sets, rng = 8, torch.Generator().manual_seed(0)
    seen = qs.Observed(x, torch.where(mask, math.inf, 0.0)).on(model.space)
    started = time.perf_counter()
    found = SMC(particles, sets).run(model, seen, len(x), steps, rng)
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


def evidence() -> list[dict]:
    """How often 95 % intervals of the log-evidence hold the truth: by Student's t, which
    `evidence_interval` takes, and by twice the standard error."""
    law = MixtureOracle((0.4, 0.6), ((-1.2, 1.0), (0.9, -0.8)), ((0.3, 0.2), (0.4, 0.1)))
    model = qs.Diffusion(**law.parts(qs.GaussianKernel(qs.schedules.linear_log_snr(200, 11, -9))))
    y, known = torch.tensor([-0.2, 9.0]), torch.tensor([0.0, math.inf])
    eye, tiny = torch.eye(2).double()[:1], torch.full((1,), 1e-12).double()
    truth = Exact.of(law, eye, y[:1].double(), tiny).log_evidence
    rows = []
    for repeats in (2, 4, 8):
        seen = qs.Observed(y.expand(1000, 2), known)
        method = SMC(particles=32, repeats=repeats)
        found = model.posterior(seen, 1, 25, torch.Generator().manual_seed(0), method=method)
        middle = found.log_evidence.exp().mean().log()  # of the 25 steps, by 1000 runs
        low, high = found.evidence_interval(0.95)
        by_t = ((low <= middle) & (middle <= high)).double().mean().item()
        off = (found.log_evidence - middle).abs()
        by_two = (off <= 1.96 * found.evidence_stderr).double().mean().item()
        rows.append({"repeats": repeats, "t": by_t, "normal": by_two})
        print(
            f"{repeats} repeats: {by_t:.3f} by Student's t, {by_two:.3f} by 1.96 standard errors; "
            f"log-evidence {middle:.3f}, in closed form {truth:.3f}"
        )
    return rows


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
    parser.add_argument("part", choices=["oracles", "coverage", "evidence", "cost"])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--particles", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--together", type=int, default=25, help="digits at once, of coverage")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    told: object
    if asked.part == "oracles":
        torch.set_default_dtype(torch.float64)
        told = oracles(asked.dims)
    elif asked.part == "coverage":
        told = coverage(asked.examples, asked.particles, asked.repeats, asked.together)
    else:
        told = evidence() if asked.part == "evidence" else cost()
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(kept | {asked.part: told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
