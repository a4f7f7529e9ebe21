"""Costs by scale, and what is called strange, against what is known of them."""

import math

import pytest
import torch
from torch import nn

from conftest import Wrong, assert_mean, close
from quasistatic.diagnostics.anomalies import Anomalies, AnomalyDetector
from quasistatic.diagnostics.oracles import GaussianOracle, MixtureOracle
from quasistatic.diagnostics.snr_bands import band_costs
from quasistatic.heads import Clean
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.reporting import figures
from quasistatic.spaces import Binary, Continuous, Dequantized, Quantized

KERNEL = GaussianKernel(schedules.linear_log_snr(40, 9, -9))
SPACES = {
    "real": (Continuous(3), KERNEL),
    "levels": (Quantized(3, 5), KERNEL),
    "dequantised": (Dequantized(3, 5), KERNEL),
    "bits": (Binary(3), BinomialKernel(schedules.cosine(40), 0.3)),
}
every_space = pytest.mark.parametrize(("space", "kernel"), SPACES.values(), ids=SPACES.keys())
TWO = MixtureOracle((0.5, 0.5), ((-1.5, 1.5), (1.5, -1.5)), (0.1, 0.1))


def some_raw(space, n, rng):
    if isinstance(space, Continuous):
        return torch.randn(n, 3, generator=rng)
    return torch.randint(2 if isinstance(space, Binary) else 5, (n, 3), generator=rng).double()


def wrong(space, kernel):
    return Model(space, kernel, Clean(), Wrong())


def detector(rng, n=60, calibration=99, **how):
    """Of two clusters whose reverse steps are exact; the kernel's ends are quiet."""
    model = Model(**TWO.parts(KERNEL))
    rows = TWO.sample(n, rng), TWO.sample(calibration, rng)
    return AnomalyDetector.fit(model, *rows, **({"bands": 3, "draws": 4} | how))


class Mild(nn.Module):
    """A network that is wrong by little, so that no term drowns the others."""

    def forward(self, x, time):
        return (0.3 * torch.sin(x) + 0.1 * time[:, None])[..., None]


@every_space
@pytest.mark.parametrize("draws", [None, 2])
def test_the_bands_sum_to_the_bound(space, kernel, draws, rng):
    """Over seeds the costs of an example have the mean of -K, however few terms are visited."""
    model, raw = Model(space, kernel, Clean(FixedLarge()), Mild()), some_raw(space, 1, rng)
    truth = -bound(model, raw.expand(400, 3), rng=rng).nats
    totals = torch.cat([band_costs(model, raw, 5, draws, seed=97 * k).total for k in range(20)])
    slack = 5 * truth.std().item() / 400**0.5
    assert_mean(totals, truth.mean(), slack)
    assert 5 * totals.std() / 20**0.5 + slack < 0.5 * truth.mean().abs()


@every_space
def test_coarse_bands_are_the_same_wherever_one_starts(space, kernel, rng):
    """Terms below a log-SNR are the last ones, and a band for each of them is the term itself."""
    model, raw = wrong(space, kernel), some_raw(space, 3, rng)
    first = int((kernel.schedule.log_snr > 0).sum())
    tail = band_costs(model, raw, 40 - first, None, below=0.0)
    assert tail.evaluations == 40 - first
    assert close(tail.log_snr, kernel.schedule.log_snr[first:])
    few = band_costs(model, raw, 1, None, below=0.0)
    assert few.evaluations == tail.evaluations
    every = band_costs(model, raw, 4, None)
    first = 1 - space.learns_last_step
    assert every.evaluations == 40 - first
    assert every.log_snr[0] == kernel.schedule.log_snr[first]


