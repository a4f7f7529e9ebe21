"""Paths of least cost, and variances that are measured."""

import itertools
import warnings

import pytest
import torch

from conftest import KERNELS, Silent, Wrong, assert_mean, close, mixed_model, mixed_rows
from quasistatic.diagnostics import certificates
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle, MixtureOracle
from quasistatic.diffusion import Diffusion
from quasistatic.heads import Clean, Exact, Levels, Natural, Spread, Velocity
from quasistatic.heads.variances import FixedLarge, FixedSmall
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.sampling import (
    DDIM,
    DPMSolver,
    EvenLogSNR,
    EvenTimes,
    Karras,
    Quadratic,
    UniPC,
    sample,
    timesteps,
    walk,
)
from quasistatic.sampling.timesteps import StepCosts
from quasistatic.spaces import Continuous, Quantized


def random_costs(count: int, rng: torch.Generator) -> StepCosts:
    times = torch.arange(1, count + 1) * 3
    between = torch.rand(count, count, generator=rng)
    earlier = torch.ones(count, count, dtype=torch.bool).triu(1)
    return StepCosts(
        times, torch.where(earlier, between, torch.inf), torch.rand(count, generator=rng), 0.25
    )


@pytest.mark.parametrize("visits", range(2, 8))
def test_the_path_is_the_best_of_all_by_enumeration(visits, rng):
    costs = random_costs(7, rng)
    last = int(costs.times[-1])
    chains = [
        torch.tensor([*chosen, last])
        for chosen in itertools.combinations(costs.times[:-1].tolist(), visits - 1)
    ]
    best = min(costs.nats(chain) for chain in chains)
    path = costs.path(visits)
    assert len(path) == visits
    assert costs.nats(path) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("oracle", "kernel"),
    [
        (GaussianOracle((0.0, 1.0), (0.3, 1.5)), KERNELS["gaussian"]),
        (MixtureOracle((0.4, 0.6), (-1.0, 1.0), (0.1, 0.3)), KERNELS["gaussian-log-snr"]),
        (HeartbeatOracle(6, 3), KERNELS["bits-rare"]),
    ],
    ids=["gaussian", "mixture", "bits"],
)
@pytest.mark.parametrize("count", [4, 9])
def test_measured_costs_add_up_to_the_bound(oracle, kernel, count, rng):
    """Along any chain of candidates, by other draws of the same data."""
    model, x = Model(**oracle.parts(kernel)), oracle.sample(1500, rng)
    costs = timesteps.measure_costs(model, x, 14, rng)
    for times in (costs.path(count), model.times(14)):
        assert_mean(-bound(model, x, times=times, rng=rng).nats, costs.nats(times), 0.05)
    assert costs.nats(costs.path(14)) <= costs.nats(model.times(14)) + 1e-9


def test_costs_of_a_mixed_table_add_up_to_its_bound(rng):
    """Each value's last step is counted once: that of a class by the network, that of a real value
    by the space."""
    model, x = mixed_model(), mixed_rows(4000, rng)
    costs = timesteps.measure_costs(model, x, 14, rng)
    for times in (costs.path(4), model.times(14)):
        assert_mean(-bound(model, x, times=times, rng=rng).nats, costs.nats(times), 0.05)


def test_costs_are_means_over_all_batches(monkeypatch, rng):
    """Examples that lie far off come first, so that the last batch by itself is far cheaper."""
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(FixedLarge()), Silent())
    x = torch.randn(60, 3, generator=rng) * 0.1
    x[:40] += 5
    whole = timesteps.measure_costs(model, x, 8, torch.Generator().manual_seed(2))
    variance = timesteps.analytic_variance(model, x, 8, 2)
    monkeypatch.setattr(Model, "chunk_size", 20)
    some = timesteps.measure_costs(model, x, 8, torch.Generator().manual_seed(3))
    # The estimate is 0 whatever x_t is, so that no cost depends on the noise.
    assert close(some.ends, whole.ends)
    assert close(some.between, whole.between)
    assert some.prior == pytest.approx(whole.prior)
    assert close(
        torch.tensor(timesteps.analytic_variance(model, x, 8, 3).table),
        torch.tensor(variance.table),
    )
    assert close(torch.tensor(variance.table), (x**2).mean(0).expand(8, 3))


