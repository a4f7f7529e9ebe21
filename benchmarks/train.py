"""Training against other packages: seconds a step, and the bound after the same minutes.

    python benchmarks/train.py step [--rounds 9] [--threads 2]
    python benchmarks/train.py bound [--minutes 10] [--threads 2] [--only quasistatic diffusers]

`step`: forward, backward and AdamW on a batch of 64 of 28x28, by networks of about 1.0 M parameters
and 370 MFLOP a forward image, in turns, in float32 and under bfloat16 autocast. Operations are
those that are carried out: ours rises by a transposed convolution, and written as diffusers' does,
repeat and convolve, the same network would have 378 MFLOP.

`bound`: MNIST's 10000 test images, 8-bit, in bits per dimension and nats, after the same minutes
of training on the same threads: ours as `quasistatic train mnist` does it, each peer's network by
its own package's recipe (peers.py) and scored by the same bound at T = 1000. How a peer's answers
are read (decoder or dequantised, which variance) is what is best on validation images; the test
images are scored once. Each runs in a process of its own.

Both keep what they found in benchmarks/results/train.json, beside what was there.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from budget import steps_in
from peers import BATCH, PEERS, SHAPE, Peer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import quasistatic as qs
from quasistatic.recipes import MNIST

RESULTS = Path(__file__).parent / "results" / "train.json"
OURS, TARGET = "quasistatic", 0.9
PRECISIONS = {"float32": False, "bf16": True}
CHOSEN_ON, AT_ONCE = 500, 500


def ours() -> dict[str, nn.Module]:
    """Our networks of that size: on the pyramid of 28, 14 and 7 that the peers have, and on patches
    of 2x2 pixels at one resolution."""
    return {
        OURS: qs.networks.UNet(SHAPE, 32, (1, 2, 2), 1, attention=(2,)),
        f"{OURS}, patch=2": qs.networks.UNet(SHAPE, 72, (1,), 2, attention=(), patch=2),
    }


# seconds a step


def stepper(network: nn.Module, bf16: bool) -> Callable[[], float]:
    """One step of training, and the seconds that it takes."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x, time_ = torch.randn(BATCH, *SHAPE), torch.rand(BATCH).clamp(min=1e-3)
    target = torch.randn(BATCH, *SHAPE, 1)

    def step() -> float:
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(x, time_)
        nn.functional.mse_loss(output.float(), target).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - started

    return step


def size(network: nn.Module) -> dict[str, float]:
    """Millions of parameters, and of operations for a forward image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *SHAPE), torch.ones(1))
    parameters = sum(weight.numel() for weight in network.parameters())
    return {"m_parameters": parameters / 1e6, "mflop": counter.get_total_flops() / 1e6}


def race(bf16: bool, rounds: int) -> dict[str, dict]:
    """Each in turn, round after round; the first round warms up."""
    torch.manual_seed(0)
    networks = ours() | {name: peer.network() for name, peer in PEERS.items()}
    steps = {name: stepper(network, bf16) for name, network in networks.items()}
    taken = [{name: step() for name, step in steps.items()} for _ in range(1 + rounds)][1:]
    median = {name: statistics.median(turn[name] for turn in taken) for name in networks}
    fastest = min(PEERS, key=median.__getitem__)
    rows = {}
    for name, network in networks.items():
        ratios = [turn[name] / turn[fastest] for turn in taken]
        rows[name] = size(network) | {
            "seconds": median[name],
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
    return rows


def run_steps(asked: argparse.Namespace) -> None:
    torch.set_num_threads(asked.threads)
    for precision in asked.precision:
        rows = race(PRECISIONS[precision], asked.rounds)
        keep("step", {precision: {"threads": asked.threads, "rows": rows}})
        print(f"\n{precision}, batch {BATCH}, {asked.threads} threads, {asked.rounds} rounds")
        print(f"{'':<30}{'M param.':>9}{'MFLOP':>7}{'s/step':>9}{'to fastest peer':>22}")
        for name, row in rows.items():
            low, high = row["ratio_range"]
            print(
                f"{name:<30}{row['m_parameters']:>9.2f}{row['mflop']:>7.0f}{row['seconds']:>9.3f}"
                f"{row['ratio']:>10.3f} ({low:.2f}-{high:.2f})"
            )
    print(f"target: {OURS} at most {TARGET} of the fastest peer")


# the bound after the same minutes


def train_ours(minutes: float, threads: int) -> tuple[dict[str, qs.Diffusion], dict]:
    """The recipe's model, after steps that fill the minutes."""
    experiment = MNIST().build()
    model, data = experiment.model, experiment.data
    fit = replace(MNIST().fit, threads=threads, validations=2)
    fit = replace(fit, steps=steps_in(minutes, model, data.train, fit))
    started = time.perf_counter()
    qs.fit(model, data.train, data.valid[:CHOSEN_ON], settings=fit)
    facts = {"steps": fit.steps, "seconds": time.perf_counter() - started}
    return {f"Levels(mixtures={MNIST().mixtures})": model}, facts


