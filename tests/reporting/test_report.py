"""The page holds what it was given, whole or not at all; the pictures show what they say."""

import base64
import io
import itertools
import os
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, imread

from conftest import Silent
from quasistatic import heads, networks
from quasistatic.diffusion import Diffusion
from quasistatic.heads import variances
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import Score, bound
from quasistatic.model import Model
from quasistatic.reporting import figures
from quasistatic.reporting import html as report
from quasistatic.sampling import SMC
from quasistatic.spaces import Binary, Continuous, Quantized, Table

VOID = {"meta", "img", "br", "hr", "link"}


@pytest.fixture(autouse=True)
def one_thread():
    """The models here are tiny: on a busy machine more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Reader(HTMLParser):
    """Reads a page strictly: every tag closes the one it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []
        self.cells: list[tuple[str, dict, str]] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if tag in ("td", "th"):
            self.cells.append((tag, found, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            tag, found, text = self.cells[-1]
            self.cells[-1] = (tag, found, text + data)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plane() -> Model:
    kernel = GaussianKernel(schedules.linear(10, 1e-2, 0.4))
    return Model(Continuous(2), kernel, heads.Natural(), Silent())


def bits(shape=12, steps: int = 20) -> Model:
    kernel = BinomialKernel(schedules.erase_evenly(steps), mean=0.25)
    return Model(Binary(shape), kernel, heads.Levels(), Silent(2))


def grey(shape=(3, 4)) -> Diffusion:
    kernel = GaussianKernel(schedules.linear_log_snr(30))
    return Diffusion(Quantized(shape, 5, 2.0), kernel, heads.Levels(), Silent(5))


def pixels(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    buffer.seek(0)
    return imread(buffer)[..., :3]


def assert_shows_something(figure: Figure) -> None:
    """Each of its axes has a picture in it, not one flat colour."""
    whole = pixels(figure)
    height, width = whole.shape[:2]
    assert figure.get_suptitle()
    assert figure.get_label()
    for ax in figure.axes:
        box = ax.get_position()
        part = whole[
            int((1 - box.y1) * height) : int((1 - box.y0) * height),
            int(box.x0 * width) : int(box.x1 * width),
        ]
        assert part.var(axis=(0, 1)).sum() > 1e-4


def offsets(figure: Figure, index: int) -> np.ndarray:
    return np.asarray(figure.axes[index].collections[0].get_offsets())


def shown(figure: Figure, index: int) -> np.ndarray:
    (image,) = (a for a in figure.axes[index].get_children() if isinstance(a, AxesImage))
    return np.asarray(image.get_array())


# Figures


def test_plane_starts_at_the_data_and_a_silent_model_walks_within_its_prior():
    angle = np.linspace(0, 6, 400)
    data = np.stack([angle * np.cos(angle), angle * np.sin(angle)], 1) / 4
    figure = figures.plane_trajectories(plane(), data, rng())
    np.testing.assert_allclose(offsets(figure, 0), data, atol=1e-6)
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}
    assert len(limits) == 1
    # A silent reverse process is the forward process of pi, which it keeps.
    for index in (3, 4, 5):
        np.testing.assert_allclose(offsets(figure, index).std(0), 1, atol=0.15)
    assert_shows_something(figure)


def test_plane_drift_is_the_mean_of_a_step_less_its_start():
    model = plane()
    figure = figures.plane_trajectories(model, np.random.default_rng(0).normal(size=(50, 2)), rng())
    beta = model.kernel.schedule.beta
    for ax, t in zip(figure.axes[6:], (2, 5, 10), strict=True):
        quiver = ax.collections[1]
        start = np.asarray(quiver.get_offsets())
        drift = np.stack([quiver.U, quiver.V], 1)
        shrink = (1 - beta[t - 1].item()) ** 0.5 - 1  # the silent mean is sqrt(1 - beta) x
        np.testing.assert_allclose(drift, shrink * start, atol=1e-6)


def test_plane_refuses_data_that_are_no_plane():
    kernel = GaussianKernel(schedules.linear(10, 1e-2, 0.4))
    model = Model(Continuous(3), kernel, heads.Natural(), Silent())
    with pytest.raises(ValueError, match=r"two values, got shape \(3,\)"):
        figures.plane_trajectories(model, np.zeros((4, 3)))


@pytest.mark.parametrize("shape", [(12,), (3, 4), (1,)])
def test_bits_start_at_the_sorted_data_and_stay_bits(shape):
    data = (np.random.default_rng(0).random((15, *shape)) < 0.3).astype(float)
    figure = figures.bit_trajectories(bits(shape), data, rng())
    rows = np.array(sorted(data.reshape(15, -1).tolist()))
    np.testing.assert_array_equal(shown(figure, 0), rows)
    for index in range(7):
        assert set(np.unique(shown(figure, index))) <= {0.0, 1.0}


def test_bit_drift_is_the_belief_less_the_walk():
    model = bits(40, 60)
    data = (np.random.default_rng(0).random((30, 40)) < 0.3).astype(float)
    figure = figures.bit_trajectories(model, data, rng(), n=20)
    walked, belief, drift = (shown(figure, i) for i in (6, 7, 8))
    np.testing.assert_allclose(drift, belief - walked)
    # A silent Levels head weighs both levels alike: Bayes with even odds, computed here by hand.
    kept = model.kernel.schedule.alpha_bar[60].item()
    one, zero = kept + (1 - kept) * 0.25, (1 - kept) * 0.25
    by_hand = np.where(walked[0], one / (one + zero), (1 - one) / (2 - one - zero))
    np.testing.assert_allclose(belief[0], by_hand, atol=1e-6)
    assert len(shown(figure, 0)) == 20
    assert_shows_something(figure)


def test_bits_refuse_a_kernel_of_reals():
    with pytest.raises(TypeError, match="GaussianKernel"):
        figures.bit_trajectories(plane(), np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("shape", "raw"), [((3, 4), 12), ((7,), 7), ((1,), 1), ((3, 2, 5), 30), ((2, 5, 3), 30)]
)
def test_grid_shows_pictures_of_any_shape(shape, raw):
    images = np.random.default_rng(0).random((5, raw))
    figure = figures.image_grid(images, shape, columns=3, limits=(0, 1))
    canvas = shown(figure, 0)
    first = images[0].reshape(shape)
    first = np.moveaxis(first, 0, -1) if shape[0] == 3 and len(shape) == 3 else first
    first = first if len(shape) == 3 else np.atleast_2d(first)[..., None]
    height, width = first.shape[:2]
    corner = canvas[:height, :width, :3]
    np.testing.assert_allclose(corner, np.broadcast_to(first, corner.shape))
    # Five in rows of three: the sixth place and the gaps are left clear.
    assert canvas[..., 3].sum() == 5 * height * width
    assert_shows_something(figure)


def test_grid_refuses_a_shape_that_does_not_fit():
    with pytest.raises(ValueError, match="12 values is not an image"):
        figures.image_grid(np.zeros((2, 12)), (3, 5))


def test_completion_keeps_what_was_seen_and_marks_what_was_hidden():
    data = np.random.default_rng(0).integers(0, 5, (2, 3, 4))
    hidden = np.zeros((3, 4), dtype=bool)
    hidden[:, 2:] = True
    figure = figures.completion_panel(grey(), data, rng(), hidden, method=SMC(8))
    canvas = shown(figure, 0)[..., :3]
    parts = [canvas[:3, 5 * i : 5 * i + 4] for i in range(8)]  # a gap of one between pictures
    low, high = data.min(), data.max()
    truth = np.repeat(((data[0] - low) / (high - low))[..., None], 3, -1)
    np.testing.assert_allclose(parts[0], truth)
    for part in parts[1:7]:  # seen, the draws and their mean
        np.testing.assert_allclose(part[:, :2], truth[:, :2])
    neutral = parts[1][:, 2:].reshape(-1, 3)
    assert len(np.unique(neutral, axis=0)) == 1
    assert len(set(neutral[0])) == 3  # no grey: it cannot be a value
    nothing = parts[7][:, :2].reshape(-1, 3)
    assert len(np.unique(nothing, axis=0)) == 1  # where it was seen it does not deviate
    assert_shows_something(figure)


def test_completion_takes_draws_from_anywhere():
    draws = np.random.default_rng(0).random((3, 2, 6))
    figure = figures.completion_from_draws(draws[:, 0], np.eye(6)[:3] > 0, draws, (6,))
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["truth", "given", "draw 1", "draw 2", "mean", "deviation"]


def test_a_posterior_is_shown_beside_the_view_it_has():
    """A view of a quarter of the pixels is drawn as large as the rest; one that does not fit is
    refused."""
    draws = np.random.default_rng(0).random((3, 2, 4, 4))
    truth, view = draws[:, 0], draws[:, 0, ::2, ::2]
    figure = figures.posterior_from_draws(truth, view, draws, (4, 4), (2, 2))
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["truth", "given", "draw 1", "draw 2", "mean", "deviation"]
    assert_shows_something(figure)
    with pytest.raises(
        ValueError, match=r"a measurement of \(3, 3\) pixels cannot be drawn as \(4, 4\)"
    ):
        figures.posterior_from_draws(truth, draws[:, 0, :3, :3], draws, (4, 4), (3, 3))


def test_bits_by_time_add_up_to_the_bound():
    model, data = grey(), np.random.default_rng(0).integers(0, 5, (200, 3, 4))
    figure = figures.bits_by_time(model, data, rng())
    above, below = figure.axes[:2]
    each, spent = (ax.lines[0].get_ydata() for ax in (above, below))
    assert len(each) == model.steps
    np.testing.assert_allclose(np.cumsum(each[::-1])[::-1], spent)
    score = bound(model, data, rng=rng(1))
    learned = (score.terms["transitions"] + score.terms["edge"]).mean() / -np.log(2) / 12
    np.testing.assert_allclose(spent[0], learned, rtol=0.03)
    assert_shows_something(figure)


@pytest.mark.parametrize("space", [Continuous(3), Quantized(3, 5)], ids=["reals", "levels"])
def test_bits_by_time_are_the_terms_of_the_bound(space):
    """Data at x_0 = 0 and an estimate of 0: no term depends on the noise, so that the picture has
    the very terms, and their sum is what the network decides of -K."""
    kernel = GaussianKernel(schedules.linear_log_snr(30))
    model = Model(space, kernel, heads.Clean(variances.FixedLarge()), Silent())
    data = np.zeros((5, 3)) if isinstance(space, Continuous) else np.full((5, 3), 2)
    figure = figures.bits_by_time(model, data, rng())
    above, below = figure.axes[:2]
    each, spent = (ax.lines[0].get_ydata() for ax in (above, below))
    score = bound(model, data, rng=rng(1))
    learned = score.terms["transitions"]
    if space.learns_last_step:
        learned = learned + score.terms["edge"]
    unit = -np.log(2) * 3
    np.testing.assert_allclose(spent[0], learned[0].item() / unit, rtol=1e-6)
    np.testing.assert_allclose(each.sum(), spent[0], rtol=1e-6)
    x = torch.zeros(1, 3)
    s, t = torch.tensor([9]), torch.tensor([10])
    kl = model.head.divergence(kernel, torch.zeros(1, 3, 1), x, x, s, t).sum().item()
    place = 9 if space.learns_last_step else 8
    np.testing.assert_allclose(each[place], kl / np.log(2) / 3, rtol=1e-6)


def test_bits_by_time_of_a_thinned_chain_interpolates_the_rest():
    model, data = grey((1,)), np.random.default_rng(0).integers(0, 5, (200, 1))
    full = figures.bits_by_time(model, data, rng(), examples=200)
    thin = figures.bits_by_time(model, data, rng(), examples=200, points=15)
    assert len(thin.axes[0].lines[0].get_ydata()) == 15
    totals = [figure.axes[1].lines[0].get_ydata()[0] for figure in (full, thin)]
    np.testing.assert_allclose(*totals, rtol=0.15)


def test_training_curve_shows_what_the_records_hold():
    records = [{"step": i, "loss": 1 + 1 / i} for i in range(1, 1001)]
    records[499]["valid_bits_per_dim"] = 2.0
    records[999]["valid_bits_per_dim"] = 2.5
    figure = figures.training_curve(records)
    assert "2 bits per dimension held out, at step 500 of 1000" in figure.get_suptitle()
    assert [ax.get_xscale() for ax in figure.axes] == ["log", "log"]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), [2.0, 2.5])
    assert_shows_something(figure)
    short = figures.training_curve([{"step": 0, "loss": 3.0}, {"step": 10, "loss": float("nan")}])
    assert len(short.axes) == 1
    pixels(short)


