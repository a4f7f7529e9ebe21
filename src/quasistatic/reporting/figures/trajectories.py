"""The forward and reverse process over time, as in the first two figures of SD15."""

__all__ = ["bit_trajectories", "plane_trajectories"]

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ...model import Model
from ...sampling import walk
from .style import (
    BITS,
    DIVERGING,
    GREY,
    ORANGE,
    PALE,
    SEQUENTIAL,
    as_numpy,
    new_figure,
    some_encoded,
    tidy,
)


def plane_trajectories(
    model: Model, data: object, rng: torch.Generator | None = None, n: int = 1500
) -> Figure:
    """Forward process, reverse process and learned drift of two-dimensional data (SD15 Fig. 1).

    Columns are t = 0, T/2 and T. The drift is E[x_{t-1} | x_t] - x_t. Its first column shows t = 2,
    the last step that the network determines. Axes are in the units of x_0.

    Args:
        model: of examples with two values.
        data: raw examples (N, 2).
        rng: for the choice of the examples and for the noise.
        n: at most this many points are drawn.

    Raises:
        ValueError: if an example does not have two values.
    """
    if model.space.dims != 2:
        raise ValueError(
            f"plane_trajectories draws data of two values, got shape {model.space.shape}: use "
            "image_grid, or choose two columns"
        )
    times = _three(model)
    forward = _forward(model, some_encoded(model, data, n, rng), times, rng)
    reverse = _reverse(model, len(forward[0]), times, rng)
    reach = 1.08 * max(np.quantile(np.abs(x), 0.999) for x in (forward[0], forward[times[-1]]))
    figure = new_figure(
        "plane_trajectories",
        8.4,
        8.6,
        "Noise destroys the data; the model reverses it step by step",
    )
    axes = figure.subplots(3, 3, sharex=True, sharey=True)
    # One colour scale for both rows, which a single far draw does not change.
    scale = Normalize(*np.quantile(np.linalg.norm(forward[0], axis=1), (0.01, 0.99)))
    for row, frames in zip(axes, (forward, reverse), strict=False):
        radius = np.linalg.norm(frames[0], axis=1)
        for ax, t in zip(row, times, strict=True):
            x, y = frames[t].T
            ax.scatter(x, y, c=radius, cmap=SEQUENTIAL, norm=scale, s=5, linewidths=0)
            ax.set_title(_time_name(t, model), fontsize=10)
    for ax, t in zip(axes[2], times, strict=True):
        _drift(ax, model, max(t, 2), forward[t], reach)
    for ax in axes.flat:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        _few_ticks(ax)
    names = ("forward: data to noise", "reverse: draws of the model", "learned drift")
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name, fontsize=10)
    note = "Colour: distance of the point from the centre at t = 0"
    figure.supxlabel(note, fontsize=9, color=GREY)
    return figure


def _drift(ax: Axes, model: Model, t: int, behind: np.ndarray, reach: float) -> None:
    line = np.linspace(-reach, reach, 19)[1:-1]
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    x_t = torch.as_tensor(points).to(model.blank(1)).reshape(-1, *model.space.shape)
    at = torch.full((len(x_t),), t, device=x_t.device)
    with torch.no_grad():
        mean = model.reverse(x_t, at - 1, at).mean
    moved = as_numpy(mean - x_t).reshape(-1, 2)
    longest = np.linalg.norm(moved, axis=1).max()
    ax.scatter(behind[:, 0], behind[:, 1], c=PALE, s=3, linewidths=0)
    # The drift of a network that outputs zero may be zero: then any scale will do.
    scale = (longest or 1.0) / (1.6 * (line[1] - line[0]))
    ax.quiver(
        *points.T, *moved.T, color=ORANGE, angles="xy", scale_units="xy", scale=scale, width=0.006
    )
    ax.set_title(f"t = {t}, longest arrow {longest:.2g}", fontsize=10)


