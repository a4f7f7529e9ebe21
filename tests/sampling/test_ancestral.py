"""Draws have the law that the chain has."""

import math

import pytest
import torch

from conftest import KERNELS, Silent, Wrong, assert_mean, every_kernel
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle, MixtureOracle
from quasistatic.heads import Clean, Levels, Natural
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.model import Model
from quasistatic.sampling.ancestral import Free, ancestral, walk
from quasistatic.spaces import Binary, Continuous, Quantized


@pytest.mark.parametrize("times", [None, 6, [3, 4, 40]], ids=["all", "6", "listed"])
def test_exact_steps_leave_gaussian_data_exact(times, rng):
    """On any times: the bridge of a Gaussian belief is exact. At the end the forward step in
    reverse takes x_1 to N(signal x_1, noise^2)."""
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = KERNELS["gaussian-erase"]
    model = Model(**oracle.parts(kernel))
    x = ancestral(model, 40_000, times, rng)
    a = kernel.schedule.alpha_bar[model.times(times)[0]]
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    variance = a * (a * v + 1 - a) + 1 - a
    assert_mean(x, a * m)
    assert_mean((x - a * m) ** 2, variance)
    assert_mean((x[:, 0] - a * m[0]) * (x[:, 1] - a * m[1]), 0.0)


def test_on_the_way_a_walk_has_the_marginals_of_the_forward_process(rng):
    oracle, kernel = GaussianOracle((0.5,), 0.25), KERNELS["gaussian-erase"]
    for state in walk(Model(**oracle.parts(kernel)), 20_000, Free(), rng=rng):
        a = kernel.schedule.alpha_bar[state.t]
        if state.t > 0:
            assert_mean(state.x, a.sqrt() * 0.5)
            assert_mean((state.x - a.sqrt() * 0.5) ** 2, a * 0.25 + 1 - a)


@every_kernel
def test_a_silent_walk_stays_at_the_prior(kernel, rng):
    """The forward process in reverse, from its fixed point: nothing happens at any time."""
    space = Binary(3) if kernel.binary else Continuous(3)
    model = Model(space, kernel, Natural(), Silent())
    pi = kernel.prior(torch.zeros(1, 3))
    for state in walk(model, 10_000, Free(), rng=rng):
        assert_mean(state.x, pi.mean[0])
        assert_mean((state.x - pi.mean) ** 2, pi.variance[0])


@pytest.mark.parametrize("times", [None, 60], ids=["all", "60"])
def test_draws_of_clusters_fall_where_the_clusters_are(times, rng):
    """Shares, and the mean and the covariance within each."""
    oracle = MixtureOracle((0.3, 0.7), ((-2.0, 1.0), (1.0, -0.5)), ((0.02, 0.1), (0.2, 0.05)))
    kernel = GaussianKernel(schedules.linear_log_snr(200, 11, -9))
    x = ancestral(Model(**oracle.parts(kernel)), 8000, times, rng)
    left = x[:, 0] < -1.1
    assert_mean(left.double(), 0.3, slack=0.005)
    for part, mean, variance in (
        (left, (-2.0, 1.0), (0.02, 0.1)),
        (~left, (1.0, -0.5), (0.2, 0.05)),
    ):
        assert_mean(x[part], torch.tensor(mean), slack=0.01)
        off = x[part] - torch.tensor(mean)
        assert_mean(off**2, torch.tensor(variance), slack=0.01)
        assert_mean(off[:, 0] * off[:, 1], 0.0, slack=0.005)


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_every_heartbeat_drawn_is_one_and_no_phase_is_rare(mean, rng):
    oracle = HeartbeatOracle(20, 5)
    kernel = BinomialKernel(schedules.erase_evenly(500), mean)
    x = ancestral(Model(**oracle.parts(kernel)), 1000, 100, rng)
    assert oracle.log_prob(x).isfinite().double().mean() > 0.99
    assert_mean(x[:, :5], 0.2)


def test_draws_over_levels_are_raw_whole_numbers_as_often_as_they_should(rng):
    """A silent Levels head: each of 5 levels alike, in raw numbers."""
    kernel = GaussianKernel(schedules.linear_log_snr(60, 9, -8))
    model = Model(Quantized(2, count=5), kernel, Levels(), Silent(5))
    x = ancestral(model, 10_000, rng=rng)
    for level in range(5):
        assert_mean((x == level).double(), 0.2, slack=0.01)


def test_draws_are_in_the_raw_data_s_units(rng):
    """A space with a shift and a scale: the same walk, moved and stretched."""
    kernel, network = KERNELS["gaussian"], Wrong()
    plain, moved = Continuous(2), Continuous(2, shift=(3.0, -1.0), scale=(0.5, 20.0))
    draws = [
        ancestral(Model(space, kernel, Clean(FixedLarge()), network), 100, rng=seed)
        for space, seed in ((each, torch.Generator().manual_seed(3)) for each in (plain, moved))
    ]
    expected = draws[0] * torch.tensor([0.5, 20.0]) + torch.tensor([3.0, -1.0])
    assert torch.allclose(draws[1], expected, rtol=1e-12)


@pytest.mark.parametrize("times", [None, 7, [1, 5, 40]])
def test_a_walk_visits_its_times_and_then_zero(times, rng):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    states = list(walk(model, 4, Free(), times, rng))
    assert [state.t for state in states] == [*reversed(model.times(times).tolist()), 0]
    assert all(torch.equal(state.log_weight, torch.zeros(4)) for state in states)


def test_one_seed_is_one_sample():
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    a, b, c = (ancestral(model, 5, rng=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.isclose(a, c).any()


def test_no_draws_are_refused():
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    with pytest.raises(ValueError, match="at least one draw, got n = 0"):
        ancestral(model, 0)


def test_in_float32_as_users_run_it(float32, rng):
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = GaussianKernel(schedules.erase_evenly(1000))
    x = ancestral(Model(**oracle.parts(kernel)), 20_000, 50, rng)
    assert x.dtype == torch.float32
    a = math.exp(kernel.schedule.log_alpha_bar[1])
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    assert_mean(x.double(), a * m)
    assert_mean((x.double() - a * m) ** 2, a * (a * v + 1 - a) + 1 - a)
