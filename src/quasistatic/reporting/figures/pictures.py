"""Arrays as images, and images on one canvas."""

__all__ = ["canvas", "channels", "limits_of", "pictures"]

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import PALE, new_figure, tidy


def limits_of(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value; the second is larger even if all values are equal."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def channels(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Values (n, *) as images (n, H, W, C)."""
    shape = tuple(shape)
    n = len(values)
    if values[0].size != math.prod(shape):
        raise ValueError(
            f"an example of {values[0].size} values is not an image of shape {shape}: give the "
            "shape as (W,), (H, W), or with the colours first or last"
        )
    if len(shape) < 3:
        return values.reshape(n, *(1,) * (2 - len(shape)), *shape, 1)
    if len(shape) == 3 and shape[-1] in (1, 3):
        return values.reshape(n, *shape)
    if len(shape) == 3 and shape[0] in (1, 3):
        return np.moveaxis(values.reshape(n, *shape), 1, -1)
    raise ValueError(f"an image has one or three colours, got shape {shape}")


def pictures(values: np.ndarray, shape: Sequence[int], limits: tuple[float, float]) -> np.ndarray:
    """Values (n, *) as opaque images (n, H, W, 4) in [0, 1], from black to white."""
    low, high = limits
    colours = ((channels(values, shape) - low) / (high - low)).clip(0, 1)
    colours = np.broadcast_to(colours, (*colours.shape[:-1], 3))
    return np.concatenate([colours, np.ones((*colours.shape[:-1], 1))], -1)


def canvas(
    label: str, mosaic: np.ndarray, title: str, head: float = 0.5, side: float = 0.0
) -> tuple[Figure, Axes, np.ndarray]:
    """A figure of images (rows, columns, H, W, 4), and the middle of each column in pixels."""
    # Strips are stretched to at most six by one, so that a row of values is visible.
    height, width = mosaic.shape[2:4]
    mosaic = mosaic.repeat(max(1, width // (6 * height)), 2).repeat(
        max(1, height // (6 * width)), 3
    )
    rows, columns, height, width, _ = mosaic.shape
    gap = max(1, round(0.08 * min(height, width)))
    whole = np.pad(mosaic, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)))
    whole = whole.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), 4)
    whole = whole[:-gap, :-gap]
    inches = min(7.6, columns * 1.4)
    tall = inches * whole.shape[0] / whole.shape[1]
    if tall > 10:
        inches, tall = inches * 10 / tall, 10.0
    figure = new_figure(label, max(inches, 5.0) + side, max(tall, 0.4) + head, title)
    ax = figure.subplots()
    ax.imshow(whole, interpolation="nearest")
    ax.set_facecolor(PALE)  # neither black nor white, so that the edge of an image is visible
    ax.set_yticks([])
    ax.set_xticks([])
    tidy(ax)
    ax.spines[:].set_visible(False)
    return figure, ax, np.arange(columns) * (width + gap) + (width - 1) / 2
