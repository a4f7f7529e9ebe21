"""The style of every figure: colours for colour-blind readers and for print, and light axes."""

__all__ = [
    "BITS",
    "BLUE",
    "DIVERGING",
    "GREEN",
    "GREY",
    "HIDDEN",
    "INK",
    "ORANGE",
    "PALE",
    "PURPLE",
    "SEQUENTIAL",
    "as_numpy",
    "log_snr_axis",
    "new_figure",
    "some_encoded",
    "tidy",
]

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from ...model import Model

# Okabe and Ito's colours, which stay apart in every common colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#a05a8c"
INK, GREY, PALE = "#1f2933", "#6b7785", "#d5dbe1"
HIDDEN = "#a9cfe6"
"""The colour of hidden pixels. It is not grey, so that nobody takes it for a value."""

# Without cividis's brightest tenth, which cannot be seen on white.
SEQUENTIAL = ListedColormap(colormaps["cividis"](np.linspace(0.0, 0.9, 256)))
DIVERGING = LinearSegmentedColormap.from_list("drift", [BLUE, "#ffffff", ORANGE])
BITS = ListedColormap(["#eef1f4", INK])


def new_figure(label: str, width: float, height: float, title: str) -> Figure:
    """An empty figure of width x height inches with its title at the left."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white", label=label)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def tidy(ax: Axes) -> None:
    """Removes the upper and right axis lines and makes the others light."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)
    ax.tick_params(which="both", colors=GREY, labelsize=8)
    ax.tick_params(length=3)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.title.set_color(INK)


def log_snr_axis(ax: Axes, times: np.ndarray, log_snr: np.ndarray) -> None:
    """Adds a second axis above, with the log-SNR at some times of the axis below."""
    signs = np.where(log_snr < 0, "−", "")
    names = [
        f"{sign}{abs(v):.1f}" if np.isfinite(v) else f"{sign}∞"
        for sign, v in zip(signs, log_snr, strict=True)
    ]
    top = ax.secondary_xaxis("top")
    top.set_xticks(times, names)
    top.set_xlabel("log-SNR, nats", color=GREY, fontsize=9)
    top.tick_params(colors=GREY, labelsize=8, length=3)
    top.spines["top"].set_visible(False)


def as_numpy(values: object) -> np.ndarray:
    """An array or a tensor on any device, as float64."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    return np.asarray(values, dtype=np.float64)


def some_encoded(model: Model, data: object, n: int, rng: torch.Generator | None) -> Tensor:
    """x_0 of at most n raw examples, with shape (n, *): all in order, or a random subset."""
    raw = model.space.check(data).to(model.blank(1))
    if len(raw) > n:
        raw = raw[torch.randperm(len(raw), generator=rng)[:n].to(raw.device)]
    return model.space.encode(raw, rng)