def test_what_is_seen_through_noise_costs_its_divergence(rng):
    """With exact steps on normal data the terms from s on are KL(q(x_s | x_0) || p(x_s))."""
    oracle, kernel = GaussianOracle((0.0, 1.0), (0.5, 1.5)), KERNEL
    x = oracle.sample(5, rng)
    model = Model(**oracle.parts(kernel))
    found = [band_costs(model, x, 1, None, below=0.0, seed=k) for k in range(40)]
    s = kernel.steps - found[0].evaluations
    shrunk, noise = kernel.schedule.alpha_bar[s], 1 - kernel.schedule.alpha_bar[s]
    mean, variance = oracle.mixture.mean[0], shrunk * oracle.mixture.variance[0] + noise
    square = (noise + shrunk * (x - mean) ** 2) / variance
    truth = 0.5 * (square - 1 + (variance / noise).log()).sum(1)
    assert_mean(torch.stack([each.total for each in found]), truth, slack=1e-3)
    assert truth.min() > 0.1


@every_space
def test_an_example_s_costs_are_its_own(space, kernel, rng, monkeypatch):
    """Neither order, nor neighbours, nor the size of batches changes them."""
    model, raw = wrong(space, kernel), some_raw(space, 9, rng)
    found = band_costs(model, raw, 3, 4).bands
    order = torch.randperm(9, generator=rng)
    assert close(band_costs(model, raw[order], 3, 4).bands, found[order])
    assert close(band_costs(model, raw[4:5], 3, 4).bands, found[4:5])
    monkeypatch.setattr(Model, "chunk_size", 2)
    assert close(band_costs(model, raw, 3, 4).bands, found)


def test_noise_that_is_shared_compares_examples_better(rng):
    """The difference of two near examples is told with less noise than either cost."""
    model = Model(**TWO.parts(KERNEL))
    pair = torch.tensor([[-1.5, 1.5], [-1.6, 1.4]])
    totals = torch.stack([band_costs(model, pair, 3, 2, 0.0, seed=50 * k).total for k in range(80)])
    assert totals.diff(dim=1).std() < 0.3 * totals.std(0).min()


def test_p_values_are_ranks_and_never_nought(rng):
    """p = (1 + #{calibration >= score}) / (n + 1), by hand."""
    fitted = detector(rng, calibration=19)
    x = torch.cat([TWO.sample(30, rng), torch.tensor([[9.0, 9.0]])])
    found = fitted.score(x)
    ordinary = fitted.calibration[:, -1]
    by_hand = torch.stack([(1 + (ordinary >= score).sum()) / 20 for score in found.scores])
    assert close(found.p_values, by_hand.double())
    assert found.p_values[-1] == 1 / 20
    assert close(found.bands.sum(1), found.scores)
    assert found.band_p_values.shape == found.bands.shape == (31, 3)


def test_p_values_are_super_uniform_on_exchangeable_data(rng):
    """P(p <= level) <= level over calibration sets and examples, and not much less; for the score
    of a model that is wrong too."""
    model = wrong(Continuous(3), KERNEL)
    rows = torch.randn(60 + 200 * 20, 3, generator=rng)
    fitted = AnomalyDetector.fit(model, rows[:60], rows[:1], bands=2, draws=1)
    scores, _ = fitted._parts(rows[60:], "x")
    p = []
    for one in scores.reshape(200, 20, 3):  # 19 to calibrate on, and one to score
        ordinary = one[:-1].sort(0).values
        p.append((1 + (ordinary[:, -1] >= one[-1, -1]).sum()) / 20)
    p = torch.stack(p)
    for level in (0.05, 0.2, 0.5, 0.9):
        share = (p <= level + 1e-9).double().mean().item()
        assert abs(share - level) < 4 * (level * (1 - level) / 200) ** 0.5


def test_calibration_rows_give_every_rank_once(rng):
    """Scored again, they are the ranks themselves: the p-values' law, to the last digit."""
    model, rows = Model(**TWO.parts(KERNEL)), TWO.sample(139, rng)
    fitted = AnomalyDetector.fit(model, rows[:40], rows[40:], bands=2, draws=2)
    p = fitted.score(rows[40:]).p_values.sort().values
    assert close(p, torch.arange(2, 101).double() / 100)


