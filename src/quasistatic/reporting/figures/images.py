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

from ...diffusion import Diffusion
from ...sampling import PosteriorMethod
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
    method: PosteriorMethod | None = None,
    times: int | Sequence[int] | Tensor | None = None,
) -> Figure:
    """Completes each raw example (n, *) and shows what is made of what was hidden.

    Args:
        hidden: True where a value is hidden, broadcasting to (n, *); by default the second half
            of the last axis.
        shape: of a picture; by default that of the data.
        method: see :meth:`Diffusion.posterior`.
    """
    raw = model.space.check(data).to(model.blank(1))
    if hidden is None:
        hidden = torch.arange(raw.shape[-1]) >= raw.shape[-1] // 2
    mask = torch.as_tensor(as_numpy(hidden) > 0, device=raw.device).expand(raw.shape)
    made = model.complete(raw, mask, draws, times, rng, method=method)
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
    raw = as_numpy(truth)
    mask = np.broadcast_to(as_numpy(hidden) > 0, raw.shape)
    limits = limits or limits_of(raw)
    where = channels(mask, shape).any(-1, keepdims=True)
    seen = np.where(where, to_rgba(HIDDEN), pictures(raw, shape, limits))
    many = as_numpy(draws)
    title = f"What was hidden, completed: mean and deviation over {many.shape[1]} draws"
    return _panel(raw, seen, many, shape, limits, title)


def posterior_from_draws(
    truth: object,
    seen: object,
    draws: object,
    shape: Sequence[int],
    seen_shape: Sequence[int] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """A row for each example: the truth, a view of it, four draws given that view, their mean and
    deviation.

    Args:
        truth: raw values, with shape (n, *).
        seen: what was seen, on the same scale, with shape (n, *seen).
        draws: equally weighted raw draws, with shape (n, k, *), k >= 2.
        shape: of a picture, as in :func:`image_grid`.
        seen_shape: of a picture of what was seen, by default the same; its sides must divide those
            of `shape`, and its pixels are drawn larger.

    Raises:
        ValueError: if they do not.
    """
    raw, small = as_numpy(truth), tuple(seen_shape or shape)
    limits = limits or limits_of(raw)
    whole = channels(raw, shape).shape[1:3]
    view = pictures(as_numpy(seen), small, limits)
    times = [a // b for a, b in zip(whole, view.shape[1:3], strict=True)]
    if tuple(n * k for n, k in zip(times, view.shape[1:3], strict=True)) != whole:
        raise ValueError(
            f"a view of {view.shape[1:3]} pixels cannot be drawn as {whole}: its sides must divide "
            "them"
        )
    view = view.repeat(times[0], 1).repeat(times[1], 2)
    many = as_numpy(draws)
    title = f"Given what was seen: mean and deviation over {many.shape[1]} draws"
    return _panel(raw, view, many, shape, limits, title)


def _panel(
    raw: np.ndarray,
    seen: np.ndarray,
    many: np.ndarray,
    shape: Sequence[int],
    limits: tuple[float, float],
    title: str,
) -> Figure:
    k = many.shape[1]
    # Neighbours may be copies of one particle: spread the four over all of them.
    chosen = many[:, np.linspace(0, k - 1, min(4, k)).round().astype(int)]
    deviation = many.std(1)
    scale = Normalize(0, float(deviation.max()) or 1.0)
    columns = [pictures(raw, shape, limits), seen]
    columns += [pictures(chosen[:, i], shape, limits) for i in range(chosen.shape[1])]
    columns += [pictures(many.mean(1), shape, limits)]
    spread = channels(deviation, shape).mean(-1)
    columns += [SEQUENTIAL(scale(spread))]
    names = ["truth", "seen"] + [f"draw {i + 1}" for i in range(chosen.shape[1])]
    names += ["mean", "deviation"]
    figure, ax, centres = canvas("completion", np.stack(columns, 1), title, head=0.7, side=0.8)
    ax.set_xticks(centres, names)
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=ax, fraction=0.03, pad=0.01)
    bar.set_label("raw units", color=INK, fontsize=8)
    bar.ax.tick_params(labelsize=8, colors=GREY)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure
