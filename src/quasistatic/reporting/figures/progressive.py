"""Progressive decoding, intermediate estimates and interpolation."""

__all__ = ["generation_panel", "interpolation_panel", "layered_stream", "rate_distortion"]

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...coding import Refinement
from ...diagnostics.progressive import Generation, RateDistortion
from .pictures import canvas, limits_of, pictures
from .style import BLUE, GREY, INK, ORANGE, as_numpy, new_figure, tidy


def rate_distortion(coding: RateDistortion) -> Figure:
    """The error after decoding some of the bits, against how many (DDPM Fig. 5).

    On the right: both against the time, which runs from T, where decoding begins, to 0. Bands are
    one standard error.

    Args:
        coding: what :func:`quasistatic.diagnostics.progressive.code_progressively` returned.
    """
    t, bits, rmse = (as_numpy(x) for x in (coding.t, coding.bits_per_dim, coding.rmse))
    bits_error, rmse_error = (as_numpy(x) for x in (coding.bits_stderr, coding.rmse_stderr))
    # Without the last point: it has no error, and for real data it adds a density.
    read, left = bits[:-1], rmse[:-1]
    half = np.interp(bits[-1] / 2, read, left)
    title = f"Half of the {bits[-1]:.3g} bits per dimension leave an error of {half:.3g}"
    figure = new_figure("rate_distortion", 7.6, 4.2, title)
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2))
    main = figure.add_subplot(grid[:, 0])
    _band(main, read, left, rmse_error[:-1])
    main.plot(bits[-2:], rmse[-2:], color=BLUE, linewidth=1.2, linestyle=":")
    main.plot(bits[-1], rmse[-1], "o", color=ORANGE, markersize=6, clip_on=False, zorder=3)
    main.set(xlabel="bits per dimension decoded", ylabel="error (RMSE), raw units")
    for share in (0.25, 0.5, 0.75):
        i = int(np.abs(read - share * read[-1]).argmin())
        main.plot(read[i], left[i], "o", color=BLUE, markersize=4)
        main.annotate(
            f"t = {t[i]:.0f}", (read[i], left[i]), (6, 4), textcoords="offset points", color=INK,
            fontsize=8,
        )  # fmt: skip
    above = figure.add_subplot(grid[0, 1])
    below = figure.add_subplot(grid[1, 1], sharex=above)
    _band(above, t, rmse, rmse_error)
    _band(below, t, bits, bits_error)
    above.set_ylabel("error (RMSE)")
    below.set(ylabel="bits per dimension", xlabel="time t", xlim=(t[0], 0))
    below.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    above.tick_params(labelbottom=False)
    for ax in (main, above, below):
        tidy(ax)
        ax.set_ylim(bottom=0)
    least = min(0.0, bits.min())  # a density may be negative
    main.set_xlim(left=least)
    below.set_ylim(bottom=least)
    return figure


def _band(ax: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray) -> None:
    ax.fill_between(x, y - error, y + error, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(x, y, color=BLUE, linewidth=1.6)


def layered_stream(
    refinements: Sequence[Refinement],
    truth: object,
    shape: Sequence[int],
    ideal: Sequence[float] | None = None,
    rows: int = 3,
) -> Figure:
    """Above: the error after reading some bytes of a layered stream. Below: the first examples,
    decoded from as many bytes.

    Args:
        refinements: what :meth:`quasistatic.LayeredCodec.read` returned, one after each layer.
        truth: the encoded examples, with shape (N, *).
        shape: of a picture, as in :func:`image_grid`.
        ideal: bytes that an ideal coder needs for the same layers.
        rows: how many examples are shown.
    """
    raw = as_numpy(truth).astype(float)
    held = [as_numpy(step.array).astype(float) for step in refinements]
    error = [float(((each - raw) ** 2).mean() ** 0.5) for each in held]
    size = np.array([step.size for step in refinements]) / len(raw)
    half = float(np.interp(size[-1] / 2, size, error))
    title = f"Half of the {size[-1]:.3g} bytes an example give an error of {half:.2g}"
    figure = new_figure("layered_stream", 8.4, 2.6 + 0.75 * rows, title)
    above, below = figure.subplots(2, 1, height_ratios=(2.4, 0.8 * rows))
    above.plot(size, error, "o-", color=BLUE, markersize=4, label="the file")
    if ideal is not None:
        least = np.asarray(ideal) / len(raw)
        above.plot(least, error, "o--", color=ORANGE, markersize=3, label="ideal coder")
        above.legend(frameon=False, fontsize=8)
    above.set(xlabel="bytes read for each example", ylabel="error (RMSE)")
    above.set_ylim(bottom=0)
    above.set_xlim(left=0)
    tidy(above)
    columns = np.stack([pictures(each[:rows], shape, limits_of(raw)) for each in held], 1)
    n, m, high, wide = columns.shape[:4]
    gap = np.ones((n, m, high + 2, wide + 2, 4))
    gap[:, :, 1:-1, 1:-1] = columns
    below.imshow(gap.transpose(0, 2, 1, 3, 4).reshape(n * (high + 2), m * (wide + 2), 4))
    centres = (np.arange(m) + 0.5) * (wide + 2)
    below.set_xticks(centres, [f"t = {step.t}" for step in refinements], fontsize=7)
    below.tick_params(axis="x", length=0, labelcolor=GREY)
    below.set_yticks([])
    below.spines[:].set_visible(False)
    return figure


def generation_panel(
    generation: Generation,
    shape: Sequence[int],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One row for each sample: the estimate of x_0 at each time, and the sample (DDPM Fig. 6).

    Args:
        generation: what :func:`quasistatic.diagnostics.progressive.generate` returned.
        shape: of a picture, as in :func:`image_grid`.
        limits: the raw values of black and white; by default those of the samples.
    """
    samples = as_numpy(generation.samples)
    limits = limits or limits_of(samples)
    estimates = as_numpy(generation.estimates)
    columns = [pictures(each, shape, limits) for each in np.moveaxis(estimates, 1, 0)]
    columns.append(pictures(samples, shape, limits))
    names = [f"t = {t}" for t in generation.t.tolist()] + ["sample"]
    title = "Estimates of x_0 while sampling"
    return _rows("generation", columns, names, title)


def interpolation_panel(
    first: object,
    second: object,
    mixes: object,
    shares: Sequence[float],
    shape: Sequence[int],
    limits: tuple[float, float] | None = None,
    t: int | None = None,
) -> Figure:
    """One row for each pair: the first example, the interpolations, and the second (DDPM Fig. 8).

    Args:
        first, second: raw examples, with shape (n, *).
        mixes: what :func:`quasistatic.diagnostics.progressive.interpolate` returned, with shape
            (n, k, *).
        shares: the share of the second example in each of the k interpolations.
        shape: of a picture, as in :func:`image_grid`.
        limits: the raw values of black and white; by default those of the examples.
        t: the time at which they were mixed, for the title.
    """
    ends = [as_numpy(x) for x in (first, second)]
    limits = limits or limits_of(np.stack(ends))
    between = np.moveaxis(as_numpy(mixes), 1, 0)
    columns = [pictures(x, shape, limits) for x in (ends[0], *between, ends[1])]
    names = ["first", *(f"{share:g}" for share in shares), "second"]
    where = "" if t is None else f" at t = {t}"
    title = f"Interpolations, mixed{where}, by the share of the second example"
    return _rows("interpolation", columns, names, title)


def _rows(label: str, columns: list[np.ndarray], names: list[str], title: str) -> Figure:
    figure, ax, centres = canvas(label, np.stack(columns, 1), title, head=0.7)
    ax.set_xticks(centres, names)
    ax.tick_params(
        axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0,
        labelcolor=GREY,
    )  # fmt: skip
    return figure
