"""Schedules on one model and one budget: K of each at T = 40 on the swiss roll, and on bits.

    python benchmarks/schedules.py [--only NAME ...] [--steps 3000] [--seeds 1] [--skip-bits]

The roll is scikit-learn's with noise 0.1, whose truth is 0.373 bits a point. Each schedule has the
same residual network, the same start and the same gradient steps, and is scored on the same test
points with the same noise, all terms summed. Unless it is a published one with ends of its own, its
log-SNR goes from the same first value, chosen on validation data with even log-SNR, to -5. Beside
the trained K stands that of the exact network, E[x_0 | x_t] and Var[x_0 | x_t] by quadrature, on
the same table: what the schedule itself is worth. The measured rate is that of one more network,
trained as long on even log-SNR: its row has had twice the steps. Bits are the heartbeat with its
exact network, T = 20. Prints both tables and keeps benchmarks/results/schedules.json.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.information_rate import information_rate
from quasistatic.diagnostics.mutual_information import FairBit, StandardNormal, information_uniform
from quasistatic.kernels.schedules import Schedule

T, LAST, FIRSTS = 40, -5.0, (8.0, 10.0, 12.0)
NOISE = qs.data.roll_noise(0.1)
EXACT_POINTS, BITS, BIT_STEPS, BIT_LAST = 200, 4000, 20, -12.0


def roll(n: int, seed: int) -> Tensor:
    return torch.from_numpy(qs.data.swiss_roll(n, NOISE, seed)).float()


TRAIN, VALID, TEST = roll(100_000, 0), roll(4000, 1), roll(4000, 2)


def even(first: float) -> Schedule:
    return qs.schedules.linear_log_snr(T, first, LAST)


def stretched(table: Schedule, first: float) -> Schedule:
    """The table's log-SNR, scaled and shifted to the common ends."""
    log_snr = table.log_snr[1:]
    share = (log_snr - log_snr[0]) / (log_snr[-1] - log_snr[0])
    return qs.schedules.from_log_snr(first + (LAST - first) * share)


def ddpm() -> Schedule:
    """DDPM's betas times 1000 / T, as they are for T = 1000."""
    return qs.schedules.linear(T, 0.1 / T, 20 / T)


def trained(schedule: Schedule, steps: int, seed: int, objective: qs.Bound | None) -> qs.Diffusion:
    torch.manual_seed(seed)
    network = qs.networks.MLP(2, 64, 2, outputs=2, detail=4)
    head = qs.Velocity(qs.Interpolated())
    model = qs.Diffusion(qs.Continuous(2), qs.GaussianKernel(schedule), head, network)
    fit = qs.Fit(
        steps=steps, batch=256, lr=4e-3, ema=0.995, weight_decay=0.0, validations=0, seed=seed
    )
    qs.fit(model, TRAIN, objective=objective, settings=fit)
    return model


def nats(model: qs.Diffusion, x: Tensor) -> Tensor:
    """K of each example, every term once, by the same noise for every schedule."""
    return model.score(x, None, rng=torch.Generator().manual_seed(7)).nats.double()


def settled(model: qs.Diffusion) -> Schedule:
    """The schedule that a model ended with, as a table."""
    return qs.schedules.from_log_snr(model.kernel.schedule.log_snr[1:])


def exact(oracle: qs.diagnostics.oracles.Oracle, kernel: qs.kernels.Kernel, x: Tensor) -> Tensor:
    return nats(qs.Diffusion(**oracle.parts(kernel)), x)


def chosen_first(steps: int) -> tuple[float, dict[str, float]]:
    """The log-SNR at t = 1 whose K is best on validation data, with even log-SNR."""
    bits = {
        first: nats(trained(even(first), steps, 0, None), VALID).mean().item() / math.log(2)
        for first in FIRSTS
    }
    return max(bits, key=lambda first: bits[first]), {f"{k:g}": v for k, v in bits.items()}


def on_the_roll(first: float, steps: int) -> dict[str, tuple[Callable[[], Schedule], object]]:
    """Each schedule, made when it is its turn, and the objective that trains with it."""

    def from_rate() -> Schedule:
        rate = information_rate(trained(even(first), steps, 0, None), VALID, rng=torch.Generator())
        return information_uniform(rate, T, first, LAST)

    def start() -> Schedule:
        return qs.schedules.learned(even(first).log_snr[1:])

    law = StandardNormal()
    return {
        "even log-SNR": (lambda: even(first), None),
        "linear, DDPM's ends": (ddpm, None),
        "linear, common ends": (lambda: stretched(ddpm(), first), None),
        "cosine, its own ends": (lambda: qs.schedules.cosine(T), None),
        "cosine, common ends": (lambda: stretched(qs.schedules.cosine(T), first), None),
        "information, N(0, 1)": (lambda: information_uniform(law, T, first, LAST), None),
        "information, measured": (from_rate, None),
        "learned by K": (start, None),
        "learned by variance": (start, qs.MinimumVariance()),
    }


