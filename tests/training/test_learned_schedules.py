"""Schedules that learn: their ends stand, K rises, and what is even is even."""

import copy
import math

import pytest
import torch

import quasistatic as qs
from conftest import Silent, close
from quasistatic.diagnostics import oracles
from quasistatic.diagnostics.information_rate import information_rate
from quasistatic.diagnostics.mutual_information import (
    Erasure,
    FairBit,
    MeasuredLaw,
    StandardNormal,
    UniformLevels,
    information_uniform,
)
from quasistatic.kernels import schedules
from quasistatic.likelihood import bound
from quasistatic.likelihood.terms import learned_term, term_times
from quasistatic.model import Model

START = schedules.linear_log_snr(8, 6.0, -5.0)
MIXTURE = oracles.MixtureOracle((0.3, 0.7), (-1.2, 0.6), (0.01, 0.2))


def chain(schedule: schedules.Schedule) -> qs.Diffusion:
    """The mixture's exact steps on a schedule."""
    return qs.Diffusion(**MIXTURE.parts(qs.GaussianKernel(schedule)))


def learner() -> qs.Diffusion:
    return chain(schedules.learned(START.log_snr[1:]))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frozen_bound(model: Model, x_0: torch.Tensor) -> torch.Tensor:
    """Minus the learned terms of K, all of them, by noise that is the same at every call."""
    terms = [
        learned_term(model, x_0, term_times(model), torch.full((len(x_0),), k - 1), seeded(k))
        for k in range(1, model.steps)
    ]
    return torch.stack(terms).sum(0).mean()


