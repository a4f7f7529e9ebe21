"""Figures of progressive decoding, intermediate estimates and interpolation, for recipes of images
(DDPM Figs. 5, 6 and 8)."""

__all__ = ["coded", "grown", "mixed"]

import numpy as np
import torch
from matplotlib.figure import Figure

from ...diagnostics.progressive import code_progressively, generate_progressively, interpolate
from ...diffusion import Diffusion
from ...reporting import figures

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def coded(model: Diffusion, x: np.ndarray, rng: torch.Generator) -> Figure:
    """Rate against distortion of some of the held-out examples."""
    some = x[np.random.default_rng(0).permutation(len(x))[:512]]
    points = min(50, model.steps)
    return figures.rate_distortion(code_progressively(model, some, points, rng=rng))


def grown(model: Diffusion, x: np.ndarray, rng: torch.Generator) -> Figure:
    """The estimates of x_0 while sampling."""
    times = min(100, model.steps)
    generation = generate_progressively(model, 6, shown=min(8, times), times=times, rng=rng)
    return figures.generation_panel(generation, model.space.shape, _limits(x))


def mixed(model: Diffusion, x: np.ndarray, rng: torch.Generator) -> Figure:
    """Pairs of held-out examples, mixed three quarters of the way to noise."""
    times = model.times(min(100, model.steps))
    t = int(times[len(times) * 3 // 4])
    first, second = x[:5], x[-5:]
    mixes = interpolate(model, first, second, t, SHARES, times, rng)
    return figures.interpolation_panel(
        first, second, mixes, SHARES, model.space.shape, _limits(x), t
    )


def _limits(x: np.ndarray) -> tuple[float, float]:
    return float(x.min()), float(x.max())
