"""The terms of the bound, its training curve, and its distribution over examples."""

__all__ = ["bits_by_time", "score_histogram", "training_curve"]

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..._utils.eval_mode import evaluating
from ...likelihood import Score
from ...likelihood.terms import learned_term, term_times
from ...model import Model
from ..numbers import with_error
from .style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    as_numpy,
    log_snr_axis,
    new_figure,
    some_encoded,
    tidy,
)

VIEW = 300
"""The last step shown is at most this many times the first one: the start is left out."""


def bits_by_time(
    model: Model,
    data: object,
    rng: torch.Generator | None = None,
    times: int | Sequence[int] | Tensor | None = None,
    examples: int = 256,
    points: int = 200,
) -> Figure:
    """The learned terms of the bound against t, and their sum from T down to t.

    Above: bits per dimension of each step, with a standard error over the examples. Below: their
    sum. The upper axis shows the log-SNR. Half of the bits lie in the shaded part.

    Args:
        model: the model.
        data: raw examples (n, *).
        rng: for the choice of the examples and for the noise.
        times: the times of the chain, as in :meth:`Diffusion.score`.
        examples: at most this many examples are used.
        points: at most this many terms are computed, evenly spaced; the sum interpolates between
            them.
    """
    ends, index, bits = _bits(model, data, rng, times, examples, points)
    t = ends[1:]
    mean, error = bits.mean(1), bits.std(1) / math.sqrt(bits.shape[1])
    every = np.arange(len(t))
    spent = np.interp(every, index, mean)[::-1].cumsum()[::-1]
    late, early = (t[every[spent >= share * spent[0]].max()] for share in (0.25, 0.75))
    title = f"Half of the {spent[0]:.3g} bits per dimension belong to steps t = {early} to {late}"
    figure = new_figure("bits_by_time", 7.6, 5.6, title)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.fill_between(t[index], mean - error, mean + error, color=BLUE, alpha=0.25, linewidth=0)
    above.plot(t[index], mean, color=BLUE, linewidth=1.6)
    above.set_ylabel("bits per dimension\nof each step")
    if ends[0] == 0:
        name = f"p(raw | $x_{{{t[0]}}}$): {mean[0]:.2g}"
        above.plot(t[0], mean[0], "o", color=ORANGE, markersize=6, clip_on=False, label=name)
        above.legend(loc="upper right", frameon=False, fontsize=9, labelcolor=INK)
    below.fill_between(t[every], 0, spent, color=BLUE, alpha=0.15, linewidth=0)
    below.plot(t[every], spent, color=BLUE, linewidth=1.6)
    below.set(ylabel="bits per dimension\nfrom T down to t", xlabel="time t", xlim=(0, t[-1]))
    for ax in (above, below):
        tidy(ax)
        ax.set_ylim(bottom=0)
        ax.axvspan(early, late, color=PALE, alpha=0.45, linewidth=0, zorder=0)
    ticks = np.unique(np.linspace(1, model.steps, 7).round().astype(int))
    log_snr_axis(above, ticks, as_numpy(model.kernel.schedule.log_snr)[ticks])
    return figure