def test_training_curve_says_what_it_needs():
    with pytest.raises(ValueError, match="valid_bits_per_dim"):
        figures.training_curve([{"step": 1}])


def score_of(bits_per_dim) -> Score:
    nats = -torch.as_tensor(bits_per_dim, dtype=torch.float64) * np.log(2) * 4
    return Score(
        {"transitions": nats}, {}, torch.zeros_like(nats), 4, 1, freedom=torch.ones_like(nats)
    )


def test_histogram_marks_the_mean_its_error_and_the_baselines():
    values = np.random.default_rng(0).normal(2, 0.3, 400)
    figure = figures.score_histogram(score_of(values), {"null": 4.0, "gzip": 3.0})
    lines = {line.get_label(): line.get_xdata()[0] for line in figure.axes[0].lines}
    (mean,) = (lines[name] for name in lines if name.startswith("mean"))
    np.testing.assert_allclose(mean, values.mean())
    assert lines["null 4"] == 4.0
    assert lines["gzip 3"] == 3.0
    error = values.std(ddof=1) / 20
    assert f"{values.mean():.3f} ± {error:.3f}" in figure.get_suptitle()
    assert sum(patch.get_height() for patch in figure.axes[0].containers[0]) == 400
    assert_shows_something(figure)


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0], [2.0, np.inf]])
def test_histogram_takes_few_and_impossible_examples(values):
    figure = figures.score_histogram(score_of(values))
    pixels(figure)
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any("no probability" in label for label in labels) == (not np.isfinite(values).all())


