"""Examples as images: draws of a model, and completions of hidden values."""

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
    title: str = "Draws of the model",
    beside: object = None,
) -> Figure:
    """Raw examples (n, *) as images in a grid.

    Args:
        images: the examples.
        shape: of an image: (W,), (H, W), or with 3 or 1 colours first or last.
        columns: images in a row; by default the grid is about square.
        limits: the raw values of black and white; by default the least and greatest value.
        title: of the figure.
        beside: data (m, *), of which as many as there are `images` are shown at the right, on the
            same scale.
    """
    values = as_numpy(images)
    if beside is not None:
        return _two_grids(values, as_numpy(beside)[: len(values)], shape, limits, title)
    height, width = pictures(values[:1], shape, (0.0, 1.0)).shape[1:3]
    if columns is None:
        columns = math.ceil(math.sqrt(len(values) * height / width))
    columns = min(max(columns, 1), len(values))
    mosaic = _mosaic(values, shape, limits or limits_of(values), columns)
    return canvas("image_grid", mosaic, title)[0]


def _mosaic(
    values: np.ndarray, shape: Sequence[int], limits: tuple[float, float], columns: int
) -> np.ndarray:
    """Images in rows of `columns`, with shape (rows, columns, H, W, 4); empty places are clear."""
    shown = pictures(values, shape, limits)
    rows = math.ceil(len(values) / columns)
    blank = np.zeros((rows * columns - len(values), *shown.shape[1:]))
    return np.concatenate([shown, blank]).reshape(rows, columns, *shown.shape[1:])


def _two_grids(
    drawn: np.ndarray,
    data: np.ndarray,
    shape: Sequence[int],
    limits: tuple[float, float] | None,
    title: str,
) -> Figure:
    """Draws at the left and data at the right, with a gap of half an image between them."""
    limits = limits or limits_of(np.concatenate([drawn, data]))
    columns = math.ceil(math.sqrt(len(drawn)))
    sides = [_mosaic(values, shape, limits, columns) for values in (drawn, data)]
    rows = max(len(side) for side in sides)
    sides = [np.pad(s, ((0, rows - len(s)), *[(0, 0)] * 4)) for s in sides]
    gap = np.zeros_like(sides[0][:, :1])
    figure, ax, centres = canvas(
        "image_grid", np.concatenate([sides[0], gap, sides[1]], 1), title, head=0.7
    )
    middle = (columns - 1) / 2
    ax.set_xticks(
        np.interp([middle, columns + 1 + middle], np.arange(len(centres)), centres),
        ["draws of the model", "held-out data"],
    )
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
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
    """Hides a part of each raw example (n, *), completes it, and shows the result.

    Args:
        model: the model.
        data: raw examples.
        rng: for the draws.
        hidden: True where a value is hidden, broadcasting to (n, *); by default the second half
            of the last axis.
        shape: of an image; by default that of the data.
        draws: completions of each example.
        method: see :meth:`Diffusion.posterior`.
        times: the chain, see :meth:`Model.times`.
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
    """One row for each example: the truth, the known part, four draws, their mean and standard
    deviation.

    Args:
        truth: raw values, with shape (n, *).
        hidden: True where a value was hidden, with shape (n, *).
        draws: equally weighted raw draws, with shape (n, k, *), k >= 2.
        shape: of an image, as in :func:`image_grid`.
        limits: the raw values of black and white; by default those of the truth.
    """
    raw = as_numpy(truth)
    mask = np.broadcast_to(as_numpy(hidden) > 0, raw.shape)
    limits = limits or limits_of(raw)
    where = channels(mask, shape).any(-1, keepdims=True)
    seen = np.where(where, to_rgba(HIDDEN), pictures(raw, shape, limits))
    many = as_numpy(draws)
    title = f"Completions of the hidden part; mean and deviation of {many.shape[1]} draws"
    return _panel(raw, seen, many, shape, limits, title)


def posterior_from_draws(
    truth: object,
    seen: object,
    draws: object,
    shape: Sequence[int],
    seen_shape: Sequence[int] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One row for each example: the truth, a measurement of it, four draws given the measurement,
    their mean and standard deviation.

    Args:
        truth: raw values, with shape (n, *).
        seen: the measurement, on the same scale, with shape (n, *seen).
        draws: equally weighted raw draws, with shape (n, k, *), k >= 2.
        shape: of an image, as in :func:`image_grid`.
        seen_shape: of an image of the measurement, by default `shape`. Its sides must divide those
            of `shape`; its pixels are drawn larger.
        limits: the raw values of black and white; by default those of the truth.

    Raises:
        ValueError: if the sides of `seen_shape` do not divide those of `shape`.
    """
    raw, small = as_numpy(truth), tuple(seen_shape or shape)
    limits = limits or limits_of(raw)
    whole = channels(raw, shape).shape[1:3]
    view = pictures(as_numpy(seen), small, limits)
    times = [a // b for a, b in zip(whole, view.shape[1:3], strict=True)]
    if tuple(n * k for n, k in zip(times, view.shape[1:3], strict=True)) != whole:
        raise ValueError(
            f"a measurement of {view.shape[1:3]} pixels cannot be drawn as {whole}: its sides must "
            "divide them"
        )
    view = view.repeat(times[0], 1).repeat(times[1], 2)
    many = as_numpy(draws)
    title = f"Draws given the measurement; mean and deviation of {many.shape[1]} draws"
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
    # Neighbours may descend from one particle, so the four are spread over all draws.
    chosen = many[:, np.linspace(0, k - 1, min(4, k)).round().astype(int)]
    deviation = many.std(1)
    scale = Normalize(0, float(deviation.max()) or 1.0)
    columns = [pictures(raw, shape, limits), seen]
    columns += [pictures(chosen[:, i], shape, limits) for i in range(chosen.shape[1])]
    columns += [pictures(many.mean(1), shape, limits)]
    spread = channels(deviation, shape).mean(-1)
    columns += [SEQUENTIAL(scale(spread))]
    names = ["truth", "given"] + [f"draw {i + 1}" for i in range(chosen.shape[1])]
    names += ["mean", "deviation"]
    figure, ax, centres = canvas("completion", np.stack(columns, 1), title, head=0.7, side=0.8)
    ax.set_xticks(centres, names)
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    bar = figure.colorbar(ScalarMappable(scale, SEQUENTIAL), ax=ax, fraction=0.03, pad=0.01)
    bar.set_label("deviation, raw units", color=INK, fontsize=8)
    bar.ax.tick_params(labelsize=8, colors=GREY)
    bar.outline.set_visible(False)
    return figure