def train_peer(peer: Peer, minutes: float) -> tuple[dict[str, qs.Diffusion], dict]:
    """The peer's model, after steps that fill the minutes, with all its readings."""
    images = torch.from_numpy(qs.data.mnist().train)
    peer.train(images, 2)
    started = time.perf_counter()
    peer.train(images, 10)
    steps = max(1, round(60 * minutes / (time.perf_counter() - started) * 10))
    torch.manual_seed(0)
    started = time.perf_counter()
    network = peer.train(images, steps)
    facts = {"steps": steps, "seconds": time.perf_counter() - started, "version": peer.version}
    return peer.readings(network.eval()), facts


def score(model: qs.Diffusion, images: object, evaluations: int) -> dict[str, float]:
    """The bound of images (N, 28, 28), the mean and its standard error."""
    rng = torch.Generator().manual_seed(0)
    pieces = torch.as_tensor(images).split(AT_ONCE)
    bits = torch.cat([model.score(piece, evaluations, rng=rng).bits_per_dim for piece in pieces])
    nats = -bits * model.space.dims * torch.log(torch.tensor(2.0))
    return {
        "bits_per_dim": bits.mean().item(),
        "stderr": (bits.std() / len(bits) ** 0.5).item(),
        "nats": nats.mean().item(),
    }


def measure(name: str, asked: argparse.Namespace) -> dict:
    """Trains one, chooses its reading on validation images, and scores the test images once."""
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    train = {OURS: lambda: train_ours(asked.minutes, asked.threads)}
    train |= {each: lambda p=peer: train_peer(p, asked.minutes) for each, peer in PEERS.items()}
    readings, facts = train[name]()
    data = qs.data.mnist()
    seen = data.valid[-min(CHOSEN_ON, asked.images) :]
    valid = {
        reading: score(model, seen, asked.evaluations)["bits_per_dim"]
        for reading, model in readings.items()
    }
    best = min(valid, key=valid.__getitem__)
    test = score(readings[best], data.test[: asked.images], asked.evaluations)
    facts |= {"threads": asked.threads, "minutes": asked.minutes, "images": asked.images}
    return test | {"reading": best, "valid": valid} | facts | size(readings[best].network)


def run_bounds(asked: argparse.Namespace) -> None:
    for name in asked.only:
        options = ["--minutes", "--threads", "--evaluations", "--images"]
        values = [asked.minutes, asked.threads, asked.evaluations, asked.images]
        flags = [str(each) for pair in zip(options, values, strict=True) for each in pair]
        # Peers leave nothing behind for each other: neither memory nor a changed torch.
        subprocess.run([sys.executable, __file__, "one", "--only", name, *flags], check=True)
    rows = json.loads(RESULTS.read_text())["bound"]
    print(f"\nMNIST test, 8-bit{'':<13}{'bits/dim':>9}{'s.e.':>8}{'nats':>9}{'steps':>7}{'s':>6}")
    for name, row in sorted(rows.items(), key=lambda each: each[1]["bits_per_dim"]):
        print(
            f"{name:<30}{row['bits_per_dim']:>9.3f}{row['stderr']:>8.3f}{row['nats']:>9.1f}"
            f"{row['steps']:>7}{row['seconds']:>6.0f}  {row['reading']}"
        )


def run_one(asked: argparse.Namespace) -> None:
    for name in asked.only:
        keep("bound", {name: measure(name, asked)})


def keep(table: str, rows: dict) -> None:
    """Puts rows into the results, beside those that are there."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found[table] = found.get(table, {}) | rows
    found["machine"] = {
        "torch": torch.__version__,
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    everyone = [OURS, *PEERS]
    step = verbs.add_parser("step")
    step.add_argument("--rounds", type=int, default=9)
    step.add_argument("--precision", nargs="*", choices=PRECISIONS, default=list(PRECISIONS))
    step.set_defaults(run=run_steps)
    bound, one = verbs.add_parser("bound"), verbs.add_parser("one")
    for verb, run in ((bound, run_bounds), (one, run_one)):
        verb.add_argument("--minutes", type=float, default=10.0)
        verb.add_argument("--only", nargs="*", choices=everyone, default=everyone)
        verb.add_argument("--evaluations", type=int, default=16, help="of the network, an image")
        verb.add_argument("--images", type=int, default=10_000, help="of the test images")
        verb.set_defaults(run=run)
    for verb in (step, bound, one):
        verb.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    asked.run(asked)


if __name__ == "__main__":
    main()
