"""Draws the pictures of the README and of docs/complete.md with the pretrained models:

python docs/pictures.py [NAME ...]
"""

import bz2
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

import quasistatic as qs
from quasistatic.reporting import figures
from quasistatic.reporting.figures.style import BLUE, GREY, HIDDEN, INK, ORANGE, tidy

TARGET = Path(__file__).resolve().parent / "pictures"
ROWS, HOW = 4, {"draws": 64, "times": 50, "method": qs.SMC(128, 2)}


def digits(rows: int = ROWS) -> tuple[qs.Diffusion, Tensor]:
    """A model of digits from 0 to 16, and some that it never saw, (n, 64)."""
    held_out = qs.data.split(qs.data.digits()).test[10 : 10 + rows]
    return qs.load_pretrained("digits"), torch.from_numpy(held_out).float()


def denoised(rng: torch.Generator) -> Figure:
    """SD15 Fig. 3: noise of variance 16, a quarter of the range."""
    model, x = digits()
    noisy = x + 4 * torch.randn(x.shape, generator=rng)
    found = model.posterior(qs.Observed(noisy, 16.0), rng=rng, **HOW)
    return figures.posterior_from_draws(x, noisy, found.draws, (8, 8))


def blur(images: Tensor) -> Tensor:
    """A Gaussian of deviation 1.2 pixels over each 8 x 8 image, (n, 64)."""
    one = torch.exp(-0.5 * (torch.arange(-3.0, 4.0) / 1.2) ** 2).to(images)
    weight = (one[:, None] * one / one.sum() ** 2)[None, None]
    return F.conv2d(images.reshape(-1, 1, 8, 8), weight, padding=3).flatten(1)


def coarse(images: Tensor) -> Tensor:
    """The means of 2 x 2 pixels."""
    return F.avg_pool2d(images.reshape(-1, 1, 8, 8), 2).flatten(1)


def seen_through(
    view: Callable[[Tensor], Tensor], shape: tuple[int, int]
) -> Callable[[torch.Generator], Figure]:
    """A panel of digits seen through a linear map and noise of variance 1/4."""

    def panel(rng: torch.Generator) -> Figure:
        model, x = digits()
        y = view(x) + 0.5 * torch.randn(view(x).shape, generator=rng)
        found = model.posterior(qs.Linear(y, view, 0.25), rng=rng, **HOW)
        return figures.posterior_from_draws(x, y, found.draws, (8, 8), shape)

    return panel


def left_half(rng: torch.Generator) -> Figure:
    """Digits from their left half, bits of which nothing on the right is known."""
    model = qs.load_pretrained("binarized-mnist")
    x = torch.from_numpy(np.asarray(qs.data.binarized_mnist().test[:ROWS])).float()
    hidden = torch.arange(28).expand(28, 28) >= 14
    hidden = hidden.expand(x.shape)
    found = model.complete(x, hidden, 32, 25, rng, method=qs.SMC(32, 2))
    return figures.completion_from_draws(x, hidden, found.draws, (28, 28))


def overview(rng: torch.Generator) -> Figure:
    """The four verbs on one model of digits, for the README."""
    model = qs.load_pretrained("digits")
    test = torch.from_numpy(qs.data.split(qs.data.digits()).test).float()
    figure = Figure(figsize=(11.2, 2.7), layout="constrained", facecolor="white", label="overview")
    axes = figure.subplots(1, 4, width_ratios=(1, 1.25, 1.7, 1.1))
    _tiles(axes[0], model.sample(16, rng=rng).reshape(4, 4, 8, 8))
    axes[0].set_title("sample", loc="left", fontweight="bold")
    axes[0].set_xlabel("16 draws from the model")
    _scores(axes[1], model, test, rng)
    _completions(axes[2], model, test[10:13], rng)
    _sizes(axes[3], model, test)
    for ax in axes:
        tidy(ax)
        ax.xaxis.label.set_size(9)
    for ax in (axes[0], axes[2]):
        ax.spines[:].set_visible(False)
        ax.set_yticks([])
    axes[0].set_xticks([])
    return figure


def _tiles(ax: Axes, images: Tensor, seen: Tensor | None = None) -> None:
    """Images (rows, columns, 8, 8) with values from 0 to 16; `seen` says which pixels to show."""
    gray = (images.float() / 16).numpy()[..., None].repeat(3, -1)
    if seen is not None:
        hidden = tuple(int(HIDDEN[i : i + 2], 16) / 255 for i in (1, 3, 5))
        gray = np.where(seen.numpy()[..., None], gray, hidden)
    framed = np.pad(gray, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    rows, columns = framed.shape[:2]
    ax.imshow(framed.swapaxes(1, 2).reshape(rows * 9, columns * 9, 3), interpolation="nearest")


def _scores(ax: Axes, model: qs.Diffusion, test: Tensor, rng: torch.Generator) -> None:
    shuffled = test[:, torch.randperm(64, generator=rng)]
    bins = np.linspace(1, 6, 51)
    for x, name, colour in ((test, "new digits", BLUE), (shuffled, "pixels shuffled", ORANGE)):
        bits = model.score(x, rng=rng).bits_per_dim.numpy()
        label = f"{name}: {bits.mean():.2f} bits"
        ax.hist(bits.clip(1, 6), bins, color=colour, alpha=0.6, label=label)
    ax.set_title("score", loc="left", fontweight="bold")
    ax.set(xlabel="bits a pixel (fewer: likelier)", ylabel="images")
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)


def _completions(ax: Axes, model: qs.Diffusion, x: Tensor, rng: torch.Generator) -> None:
    hidden = (torch.arange(64) % 8 >= 4).expand(x.shape)
    found = model.complete(x, hidden, 32, 50, rng)
    columns = [x, x, *(found.draws[:, i] for i in (0, 10, 21)), found.mean]
    images = torch.stack([torch.as_tensor(c).float() for c in columns], 1).reshape(-1, 6, 8, 8)
    seen = torch.ones(images.shape, dtype=torch.bool)
    seen[:, 1, :, 4:] = False
    _tiles(ax, images, seen)
    ax.set_xticks(4 + 9 * np.arange(6), ["truth", "known", "draw", "draw", "draw", "mean"])
    ax.tick_params(length=0)
    ax.set_title("complete", loc="left", fontweight="bold")
    ax.set_xlabel("the right half, given the left half")


def _sizes(ax: Axes, model: qs.Diffusion, test: Tensor) -> None:
    raw = test.to(torch.uint8).numpy().tobytes()
    ours = len(model.compress(test.numpy()))
    sizes = {"quasistatic": ours, "bz2": len(bz2.compress(raw, 9)), "xz": len(lzma.compress(raw))}
    bars = ax.barh(list(sizes), list(sizes.values()), color=[BLUE, GREY, GREY], height=0.6)
    ax.bar_label(bars, [f"{size:,}" for size in sizes.values()], padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.25 * max(sizes.values()))
    ax.set_xticks([0, 4000, 8000], ["0", "4,000", "8,000"])
    ax.set_title("compress", loc="left", fontweight="bold")
    ax.set_xlabel("bytes, model not counted")


PANELS = {
    "overview": overview,
    "denoised": denoised,
    "deblurred": seen_through(blur, (8, 8)),
    "finer": seen_through(coarse, (4, 4)),
    "left-half": left_half,
}


def main(names: list[str]) -> None:
    TARGET.mkdir(exist_ok=True)
    for name in names or list(PANELS):
        path = TARGET / f"{name}.png"
        panel = PANELS[name](torch.Generator().manual_seed(0))
        panel.savefig(path, dpi=160 if name == "overview" else 90)
        print(f"wrote {path.name}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