def row(make: Callable[[], Schedule], objective: object, steps: int, seeds: int) -> dict:
    oracle, began = qs.diagnostics.oracles.SwissRollOracle(NOISE), time.perf_counter()
    schedule, each = make(), []
    for seed in range(seeds):
        model = trained(schedule, steps, seed, objective)  # type: ignore[arg-type]
        each.append(nats(model, TEST) / math.log(2))
        schedule = make() if schedule.learns else schedule
    took = time.perf_counter() - began
    table = settled(model)
    best = exact(oracle, qs.GaussianKernel(table), TEST[:EXACT_POINTS]) / math.log(2)
    bits = torch.stack(each).mean(0)
    return {
        "bits": bits.mean().item(),
        "stderr": _stderr(bits),
        "of_each_seed": [one.mean().item() for one in each],
        "exact_bits": best.mean().item(),
        "exact_stderr": _stderr(best),
        "seconds": took,
        "log_snr": [round(value, 4) for value in table.log_snr[1:].tolist()],
        "_bits": bits,
    }


def of_bits() -> dict[str, dict]:
    """K of the exact network on the heartbeat, T = 20, in bits a sequence."""
    oracle, steps = qs.diagnostics.oracles.HeartbeatOracle(), BIT_STEPS
    evenly, first = qs.schedules.erase_evenly(steps), math.log(steps - 1)
    fine = qs.BinomialKernel(qs.schedules.erase_evenly(100), mean=0.2)
    model, draws = qs.Diffusion(**oracle.parts(fine)), torch.Generator().manual_seed(0)
    rate = information_rate(model, oracle.sample(500, draws), rng=torch.Generator().manual_seed(1))
    tables = {
        "erase evenly (SD15)": evenly,
        "linear, DDPM's ends": qs.schedules.linear(steps, 0.1 / steps, 20 / steps * 0.999),
        "cosine, its own ends": qs.schedules.cosine(steps),
        "even log-SNR": qs.schedules.linear_log_snr(steps, first, BIT_LAST),
        "information, a fair bit": information_uniform(FairBit(), steps, first, BIT_LAST),
        "information, measured": information_uniform(rate, steps, first, BIT_LAST),
    }
    x, rows = oracle.sample(BITS, torch.Generator().manual_seed(2)), {}
    for name, table in tables.items():
        bits = exact(oracle, qs.BinomialKernel(table, mean=0.2), x) / math.log(2)
        rows[name] = {"bits": bits.mean().item(), "stderr": _stderr(bits)}
        print(f"{name:<26}{rows[name]['bits']:>9.4f} +- {rows[name]['stderr']:.4f}", flush=True)
    return rows


def _stderr(values: Tensor) -> float:
    return (values.std() / len(values) ** 0.5).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--skip-bits", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(__file__).parent / "results" / "schedules.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    if "first" not in kept or kept.get("steps") != asked.steps:
        first, tried = chosen_first(asked.steps)
        kept = {"steps": asked.steps, "first": first, "valid_bits_by_first": tried, "roll": {}}
    truth = qs.diagnostics.oracles.SwissRollOracle(NOISE).log_prob(TEST).numpy() / math.log(2)
    kept["truth_bits"], kept["last"] = float(np.mean(truth)), LAST
    print(f"first log-SNR {kept['first']:g}; K in bits a point, truth {np.mean(truth):.3f}")
    print(f"{'':<26}{'trained':>18}{'gain':>18}{'exact network':>18}")
    base = None
    for name, (make, objective) in on_the_roll(kept["first"], asked.steps).items():
        if asked.only is not None and name not in asked.only:
            continue
        found = row(make, objective, asked.steps, asked.seeds)
        bits = found.pop("_bits")
        base = bits if name == "even log-SNR" else base
        if base is not None:  # the same points and noise: most of the error is shared
            found["gain"], found["gain_stderr"] = (bits - base).mean().item(), _stderr(bits - base)
        kept["roll"][name] = found
        print(
            f"{name:<26}{found['bits']:>9.3f} +- {found['stderr']:.3f}"
            f"{found.get('gain', math.nan):>9.3f} +- {found.get('gain_stderr', math.nan):.3f}"
            f"{found['exact_bits']:>9.3f} +- {found['exact_stderr']:.3f}",
            flush=True,
        )
        path.write_text(json.dumps(kept, indent=2) + "\n")
    if not asked.skip_bits:
        print(f"\nheartbeat, exact network, T = {BIT_STEPS}: bits a sequence, truth -2.3219")
        kept["bits"] = {"steps": BIT_STEPS, "truth": -math.log2(5), "rows": of_bits()}
    path.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
