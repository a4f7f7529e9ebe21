"""Bits per dimension against CPU time for pictures and signals, with and without a spectral start.

    python benchmarks/pictures.py bark mnist photos ecg --seconds 30 60 120
    python benchmarks/pictures.py mnist --compare network --seconds 60 --samples draws.png

For each data set two models are trained side by side, on the same batches and with the same U-Net,
to the same CPU seconds: one that stands on the spectral law (its fit counts as time), and one that
starts without it, as `qs.pictorial` builds it. Each row has the bits per dimension of the same
held-out examples, lower is better, and the paired difference with its standard error. The start is
also chosen, at each mark, by the bits of validation examples, which neither model was trained on;
they come from the same pictures or the same signal as the training examples.
With `--compare network` the two models are a U-Net and a transformer, both with the law.
Results are kept in `benchmarks/results/pictures.json` after each mark, and drawn in
`docs/pictures`; a data set that was measured for the same marks before is left out.

Lossless files of the same pictures, a normal and a mixture of normals stand beside them where they
apply.

`photos` are crops of the two colour photographs that come with scikit-learn: the left two thirds to
train on, the right third held out. `ecg` are windows of a simulated electrocardiogram (a sum of
bumps whose heights, widths and intervals vary), as real values.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from image_files import bits_per_value
from PIL import Image

import quasistatic as qs
from quasistatic._utils.files import write_text
from quasistatic.distributions.mixtures import Mixture
from quasistatic.recipes.spectral import spectral_law, spectral_model
from quasistatic.spaces import Continuous, Quantized, Space
from quasistatic.training.config import Fit
from quasistatic.training.data_loader import as_source
from quasistatic.training.distributed import Engine
from quasistatic.training.loop import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = Path(__file__).parent / "results" / "pictures.json"
FIGURES = Path(__file__).parent.parent / "docs" / "pictures"
LEVELS = 256
SPREAD = 2.0
VALID = 100
"""Examples of the training data that the start is chosen by."""


def crops(image: np.ndarray, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random crops (count, C, size, size) of one image (C, H, W)."""
    _, height, width = image.shape
    places = zip(
        rng.integers(height - size + 1, size=count),
        rng.integers(width - size + 1, size=count),
        strict=True,
    )
    return np.stack([image[:, y : y + size, x : x + size] for y, x in places])