# The page


def drawing(label: str = "", title: str = "") -> Figure:
    figure = Figure(label=label)
    figure.suptitle(title)
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_page_holds_everything_and_needs_nothing(tmp_path):
    saved = report.save_figure(drawing(), tmp_path / "elsewhere" / "by hand.png")
    sections = [
        report.Section("First", ["One.", "Two."], None, [("A line.", drawing("line", "Falls"))]),
        report.Section("Second", figures=[("Again.", drawing("line")), ("A file.", saved)]),
    ]
    path = report.write_page(tmp_path / "run" / "report.html", "A run", sections)
    text = path.read_text()
    page = Reader(text)
    names = ["line.png", "line_2.png", "by_hand.png"]
    assert sorted(p.name for p in (path.parent / "figures").iterdir()) == sorted(names)
    for image, name in zip(page.images, names, strict=True):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == (path.parent / "figures" / name).read_bytes()
        assert imread(path.parent / "figures" / name)[..., :3].var() > 1e-4
    assert [image["alt"] for image in page.images] == ["Falls", "Again.", "A file."]
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert {"A run", "First", "One.", "Two.", "A line."} <= set(page.texts)
    assert not re.search(r"https?:|<script|<link|url\(|@import", text)


def test_results_come_first_and_settings_are_folded(tmp_path):
    settings = report.Table(["setting", "value"], [["width", "64"]])
    sections = [
        report.Section("First", ["One."], settings=settings, result="2.0 ± 0.1 bits"),
        report.Section("Second", ["Two."]),
    ]
    text = report.write_page(tmp_path / "page.html", "T", sections).read_text()
    page = Reader(text)
    assert page.texts.index("2.0\u00a0±\u00a00.1 bits") < page.texts.index("One.")
    folded = text[text.index("<details>") : text.index("</details>")]
    assert "width" in folded
    assert "open" not in folded
    assert text.count("<details>") == 1  # a section without settings has nothing to fold


