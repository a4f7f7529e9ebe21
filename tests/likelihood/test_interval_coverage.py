"""Standard errors and intervals of a score: what they report is what repeats show."""

import math

import pytest
import torch

from conftest import Wrong, assert_mean, close, mixed_model, mixed_rows
from quasistatic.diagnostics.interval_coverage import interval_coverage
from quasistatic.diagnostics.oracles import IsingOracle
from quasistatic.heads import Classes, Levels, Velocity
from quasistatic.heads.corrected import _weights
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, CategoricalKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.likelihood.neyman_allocation import Allocation
from quasistatic.likelihood.strata import (
    paired_error,
    pooled_freedom,
    shrunk_errors,
    t_quantile,
)
from quasistatic.likelihood.terms import count_terms, term_times
from quasistatic.model import Model
from quasistatic.spaces import Continuous, OneHot, Quantized

T = 40


def models() -> dict[str, Model]:
    gaussian = GaussianKernel(schedules.linear_log_snr(T, 9, -7))
    erase = schedules.erase_evenly(T)
    sizes = (3, 3, 3)
    return {
        "gaussian": Model(Continuous(3), gaussian, Velocity(FixedLarge()), Wrong()),
        "levels": Model(Quantized(3, 8, 1.5), gaussian, Levels(), Wrong(8)),
        "bits": Model(**IsingOracle(6).parts(BinomialKernel(erase))),
        "classes": Model(OneHot(sizes), CategoricalKernel(erase, sizes), Classes(), Wrong()),
        "table": mixed_model(),
    }


def data(name: str, n: int, rng: torch.Generator) -> torch.Tensor:
    if name == "table":
        return mixed_rows(n, rng)
    if name == "gaussian":
        return torch.randn(n, 3, generator=rng)
    if name == "bits":
        return IsingOracle(6).sample(n, rng)
    return torch.randint(8 if name == "levels" else 3, (n, 3), generator=rng)


@pytest.mark.parametrize("evaluations", [4, 16, 64])
@pytest.mark.parametrize("name", ["gaussian", "levels", "bits", "classes", "table"])
def test_intervals_of_95_percent_hold_the_value_in_95_percent(name, evaluations, rng):
    """Of each example and of the mean, and the reported error is the true one, at the default
    spread of evaluations. (benchmarks/coverage.py prints the figures with more repeats.)"""
    model, x = models()[name], data(name, 60, rng)
    terms, repeats = count_terms(model), 300
    evaluations = min(evaluations, terms)
    found = interval_coverage(model, x, evaluations, repeats, rng=rng, full_sums=100)
    assert found.each > 0.93
    # 2 points from nominal, and what the number of repeats leaves open.
    assert found.mean > 0.93 - 2.5 * (0.95 * 0.05 / repeats) ** 0.5
    assert found.each_ratio > 0.95
    assert found.mean_ratio > 0.85
    assert found.each_ratio < (2 if evaluations == 4 else 1.5)