def test_more_steps_never_cost_more_than_their_subset(rng):
    """With exact steps a chain loses less, the more times it visits."""
    oracle = MixtureOracle((0.4, 0.6), (-1.0, 1.0), (0.1, 0.3))
    model = Model(**oracle.parts(KERNELS["gaussian-log-snr"]))
    costs = timesteps.measure_costs(model, oracle.sample(2000, rng), 40, rng)
    spent = [costs.nats(costs.path(n)) for n in (3, 5, 10, 20)]
    assert spent == sorted(spent, reverse=True)


def test_on_gaussian_data_a_step_costs_what_its_parts_do(rng):
    """Its exact steps are Gaussian, long or short: only the first time matters, to the edge."""
    oracle = GaussianOracle(0.0, 0.5)
    model, x = Model(**oracle.parts(KERNELS["gaussian"])), oracle.sample(20_000, rng)
    costs = timesteps.measure_costs(model, x, 40, rng)
    all_steps = costs.nats(torch.arange(1, 41))
    for chain in ([1, 40], [1, 7, 40], [1, 2, 3, 25, 40]):
        assert costs.nats(torch.tensor(chain)) == pytest.approx(all_steps, abs=0.03)


def test_a_path_serves_every_walk(rng):
    kernel = KERNELS["gaussian"]
    model = Model(Quantized(3, 8, 1.5), kernel, Levels(), Wrong(8))
    path = timesteps.measure_costs(model, torch.randint(8, (50, 3), generator=rng), rng=rng).path(6)
    assert sample(model, 5, path, rng).shape == (5, 3)
    assert bound(model, torch.zeros(2, 3), times=path, rng=rng).evaluations == 6


def test_the_analytic_variance_is_the_one_that_costs_least(rng):
    """Coordinate by coordinate: scaled up or down it costs more, and so do small and large."""
    kernel, head = KERNELS["gaussian"], Velocity(FixedLarge())
    data = torch.randn(4000, 3, generator=rng) * torch.tensor([0.2, 1.0, 0.5])

    def cost(variance: object) -> float:
        model = Model(Continuous(3), kernel, Spread(head, variance), Wrong())
        seeded = torch.Generator().manual_seed(4)
        return bound(model, data, times=[3, 10, 20, 40], rng=seeded).nats.mean().item()

    model = Model(Continuous(3), kernel, head, Wrong())
    best = timesteps.analytic_variance(model, data, 40, rng)
    scaled = [
        type(best)(best.times, tuple(tuple(factor * v for v in row) for row in best.table))
        for factor in (0.8, 1.25)
    ]
    others = [*scaled, FixedSmall(), FixedLarge()]
    assert all(cost(best) > cost(other) + 1e-3 for other in others)


def test_the_analytic_variance_of_an_oracle_is_its_posterior_variance(rng):
    oracle = GaussianOracle((0.0, 0.0), (0.3, 1.8))
    kernel = KERNELS["gaussian"]
    model = Model(**oracle.parts(kernel))
    found = timesteps.analytic_variance(model, oracle.sample(20_000, rng), 5, rng)
    a = kernel.schedule.alpha_bar[list(found.times)][:, None]
    v = torch.tensor([0.3, 1.8])
    assert close(torch.tensor(found.table), v * (1 - a) / (a * v + 1 - a), 0.05)


