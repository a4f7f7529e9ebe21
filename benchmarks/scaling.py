"""Compute against held-out bits per dimension: U-Nets and transformers of four sizes each.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --data mnist --seconds 120
    python benchmarks/scaling.py --data cifar10 --device cuda --seconds 600 --batch 256

Each model is trained for the same seconds (of the CPU, or on a clock for another device) on batches
in the same order, and scored on the same held-out images with the running mean of its weights at a
quarter, at half and at the end of that time. The compute is 3 times the floating-point operations
of a forward pass (those of its matrix products and convolutions, as PyTorch counts them), for each
image of each step.

The best models at each compute, those that no other one of the same kind beats at less, are the
frontier. Its slope, the change of the bits for ten times the compute, is fitted by least squares
over these points, and its error is that of the fit alone: each model is trained once. The table is
printed; `--out` names the JSON file, and `--figures`
the folder of the figure.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import quasistatic as qs
from quasistatic._utils.files import write_text
from quasistatic.networks import DiT, UNet
from quasistatic.training.config import Fit
from quasistatic.training.data_loader import as_source
from quasistatic.training.distributed import Engine
from quasistatic.training.loop import Trainer

RESULTS = Path(__file__).parent / "results" / "scaling.json"
FIGURES = Path(__file__).parent.parent / "docs" / "pictures"
OUTPUTS = 3
"""Numbers for each value of the head `Levels` with one logistic."""

MARKS = (0.25, 0.5, 1.0)
"""When a model is scored, as shares of the time of its training."""

WIDTHS = {"unet": (4, 8, 16, 32), "dit": (16, 32, 64, 128)}
"""Of the networks of digits; those of MNIST and CIFAR-10 are `WIDER` times as wide."""

WIDER = {8: 1, 28: 2, 32: 4}
"""By the side of an image."""

DEPTHS = (2, 3, 4, 6)
"""Blocks of the transformers."""

RATES = {"unet": 2e-3, "dit": 1e-3}
"""The learning rates."""


def digits() -> tuple[np.ndarray, np.ndarray, int]:
    """scikit-learn's digits: images to train on, held-out ones, and their levels."""
    data = qs.data.split(qs.data.digits())
    train, test = (np.asarray(each).reshape(-1, 8, 8) for each in (data.train, data.test))
    return train, test, 17


def mnist() -> tuple[np.ndarray, np.ndarray, int]:
    data = qs.data.mnist()
    return np.asarray(data.train[:]), np.asarray(data.test[:]), 256


def cifar10() -> tuple[np.ndarray, np.ndarray, int]:
    data = qs.data.cifar10()
    return np.asarray(data.train[:]), np.asarray(data.test[:]), 256


DATA = {"digits": digits, "mnist": mnist, "cifar10": cifar10}


def network(kind: str, size: int, shape: tuple[int, ...]) -> nn.Module:
    """The network of a kind and of a size from 0 to 3."""
    side = shape[-1]
    width = WIDTHS[kind][size] * WIDER[side]
    if kind == "dit":
        return DiT(shape, width, DEPTHS[size], 4, OUTPUTS, patch=4 if side == 28 else 2)
    multiples = {8: (1, 2), 28: (1, 2, 2)}.get(side, (1, 2, 2, 2))
    return UNet(shape, width, multiples, 1, attention=(len(multiples) - 1,), outputs=OUTPUTS)


def model_of(kind: str, size: int, shape: tuple[int, ...], levels: int) -> qs.Diffusion:
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(1000, 9.0, -7.0))
    space = qs.Quantized(shape, levels, 2.0)
    return qs.Diffusion(space, kernel, qs.Levels(mixtures=1), network(kind, size, shape))


