"""Signals of one axis: draws beside data, and completions of a hidden part."""

__all__ = ["signal_completions", "signal_draws"]

import numpy as np
import torch
from matplotlib.figure import Figure

from ...diffusion import Diffusion
from ...sampling import SMC
from .style import BLUE, GREY, ORANGE, PALE, as_numpy, new_figure, tidy

DRAWS, TIMES, PARTICLES = 4, 25, 16
"""Completions of each signal, and the time steps and particles of the posterior."""


def signal_draws(draws: object, data: object) -> Figure:
    """Signals drawn from a model beside signals of the data.

    Args:
        draws: from the model, with shape (n, L).
        data: with shape (m, L).
    """
    sides = as_numpy(data), as_numpy(draws)
    count = max(len(side) for side in sides)
    figure = new_figure("signal_draws", 9.0, 0.9 + 0.75 * count, "Signals")
    axes = figure.subplots(count, 2, sharex=True, sharey=True, squeeze=False)
    heads = ("held back", "drawn")
    for column, (side, colour, head) in enumerate(zip(sides, (BLUE, ORANGE), heads, strict=True)):
        axes[0][column].set_title(head, fontsize=9, loc="left")
        for row in range(count):
            ax = axes[row][column]
            if row < len(side):
                ax.plot(side[row], color=colour, linewidth=0.9)
            tidy(ax)
    return figure


def signal_completions(
    model: Diffusion, data: object, rng: torch.Generator | None = None
) -> Figure:
    """The second half of some signals, drawn from its posterior given the first half.

    Args:
        model: of signals (L,).
        data: signals (n, L).
        rng: a generator for the draws.
    """
    x = np.asarray(data, dtype=np.float32)
    hidden = np.broadcast_to(np.arange(x.shape[1]) >= x.shape[1] // 2, x.shape)
    made = model.complete(x, hidden, DRAWS, TIMES, rng, method=SMC(PARTICLES, repeats=1))
    draws = as_numpy(made.draws)
    figure = new_figure("signal_completions", 9.0, 0.9 + 1.2 * len(x), "Completions")
    axes = figure.subplots(len(x), 1, sharex=True, squeeze=False)[:, 0]
    places, start = np.arange(x.shape[1]), x.shape[1] // 2
    for ax, whole, each in zip(axes, x, draws, strict=True):
        ax.axvspan(start, x.shape[1] - 1, color=PALE, alpha=0.4, linewidth=0)
        for k, one in enumerate(each):
            label = "completions" if k == 0 else None
            ax.plot(
                places[start:], one[start:], color=ORANGE, linewidth=0.8, alpha=0.7, label=label
            )
        ax.plot(places, whole, color=BLUE, linewidth=1.0, label="the signal")
        tidy(ax)
    axes[0].legend(fontsize=8, frameon=False, labelcolor=GREY)
    return figure