def test_mixtures_are_measured_too(rng):
    space, kernel = Quantized(2, 4, 1.5), KERNELS["gaussian-log-snr"]
    model = Model(space, kernel, Exact(Levels()), Wrong(4))
    x = torch.randint(4, (2000, 2), generator=rng)
    costs = timesteps.measure_costs(model, x, 10, rng)
    path = costs.path(4)
    assert_mean(-bound(model, x, times=path, rng=rng).nats, costs.nats(path), 0.1)


def test_a_measured_variance_is_saved_with_its_model(tmp_path, rng):
    import quasistatic as qs

    space = Quantized(3, 8, 1.5)
    kernel = GaussianKernel(schedules.linear_log_snr(10, 5, -5))
    model = qs.Diffusion(space, kernel, Levels(), qs.networks.MLP(3, 8, outputs=8))
    table = timesteps.analytic_variance(model, torch.randint(8, (9, 3), generator=rng), 4, rng)
    widened = qs.Diffusion(space, kernel, Spread(model.head, table), model.network)
    widened.save(tmp_path / "model")
    assert qs.load(tmp_path / "model").head.variance == table


def test_requests_that_cannot_be_served_say_so(rng):
    stepwise = Model(Continuous(3), KERNELS["gaussian"], Natural(), Wrong())
    for what in (timesteps.measure_costs, timesteps.analytic_variance):
        with pytest.raises(TypeError, match="Natural defines the step between neighbours only"):
            what(stepwise, torch.zeros(2, 3))
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    with pytest.raises(ValueError, match="at least 2 candidates, got 1"):
        timesteps.measure_costs(model, torch.zeros(2, 3), 1)
    costs = random_costs(5, rng)
    for count in (1, 6):
        with pytest.raises(ValueError, match=f"2 to 5 of the measured times, got {count}"):
            costs.path(count)
    with pytest.raises(ValueError, match="leaves them or does not end at T"):
        costs.nats(torch.tensor([3, 4, 15]))


@pytest.mark.parametrize(
    ("law", "stepper"),
    [
        (certificates.ring, UniPC(2)),
        (certificates.ring, DDIM()),
        (certificates.pinwheel, DPMSolver(2)),
    ],
    ids=["ring-unipc", "ring-ddim", "pinwheel-dpm"],
)
def test_a_searched_path_is_better_than_every_grid_on_other_noise(law, stepper):
    model = Diffusion(**law().parts(GaussianKernel(schedules.linear(1000))))
    found = timesteps.flow_path(model, 7, stepper, n=48, sweeps=2)
    assert found.error < min(found.starts.values())
    assert found.times[-1] == 1000
    assert (found.times.diff() > 0).all()
    x_T = next(iter(walk(model, 200, 2, 5))).x
    truth = certificates.true_flow(law(), model.kernel, x_T)

    def error(times: torch.Tensor) -> float:
        x = sample(model, 200, times, 5, stepper)
        return (x - truth).square().mean().sqrt().item()

    grids = [EvenLogSNR(7), EvenTimes(7), Karras(7), Quadratic(7)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        others = [error(stepper.times(model, 7)), *(error(grid(model)) for grid in grids)]
        assert error(found.times) < 1.05 * min(others)


def test_a_searched_path_needs_a_flow():
    model = Model(**HeartbeatOracle(6, 3).parts(KERNELS["bits-rare"]))
    with pytest.raises(TypeError, match="flow_path follows the probability flow"):
        timesteps.flow_path(model, 5)
    model = Model(Continuous(3), KERNELS["gaussian"], Velocity(), Wrong())
    with pytest.raises(ValueError, match="flow_path needs 3 to T = 40 times, got 2"):
        timesteps.flow_path(model, 2)


def test_candidates_may_be_a_grid(rng):
    oracle = GaussianOracle((0.0, 1.0), (0.3, 1.5))
    model = Model(**oracle.parts(KERNELS["gaussian"]))
    costs = timesteps.measure_costs(model, oracle.sample(20, rng), EvenLogSNR(9), 0)
    assert torch.equal(costs.times, EvenLogSNR(9)(model))
