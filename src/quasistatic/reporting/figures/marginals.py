"""The columns of a table: data beside draws of a model."""

__all__ = ["marginals"]

import math
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from ...spaces import Table
from ...spaces.clock import PREFIX, Clock
from .style import BLUE, GREY, INK, ORANGE, PALE, as_numpy, new_figure, tidy

LETTERS, SLANTED, TICKS = 24, 6, 4
"""Letters of class names that fit below a panel side by side, classes whose names are slanted and
not upright, and ticks of an axis of numbers."""

MOST = 15
"""At most this many columns are drawn. The last panel is about all columns."""


def marginals(table: Table, data: Tensor, drawn: Tensor) -> Figure:
    """The marginal distribution of each column in data and in draws, and the correlations.

    The last panel has one point for each pair of values of x_0 from two columns (each class is a
    value of its own): their correlation in the data and in the draws. On the diagonal they agree.

    Args:
        table: the space of the rows.
        data: rows as :meth:`Table.read` returns them, (N, C); missing values are left out.
        drawn: rows drawn from a model, (n, C).
    """
    shown = [k for k, column in enumerate(table.columns) if column.space is not None][:MOST]
    across = math.ceil((len(shown) + 1) ** 0.5)
    down = math.ceil((len(shown) + 1) / across)
    title = f"Columns of {len(drawn)} draws and of {len(data)} rows of data"
    figure = new_figure("marginals", 2.9 * across, 2.4 * down, title)
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for ax, k in zip(axes, shown, strict=False):
        sides = [as_numpy(rows[:, k]) for rows in (data, drawn)]
        _marginal(ax, table.columns[k], [side[~np.isnan(side)] for side in sides])
    _correlations(axes[len(shown)], table, data, drawn)
    for ax in axes[len(shown) + 1 :]:
        ax.set_axis_off()
    for ax in axes[: len(shown) : across]:
        ax.set_ylabel("share of rows")
    for ax in axes:
        tidy(ax)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", ncols=2, frameon=False, labelcolor=INK
    )
    return figure


def _marginal(ax: Axes, column: Any, sides: list[np.ndarray]) -> None:
    ax.set_title(column.name, fontsize=9)
    both = np.concatenate(sides)
    values = np.unique(both)
    names = ("data", "draws")
    if len(values) <= 16:
        at = np.arange(len(values))
        for side, name, colour, shift in zip(
            sides, names, (BLUE, ORANGE), (-0.2, 0.2), strict=True
        ):
            share = [(side == value).mean() for value in values]
            ax.bar(at + shift, share, width=0.4, color=colour, label=name)
        shown = column.values(values)
        if str(column.dtype).startswith(PREFIX):
            shown = [Clock.of(column.dtype).text(value) for value in values]
        _name_bars(ax, at, [_short(value) for value in shown])
    else:
        # The range is that of the data, whatever the draws are. Without the outer thousandths: one
        # far value would compress all others into one bin.
        low, high = np.quantile(sides[0] if len(sides[0]) else both, (0.001, 0.999))
        bins = np.linspace(low, high, 31).tolist()
        for side, name, colour in zip(sides, names, (BLUE, ORANGE), strict=True):
            shares = np.full(len(side), 1 / len(side))
            ax.hist(side, bins, weights=shares, color=colour, alpha=0.5, label=name)
        _mark_numbers(ax, column)


def _name_bars(ax: Axes, at: np.ndarray, names: list[str]) -> None:
    """The names of classes below their bars, slanted or upright where they are long or many."""
    room = LETTERS // max(len(names), 1)
    if max(map(len, names)) <= room:
        ax.set_xticks(at, names)
    elif len(names) <= SLANTED:
        ax.set_xticks(at, names, rotation=30, ha="right", rotation_mode="anchor")
    else:
        ax.set_xticks(at, names, rotation=90, fontsize=7)


def _mark_numbers(ax: Axes, column: Any) -> None:
    """A few ticks that do not touch; those of dates and times are dates and times."""
    if column.dtype.startswith(PREFIX):
        clock = Clock.of(column.dtype)
        low, high = ax.get_xlim()
        ends = [low + share * (high - low) for share in (0.15, 0.5, 0.85)]
        texts = [clock.text(end).replace(" ", "\n") for end in ends]
        ax.set_xticks(ends, texts)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=TICKS))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _compact(value)))


def _compact(value: float) -> str:
    """A number on an axis: 1500 as 1.5k, 2000000 as 2M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / (1e3 if name == 'k' else unit):.4g}{name}"
    return f"{value:.4g}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 10 else text[:9] + "…"


def _correlations(ax: Axes, table: Table, data: Tensor, drawn: Tensor) -> None:
    """A point for each pair of values of two columns: correlation in data and in draws."""
    columns = table.expand_to_state(torch.arange(float(len(table.columns)))[None])[0]
    upper = torch.triu(columns[:, None] != columns[None, :])
    in_data, in_draws = (_correlation(table.encode(rows.double()))[upper] for rows in (data, drawn))
    ax.axline((0, 0), slope=1, color=PALE, linewidth=1)
    ax.scatter(as_numpy(in_data), as_numpy(in_draws), s=8, color=INK, alpha=0.6, linewidths=0)
    off = (in_data - in_draws).abs().nan_to_num()
    mean = off.mean().item() if len(off) else 0.0
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="in the data", ylabel="in the draws")
    ax.set_title("correlations of pairs", fontsize=9)
    ax.text(-0.95, 0.8, f"mean difference {mean:.2g}", fontsize=8, color=GREY)


def _correlation(x: Tensor) -> Tensor:
    """The correlation of each pair of values (W, W), over the rows of x (N, W) with both."""
    there = (~x.isnan()).double()
    filled = x.nan_to_num()
    count = there.T @ there
    mean = filled.T @ there / count  # of the first, over the rows with both
    covariance = filled.T @ filled / count - mean * mean.T
    variance = (filled**2).T @ there / count - mean**2
    return covariance / (variance * variance.T).clamp(min=1e-12).sqrt()