@pytest.fixture(scope="module")
def trained() -> dict[type, qs.Diffusion]:
    """The mixture's schedule after a short training, by objective."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    made = {}
    x = MIXTURE.sample(4000, seeded(0))
    for objective in (qs.Bound(), qs.MinimumVariance()):
        made[type(objective)] = model = learner()
        qs.fit(model, x, objective=objective, steps=60, batch=256, lr=0.05, ema=0.9, validations=0)
    torch.set_default_dtype(before)
    return made


def test_it_starts_where_it_was_told_to():
    for start in (START, schedules.cosine(11), schedules.linear(40, 1e-3, 0.2)):
        table = schedules.learned(start.log_snr[1:])
        assert close(table.log_snr[1:], start.log_snr[1:])
        assert close(table.log_noise[1:], start.log_noise[1:])


def test_wherever_it_moves_it_falls_and_its_ends_stand():
    table = schedules.learned(START.log_snr[1:])
    for seed in range(20):
        with torch.no_grad():
            table.course.moved.copy_(3 * torch.randn(7, generator=seeded(seed)))
        assert (table.log_snr.diff() < 0).all()
        assert table.log_snr[1].item() == pytest.approx(6.0, abs=1e-13)
        assert table.log_snr[-1].item() == pytest.approx(-5.0, abs=1e-13)
        assert not close(table.log_snr[2:-1], START.log_snr[2:-1], rtol=1e-2)


@pytest.mark.parametrize(
    "head", [qs.Velocity(qs.Interpolated()), qs.Natural(qs.Sigmoid())], ids=str
)
def test_the_gradient_is_that_of_k_with_the_noise_held(head):
    """Finite differences of all terms, by a network that itself depends on x_t."""
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(schedules.learned(START.log_snr[1:]))
    network = qs.networks.MLP(1, 8, 1, outputs=2)
    model = Model(qs.Continuous(1), kernel, head, network)
    x_0, moved = MIXTURE.sample(16, seeded(1)), model.course.moved
    (slope,) = torch.autograd.grad(frozen_bound(model, x_0), [moved])
    for i in range(len(moved)):
        ends = []
        for way in (1e-5, -1e-5):
            with torch.no_grad():
                moved[i] += way
                ends.append(frozen_bound(model, x_0))
                moved[i] -= way
        assert slope[i].item() == pytest.approx((ends[0] - ends[1]).item() / 2e-5, rel=1e-5)
    assert slope.abs().max() > 1e-3


def test_learned_steps_raise_k_and_hold_beta_1(trained):
    model, x = trained[qs.Bound], MIXTURE.sample(2000, seeded(1))
    gain = bound(model, x, rng=seeded(2)).nats - bound(chain(START), x, rng=seeded(2)).nats
    assert gain.mean() > 3 * gain.std() / len(gain) ** 0.5
    assert gain.mean() > 0.01
    schedule = model.kernel.schedule
    assert schedule.beta[0].item() == pytest.approx(START.beta[0].item(), rel=1e-12)
    assert schedule.alpha_bar[-1].item() == pytest.approx(START.alpha_bar[-1].item(), rel=1e-12)


def test_k_of_learned_steps_is_still_a_bound(trained):
    x = MIXTURE.sample(2000, seeded(3))
    below = MIXTURE.log_prob(x) - bound(trained[qs.Bound], x, rng=seeded(4)).nats
    assert below.mean() > 3 * below.std() / len(below) ** 0.5


def test_minimum_variance_makes_one_term_vary_less(trained):
    """And by more than the schedule that K is best on."""
    x = MIXTURE.sample(10_000, seeded(5))

    def square(model: Model) -> float:
        return qs.Bound()(model, x, seeded(6)).square().mean().item()

    start, least = square(chain(START)), square(trained[qs.MinimumVariance])
    assert least < 0.9 * start
    assert least < square(trained[qs.Bound])


def test_minimum_variance_is_the_bound_to_the_network_and_the_mean_square_to_the_schedule():
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(schedules.learned(START.log_snr[1:]))
    model = Model(qs.Continuous(1), kernel, qs.Velocity(), qs.networks.MLP(1, 8, 1))
    raw = MIXTURE.sample(64, seeded(7))
    one, other = (each(model, raw, seeded(8)) for each in (qs.Bound(), qs.MinimumVariance()))
    assert torch.equal(one, other)
    weights = list(model.network.parameters())
    for a, b in zip(
        torch.autograd.grad(one.mean(), weights, retain_graph=True),
        torch.autograd.grad(other.mean(), weights, retain_graph=True),
        strict=True,
    ):
        assert close(a, b)
    moved = [model.course.moved]
    (got,) = torch.autograd.grad(other.mean(), moved)
    (square,) = torch.autograd.grad(one.square().mean() / (2 * one.mean().detach()), moved)
    assert close(got, square)


def test_it_is_saved_and_loaded_with_the_model(tmp_path):
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(schedules.learned(START.log_snr[1:]))
    model = qs.Diffusion(qs.Continuous(1), kernel, qs.Velocity(), qs.networks.MLP(1, 8, 1))
    with torch.no_grad():
        model.course.moved.copy_(torch.randn(7, generator=seeded(0)))
    model.save(tmp_path / "it")
    again = qs.load(tmp_path / "it")
    assert again.kernel.schedule.learns
    assert torch.equal(again.kernel.schedule.log_snr, model.kernel.schedule.log_snr)
    x = MIXTURE.sample(8, seeded(1))
    assert torch.equal(again.score(x, rng=seeded(2)).nats, model.score(x, rng=seeded(2)).nats)
    # A copy moves by itself, with its kernel; and a table of it stands.
    other, table = copy.deepcopy(model), schedules.from_log_snr(model.kernel.schedule.log_snr[1:])
    with torch.no_grad():
        other.course.moved.zero_()
    assert close(other.kernel.schedule.log_snr[1:], START.log_snr[1:])
    assert close(table.log_alpha_bar, model.kernel.schedule.log_alpha_bar)
    assert not table.learns


def test_a_run_that_is_stopped_and_resumed_moves_as_one_that_is_not(tmp_path, monkeypatch):
    """Mean weights, moments and checkpoints hold the schedule as they hold the network."""
    x = MIXTURE.sample(200, seeded(0))
    settings = {"steps": 12, "batch": 32, "lr": 0.05, "validations": 2, "save_every": 0.0}

    def build() -> qs.Diffusion:
        torch.manual_seed(0)
        kernel = qs.GaussianKernel(schedules.learned(START.log_snr[1:]))
        return qs.Diffusion(qs.Continuous(1), kernel, qs.Velocity(), qs.networks.MLP(1, 8, 1))

    whole = build()
    qs.fit(whole, x, x[:50], run=tmp_path / "whole", **settings)

    class Stop(Exception):
        pass

    def stop(progress) -> None:
        if progress.step >= 5:
            raise Stop

    with pytest.raises(Stop):
        qs.fit(build(), x, x[:50], run=tmp_path / "cut", callbacks=[stop], **settings)
    resumed = build()
    qs.fit(resumed, x, x[:50], run=tmp_path / "cut", **settings)
    assert torch.equal(resumed.course.moved, whole.course.moved)
    assert not close(whole.kernel.schedule.log_snr[2:-1], START.log_snr[2:-1], rtol=1e-3)
    opened = qs.load(tmp_path / "cut")
    assert torch.equal(opened.kernel.schedule.log_snr, whole.kernel.schedule.log_snr)


@pytest.mark.parametrize("law", [StandardNormal(), FairBit(), UniformLevels(4)])
@pytest.mark.parametrize(("steps", "first", "last"), [(2, 4.0, -3.0), (9, 7.0, -7.0), (40, 8, -12)])
def test_every_step_loses_the_same(law, steps, first, last):
    table = information_uniform(law, steps, first, last)
    lost = Erasure("", table, law).lost[1:]
    assert (lost / lost.mean() - 1).abs().max() < 0.01
    assert close(table.log_snr[[1, -1]], torch.tensor([first, last], dtype=torch.float64))
    tight = information_uniform(law, steps, first, last, tolerance=1e-6)
    lost = Erasure("", tight, law).lost[1:]
    assert (lost / lost.mean() - 1).abs().max() < 2e-6


def test_even_losses_of_a_normal_value_have_a_closed_form():
    """I = -log(noise) / 2 with noise = 1 - alpha_bar: even losses are a geometric row of noises."""
    table = information_uniform(StandardNormal(), 12, 6.0, -6.0, tolerance=1e-9)
    noise = table.log_noise[1:]
    assert close(noise, torch.linspace(noise[0].item(), noise[-1].item(), 12), rtol=1e-6)


def test_what_a_model_measures_is_the_closed_form_where_its_steps_are_exact():
    """Standard normal data, three values: the rate is I(x_0; x_t), and the schedule that it makes
    even is the law's own."""
    oracle = oracles.GaussianOracle((0.0, 0.0, 0.0))
    table = schedules.linear_log_snr(30, 6.0, -6.0)
    model = qs.Diffusion(**oracle.parts(qs.GaussianKernel(table)))
    rate = information_rate(model, oracle.sample(4000, seeded(0)), rng=seeded(1))
    truth = 3 * StandardNormal().information(table)[1:]
    assert (rate.nats - truth).abs().max() < 0.05
    even = information_uniform(rate, 10, 6.0, -6.0)
    lost = Erasure("", even, StandardNormal()).lost[1:]
    assert (lost / lost.mean() - 1).abs().max() < 0.05


