"""Draws the panels of docs/complete.md into docs/pictures, with the weights that come along:

python docs/pictures.py
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

import quasistatic as qs
from quasistatic.reporting import figures

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


PANELS = {
    "denoised": denoised,
    "deblurred": seen_through(blur, (8, 8)),
    "finer": seen_through(coarse, (4, 4)),
    "left-half": left_half,
}


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for name, panel in PANELS.items():
        path = TARGET / f"{name}.png"
        panel(torch.Generator().manual_seed(0)).savefig(path, dpi=90)
        print(f"wrote {path.name}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