def test_draws_and_data_share_one_scale():
    """Data beside draws are black and white at the same values, whichever has the greater range."""
    draws, data = np.full((4, 6), 0.5), np.linspace(0, 1, 24).reshape(4, 6)
    canvas = shown(figures.image_grid(draws, (2, 3), beside=data), 0)
    np.testing.assert_allclose(canvas[:2, :3, :3], 0.5)
    height, width = 2 + 1, 3 + 1  # an image and its gap
    first = canvas[:2, 3 * width : 3 * width + 3, 0]  # two columns of draws, one empty column
    np.testing.assert_allclose(first, data[0].reshape(2, 3))
    assert canvas.shape[:2] == (2 * height - 1, 5 * width - 1)


def test_page_escapes_all_text(tmp_path):
    nasty = '<script>alert("1")</script> & \'<'
    table = report.Table([nasty], [[nasty]])
    section = report.Section(nasty, [nasty], table, [(nasty, drawing("", nasty))])
    path = report.write_page(tmp_path / "page.html", nasty, [section])
    text = path.read_text()
    page = Reader(text)
    assert "<script" not in text
    assert page.texts.count(nasty) == 8  # title, h1, link, heading, paragraph, 2 cells, caption
    assert page.images[0]["alt"] == nasty


def test_numbers_stand_at_the_right_and_words_at_the_left(tmp_path):
    rows = [
        ["ours", 1.23456, "2.03 ± 0.01", 212345, None, True],
        ["null", -4.0, "12 %", -7, "1.5", False],
    ]
    table = report.Table(["model", "bits", "error", "count", "some", "exact"], rows)
    path = report.write_page(tmp_path / "page.html", "T", [report.Section("S", table=table)])
    cells = Reader(path.read_text()).cells
    first = [text for _, _, text in cells[6:12]]
    assert first == ["ours", "1.23", "2.03 ± 0.01", "212,345", "", "yes"]
    for start in (0, 6, 12):
        right = [found.get("class") == "number" for _, found, _ in cells[start : start + 6]]
        assert right == [False, True, True, True, True, False]
    assert cells[6][:2] == ("th", {"scope": "row"})