def photos(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Colour crops of the photographs of scikit-learn."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    train, test = [], []
    for image in load_sample_images().images:
        picture = image.transpose(2, 0, 1)
        edge = picture.shape[2] * 2 // 3
        train.append(crops(picture[:, :, :edge], 1000, size, rng))
        test.append(crops(picture[:, :, edge:], 50, size, rng))
    return np.concatenate(train), np.concatenate(test)


def bark(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Grey crops of bark."""
    data = qs.data.bark(size)
    rng = torch.Generator().manual_seed(0)
    rows = torch.arange(16 * 128) % 128
    return data.train.batch(rows, rng).numpy(), data.test[::2][:100]


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Digits of 28 x 28 pixels."""
    data = qs.data.mnist()
    return data.train[:10_000], data.test[:100]


def leaves(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Dead leaves as bytes."""
    images = qs.data.dead_leaves(2200, size=size, seed=0)
    low, high = images.min(), images.max()
    grey = np.clip((images - low) / (high - low) * 256, 0, 255).astype(np.uint8)
    return grey[:2000], grey[2000:]


def ecg(length: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a simulated electrocardiogram, which begin at any phase of the heart."""
    rng, rate = np.random.default_rng(0), 64
    beats = 8000
    interval = 0.8 + 0.08 * rng.standard_normal(beats).cumsum() / (1 + 0.1 * np.arange(beats))
    interval = 0.8 + 0.1 * np.tanh(interval - 0.8) + 0.03 * rng.standard_normal(beats)
    begins = np.concatenate([[0.0], interval.cumsum()])
    time_ = np.arange(int(begins[-1] * rate)) / rate
    beat = np.searchsorted(begins, time_, side="right") - 1
    beat = beat.clip(0, beats - 1)
    phase = (time_ - begins[beat]) / interval[beat]
    # Places, widths and heights of the P, Q, R, S and T waves.
    waves = [(0.18, 0.025, 0.15), (0.27, 0.010, -0.1), (0.30, 0.012, 1.2), (0.33, 0.010, -0.25)]
    waves += [(0.55, 0.05, 0.3)]
    signal = np.zeros(len(time_))
    for place, width, height in waves:
        heights = height * (1 + 0.15 * rng.standard_normal(beats))
        places = place + 0.008 * rng.standard_normal(beats)
        signal += heights[beat] * np.exp(-((phase - places[beat]) ** 2) / (2 * width**2))
    signal += 0.1 * np.sin(2 * np.pi * 0.25 * time_) + 0.02 * rng.standard_normal(len(time_))
    edge = len(signal) * 5 // 6

    def windows(part: np.ndarray, count: int) -> np.ndarray:
        begin = rng.integers(len(part) - length, size=count)
        return np.stack([part[b : b + length] for b in begin]).astype(np.float32)

    return windows(signal[:edge], 5000), windows(signal[edge:], 500)


DATA = {"photos": photos, "bark": bark, "mnist": mnist, "leaves": leaves, "ecg": ecg}


def space_of(train: np.ndarray) -> Space:
    shape = train.shape[1:]
    if train.dtype == np.uint8:
        return Quantized(shape, LEVELS, SPREAD)
    return Continuous(shape, float(train.mean()), float(train.std()))


def without_start(space: Space, width: int) -> qs.Diffusion:
    """The model that the library builds without a law."""
    if isinstance(space, Quantized):
        return qs.pictorial(space.shape, LEVELS, width=width)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(1000, 9.0, -7.0))
    network = qs.networks.UNet(space.shape, width, (1, 2, 2, 2), 1, attention=(3,), outputs=2)
    head = qs.Velocity(qs.heads.variances.Interpolated())
    return qs.Diffusion(space, kernel, head, network)


class Timed:
    """A model in training, with the CPU seconds that it took."""

    def __init__(self, model: qs.Diffusion, train: np.ndarray, spent: float, lr: float) -> None:
        # The rate rises, stays, and the running mean of the weights is what is scored.
        how = Fit(steps=10**9, batch=32, lr=lr, warmup=30, ema=0.98, validations=0, clip=100.0)
        source = as_source(model.space, train, torch.float32)
        self.trainer = Trainer(model, qs.Bound(), Engine("cpu"), how, source, None)
        self.model, self.spent = model, spent

    def until(self, seconds: float) -> int:
        """Trains until so many CPU seconds are spent; the steps so far."""
        while self.spent < seconds:
            began = time.process_time()
            self.trainer.step()
            self.spent += time.process_time() - began
        return self.trainer.state.step

    def drawn(self, n: int) -> np.ndarray:
        """Draws of the mean weights, of 50 steps."""
        self.model.eval()
        with self.trainer.state.mean_weights(self.model):
            return self.model.sample(n, times=50, rng=0).numpy()

    def score(self, held: np.ndarray, evaluations: int) -> np.ndarray:
        """Bits per dimension of each example, with the mean weights."""
        self.model.eval()
        with self.trainer.state.mean_weights(self.model):
            exact = isinstance(self.model.space, Continuous) and hasattr(
                self.model.network, "denoiser"
            )
            method = qs.ContinuousTime(evaluations) if exact else qs.Elbo(evaluations)
            found = self.model.score(held, rng=0, method=method)
        return found.bits_per_dim.double().numpy()


def normals(train: np.ndarray, held: np.ndarray) -> dict[str, np.ndarray]:
    """Bits per dimension of one normal, and of the mixture of normals of scikit-learn that is the
    best of four on a fifth of the training data."""
    from sklearn.mixture import GaussianMixture

    dims = train[0].size
    cut = len(train) * 4 // 5
    flat = train.reshape(len(train), -1).astype(float)
    fitted = [
        GaussianMixture(k, covariance_type=kind, reg_covar=1e-5, random_state=0).fit(flat[:cut])
        for kind, k in (("full", 1), ("full", 8), ("full", 32), ("tied", 32))
    ]
    best = max(fitted, key=lambda each: each.score(flat[cut:]))
    found = {}
    for each in (fitted[0], best):
        nats = each.score_samples(held.reshape(len(held), -1).astype(float))
        name = f"mixture of {each.n_components} normals ({each.covariance_type})"
        found[name] = -nats / math.log(2) / dims
    return found


def versus_start(space: Space, law: Mixture, width: int) -> tuple[qs.Diffusion, qs.Diffusion]:
    """The same U-Net with the law and without."""
    torch.manual_seed(0)
    ours = spectral_model(space, law, width=width)
    torch.manual_seed(0)
    return ours, without_start(space, width)


def versus_network(space: Space, law: Mixture, width: int) -> tuple[qs.Diffusion, qs.Diffusion]:
    """A U-Net and a transformer, both with the law."""
    torch.manual_seed(0)
    ours = spectral_model(space, law, width=width)
    torch.manual_seed(0)
    return ours, spectral_model(space, law, width=width, network=qs.networks.DiT)


@dataclass(frozen=True)
class Pair:
    """Two models that are compared.

    Args:
        names: of the two.
        build: makes them.
        fitted: whether the fit of the law counts as time of the second one too.
    """

    names: tuple[str, str]
    build: Callable[[Space, Mixture, int], tuple[qs.Diffusion, qs.Diffusion]]
    fitted: bool


PAIRS = {
    "start": Pair(("with the law", "without"), versus_start, False),
    "network": Pair(("U-Net", "transformer"), versus_network, True),
}


def mean_and_error(bits: np.ndarray) -> list[float]:
    return [float(bits.mean()), float(bits.std() / len(bits) ** 0.5)]


def measure(name: str, asked: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> None:
    """Trains the pair of models, prints their bits at each mark, and keeps them."""
    train, held = DATA[name]()
    space, pair = space_of(train), PAIRS[asked.compare]
    print(f"\n{name}: {len(train)} examples of {train.shape[1:]}, {len(held)} held out", flush=True)
    if train.dtype == np.uint8:
        beside = {label: mean_and_error(bits) for label, bits in bits_per_value(held).items()}
    else:
        beside = {label: mean_and_error(bits) for label, bits in normals(train, held).items()}
    for label, (bits, error) in beside.items():
        print(f"  {label}: {bits:.3f} ± {error:.3f}", flush=True)
    # The last ones: windows and crops are drawn at random places, and digits are shuffled.
    train, valid = train[:-VALID], train[-VALID:]
    torch.manual_seed(0)
    began = time.process_time()
    choice = spectral_law(space, train)
    took = time.process_time() - began
    both = pair.build(space, choice.law, asked.width)
    counts = [sum(w.numel() for w in each.parameters()) for each in both]
    (one, other) = pair.names
    print(f"  {choice}")
    print(f"  weights: {counts[0]:,} {one}, {counts[1]:,} {other}", flush=True)
    print(f"  CPU s | {one} | steps | {other} | steps | second less first | chosen")
    spent = took, took if pair.fitted else 0.0
    first, second = (
        Timed(model, train, begun, asked.lr) for model, begun in zip(both, spent, strict=True)
    )
    facts: dict[str, Any] = {"names": pair.names, "beside": beside, "law": str(choice)}
    facts |= {"weights": counts, "asked": [*asked.seconds], "points": []}
    for mark in sorted({took, *(mark for mark in asked.seconds if mark > took)}):
        steps = first.until(mark), second.until(mark)
        chosen = [each.score(valid, asked.evaluations).mean() for each in (first, second)]
        a, b = (each.score(held, asked.evaluations) for each in (first, second))
        apart = b - a
        point = {"seconds": mark, "steps": steps, "first": mean_and_error(a)}
        point |= {"second": mean_and_error(b), "apart": mean_and_error(apart)}
        point["chosen"] = float((a if chosen[0] < chosen[1] else b).mean())
        facts["points"].append(point)
        keep(facts)
        print(
            f"  {mark:5.0f} | {a.mean():.3f} ± {point['first'][1]:.3f} | {steps[0]:5d} | "
            f"{b.mean():.3f} | {steps[1]:5d} | {apart.mean():+.3f} ± {point['apart'][1]:.3f} | "
            f"{point['chosen']:.3f}",
            flush=True,
        )
    if asked.samples is not None:
        drawn = [each.drawn(8) for each in (first, second)]
        rows = [np.concatenate(list(each.astype(np.uint8)), -1) for each in drawn]
        picture = np.concatenate(rows, -2)
        whole = picture.transpose(1, 2, 0) if picture.ndim == 3 else picture
        Image.fromarray(whole).save(asked.samples)
        print(f"wrote {asked.samples}: draws of {one}, and of {other} below")


def figure(results: dict[str, Any], path: Path) -> None:
    """Bits against CPU time: a panel for each data set."""
    from matplotlib.figure import Figure

    shown = {name: each for name, each in results.items() if each["points"]}
    # Two in a row and large letters, for the figure is also read at the width of a phone.
    rows = -(-len(shown) // 2)
    made = Figure(figsize=(8, 3.4 * rows), layout="constrained")
    panels = made.subplots(rows, min(2, len(shown)), squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, facts) in zip(panels.flat, shown.items(), strict=False):
        x = [point["seconds"] for point in facts["points"]]
        for which, label in zip(("first", "second"), facts["names"], strict=True):
            y, error = zip(*(point[which] for point in facts["points"]), strict=True)
            axes.errorbar(x, y, error, marker=".", label=label)
        axes.set_xscale("log")
        axes.set_title(name, fontsize=14)
        axes.tick_params(labelsize=11)
        _lines(axes, {label: bits for label, (bits, _) in facts["beside"].items()}, x[-1])
    for axes in panels[:, 0]:
        axes.set_ylabel("bits per dimension", fontsize=12)
    for axes in panels[-1]:
        axes.set_xlabel("CPU seconds", fontsize=12)
    panels[0, 0].legend(fontsize=11)
    made.savefig(path, dpi=150)
    print(f"wrote {path}")


def _lines(axes: "Axes", beside: dict[str, float], right: float) -> None:
    """A line with its name for each of the others; the lower one of two that are close has its name
    below it."""
    low, high = axes.get_ylim()
    ordered = sorted(beside.items(), key=lambda item: item[1])
    for k, (label, bits) in enumerate(ordered):
        close = k + 1 < len(ordered) and ordered[k + 1][1] - bits < 0.04 * (high - low)
        axes.axhline(bits, linestyle=":", color="grey")
        below = "top" if close else "bottom"
        axes.annotate(label, (right, bits), fontsize=10, color="#555555", va=below, ha="right")
    axes.margins(y=0.12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", choices=list(DATA), default=["bark"])
    parser.add_argument("--seconds", type=float, nargs="*", default=[30.0, 60.0, 120.0])
    parser.add_argument("--compare", choices=list(PAIRS), default="start")
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--evaluations", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--samples", type=Path, help="a PNG file for draws of both models")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    asked = parser.parse_args()
    torch.set_num_threads(1)

    def stored() -> dict[str, Any]:
        every = json.loads(asked.out.read_text()) if asked.out.exists() else {}
        found: dict[str, Any] = every.get(asked.compare, {})
        return found

    for name in asked.data or ["bark"]:
        if stored().get(name, {}).get("asked") == asked.seconds and stored()[name].get("done"):
            print(f"{name} was measured before; delete it from {asked.out} to measure it again")
            continue

        def keep(facts: dict[str, Any], name: str = name) -> None:
            every = json.loads(asked.out.read_text()) if asked.out.exists() else {}
            done = facts["points"][-1]["seconds"] >= max(asked.seconds)
            own = every.get(asked.compare, {}) | {name: {**facts, "done": done}}
            write_text(asked.out, json.dumps(every | {asked.compare: own}, indent=1) + "\n")

        measure(name, asked, keep)
    figure(stored(), asked.figures / f"pictures-{asked.compare}.png")


if __name__ == "__main__":
    main()
