"""Rate and distortion, samples on their way, and mixes: known answers and identities."""

import math

import numpy as np
import pytest
import torch

from conftest import KERNELS, Silent, Wrong, assert_mean, close
from quasistatic.diagnostics.oracles import GaussianOracle
from quasistatic.diagnostics.progressive import (
    code_progressively,
    generate_progressively,
    interpolate,
)
from quasistatic.heads import Clean, Levels, Mean, Velocity
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.reporting import figures
from quasistatic.sampling import sample
from quasistatic.spaces import Binary, Continuous, Dequantized, Quantized


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reals() -> torch.Tensor:
    return torch.randn(200, 3, generator=seeded(8))


def levels(n: int, count: int) -> torch.Tensor:
    return torch.randint(count, (n, 3), generator=seeded(9))


GAUSSIAN = GaussianKernel(schedules.linear_log_snr(30, 7, -7))
MODELS = {
    "continuous": (
        Model(Continuous(3), GAUSSIAN, Clean(), Wrong()),
        torch.randn(200, 3, generator=seeded(8)),
    ),
    "levels": (Model(Quantized(3, 5, 2.0), GAUSSIAN, Levels(), Wrong(5)), levels(200, 5)),
    "decoder": (
        Model(Quantized(3, 5), GAUSSIAN, Velocity(FixedLarge()), Wrong()),
        levels(200, 5),
    ),
    "dequantised": (Model(Dequantized(3, 5), GAUSSIAN, Velocity(), Wrong()), levels(200, 5)),
    "bits": (Model(Binary(3), KERNELS["bits"], Clean(), Wrong()), levels(200, 2)),
    "steps": (
        Model(Continuous(3), GAUSSIAN, Mean(), Wrong()),
        torch.randn(200, 3, generator=seeded(8)),
    ),
}
every_model = pytest.mark.parametrize(("model", "raw"), MODELS.values(), ids=MODELS.keys())


# rate and distortion


@every_model
@pytest.mark.parametrize("evaluations", [None, 7, 1])
def test_the_last_point_is_the_whole_bound(model, raw, evaluations):
    raw = raw.repeat(10, 1)
    coding = code_progressively(model, raw, evaluations, rng=seeded(1))
    score = bound(model, raw, rng=seeded(2))
    error = math.hypot(coding.bits_stderr[-1].item(), score.stderr(score.bits_per_dim))
    assert abs(coding.bits_per_dim[-1] - score.bits_per_dim.mean()) < 4 * error
    assert coding.rmse[-1] == 0
    assert coding.t[-1] == 0
    assert coding.examples == len(raw)
    assert len(coding.t) == (model.steps if evaluations is None else evaluations) + 1


@every_model
def test_the_first_point_is_the_prior_s_term(model, raw):
    coding = code_progressively(model, raw, rng=seeded())
    prior = -bound(model, raw, rng=seeded()).terms["prior"].mean() / (3 * math.log(2))
    assert coding.t[0] == model.steps
    assert close(coding.bits_per_dim[0], prior)