@pytest.mark.parametrize("strata", [2, 3, 4, 5, 9, 16])
@pytest.mark.parametrize("noisy", ["first", "last", "middle", "all"])
def test_the_error_of_a_sum_over_strata_counts_each_stratum_once(strata, noisy, rng):
    """Strata of one mean, with all of the noise in one of them or the same in all: the square of
    the error is the variance of the sum in the mean, at both ends too."""
    deviation = torch.zeros(strata)
    place = {"first": [0], "last": [-1], "middle": [strata // 2], "all": list(range(strata))}
    deviation[place[noisy]] = 2.0
    terms = 5 + deviation[:, None] * torch.randn(strata, 20_000, generator=rng)
    error, freedom = paired_error(terms)
    assert_mean(error**2, (deviation**2).sum())
    assert (freedom >= 1).all()
    assert (freedom <= strata).all()


def test_a_difference_of_means_is_told_as_noise():
    """Two constants that differ have no noise; what is reported is too high, not too low."""
    error, freedom = paired_error(torch.tensor([[1.0], [4.0]]))
    assert error.item() == pytest.approx(3)
    assert freedom.item() == 1
    alone, none = paired_error(torch.tensor([[1.0]]))
    assert alone.isnan().all()
    assert none.item() == 0
    quiet, whole = paired_error(torch.full((6, 2), 3.0))
    assert (quiet == 0).all()
    assert (whole == 3).all()


@pytest.mark.parametrize("pairs", [1, 2, 5, 20])
def test_equal_strata_have_as_many_degrees_of_freedom_as_pairs(pairs, rng):
    terms = torch.randn(2 * pairs, 20_000, generator=rng)
    error, freedom = paired_error(terms)
    assert 0.6 * pairs < freedom.mean() <= pairs
    # Student's t then holds the truth, which is 0.
    reach = t_quantile(0.95, freedom) * error
    held = (terms.sum(0).abs() <= reach).double().mean()
    assert 0.93 < held < 0.985
    many = pooled_freedom(error, freedom)
    assert many > 0.5 * pairs * len(error)


def test_student_s_t_has_its_published_quantiles():
    freedom = torch.tensor([1.0, 2.0, 10.0, 1e9])
    found = t_quantile(0.95, freedom)
    assert close(found, torch.tensor([12.7062, 4.3027, 2.2281, 1.9600]), rtol=1e-4)
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        t_quantile(95, freedom)


def test_errors_shrink_to_their_mean_where_examples_are_alike_and_stay_where_not(rng):
    terms = torch.randn(8, 500, generator=rng)
    alike, freedom = shrunk_errors(*paired_error(terms))
    assert alike.std() < 0.1 * alike.mean()
    assert (alike**2).mean().item() == pytest.approx(8, rel=0.1)
    assert freedom.min() > 20
    scale = torch.logspace(0, 1, 500)
    own = paired_error(scale * torch.randn(200, 500, generator=rng))
    apart, _ = shrunk_errors(*own)
    assert close(apart[150:], own[0][150:], rtol=0.15)  # the quietest are wider than they need be
    one = paired_error(torch.randn(8, 1, generator=rng))
    assert torch.equal(shrunk_errors(*one)[0], one[0])


def test_a_score_s_intervals_are_its_errors_times_student_s_t(rng):
    model, x = models()["gaussian"], data("gaussian", 30, rng)
    score = bound(model, x, 16, rng=rng)
    low, high = score.interval(0.9)
    assert close((low + high) / 2, score.nats)
    least, most = score.mean_interval(0.9)
    assert (least + most) / 2 == pytest.approx(score.nats.mean().item())
    half = (most - least) / 2
    assert half == pytest.approx(1.65 * score.mean_noise, rel=0.03)
    assert score.mean_noise == pytest.approx(score.noise.square().sum().sqrt().item() / 30)
    wider = score.mean_interval(0.99)
    assert wider[0] < least < most < wider[1]
    assert bound(model, x, 1, rng=rng).noise.isnan().all()
    text = repr(score).splitlines()
    assert len(text) == 3
    assert text[0].startswith(f"K = {score.bits.mean():.4g} ± {score.stderr(score.bits):.2g} bits")
    assert "30 examples of 3 values, 16 evaluations each" in text[1]


def test_one_evaluation_is_for_the_last_step_and_the_sum_is_unbiased(rng):
    even = torch.full((40,), 1 / 40)
    spread = Allocation.last_step_apart(even, 8)
    places = (torch.arange(8) + torch.rand(8, generator=rng)) / 8
    assert spread.index(places)[0] == 0
    assert (spread.index(places)[1:] > 0).all()
    assert spread.weight(torch.tensor([0])).item() == pytest.approx(8)
    model, x = models()["bits"], data("bits", 1, rng).expand(4000, -1)
    few = bound(model, x, 8, rng=rng, allocation=spread).nats
    full = bound(model, x, rng=rng).nats
    assert abs(few.mean() - full.mean()) < 4.5 * ((few.var() + full.var()) / 4000).sqrt()
    even = bound(model, x, 8, rng=rng, allocation=Allocation.even(40)).nats
    assert few.std() < even.std() / 1.3


@pytest.mark.parametrize("name", models())
def test_the_last_step_has_evaluations_of_its_own_by_default(name):
    """A whole number of them where the network decides it, and pairs if several."""
    model = models()[name]
    terms, ends = count_terms(model), term_times(model)
    for evaluations in (2, 8, 16, terms - 1):
        spread = Allocation.default(model, ends, evaluations)
        assert spread.density.sum().item() == pytest.approx(1)
        assert (spread.density > 0.2 / terms).all()
        own = spread.density[0].item() * evaluations
        if model.space.learns_last_step:
            assert own == pytest.approx(1) or own / 2 == pytest.approx(round(own / 2))
    for evaluations in (1, terms):
        whole = Allocation.default(model, ends, evaluations).density
        assert close(whole, Allocation.even(terms).density)


@pytest.mark.parametrize("name", ["bits", "classes", "table"])
def test_the_default_allocation_is_less_noisy_than_an_even_one_and_unbiased(name, rng):
    model, x = models()[name], data(name, 1, rng).expand(2000, -1)
    few = bound(model, x, 8, rng=rng).nats
    even = bound(model, x, 8, rng=rng, allocation=Allocation.even(count_terms(model))).nats
    full = bound(model, x[:1000], rng=rng).nats
    assert abs(few.mean() - full.mean()) < 4 * (few.var() / 2000 + full.var() / 1000).sqrt()
    assert few.std() < even.std() / (1.5 if name != "table" else 1)


@pytest.mark.parametrize("kernel", ["bits", "classes"])
def test_terms_of_bits_and_classes_are_evaluated_by_the_noise_that_steps_remove(kernel):
    """1 / k for the k-th step of `erase_evenly`, beside a quarter that is even."""
    found = models()[kernel].kernel.evaluation_density(torch.arange(T + 1))
    harmonic = 1 / torch.arange(1.0, T + 1)
    assert close(found, 0.25 / T + 0.75 * harmonic / harmonic.sum())


def test_weights_in_continuous_time_are_the_trapezoidal_rule(rng):
    """1/2 int f SNR d log SNR over the times of a chain, its two ends by halves."""
    log_snr = torch.linspace(6, -5, 30) + torch.linspace(0, 1, 30) ** 2
    f = torch.rand(30, generator=rng)
    expected = -torch.trapezoid(f * log_snr.exp(), log_snr) / 2
    assert (f * _weights(log_snr)).sum().item() == pytest.approx(expected.item())
    assert math.isfinite(expected)