def test_bits_are_measured_alike_and_their_rate_is_above_what_is_told():
    """The heartbeat tells log 5 at most; its exact steps are not independent bit by bit, and cost
    more. Where nothing is left, nothing is told."""
    oracle = oracles.HeartbeatOracle(10, 5)
    kernel = qs.BinomialKernel(schedules.erase_evenly(12), mean=0.2)
    model = qs.Diffusion(**oracle.parts(kernel))
    rate = information_rate(model, oracle.sample(500, seeded(0)), rng=seeded(1))
    assert rate.nats[-1].item() == pytest.approx(0, abs=1e-12)
    assert rate.nats[0] > math.log(5)
    even = information_uniform(rate, 6, 2.0, -9.0)
    lost = Erasure("", even, rate).lost[1:]
    assert (lost / lost.mean() - 1).abs().max() < 0.01
    assert even.log_snr[[1, -1]].tolist() == pytest.approx([2.0, -9.0])


def test_fewer_times_are_measured_where_they_are_asked_for():
    oracle = oracles.GaussianOracle()
    model = qs.Diffusion(**oracle.parts(qs.GaussianKernel(schedules.linear_log_snr(30, 5, -5))))
    x = oracle.sample(2000, seeded(0))
    rate = information_rate(model, x, times=[3, 10, 30], rng=seeded(1))
    truth = StandardNormal().information(model.kernel.schedule)[[3, 10, 30]]
    assert close(rate.log_noise, model.kernel.schedule.log_noise[[3, 10, 30]])
    assert (rate.nats - truth).abs().max() < 0.05
    assert model.training


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            lambda: qs.BinomialKernel(schedules.learned([3.0, 1.0])),
            TypeError,
            "cannot be learned by gradient, as x_t .* use erase_evenly or information_uniform",
        ),
        (
            lambda: qs.fit(learner(), torch.zeros(4, 1), objective=qs.Simple(), steps=1),
            TypeError,
            "states no regression target",
        ),
        (
            lambda: qs.Simple().check(velocity(schedules.learned([3.0, 1.0]))),
            TypeError,
            "Simple is not a bound.* with Bound or MinimumVariance",
        ),
        (
            lambda: qs.Hybrid().check(velocity(schedules.learned([3.0, 1.0]))),
            TypeError,
            "Hybrid is not a bound",
        ),
        (
            lambda: qs.MinimumVariance().check(velocity(START)),
            TypeError,
            "'linear_log_snr' is fixed: build the kernel with schedules.learned, or train with",
        ),
        (
            lambda: information_uniform(StandardNormal(), 5, -3.0, 3.0),
            ValueError,
            "log-SNR must fall: first = -3",
        ),
        (
            lambda: information_uniform(FairBit(), 1),
            ValueError,
            "at least 2 steps",
        ),
        (
            lambda: information_uniform(UniformLevels(2), 5, 60.0, 50.0),
            ValueError,
            "so that no step loses any: give ends farther apart",
        ),
        (
            lambda: information_uniform(STAIRS, 5, 3.0, -3.0, tolerance=1e-30),
            ValueError,
            "after 12 rounds a step still loses .* raise the tolerance",
        ),
        (
            lambda: MeasuredLaw(torch.zeros(1), torch.zeros(1)),
            ValueError,
            r"two noise levels or more, got levels of shape \(1,\)",
        ),
        (
            lambda: MeasuredLaw(torch.tensor([-2.0, -1.0]), torch.tensor([0.1, 0.2])),
            ValueError,
            "must not rise with it: sort the levels",
        ),
    ],
)
def test_bad_input_is_answered_by_what_would_do(make, error, says):
    with pytest.raises(error, match=says):
        make()


STAIRS = MeasuredLaw(torch.linspace(-3, -0.1, 50), torch.linspace(2, 0, 50).sqrt())


def velocity(schedule: schedules.Schedule) -> Model:
    return Model(qs.Continuous(1), qs.GaussianKernel(schedule), qs.Velocity(), Silent())