def test_far_from_both_clusters_is_stranger_than_in_one(rng):
    """The exact model of two clusters; strangeness rises with the distance along a line on which
    the mean and the mean square of the values rise alike for all."""
    fitted = detector(rng, n=200, draws=16)
    ordinary = fitted.score(TWO.sample(200, rng))
    away = fitted.score(torch.tensor([[-1.5, 1.5], [0.0, 0.0], [1.5, 1.5], [3.0, 3.0]]))
    assert ordinary.p_values.mean() > 0.4
    assert away.p_values[0] > 0.2
    assert (away.p_values[2:] == 0.01).all()
    assert away.scores[3] > away.scores[2] > away.scores[0]


def test_simple_examples_are_expected_to_cost_little(rng):
    """Costs that the mean and mean square of the values explain are no excess at all."""
    oracle = GaussianOracle((0.0, 0.0, 0.0), 0.3)
    fitted = AnomalyDetector.fit(
        Model(**oracle.parts(KERNEL)), oracle.sample(80, rng), oracle.sample(20, rng), bands=2
    )
    quiet = torch.zeros(1, 3)
    raw_costs = band_costs(
        fitted.model, torch.cat([oracle.sample(50, rng), quiet]), 2, 32, 0.0
    ).total
    assert raw_costs[-1] < raw_costs[:-1].min() + 0.05
    # Independent normal values of one law: nothing but these two numbers matters.
    scores = fitted.score(oracle.sample(50, rng)).scores
    assert scores.std() < 0.3 * raw_costs.std()


def test_bits_have_one_number_to_explain_them(rng):
    """The mean square of bits is their mean: the fit is still one."""
    space, kernel = SPACES["bits"]
    rows = some_raw(space, 60, rng)
    fitted = AnomalyDetector.fit(wrong(space, kernel), rows, rows[:20], bands=2, draws=2)
    assert fitted.expected.isfinite().all()
    assert fitted.score(rows).scores.mean().abs() < 1e-9


def test_a_level_takes_enough_calibration(rng):
    fitted = detector(rng, calibration=19)
    found = fitted.score(torch.tensor([[9.0, 9.0], [-1.5, 1.5]]))
    assert found.strange(0.05).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"level of 0\.01 takes 99 calibration .* got 19"):
        found.strange(0.01)
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="level must lie between 0 and 1"):
            found.strange(level)
    enough = Anomalies(*[torch.zeros(1)] * 6, calibrated_on=99)
    assert enough.strange(0.01).tolist() == [True]


def test_bad_input_is_refused(rng):
    model = Model(**TWO.parts(KERNEL))
    some = TWO.sample(40, rng)
    with pytest.raises(ValueError, match="calibration is empty"):
        AnomalyDetector.fit(model, some, some[:0])
    with pytest.raises(ValueError, match="reference needs 30 rows or more, got 29"):
        AnomalyDetector.fit(model, some[:29], some)
    with pytest.raises(ValueError, match=r"bands must be from 1 to \d+, .* below .* of 0, got 99"):
        AnomalyDetector.fit(model, some, some, bands=99)
    with pytest.raises(ValueError, match="draws must be 1 or more, got 0"):
        band_costs(model, some, draws=0)
    with pytest.raises(ValueError, match=r"bands must be from 1 to 0, .* below .* of -99, got 8"):
        band_costs(model, some, below=-99.0)
    with pytest.raises(ValueError, match="x holds nan"):
        detector(rng).score(torch.tensor([[math.nan, 0.0]]))


def test_the_figure_shows_where_strange_begins(rng):
    """The dashed line lies where p-values pass the level, and each line is an example's bands."""
    fitted = detector(rng, calibration=39)
    found = fitted.score(torch.cat([TWO.sample(20, rng), torch.tensor([[9.0, 9.0]])]))
    figure = figures.anomaly_scores(fitted, found, level=0.1, lines=2)
    left, right = figure.axes
    threshold = left.lines[0].get_xdata()[0]
    assert ((found.scores > threshold) == found.strange(0.1)).all()
    strangest = torch.from_numpy(right.lines[0].get_ydata())
    assert close(strangest, found.bands[-1])
    assert figure.get_suptitle().startswith(f"{int(found.strange(0.1).sum())} of 21")
    with pytest.raises(ValueError, match="takes 99 calibration"):
        figures.anomaly_scores(fitted, found, level=0.01)