def operations(model: qs.Diffusion) -> float:
    """Floating-point operations of a forward pass for one image."""
    x = model.blank(2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.network(x, x.new_full((2,), 0.5))
    return counter.get_total_flops() / 2


class Clock:
    """The seconds of a training: of the CPU, or on a clock after the device has finished."""

    def __init__(self, device: str) -> None:
        self.device = device

    def now(self) -> float:
        if self.device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()


def trained(
    kind: str, size: int, train: np.ndarray, held: np.ndarray, levels: int, asked: Any
) -> list[dict[str, Any]]:
    """The bits of one model at each mark of its training."""
    model = model_of(kind, size, train.shape[1:], levels)
    each = 3 * operations(model) * asked.batch
    weights = sum(weight.numel() for weight in model.parameters())
    how = Fit(
        **{"steps": 10**9, "batch": asked.batch, "lr": RATES[kind], "warmup": 50, "ema": 0.98},
        **{"validations": 0, "clip": 100.0},
    )
    source = as_source(model.space, train, torch.float32)
    trainer = Trainer(model, qs.Bound(), Engine(asked.device), how, source, None)
    clock, spent, found = Clock(asked.device), 0.0, []
    for mark in MARKS:
        while spent < mark * asked.seconds:
            began = clock.now()
            trainer.step()
            spent += clock.now() - began
        model.eval()
        with trainer.state.mean_weights(model):
            score = model.score(held, asked.evaluations, rng=0)
        bits = score.bits_per_dim.double()
        point = {"network": kind, "weights": weights, "seconds": spent}
        point |= {"steps": trainer.state.step, "flops": each * trainer.state.step}
        point |= {"bits": bits.mean().item(), "error": bits.std().item() / len(bits) ** 0.5}
        found.append(point)
        print(row(point), flush=True)
    return found


def row(point: dict[str, Any]) -> str:
    return (
        f"{point['network']:5} | {point['weights']:10,} | {point['seconds']:6.1f} | "
        f"{point['steps']:6} | {point['flops']:.2e} | {point['bits']:.3f} ± {point['error']:.3f}"
    )


def frontier(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points that no other one beats at less compute, in the order of their compute."""
    best, found = np.inf, []
    for point in sorted(points, key=lambda each: each["flops"]):
        if point["bits"] < best:
            best = point["bits"]
            found.append(point)
    return found


def slope(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The change of the bits for ten times the compute, along the frontier."""
    best = frontier(points)
    x = np.log10([each["flops"] for each in best])
    y = np.array([each["bits"] for each in best])
    if len(best) < 3:
        return {"points": len(best), "slope": None, "error": None, "at": None}
    apart = x - x.mean()
    found = float((apart @ (y - y.mean())) / (apart @ apart))
    rest = y - y.mean() - found * apart
    error = float((rest @ rest / (len(best) - 2) / (apart @ apart)) ** 0.5)
    return {"points": len(best), "slope": found, "error": error, "at": [x.mean(), y.mean()]}


def drawn(points: list[dict[str, Any]], slopes: dict[str, Any], title: str, path: Path) -> None:
    """Bits against compute: a line for each model, and the fitted frontiers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for kind, colour in (("unet", "tab:blue"), ("dit", "tab:orange")):
        own = [point for point in points if point["network"] == kind]
        if not own:
            continue
        for weights in sorted({point["weights"] for point in own}):
            line = [point for point in own if point["weights"] == weights]
            x, y = ([point[name] for point in line] for name in ("flops", "bits"))
            axes.plot(x, y, ".-", color=colour, alpha=0.5)
        fitted = slopes[kind]
        if fitted["slope"] is not None:
            best = [point["flops"] for point in frontier(own)]
            ends = np.log10([best[0], best[-1]])
            y = fitted["at"][1] + fitted["slope"] * (ends - fitted["at"][0])
            label = f"{kind}: {fitted['slope']:+.3f} for ten times the compute"
            axes.plot(10**ends, y, "--", color=colour, label=label)
    axes.set(xscale="log", xlabel="floating-point operations", ylabel="bits per dimension")
    axes.set_title(title)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=list(DATA), default="digits")
    parser.add_argument("--networks", nargs="*", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--sizes", type=int, nargs="*", choices=range(4), default=[0, 1, 2, 3])
    parser.add_argument("--seconds", type=float, default=40, help="of each model's training")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--held", type=int, default=180, help="held-out images that are scored")
    parser.add_argument("--evaluations", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    asked = parser.parse_args()
    torch.set_num_threads(1 if asked.device == "cpu" else torch.get_num_threads())
    train, test, levels = DATA[asked.data]()
    held = test[: asked.held]
    print(f"{asked.data}: {len(train)} images of {train.shape[1:]}, {len(held)} held out")
    print("      |    weights |      s |  steps |    FLOPs | bits per dimension")
    points: list[dict[str, Any]] = []
    for size in asked.sizes:
        for kind in asked.networks:
            points += trained(kind, size, train, held, levels, asked)
    slopes = {k: slope([p for p in points if p["network"] == k]) for k in asked.networks}
    for kind, fitted in slopes.items():
        if fitted["slope"] is None:
            print(f"{kind}: {fitted['points']} points on the frontier, too few for a slope")
            continue
        print(
            f"{kind}: {fitted['slope']:+.3f} ± {fitted['error']:.3f} bits per dimension for ten "
            f"times the compute ({fitted['points']} points on the frontier)"
        )
    stored = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    facts = {"seconds": asked.seconds, "batch": asked.batch, "device": asked.device}
    facts |= {"held": len(held), "points": points, "slopes": slopes}
    write_text(asked.out, json.dumps(stored | {asked.data: facts}, indent=2) + "\n")
    figure = asked.figures / f"scaling-{asked.data}.png"
    drawn(points, slopes, f"{asked.data}, {asked.seconds:g} s for each model", figure)
    print(f"wrote {asked.out} and {figure}")


if __name__ == "__main__":
    main()
