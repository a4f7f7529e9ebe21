"""The entropy budget: bits that each step must use, bits that it uses, and bits that it loses."""

__all__ = ["entropy_budget"]

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...diagnostics.entropy import EntropyBudget, Estimate
from .style import BLUE, GREY, INK, ORANGE, PALE, as_numpy, log_snr_axis, new_figure, tidy

STEPS = 120
"""At most this many steps are drawn. The steps of a longer chain are drawn in groups."""


def entropy_budget(budget: EntropyBudget) -> Figure:
    """The entropy of each reverse step between its two bounds (SD15 Eq. 24), against time.

    Above: bits per dimension for each unit of time, measured from the lower bound, so that an area
    is a number of bits. It shows the upper bound, what the model uses and, where it is known, the
    true entropy. Below: the sums from T down to t, and the information of x_t about x_0.

    Args:
        budget: what :func:`quasistatic.diagnostics.entropy.entropy_budget` returned.
    """
    unit = math.log(2) * budget.dims
    edges = np.unique(np.linspace(0, len(budget.lower), STEPS + 1).round().astype(int))
    edges = edges[: len(budget.times)]
    figure = new_figure("entropy_budget", 7.6, 6.0, _title(budget, unit))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _steps(above, budget, edges, unit)
    _sums(below, budget, unit)
    above.set_ylabel("bits per dimension and unit of time,\nabove the lower bound")
    below.set(ylabel="bits per dimension\nfrom T down to t", xlabel="time t")
    for ax in (above, below):
        tidy(ax)
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper right", frameon=False, fontsize=8.5, labelcolor=INK)
    times, log_snr = as_numpy(budget.times), as_numpy(budget.log_snr)
    below.set_xlim(0, times[-1])
    ticks = np.unique(np.linspace(0, len(times) - 1, 7).round().astype(int))
    log_snr_axis(above, times[ticks], log_snr[ticks])
    return figure


def _title(budget: EntropyBudget, unit: float) -> str:
    spent, allowed = (x.sum().item() / unit for x in (budget.spent, budget.allowed))
    if budget.lost is None:
        return f"The steps use {spent:.3g} bits per dimension; noise would need {allowed:.3g}"
    lost = budget.lost.mean.sum().item() / unit
    return f"The steps use {spent:.3g} bits per dimension, {lost:.2g} more than necessary"


def _steps(ax: Axes, budget: EntropyBudget, edges: np.ndarray, unit: float) -> None:
    times = as_numpy(budget.times)
    at, length = times[edges], np.diff(times[edges])

    def grouped(values: object) -> np.ndarray:
        return np.asarray(np.add.reduceat(as_numpy(values), edges[:-1]) / length / unit)

    def spread(estimate: Estimate) -> np.ndarray:  # as if neighbours were independent
        square = np.add.reduceat(as_numpy(estimate.stderr) ** 2, edges[:-1])
        return np.asarray(np.sqrt(square) / length / unit)

    upper, spent = grouped(budget.allowed), grouped(budget.spent)
    ax.stairs(upper, at, fill=True, color=PALE, alpha=0.6, label="between the two bounds")
    ax.stairs(upper, at, color=GREY, linewidth=1.0, baseline=None)
    lines = [(spent, spread(budget.cross_entropy), BLUE, "used by the model")]
    if budget.truth is not None:
        truth = grouped(budget.truth.mean - budget.lower)
        ax.stairs(
            spent, at, baseline=truth, fill=True, color=ORANGE, alpha=0.5, label="lost by the model"
        )
        lines.insert(0, (truth, spread(budget.truth), INK, "the truth"))
    for values, error, colour, name in lines:
        low, high = values - error, values + error
        ax.stairs(high, at, baseline=low, fill=True, color=colour, alpha=0.25, linewidth=0)
        ax.stairs(values, at, color=colour, linewidth=1.6, baseline=None, label=name)


def _sums(ax: Axes, budget: EntropyBudget, unit: float) -> None:
    times = as_numpy(budget.times)

    def curve(estimate: Estimate, colour: str, name: str) -> np.ndarray:
        mean, error = as_numpy(estimate.mean) / unit, as_numpy(estimate.stderr) / unit
        ax.fill_between(times, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
        ax.plot(times, mean, color=colour, linewidth=1.6, label=f"{name}: {mean[0]:.3g} in all")
        return mean

    rate = curve(budget.rate, BLUE, "rate of the model")
    if budget.information is not None:
        known = curve(budget.information, INK, "information of $x_t$ about $x_0$")
        ax.fill_between(times, known, rate, color=ORANGE, alpha=0.3, linewidth=0)
