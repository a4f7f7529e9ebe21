"""Anomaly scores of examples beside those of ordinary ones, and the scales that cause them."""

__all__ = ["anomaly_scores"]

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...diagnostics.anomalies import Anomalies, AnomalyDetector
from .style import BLUE, INK, ORANGE, PALE, as_numpy, new_figure, tidy


def anomaly_scores(
    detector: AnomalyDetector, found: Anomalies, level: float = 0.05, lines: int = 3
) -> Figure:
    """The anomaly scores of examples beside those of the calibration examples.

    Left: histograms of both, and the threshold. Right: the excess cost in each band of log-SNR,
    from fine to coarse. Lines are the most anomalous examples; the shaded part holds nine tenths of
    the calibration examples.

    Args:
        detector: the fitted detector.
        found: what `detector.score` returned for the examples.
        level: the share of ordinary examples that may be called anomalous.
        lines: how many of the most anomalous examples are drawn.

    Raises:
        ValueError: if the level needs more calibration examples than there are.
    """
    strange = as_numpy(found.strange(level)).astype(bool)
    title = f"{strange.sum()} of {len(strange)} examples are anomalous at a level of {level:g}"
    figure = new_figure("anomaly_scores", 9.6, 4.0, title)
    left, right = figure.subplots(1, 2)
    _spread(left, as_numpy(detector.calibration)[:, -1], as_numpy(found.scores), level)
    _bands(right, as_numpy(detector.calibration)[:, :-1], found, lines)
    for ax in (left, right):
        tidy(ax)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _spread(ax: Axes, ordinary: np.ndarray, scores: np.ndarray, level: float) -> None:
    both = np.concatenate([ordinary, scores])
    # Wide enough to compare the two sets; scores beyond the range go into the last bin.
    low, high = both.min(), min(both.max(), ordinary.max() + 2 * np.ptp(ordinary))
    bins = np.linspace(low, high, 36)
    for values, colour, name in ((ordinary, BLUE, "calibration"), (scores, ORANGE, "scored")):
        label = f"{name}: {len(values)} examples"
        shares = np.full(len(values), 1 / len(values))
        inside = values.clip(low, high)
        ax.hist(inside, bins=bins.tolist(), weights=shares, color=colour, alpha=0.5, label=label)
    # The largest k with k / (n + 1) <= level: scores above the k-th largest are anomalous.
    k = int(level * (len(ordinary) + 1) + 1e-9)
    ax.axvline(ordinary[-k], color=INK, linewidth=1.4, linestyle="--", label="threshold")
    ax.set(xlabel="anomaly score, nats above the expected cost", ylabel="share of the examples")


def _bands(ax: Axes, ordinary: np.ndarray, found: Anomalies, lines: int) -> None:
    ends = as_numpy(found.log_snr)
    edges = [f"{round(end, 1) + 0.0:.1f}".replace("-", "−").replace("inf", "∞") for end in ends]
    names = [f"{high} to {low}" for high, low in itertools.pairwise(edges)]
    at = np.arange(len(names))
    low, high = np.quantile(ordinary, (0.05, 0.95), axis=0)
    ax.fill_between(at, low, high, color=PALE, alpha=0.8, label="90 % of the calibration examples")
    order = as_numpy(found.scores).argsort()[::-1][:lines]
    for i, row in enumerate(as_numpy(found.bands)[order]):
        label = "most anomalous" if i == 0 else None
        ax.plot(at, row, color=ORANGE, linewidth=1.5, marker="o", markersize=3, label=label)
    ax.axhline(0, color=PALE, linewidth=0.8)
    ax.set_xticks(at, names, rotation=25, ha="right")
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.set(xlabel="log-SNR of the band, from fine to coarse", ylabel="nats above the expected cost")