def bit_trajectories(
    model: Model, data: object, rng: torch.Generator | None = None, n: int = 40, moments: int = 24
) -> Figure:
    """Forward process, reverse process and learned drift of binary sequences (SD15 Fig. 2).

    Each row of an image is one sequence. Sequences are sorted by their values at t = 0. The last
    row of the figure shows one reverse trajectory: x_t, the estimate P(x_0 = 1 | x_t), and their
    difference.

    Args:
        model: of bits.
        data: raw examples (N, *).
        rng: for the choice of the examples and for the noise.
        n: at most this many sequences are drawn.
        moments: how many times of the trajectory are drawn.

    Raises:
        TypeError: if the model does not diffuse bits.
    """
    if not model.kernel.binary:
        raise TypeError(
            f"bit_trajectories draws bits, got {type(model.kernel).__name__}: use image_grid or "
            "plane_trajectories"
        )
    times = _three(model)
    forward = _forward(model, some_encoded(model, data, n, rng), times, rng)
    reverse = _reverse(model, len(forward[0]), times, rng)
    figure = new_figure(
        "bit_trajectories",
        8.4,
        8.8,
        "Noise erases the sequences; the model restores them step by step",
    )
    axes = figure.subplots(3, 3)
    for row, frames in zip(axes, (forward, reverse), strict=False):
        order = np.lexsort(frames[0].T[::-1])
        for ax, t in zip(row, times, strict=True):
            _pixels(ax, frames[t][order], BITS, 0, _time_name(t, model))
    for ax, name in zip(axes[:, 0], ("forward", "reverse: draws of the model"), strict=False):
        ax.set_ylabel(f"{name}\nsequence", fontsize=10)
    _trajectory(figure, axes[2], model, moments, rng)
    return figure


def _trajectory(
    figure: Figure, row: Sequence[Axes], model: Model, moments: int, rng: torch.Generator | None
) -> None:
    visited = np.unique(np.linspace(1, model.steps, moments).round().astype(int))[::-1]
    frames = _reverse(model, 1, visited.tolist(), rng)
    x_t = np.concatenate([frames[t] for t in visited])
    with torch.no_grad():
        shaped = torch.as_tensor(x_t).to(model.blank(1)).reshape(-1, *model.space.shape)
        at = torch.as_tensor(visited.copy(), device=shaped.device)
        estimate = as_numpy(model.estimate(shaped, at)).reshape(len(at), -1)
    step, bins = (model.steps - 1) / (len(visited) - 1), x_t.shape[1]
    place = (-0.5, bins - 0.5, 1 - step / 2, model.steps + step / 2)
    _pixels(row[0], x_t, BITS, 0, "one trajectory, $x_t$", place)
    shown = _pixels(row[1], estimate, SEQUENTIAL, 0, "estimate P($x_0$ = 1 | $x_t$)", place)
    changed = _pixels(row[2], estimate - x_t, DIVERGING, -1, "drift: estimate − $x_t$", place)
    for ax in row:
        ax.set_xlabel("bin", fontsize=9)
    row[0].set_ylabel("learned drift\ntime t", fontsize=10)
    for ax, image in ((row[1], shown), (row[2], changed)):
        bar = figure.colorbar(image, ax=ax, orientation="horizontal", fraction=0.06, pad=0.02)
        bar.ax.tick_params(labelsize=8, colors=GREY, length=2)
        bar.outline.set_visible(False)


def _pixels(
    ax: Axes,
    values: np.ndarray,
    colours: Colormap,
    least: float,
    title: str,
    extent: tuple[float, float, float, float] | None = None,
) -> AxesImage:
    """Draws values from `least` to 1 as an image."""
    ax.set_title(title, fontsize=10)
    image = ax.imshow(
        values,
        cmap=colours,
        vmin=least,
        vmax=1,
        extent=extent,
        aspect="auto",
        interpolation="nearest",
    )
    _few_ticks(ax)
    return image


def _few_ticks(ax: Axes) -> None:
    tidy(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _three(model: Model) -> tuple[int, int, int]:
    return 0, model.steps // 2, model.steps


def _time_name(t: int, model: Model) -> str:
    names = {0: "t = 0", model.steps // 2: f"t = T/2 = {t}", model.steps: f"t = T = {t}"}
    return names.get(t, f"t = {t}")


def _forward(
    model: Model, x_0: Tensor, times: Sequence[int], rng: torch.Generator | None
) -> dict[int, np.ndarray]:
    """One forward path of each example at ascending times from 0: each (n, dims)."""
    frames, x = {times[0]: x_0}, x_0
    for s, t in itertools.pairwise(times):
        at = torch.ones(len(x), dtype=torch.long, device=x.device)
        frames[t] = x = model.kernel.step(x, s * at, t * at).sample(rng)
    return {t: as_numpy(x).reshape(len(x_0), -1) for t, x in frames.items()}


def _reverse(
    model: Model, n: int, times: Sequence[int], rng: torch.Generator | None
) -> dict[int, np.ndarray]:
    """n reverse trajectories of the model, at these times: each (n, dims)."""
    return {
        state.t: as_numpy(state.x).reshape(n, -1)
        for state in walk(model, n, None, rng)
        if state.t in times
    }
