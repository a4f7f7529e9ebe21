"""Draws have the law that the chain has."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from conftest import (
    KERNELS,
    Silent,
    Wrong,
    assert_mean,
    every_kernel,
    every_kernel_at_all,
    space_for,
)
from quasistatic._utils.eval_mode import evaluating
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle, MixtureOracle
from quasistatic.diffusion import Diffusion
from quasistatic.heads import Clean, Levels, Natural, Velocity
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.model import Model
from quasistatic.networks import MLP
from quasistatic.sampling import UniPC, sample, walk
from quasistatic.spaces import Binary, Continuous, Quantized


@pytest.mark.parametrize("times", [None, 6, [3, 4, 40]], ids=["all", "6", "listed"])
def test_exact_steps_leave_gaussian_data_exact(times, rng):
    """On any times: the bridge of a Gaussian belief is exact. At the end the forward step in
    reverse takes x_1 to N(signal x_1, noise^2)."""
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = KERNELS["gaussian-erase"]
    model = Model(**oracle.parts(kernel))
    x = sample(model, 40_000, times, rng)
    a = kernel.schedule.alpha_bar[model.times(times)[0]]
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    variance = a * (a * v + 1 - a) + 1 - a
    assert_mean(x, a * m)
    assert_mean((x - a * m) ** 2, variance)
    assert_mean((x[:, 0] - a * m[0]) * (x[:, 1] - a * m[1]), 0.0)


def test_on_the_way_a_walk_has_the_marginals_of_the_forward_process(rng):
    oracle, kernel = GaussianOracle((0.5,), 0.25), KERNELS["gaussian-erase"]
    for state in walk(Model(**oracle.parts(kernel)), 20_000, rng=rng):
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
    for state in walk(model, 10_000, rng=rng):
        assert_mean(state.x, pi.mean[0])
        assert_mean((state.x - pi.mean) ** 2, pi.variance[0])


@pytest.mark.parametrize("times", [None, 60], ids=["all", "60"])
def test_draws_of_clusters_fall_where_the_clusters_are(times, rng):
    """Shares, and the mean and the covariance within each."""
    oracle = MixtureOracle((0.3, 0.7), ((-2.0, 1.0), (1.0, -0.5)), ((0.02, 0.1), (0.2, 0.05)))
    kernel = GaussianKernel(schedules.linear_log_snr(200, 11, -9))
    x = sample(Model(**oracle.parts(kernel)), 8000, times, rng)
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
    x = sample(Model(**oracle.parts(kernel)), 1000, 100, rng)
    assert oracle.log_prob(x).isfinite().double().mean() > 0.99
    assert_mean(x[:, :5], 0.2)


def test_draws_over_levels_are_raw_whole_numbers_as_often_as_they_should(rng):
    """A silent Levels head: each of 5 levels alike, in raw numbers."""
    kernel = GaussianKernel(schedules.linear_log_snr(60, 9, -8))
    model = Model(Quantized(2, count=5), kernel, Levels(), Silent(5))
    x = sample(model, 10_000, rng=rng)
    for level in range(5):
        assert_mean((x == level).double(), 0.2, slack=0.01)


def test_draws_are_in_the_raw_data_s_units(rng):
    """A space with a shift and a scale: the same walk, moved and stretched."""
    kernel, network = KERNELS["gaussian"], Wrong()
    plain, moved = Continuous(2), Continuous(2, shift=(3.0, -1.0), scale=(0.5, 20.0))
    draws = [
        sample(Model(space, kernel, Clean(FixedLarge()), network), 100, rng=seed)
        for space, seed in ((each, torch.Generator().manual_seed(3)) for each in (plain, moved))
    ]
    expected = draws[0] * torch.tensor([0.5, 20.0]) + torch.tensor([3.0, -1.0])
    assert torch.allclose(draws[1], expected, rtol=1e-12)


@pytest.mark.parametrize("times", [None, 7, [1, 5, 40]])
def test_a_walk_visits_its_times_and_then_zero(times, rng):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    states = list(walk(model, 4, times, rng))
    assert [state.t for state in states] == [*reversed(model.times(times).tolist()), 0]
    assert all(len(state.x) == 4 for state in states)


def test_one_seed_is_one_sample():
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    a, b, c = (sample(model, 5, rng=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.isclose(a, c).any()


def test_no_draws_are_refused():
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    with pytest.raises(ValueError, match="at least one draw, got n = 0"):
        sample(model, 0)


def test_in_float32_as_users_run_it(float32, rng):
    oracle = GaussianOracle((0.5, -2.0), (0.25, 3.0))
    kernel = GaussianKernel(schedules.erase_evenly(1000))
    x = sample(Model(**oracle.parts(kernel)), 20_000, 50, rng)
    assert x.dtype == torch.float32
    a = math.exp(kernel.schedule.log_alpha_bar[1])
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    assert_mean(x.double(), a * m)
    assert_mean((x.double() - a * m) ** 2, a * (a * v + 1 - a) + 1 - a)


# A seed, a batch, a mode, a thread.


@every_kernel_at_all
@pytest.mark.parametrize("seed", [0, "generator"])
def test_an_example_does_not_depend_on_how_many_are_drawn(kernel, seed):
    """Ten draws of a seed are the first ten of 37, bit for bit, and in batches of any size."""
    model = Model(space_for(kernel), kernel, Natural(), Wrong())
    again = (lambda: 5) if seed == 0 else (lambda: torch.Generator().manual_seed(5))
    many = sample(model, 37, rng=again())
    for n in (1, 2, 10, 16):
        assert torch.equal(sample(model, n, rng=again()), many[:n])
    reals = isinstance(kernel, GaussianKernel)
    assert not (reals and torch.equal(many[:16], many[16:32]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["reals", "levels"])
def test_batches_of_a_network_give_the_same_bits(kind, dtype, monkeypatch):
    """Networks round rows alike in batches of the sizes that are used: 33 examples in batches of
    any size are the first of 50."""
    kernel = GaussianKernel(schedules.linear_log_snr(20, 9, -8))
    torch.manual_seed(0)
    head, space = (Velocity(), Continuous(5)) if kind == "reals" else (Levels(), Quantized(5, 4))
    network = MLP(5, 64, outputs=head.bind(space, kernel).outputs)
    model = Diffusion(space, kernel, head, network).to(getattr(torch, dtype))
    many = model.sample(50, rng=3)
    for together in (4096, 40, 16, 3):
        monkeypatch.setattr(Model, "chunk_size", together)
        assert torch.equal(model.sample(33, rng=3), many[:33])


def test_a_generator_moves_on_and_a_seed_does_not():
    model, rng = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong()), torch.Generator()
    assert not torch.equal(sample(model, 3, rng=rng), sample(model, 3, rng=rng))
    assert torch.equal(sample(model, 3, rng=8), sample(model, 3, rng=8))
    with pytest.raises(TypeError, match=r"rng must be an int, .* got str"):
        sample(model, 3, rng="8")


class Modal(nn.Module):
    """A network whose answer says which mode it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(1, 1)

    def forward(self, x, time):
        if self.training or self.frozen.training:
            raise AssertionError("a verb runs in training mode")
        return torch.zeros(*x.shape, 1).to(x)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_keeps_its_mode(training):
    """Each part its own, also after an error and in a walk that is left early."""
    model = Diffusion(Continuous(3), KERNELS["gaussian"], Natural(), Modal()).train(training)
    model.network.frozen.eval()
    modes = [part.training for part in model.modules()]
    model.sample(3, rng=0)
    assert [part.training for part in model.modules()] == modes
    with pytest.raises(RuntimeError, match="stop"), evaluating(model):
        raise RuntimeError("stop")
    for state in walk(model, 3, rng=0):
        if state.t == 20:
            break
    del state
    assert [part.training for part in model.modules()] == modes


def test_eight_threads_draw_what_one_draws():
    """From a model in training mode, which it is in afterwards; nobody sees another's mode."""
    model = Diffusion(Continuous(3), KERNELS["gaussian"], Natural(), Modal()).train()
    one = [model.sample(6, rng=seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as threads:
        many = list(threads.map(lambda seed: model.sample(6, rng=seed), range(16)))
        known = torch.zeros(2, 3)
        filled = list(
            threads.map(lambda s: model.complete(known, known, 2, None, s).draws, range(8))
        )
    assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True))
    assert all(torch.equal(each, known[:, None].expand(2, 2, 3)) for each in filled)
    assert all(part.training for part in model.modules())


def test_a_stepper_by_its_name_is_refused():
    model = Model(Continuous(3), KERNELS["gaussian"], Velocity(), Wrong())
    for wrong in ("unipc", UniPC):
        with pytest.raises(TypeError, match=r"a stepper is an object such as UniPC\(\)"):
            sample(model, 2, 5, 0, stepper=wrong)
