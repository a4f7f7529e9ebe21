"""Noise schedules side by side: the signal and the information about x_0 that are left."""

__all__ = ["schedule_comparison"]

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...diagnostics.mutual_information import Erasure
from .style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, as_numpy, new_figure, tidy

COLOURS, DASHES = (BLUE, ORANGE, GREEN, PURPLE, INK, GREY), ("-", "--", "-.", ":")
DECADES = 7
"""The smallest loss shown is at most this many decades below the largest."""


def schedule_comparison(compared: Sequence[Erasure]) -> Figure:
    """alpha_bar, log-SNR, the information of x_t about x_0, and its loss in each step, over t / T.

    The first step is not in the last panel: for a real value it loses infinitely many bits.

    Args:
        compared: schedules with the same law of x_0, at least one.

    Raises:
        ValueError: if there is none, or their laws differ.
    """
    laws = {each.law for each in compared}
    if len(laws) != 1:
        raise ValueError(
            f"schedule_comparison needs schedules under one law of x_0, got {len(laws)}: compare "
            "at least one, and each with the same law"
        )
    first = min(compared, key=lambda each: each.half)
    title = f"{first.name} loses half of its bits by t/T = {first.half:.2g}"
    if len(compared) > 1:
        last = max(compared, key=lambda each: each.half)
        title = f"Half of the bits are gone by t/T = {first.half:.2g} ({first.name})"
        title += f" to {last.half:.2g} ({last.name})"
    figure = new_figure("schedule_comparison", 8.4, 6.4, title)
    share, snr, left, lost = figure.subplots(2, 2, sharex=True).flat
    for i, each in enumerate(compared):
        table, T = each.schedule, each.schedule.steps
        look = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
        time = np.arange(T + 1) / T
        _line(share, time, table.alpha_bar, label=each.name, **look)
        _line(snr, time, table.log_snr, **look)
        _line(left, time[1:], each.left[1:], **look)
        _line(lost, time[2:], each.lost[1:], **look)
    share.set(title=r"share of the signal, $\bar\alpha_t$", ylim=(0, 1.02))
    snr.set(title="log-SNR, nats")
    left.set(title="information of $x_t$ about $x_0$, bits", ylim=(0, None), xlabel="t / T")
    lost.set(title="bits lost in each step", xlabel="t / T", yscale="log", xlim=(0, 1))
    top = max(float(each.lost[1:].max()) for each in compared)
    low = min(float(each.lost[1:].min()) for each in compared)
    lost.set_ylim(max(low, top / 10**DECADES) / 1.5, top * 1.5)
    for ax in (share, snr, left, lost):
        tidy(ax)
        ax.title.set_fontsize(10)
    figure.legend(
        loc="outside lower center",
        ncols=min(len(compared), 3),
        frameon=False,
        title=f"the bits are for {compared[0].law.about}",
    )
    return figure


def _line(ax: Axes, time: np.ndarray, values: object, **look: object) -> None:
    """Draws a line with gaps where values are infinite or NaN."""
    shown = as_numpy(values)
    ax.plot(time, np.where(np.isfinite(shown), shown, np.nan), linewidth=1.7, **look)  # type: ignore[arg-type]