def _bits(
    model: Model,
    data: object,
    rng: torch.Generator | None,
    times: int | Sequence[int] | Tensor | None,
    examples: int,
    points: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The times between which the terms lie, the terms that are shown, and each one's bits per
    dimension for each example, with shape (terms, n)."""
    x_0 = some_encoded(model, data, examples, rng)
    ends = term_times(model, times)
    index = np.unique(np.linspace(0, len(ends) - 2, points).round().astype(int))
    with evaluating(model), torch.no_grad():
        each = [torch.full((len(x_0),), int(i), device=x_0.device) for i in index]
        nats = [as_numpy(learned_term(model, x_0, ends, term, rng)) for term in each]
    return ends.numpy(), index, np.stack(nats) / (math.log(2) * model.space.dims)


def training_curve(records: Iterable[Mapping[str, float]]) -> Figure:
    """The training loss and the bits per dimension of validation data against the step.

    Args:
        records: each with `step`, and with `loss` or `valid_bits_per_dim` or both.

    Raises:
        ValueError: if no record has either of them.
    """
    kept = list(records)
    loss = _series(kept, "loss")
    valid = _series(kept, "valid_bits_per_dim")
    panels = [
        (series, name, colour)
        for series, name, colour in (
            (loss, "training loss", BLUE),
            (valid, "held-out\nbits per dimension", ORANGE),
        )
        if len(series)
    ]
    if not panels:
        raise ValueError(
            "training_curve needs records with `step` and `loss` or `valid_bits_per_dim`, got "
            f"{kept[:1] or 'none'}"
        )
    title = "Training"
    if len(valid):
        best = valid[valid[:, 1].argmin()]
        title = f"Training: {best[1]:.4g} bits per dimension held out, at step {best[0]:.0f}"
        title += ", the last" if best[0] == valid[-1, 0] else f" of {valid[-1, 0]:.0f}"
    steps = np.concatenate([series[:, 0] for series, _, _ in panels])
    start = max(steps[steps > 0].min(initial=math.inf), steps.max() / VIEW)
    logarithmic = start <= steps.max() / 30
    figure = new_figure("training_curve", 7.6, 1.2 + 2.4 * len(panels), title)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (series, name, colour) in zip(axes, panels, strict=True):
        _curve(ax, series[series[:, 0] >= start] if logarithmic else series, colour)
        ax.set_ylabel(name)
        tidy(ax)
    if logarithmic:
        axes[-1].set(xscale="log", xlim=(start, steps.max() * 1.03))
    axes[-1].set_xlabel("training step", color=INK)
    return figure


def _curve(ax: Axes, series: np.ndarray, colour: str) -> None:
    step, value = series.T
    if len(value) < 80:
        ax.plot(step, value, color=colour, linewidth=1.6, marker="o", markersize=3)
        return
    ax.plot(step, value, color=colour, linewidth=0.7, alpha=0.3)
    # Means over windows that grow with the step: the start keeps its shape on a logarithmic axis.
    edges = np.unique(np.geomspace(1, len(value), 40).round().astype(int))
    edges = np.concatenate([[0], edges])
    smooth = [(step[a:b].mean(), value[a:b].mean()) for a, b in itertools.pairwise(edges)]
    ax.plot(*np.array(smooth).T, color=colour, linewidth=1.8)


def score_histogram(score: Score, baselines: Mapping[str, float] | None = None) -> Figure:
    """A histogram of the bits per dimension of each held-out example, with the mean.

    Args:
        score: of the examples; those without a finite score are counted in the legend.
        baselines: mean bits per dimension of other models by name, drawn as lines.
    """
    every = as_numpy(score.bits_per_dim)
    values = every[np.isfinite(every)]
    mean = every.mean()
    whole = len(values) == len(every) > 1
    error = values.std(ddof=1) / math.sqrt(len(values)) if whole else math.nan
    said = with_error(mean, error)
    title = f"Held-out data cost {said} bits per dimension"
    figure = new_figure("score_histogram", 7.6, 4.2, title)
    ax = figure.subplots()
    tidy(ax)
    if len(values):
        bins = min(max(math.ceil(len(values) ** 0.5), 8), 60)
        ax.hist(values, bins=bins, color=BLUE, alpha=0.55, label=f"{len(values)} examples")
    if math.isfinite(mean):
        ax.axvline(mean, color=INK, linewidth=1.8, label=f"mean {said}")
        if error > 0:
            ax.axvspan(mean - error, mean + error, color=INK, alpha=0.2, linewidth=0)
    lost = len(every) - len(values)
    if lost:
        ax.plot([], [], " ", label=f"{lost} examples have no probability")
    colours, dashes = (ORANGE, GREEN, PURPLE, GREY), ("--", "-.", ":")
    for i, (name, value) in enumerate((baselines or {}).items()):
        ax.axvline(
            value,
            color=colours[i % len(colours)],
            linestyle=dashes[i % len(dashes)],
            linewidth=1.6,
            label=f"{name} {value:.4g}",
        )
    ax.set_xlabel("bits per dimension, lower is better", color=INK)
    ax.set_ylabel("examples", color=INK)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _series(records: list[Mapping[str, float]], key: str) -> np.ndarray:
    """The (step, value) of the records with a finite `key`, with shape (n, 2)."""
    rows = [(r["step"], r[key]) for r in records if r.get(key) is not None]
    series = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return series[np.isfinite(series).all(1)]