def test_table_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match="row 1 of the table has 1 cells"):
        report.Table(["a", "b"], [[1, 2], [1]])


def test_page_of_nothing_and_table_of_nothing_are_pages(tmp_path):
    Reader(report.write_page(tmp_path / "a.html", "Nothing", []).read_text())
    section = report.Section("None", table=report.Table(["a", "b"], []))
    Reader(report.write_page(tmp_path / "b.html", "Nothing", [section]).read_text())


def test_interrupted_write_leaves_the_old_page_and_pictures(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    report.write_page(path, "Old", [report.Section("S", figures=[("c", drawing("line"))])])
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    before = {p: p.read_bytes() for p in files}

    def interrupted(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", interrupted)
    changed = drawing("line")
    changed.axes[0].plot([0, 1], [0, 1])
    for figures_ in ([("c", changed)], []):  # stopped at a picture, stopped at the page
        with pytest.raises(OSError, match="No space left"):
            report.write_page(path, "New", [report.Section("S", figures=figures_)])
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


def test_a_picture_must_be_a_png(tmp_path):
    (tmp_path / "no.png").write_text("no")
    with pytest.raises(ValueError, match="is not a PNG"):
        report.write_page(
            tmp_path / "p.html", "T", [report.Section("S", figures=[("c", tmp_path / "no.png")])]
        )


def test_a_trained_network_draws_too(tmp_path):
    kernel = GaussianKernel(schedules.linear(8, 1e-2, 0.4))
    network = networks.RBF(2, 4, 8, outputs=2)
    model = Model(Continuous(2), kernel, heads.Natural(variances.Sigmoid()), network)
    data = np.random.default_rng(0).normal(size=(40, 2))
    made = [figures.plane_trajectories(model, data, rng()), figures.bits_by_time(model, data)]
    section = report.Section("S", figures=[(figure.get_suptitle(), figure) for figure in made])
    page = Reader(report.write_page(tmp_path / "p.html", "T", [section]).read_text())
    assert [image["alt"] for image in page.images] == [figure.get_suptitle() for figure in made]


def test_axes_of_dates_show_dates_and_few_ticks():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "day": np.datetime64("2020-01-01") + rng.integers(0, 900, 300),
            "month": np.datetime64("2020-01-01") + 31 * rng.integers(0, 5, 300),
            "income": (1e6 * rng.normal(size=300)).round(2),
            "town": [f"a long name {k % 9}" for k in range(300)],
        }
    )
    table = Table.infer(frame)
    rows = torch.as_tensor(table.read(frame))
    figure = figures.marginals(table, rows, rows)
    figure.canvas.draw()
    ticks = [[each.get_text() for each in ax.get_xticklabels()] for ax in figure.axes]
    assert all(text.startswith("202") and text.count("-") == 2 for text in ticks[0])
    assert len(ticks[0]) == 3
    assert ticks[1][0] == "2020-01-01"
    assert any(text.endswith("M") for text in ticks[2])
    assert len(ticks[2]) <= 7
    renderer = FigureCanvasAgg(figure).get_renderer()
    for ax in figure.axes[:4]:
        boxes = [each.get_window_extent(renderer) for each in ax.get_xticklabels()]
        boxes = [box for box in boxes if box.width]
        upright = all(each.get_rotation() in (0, 90) for each in ax.get_xticklabels())
        if upright:
            assert all(a.x1 <= b.x0 + 1 for a, b in itertools.pairwise(boxes))
