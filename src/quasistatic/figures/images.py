"""Examples as pictures: what a model draws, and what it makes of what was hidden."""

__all__ = ["completion_from_draws", "completion_panel", "image_grid"]

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from torch import Tensor

from quasistatic.diffusion import Diffusion

from .pictures import canvas, channels, limits_of, pictures
from .style import GREY, HIDDEN, INK, SEQUENTIAL, as_numpy


def image_grid(
    images: object,
    shape: Sequence[int],
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "Drawn by the model",
) -> Figure:
    """Raw examples (n, *) as pictures in a grid.

    Args:
        shape: of a picture: (W,), (H, W), or with 3 or 1 colours first or last.
        columns: pictures in a row; by default the grid is about square on the page.
        limits: the raw values that are black and white; by default the least and greatest.
    """
    values = as_numpy(images)
    height, width = pictures(values[:1], shape, (0.0, 1.0)).shape[1:3]
    if columns is None:
        columns = math.ceil(math.sqrt(len(values) * height / width))
    columns = min(max(columns, 1), len(values))
    rows = math.ceil(len(values) / columns)
    shown = pictures(values, shape, limits or limits_of(values))
    blank = np.zeros((rows * columns - len(values), *shown.shape[1:]))
    mosaic = np.concatenate([shown, blank]).reshape(rows, columns, *shown.shape[1:])
    figure = canvas("image_grid", mosaic, title)[0]
    return figure


def completion_panel(
    model: Diffusion,
    data: object,
    rng: torch.Generator | None = None,
    hidden: object = None,
    shape: Sequence[int] | None = None,
    draws: int = 16,
    walk: str = "weighted",
    times: int | Sequence[int] | Tensor | None = None,
) -> Figure:
    """Completes each raw example (n, *) and shows what is made of what was hidden.

    Args:
        hidden: True where a value is hidden, broadcasting to (n, *); by default the second half
            of the last axis.
        shape: of a picture; by default that of the data.
        walk: see :meth:`Diffusion.posterior`.
    """
    raw = model.space.check(data).to(model.blank(1))
    if hidden is None:
        hidden = torch.arange(raw.shape[-1]) >= raw.shape[-1] // 2
    mask = torch.as_tensor(as_numpy(hidden) > 0, device=raw.device).expand(raw.shape)
    made = model.complete(raw, mask, draws, times, rng, walk=walk)
    return completion_from_draws(raw, mask, made.draws, shape or model.space.shape)


def completion_from_draws(
    truth: object,
    hidden: object,
    draws: object,
    shape: Sequence[int],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A row for each example: the truth, what was seen, four draws, their mean and deviation.

    Args:
        truth: raw values, with shape (n, *).
        hidden: True where a value was hidden, with shape (n, *).
        draws: equally weighted raw draws, with shape (n, k, *), k >= 2.
        shape: of a picture, as in :func:`image_grid`.
    """
    raw, many = as_numpy(truth), as_numpy(draws)
    mask = np.broadcast_to(as_numpy(hidden) > 0, raw.shape)
    k = many.shape[1]
    limits = limits or limits_of(raw)
    # Neighbours may be copies of one particle: spread the four over all of them.
    chosen = many[:, np.linspace(0, k - 1, min(4, k)).round().astype(int)]
    deviation = many.std(1)
    scale = Normalize(0, float(deviation.max()) or 1.0)
    seen = pictures(raw, shape, limits)
    where = channels(mask, shape).any(-1, keepdims=True)
    seen = np.where(where, to_rgba(HIDDEN), seen)
    columns = [pictures(raw, shape, limits), seen]
    columns += [pictures(chosen[:, i], shape, limits) for i in range(chosen.shape[1])]
    columns += [pictures(many.mean(1), shape, limits)]
    spread = channels(deviation, shape).mean(-1)
    columns += [SEQUENTIAL(scale(spread))]
    names = ["truth", "seen"] + [f"draw {i + 1}" for i in range(chosen.shape[1])]
    names += ["mean", "deviation"]
    title = f"What was hidden, completed: mean and deviation over {k} draws"
    figure, ax, centres = canvas("completion", np.stack(columns, 1), title, head=0.7, side=0.8)
    ax.set_xticks(centres, names)
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=ax, fraction=0.03, pad=0.01)
    bar.set_label("raw units", color=INK, fontsize=8)
    bar.ax.tick_params(labelsize=8, colors=GREY)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure
