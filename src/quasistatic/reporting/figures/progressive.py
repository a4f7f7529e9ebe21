"""What a chain shows on its way: its rate and distortion, its estimates, and its mixes."""

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
    """The error of who has read the first bits against how many (DDPM Fig. 5); on the right both
    against the time, which runs from T on the left, where reading begins, to 0. Bands are a
    standard error."""
    t, bits, rmse = (as_numpy(x) for x in (coding.t, coding.bits_per_dim, coding.rmse))
    bits_error, rmse_error = (as_numpy(x) for x in (coding.bits_stderr, coding.rmse_stderr))
    # Not the last point, which is free of error, and on a continuum adds a density.
    read, left = bits[:-1], rmse[:-1]
    half = np.interp(bits[-1] / 2, read, left)
    title = f"Half of the {bits[-1]:.3g} bits per dimension leave an error of {half:.3g}"
    figure = new_figure("rate_distortion", 7.6, 4.2, title)
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2))
    main = figure.add_subplot(grid[:, 0])
    _band(main, read, left, rmse_error[:-1])
    main.plot(bits[-2:], rmse[-2:], color=BLUE, linewidth=1.2, linestyle=":")
    main.plot(bits[-1], rmse[-1], "o", color=ORANGE, markersize=6, clip_on=False, zorder=3)
    main.set(xlabel="bits per dimension read", ylabel="error (RMSE), raw units")
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
    """Above, the error of who has read so many bytes of a layered stream; below, what they hold of
    the first examples.

    Args:
        refinements: what :meth:`quasistatic.LayeredCodec.read` gave, one after each layer.
        truth: what was written, with shape (N, *).
        shape: of a picture, as in :func:`image_grid`.
        ideal: bytes that an ideal coder would need for the same layers.
        rows: how many examples to show.
    """
    raw = as_numpy(truth).astype(float)
    held = [as_numpy(step.array).astype(float) for step in refinements]
    error = [float(((each - raw) ** 2).mean() ** 0.5) for each in held]
    size = np.array([step.size for step in refinements]) / len(raw)
    title = f"{size[-1]:.3g} bytes an example, and less for less"
    figure = new_figure("layered_stream", 8.4, 2.6 + 0.75 * rows, title)
    above, below = figure.subplots(2, 1, height_ratios=(2.4, 0.8 * rows))
    above.plot(size, error, "o-", color=BLUE, markersize=4, label="the file")
    if ideal is not None:
        least = np.asarray(ideal) / len(raw)
        above.plot(least, error, "o--", color=ORANGE, markersize=3, label="KL of its steps")
        above.legend(frameon=False, fontsize=8)
    above.set(xlabel="bytes read, an example", ylabel="error (RMSE)")
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
    """A row for each walk: what the model takes it for at each time, and the sample it becomes
    (DDPM Fig. 6).

    Args:
        shape: of a picture, as in :func:`image_grid`.
        limits: the raw values that are black and white; by default those of the samples.
    """
    samples = as_numpy(generation.samples)
    limits = limits or limits_of(samples)
    estimates = as_numpy(generation.estimates)
    columns = [pictures(each, shape, limits) for each in np.moveaxis(estimates, 1, 0)]
    columns.append(pictures(samples, shape, limits))
    names = [f"t = {t}" for t in generation.t.tolist()] + ["sample"]
    title = "What each sample is taken for on its way"
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
    """A row for each pair: the first example, the mixes that were walked back, and the second
    (DDPM Fig. 8).

    Args:
        first, second: raw examples, with shape (n, *).
        mixes: what :func:`quasistatic.diagnostics.progressive.interpolate` gave,
            with shape (n, k, *).
        shares: of the second example in each mix, k of them.
        shape: of a picture, as in :func:`image_grid`.
        limits: the raw values that are black and white; by default those of the examples.
        t: where they were mixed, for the title.
    """
    ends = [as_numpy(x) for x in (first, second)]
    limits = limits or limits_of(np.stack(ends))
    between = np.moveaxis(as_numpy(mixes), 1, 0)
    columns = [pictures(x, shape, limits) for x in (ends[0], *between, ends[1])]
    names = ["first", *(f"{share:g}" for share in shares), "second"]
    where = "" if t is None else f" at t = {t}"
    title = f"Mixed{where} and walked back, by the share of the second"
    return _rows("interpolation", columns, names, title)


def _rows(label: str, columns: list[np.ndarray], names: list[str], title: str) -> Figure:
    figure, ax, centres = canvas(label, np.stack(columns, 1), title, head=0.7)
    ax.set_xticks(centres, names)
    ax.tick_params(
        axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0,
        labelcolor=GREY,
    )  # fmt: skip
    return figure