@pytest.mark.parametrize("evaluations", [None, 12, 5])
@pytest.mark.parametrize("times", [None, 17])
def test_exact_steps_have_the_rate_and_distortion_of_the_gaussian(evaluations, times):
    """For data N(m, v) the receiver of x_t knows x_0 up to the variance v / (1 + v SNR), and has
    read E KL(q(x_t..T | x_0) || p) = I(x_0; x_t) + KL(q(x_t) || p(x_t)) with the last term at T."""
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = GaussianKernel(schedules.linear_log_snr(60, 6, -6))
    model = Model(**oracle.parts(kernel))
    mean, v = torch.tensor([0.5, -2.0]), torch.tensor([0.25, 3.0])
    raw = mean + v.sqrt() * torch.randn(8000, 2, generator=seeded(3))
    coding = code_progressively(model, raw, evaluations, times, seeded(4))
    grid = model.times(times)
    a = kernel.schedule.alpha_bar[grid][:, None]
    snr = a / (1 - a)
    variance = a * v + 1 - a
    last = 0.5 * (variance + a * mean**2 - 1 - variance.log())[-1].sum()  # KL(q(x_T) || pi)
    nats = 0.5 * (1 + v * snr).log().sum(1) + last
    square = (v / (1 + v * snr)).mean(1)
    points = len(grid) if evaluations is None else evaluations
    edges = [len(grid) * k // points for k in range(points + 1)]
    spans = [slice(a, b) for a, b in zip(edges[-2::-1], edges[:0:-1], strict=True)]
    for point, span in enumerate(spans):
        expected = nats[span].mean() / (2 * math.log(2))
        # An exact step leaves a Gaussian chain with as much as its bridge cannot say: nothing.
        assert abs(coding.bits_per_dim[point] - expected) < 5 * coding.bits_stderr[point] + 1e-9
        error = 5 * coding.rmse_stderr[point]
        assert abs(coding.rmse[point] - square[span].mean().sqrt()) < error
        assert coding.t[point] == grid[span].double().mean()
    assert (coding.bits_stderr < 0.05).all()


def test_the_errors_are_those_that_are_made():
    """The spread of whole curves over new data and new noise is the error that each states."""
    model, _ = MODELS["levels"]
    curves = [
        code_progressively(
            model, torch.randint(5, (60, 3), generator=seeded(i)), 6, rng=seeded(i + 1000)
        )
        for i in range(80)
    ]
    for mean, error in (("bits_per_dim", "bits_stderr"), ("rmse", "rmse_stderr")):
        # Not at the end, where the few errors that are left are too rare for a spread.
        spread = torch.stack([getattr(c, mean) for c in curves])[:, :-2].std(0)
        stated = torch.stack([getattr(c, error) for c in curves])[:, :-2]
        ratio = (stated**2).mean(0).sqrt() / spread
        assert (ratio > 0.8).all(), mean
        assert (ratio < 1.4).all(), mean


@pytest.mark.parametrize("space", [Quantized(3, 5, 2.0), Dequantized(3, 5, 0.5)])
def test_distortion_is_in_raw_units(space):
    """A network that says nothing guesses x_0 = 0, the middle of the levels; bytes likewise."""
    raw = levels(500, 5)
    model = Model(space, GAUSSIAN, Clean(FixedLarge()), Silent())
    coding = code_progressively(model, raw, 3, rng=seeded())
    offset = 0.0 if isinstance(space, Quantized) else 1 / 12  # u, uniform on its cell
    expected = math.sqrt(((raw - 2.0) ** 2).mean().item() + offset)
    assert coding.rmse[:-1].tolist() == pytest.approx([expected] * 3, rel=0.02)
    assert coding.rmse_stderr[0] == pytest.approx(
        ((raw - 2.0) ** 2).mean(1).std().item() / math.sqrt(500) / (2 * expected), rel=0.1
    )


def test_rescaled_data_have_rescaled_distortion_and_the_same_rate_before_the_edge():
    raw = torch.randn(100, 3, generator=seeded(1))
    plain = Model(Continuous(3), GAUSSIAN, Clean(), Wrong())
    scaled = Model(Continuous(3, shift=7.0, scale=10.0), GAUSSIAN, Clean(), Wrong())
    a = code_progressively(plain, raw, 5, rng=seeded())
    b = code_progressively(scaled, 10 * raw + 7, 5, rng=seeded())
    assert close(b.rmse, 10 * a.rmse)
    assert close(b.rmse_stderr, 10 * a.rmse_stderr)
    assert close(b.bits_per_dim[:-1], a.bits_per_dim[:-1])
    assert close(b.bits_per_dim[-1], a.bits_per_dim[-1] + math.log2(10))


def test_batches_change_nothing_but_the_draws(monkeypatch):
    monkeypatch.setattr("quasistatic.model.Model.chunk_size", 64)
    model, raw = MODELS["levels"]
    raw = raw.repeat(10, 1)
    coding = code_progressively(model, raw, 5, rng=seeded())
    score = bound(model, raw, rng=seeded(5))
    assert coding.examples == 2000
    gap = coding.bits_per_dim[-1] - score.bits_per_dim.mean()
    assert abs(gap) < 4 * math.hypot(coding.bits_stderr[-1], score.stderr(score.bits_per_dim))


def test_one_example_has_no_standard_error():
    model, raw = MODELS["levels"]
    assert code_progressively(model, raw[:1], 3, rng=seeded()).bits_stderr.isnan().all()


def test_coding_leaves_a_model_in_training_as_it_was():
    model, raw = MODELS["levels"]
    model.train()
    code_progressively(model, raw, 2, rng=seeded())
    assert model.training


@pytest.mark.parametrize("evaluations", [0, 31])
def test_other_numbers_of_evaluations_are_refused(evaluations):
    model, raw = MODELS["levels"]
    with pytest.raises(ValueError, match=f"from 1 to 30, .* got {evaluations}: leave it out"):
        code_progressively(model, raw, evaluations)


# samples on their way


def test_a_walk_that_is_watched_ends_where_it_ends_unwatched():
    for model, _ in MODELS.values():
        made = generate_progressively(model, 6, 4, rng=seeded(2))
        assert torch.equal(made.samples, sample(model, 6, rng=seeded(2)))
        assert made.estimates.shape == (6, 4, 3)
        assert made.t.tolist()[0] == model.steps
        assert made.t.tolist()[-1] == 1


@pytest.mark.parametrize("times", [None, 12])
def test_estimates_on_the_way_average_to_the_samples(times):
    """With exact steps E[x_0 | x_t] is a martingale: its mean over walks is the data's at every
    time, and its variance is what x_t says of x_0."""
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = GaussianKernel(schedules.linear_log_snr(40, 8, -9))
    made = generate_progressively(Model(**oracle.parts(kernel)), 20_000, 3, times, seeded())
    mean, v = torch.tensor([0.5, -2.0]), torch.tensor([0.25, 3.0])
    for column, t in enumerate(made.t.tolist()):
        a = kernel.schedule.alpha_bar[t]
        guess = made.estimates[:, column]
        assert_mean(guess, mean, slack=2e-3)
        assert_mean((guess - mean) ** 2, v * a * v / (a * v + 1 - a), slack=2e-3)


def test_estimates_of_levels_are_not_rounded():
    """A silent head over the levels 0..4 at T, where x_t says nothing: all of them, so 2."""
    kernel = GaussianKernel(schedules.linear_log_snr(10, 7, -25))
    model = Model(Quantized(3, 4, 2.0), kernel, Levels(), Silent(4))
    made = generate_progressively(model, 5, [10], rng=seeded())
    assert torch.allclose(made.estimates, torch.tensor(1.5), atol=1e-3)
    assert torch.equal(made.samples, made.samples.round())


def test_chosen_times_are_shown_and_others_refused():
    model, _ = MODELS["levels"]
    made = generate_progressively(model, 2, [3, 30, 11], rng=seeded())
    assert made.t.tolist() == [30, 11, 3]
    with pytest.raises(ValueError, match=r"times of the chain, got \[2\]: it visits 10 times"):
        generate_progressively(model, 2, [2, 30], times=10)
    with pytest.raises(ValueError, match="shown must be from 1 to 30 times, got 31"):
        generate_progressively(model, 2, 31)
    with pytest.raises(ValueError, match="at least one draw, got n = 0"):
        generate_progressively(model, 0)


# mixes


def two(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 3, generator=seeded(1)), torch.randn(n, 3, generator=seeded(2))


def test_mixing_under_noise_is_mixing_and_then_adding_noise():
    """One noise for both: the mix is a draw of q(x_t | the mixed data), to the last digit."""
    model, _ = MODELS["continuous"]
    a, b = two(4)
    made = interpolate(model, a, b, 9, [0.3], rng=seeded(5))
    mixed = 0.7 * a + 0.3 * b
    assert close(made, interpolate(model, mixed, mixed, 9, [0.9], rng=seeded(5)))


def test_the_two_ends_are_the_two_examples_noised_and_walked_back():
    """For the exact model of N(m, v): given x_t a walk has the posterior's mean and variance, so
    over noise too E = m + g (x_0 - m), Var = v (1 - g^2), where g = v SNR / (1 + v SNR), and the
    mix of two stands in for x_0."""
    mean, v, t = 0.5, 2.0, 25
    oracle = GaussianOracle((mean,), (v,))
    kernel = GaussianKernel(schedules.linear_log_snr(40, 9, -9))
    model = Model(**oracle.parts(kernel))
    a, b = torch.full((20_000, 1), 3.0), torch.full((20_000, 1), -1.0)
    shares = (0.0, 0.25, 1.0)
    made = interpolate(model, a, b, t, shares, rng=seeded())
    snr = kernel.schedule.log_snr[t].exp()
    gain = v * snr / (1 + v * snr)
    assert 0.1 < gain < 0.9
    for column, share in enumerate(shares):
        x = (1 - share) * 3.0 + share * -1.0
        expected = mean + gain * (x - mean)
        draws = made[:, column]
        assert_mean(draws, expected, slack=2e-3)
        noise = gain**2 / snr  # of g (x_t / signal): the variance of the one noise
        assert_mean((draws - expected) ** 2, v * (1 - gain) + noise, slack=5e-3)


def test_mixed_at_once_nothing_has_changed_and_at_the_end_all_has():
    """Little noise brings each end back; at T the walk is a sample of the model whatever came."""
    model = Model(Quantized(3, 5, 2.0), GAUSSIAN, Levels(), Silent(5))
    a, b = levels(500, 5), levels(500, 5).flip(0)
    made = interpolate(model, a, b, 1, [0.0, 1.0], rng=seeded())
    assert (made[:, 0] == a).double().mean() > 0.99
    assert (made[:, 1] == b).double().mean() > 0.99
    late = GaussianKernel(schedules.linear_log_snr(30, 7, -25))
    model = Model(Quantized(3, 5, 2.0), late, Levels(), Silent(5))
    made = interpolate(model, a, b, 30, [0.0, 0.4], rng=seeded())
    for level in range(5):
        assert_mean((made == level).double().flatten(0, 1), 0.2)


def test_a_thinned_chain_serves_too_and_a_time_that_it_skips_does_not():
    # The model of N(0, 1) estimates signal x_t, and the mean of a whole chain from x_t is that too,
    # however few times it visits.
    exact = Model(**GaussianOracle((0.0,) * 3, 1.0).parts(GAUSSIAN))
    a, b = torch.full((20_000, 3), 2.0), torch.full((20_000, 3), -1.0)
    thin = interpolate(exact, a, b, 11, (0.0, 0.5, 1.0), times=[1, 4, 11, 30], rng=seeded())
    gain = torch.sigmoid(GAUSSIAN.schedule.log_snr[11])
    for column, mixed in enumerate((2.0, 0.5, -1.0)):
        assert_mean(thin[:, column], (gain * mixed).item(), slack=2e-3)
    model, _ = MODELS["continuous"]
    a, b = two(3)
    with pytest.raises(ValueError, match="t must be one of the chain's 4 times from 1 to 30, got"):
        interpolate(model, a, b, 12, times=[1, 4, 11, 30])


def test_what_cannot_be_mixed_is_refused():
    bits, raw = MODELS["bits"]
    with pytest.raises(TypeError, match="got BinomialKernel: a mix of bits is not a bit"):
        interpolate(bits, raw, raw, 10)
    model, _ = MODELS["continuous"]
    a, b = two(3)
    with pytest.raises(ValueError, match="first holds 3 examples and second 2: give pairs"):
        interpolate(model, a, b[:2], 10)
    with pytest.raises(ValueError, match=r"second must have shape \(examples, 3\)"):
        interpolate(model, a, b[:, :2], 10)
    with pytest.raises(ValueError, match="shares is empty"):
        interpolate(model, a, b, 10, [])


def test_bits_are_coded_by_what_a_kernel_of_bits_erases():
    """A fair bit kept with probability a tells its receiver I(x_0; x_t) bits, and the best guess
    (1 +- a) / 2 leaves the variance (1 - a^2) / 4. The exact belief comes of a silent Levels."""
    kernel = BinomialKernel(schedules.cosine(25))
    model = Model(Binary(1), kernel, Levels(), Silent(2))
    raw = torch.randint(2, (8000, 1), generator=seeded())
    coding = code_progressively(model, raw, rng=seeded(1))
    keep = (1 + kernel.schedule.alpha_bar.flip(0)[:-1]) / 2
    told = 1 + keep * keep.log2() + torch.special.xlog1py(1 - keep, -keep) / math.log(2)
    assert (abs(coding.bits_per_dim[:-1] - told) < 5 * coding.bits_stderr[:-1] + 1e-9).all()
    expected = (keep * (1 - keep)).sqrt()
    assert (abs(coding.rmse[:-1] - expected) < 5 * coding.rmse_stderr[:-1] + 1e-6).all()
    assert coding.bits_per_dim[-1] == pytest.approx(1.0, abs=5 * coding.bits_stderr[-1].item())


@pytest.mark.parametrize(
    "space",
    [
        Continuous(3, shift=(1.0, -2.0, 0.5), scale=(0.1, 7.0, 3.0)),
        Binary(3),
        Quantized(3, 5, 2.0),
        Dequantized(3, 5, 0.5),
    ],
)
def test_raw_units_are_those_in_which_a_value_is_itself(space):
    """Encoded data come back as they were, but for the place in the cell, of mean 1/2 and variance
    1/12; between two values the map is straight."""
    raw = torch.randint(2, (20_000, 3), generator=seeded()).double()
    x_0 = space.encode(raw, seeded(1))
    off = space.in_raw_units(x_0) - raw
    if isinstance(space, Dequantized):
        assert_mean(off, 0.0)
        assert_mean(off**2, 1 / 12)
    else:
        assert close(off, torch.zeros(3))
    middle = space.in_raw_units((x_0[:1] + x_0[1:2]) / 2)
    assert close(middle, (space.in_raw_units(x_0[:1]) + space.in_raw_units(x_0[1:2])) / 2)


# pictures


def test_the_curve_shows_the_coding_and_says_what_half_of_it_leaves():
    model, raw = MODELS["levels"]
    coding = code_progressively(model, raw, 10, rng=seeded())
    figure = figures.rate_distortion(coding)
    main, above, below = figure.axes
    drawn = main.lines[0].get_xydata()
    assert np.array_equal(drawn, torch.stack([coding.bits_per_dim, coding.rmse], 1)[:-1].numpy())
    assert np.array_equal(above.lines[0].get_ydata(), coding.rmse.numpy())
    assert np.array_equal(below.lines[0].get_ydata(), coding.bits_per_dim.numpy())
    assert above.get_xlim() == (coding.t[0], 0)
    total = coding.bits_per_dim[-1].item()
    half = np.interp(total / 2, coding.bits_per_dim[:-1], coding.rmse[:-1])
    assert figure.get_suptitle() == (
        f"Half of the {total:.3g} bits per dimension leave an error of {half:.3g}"
    )


def cell(figure, row: int, column: int, size: int = 1) -> np.ndarray:
    """One picture of a panel of pictures of size x size values, which stand a value apart."""
    shown = np.asarray(figure.axes[0].images[0].get_array())[..., 0]
    step = size + 1
    return shown[row * step :][:size, column * step :][:, :size]


def test_a_panel_of_walks_has_a_column_for_each_time_and_one_for_the_sample(rng):
    model = Model(Quantized((2, 2), 5, 2.0), GAUSSIAN, Levels(), Silent(5))
    made = generate_progressively(model, 3, [30, 9], rng=rng)
    figure = figures.generation_panel(made, (2, 2), (0, 4))
    names = [each.get_text() for each in figure.axes[0].get_xticklabels()]
    assert names == ["t = 30", "t = 9", "sample"]
    for row in range(3):
        for column, values in enumerate((made.estimates[row, 0], made.estimates[row, 1])):
            assert np.allclose(cell(figure, row, column, 2), values / 4)
        assert np.allclose(cell(figure, row, 2, 2), made.samples[row] / 4)


def test_a_panel_of_mixes_stands_between_its_two_examples(rng):
    model = Model(Quantized((2, 2), 5, 2.0), GAUSSIAN, Levels(), Silent(5))
    first, second = (torch.randint(5, (2, 2, 2), generator=seeded(s)).double() for s in (1, 2))
    mixes = interpolate(model, first, second, 12, [0.25, 0.5], rng=rng)
    figure = figures.interpolation_panel(first, second, mixes, [0.25, 0.5], (2, 2), (0, 4), t=12)
    names = [each.get_text() for each in figure.axes[0].get_xticklabels()]
    assert names == ["first", "0.25", "0.5", "second"]
    assert "at t = 12" in figure.get_suptitle()
    for row in range(2):
        columns = (first[row], mixes[row, 0], mixes[row, 1], second[row])
        for column, values in enumerate(columns):
            assert np.allclose(cell(figure, row, column, 2), values / 4)
