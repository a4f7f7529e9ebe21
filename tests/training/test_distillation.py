"""Flow maps: closed forms of a normal law, what training converges to, and what stays as it was."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import quasistatic as qs
from conftest import close
from quasistatic.diagnostics.certificates import true_flow
from quasistatic.diagnostics.oracles import GaussianOracle
from quasistatic.diffusion import Diffusion
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.kernels.flow import half_log_snr
from quasistatic.likelihood.flow_map import map_step, mean_velocity, places, turned
from quasistatic.likelihood.probability_flow import follow, trace_vectors
from quasistatic.networks import MLP, FlowMapNetwork
from quasistatic.sampling import DDIM, FlowMap, UniPC
from quasistatic.spaces import Binary, Continuous
from quasistatic.training import Fit, MeanFlow, MeanFlowLoss, ProgressiveDistillation
from quasistatic.training.distillation.methods import map_times
from quasistatic.training.distillation.objectives import ProgressiveLoss
from quasistatic.training.distillation.trajectories import flow_trajectories

KERNEL = GaussianKernel(schedules.linear_log_snr(200, 9, -9))
MEAN, VARIANCE = (0.5, -1.0), (0.25, 3.0)
LAW = GaussianOracle(MEAN, VARIANCE)


class LinearMap(nn.Module):
    """The closed form of the flow map of a normal law: its flow is linear.

    x_s = signal_s m + sqrt(v_s / v_t) (x_t - signal_t m), v_t = signal_t^2 v + noise_t^2.
    """

    outputs, condition = 2, FlowMapNetwork.ENDS

    def __init__(self, kernel=KERNEL) -> None:
        super().__init__()
        self.kernel = kernel
        self.register_buffer("m", torch.tensor(MEAN))
        self.register_buffer("v", torch.tensor(VARIANCE))

    def moments(self, t):
        signal, noise = (
            scale(t, self.m[None]) for scale in (self.kernel.signal, self.kernel.noise)
        )
        return signal * self.m, signal**2 * self.v + noise**2

    def forward(self, x, time, code):
        t = (time * self.kernel.steps).round().long()
        # The first feature of each end is the end itself, sigmoid(log(signal / noise) / 2).
        end = code[:, FlowMapNetwork.ENDS // 2]
        table = (half_log_snr(self.kernel, torch.arange(self.kernel.steps + 1)) / 2).sigmoid()
        s = (table[None] - end[:, None]).abs().argmin(1)
        (m_t, v_t), (m_s, v_s) = self.moments(t), self.moments(s)
        x_s = m_s + (v_s / v_t).sqrt() * (x - m_t)
        velocity = mean_velocity(self, x, x_s, t, s)
        measure = [places(self, each)[1][:, None] for each in (t, s)]
        spread = (v_s / v_t).log() / 2 / (measure[1] - measure[0])
        return torch.stack([velocity, spread.expand_as(velocity)], -1)


def exact(times, shortest=1) -> Diffusion:
    parts = LAW.parts(KERNEL)
    parts["network"] = FlowMapNetwork(parts["network"], LinearMap(), times, shortest)
    return Diffusion(**parts)


TIMES = map_times(Diffusion(**LAW.parts(KERNEL)), 8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# The map.


def test_times_of_a_map_end_at_the_noise_and_start_above_1():
    assert len(TIMES) == 8
    assert TIMES[-1] == 200
    assert TIMES[0] > 1
    network = exact(TIMES).network
    assert network.counts == (1, 2, 4, 8)
    for count in network.counts:
        grid = network.grid(count)
        assert len(grid) == count
        assert grid[-1] == 200
        assert set(grid) <= set(TIMES)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_map_of_a_normal_law_draws_what_its_flow_draws(count):
    """At any number of evaluations, for the steps of the closed form are exact."""
    model = exact(TIMES)
    x = model.sample(50, count, 0, stepper=FlowMap())
    x_T = torch.stack([state.x for state in qs.sampling.walk(model, 50, count, 0, FlowMap())][:1])[
        0
    ]
    assert close(x, true_flow(LAW, KERNEL, x_T), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_map_of_a_normal_law_gives_its_density(count):
    """The weights of draws of x_1 average to the density, where the last step is exact enough."""
    model = exact(TIMES)
    x = LAW.sample(40, generator(1))
    found = model.score(x, method=qs.FlowMapDensity(count, draws=32), rng=0)
    assert (found.nats - LAW.log_prob(x)).abs().max() < 0.05
    assert found.evaluations == 32 * count
    assert "not a bound" in repr(found)


def test_there_and_back_is_the_identity_and_two_steps_are_one():
    model, x = exact(TIMES), torch.randn(20, 2, generator=generator())
    for t, u, s in itertools.permutations((3, 60, 170), 3):
        direct, first = map_step(model, x, t, s), map_step(model, x, t, u)
        second = map_step(model, first.x, u, s)
        assert close(second.x, direct.x)
        assert close(first.spread + second.spread, direct.spread)
        back = map_step(model, direct.x, s, t)
        assert close(back.x, x)
        assert close(back.spread, -direct.spread)


def test_the_velocity_of_a_step_is_that_which_makes_it(rng):
    model = exact(TIMES)
    x_t, x_s = torch.randn(2, 6, 2, generator=rng)
    t, s = torch.tensor([200, 150, 90, 40, 3, 1]), torch.tensor([90, 0, 200, 0, 1, 2])
    velocity = mean_velocity(model, x_t, x_s, t, s)
    assert close(turned(model, x_t, velocity, t, s), x_s)
    # A step by the velocity at its start is DDIM's.
    v = KERNEL.signal(t, x_t) * x_t - KERNEL.noise(t, x_t) * x_s
    eps = (x_t - KERNEL.signal(t, x_t) * x_s) / KERNEL.noise(t, x_t)
    ddim = KERNEL.signal(s, x_t) * x_s + KERNEL.noise(s, x_t) * eps
    v = (KERNEL.signal(t, x_t) * x_t - x_s) / KERNEL.noise(t, x_t)
    assert close(turned(model, x_t, v, t, s), ddim)


# Trajectories.


@pytest.mark.parametrize("up", [True, False])
def test_trajectories_follow_the_flow_at_order_two(up):
    """In both directions, with the exact log-determinant of a normal law's flow."""
    model, errors = Diffusion(**LAW.parts(KERNEL)), []
    x = torch.randn(30, 2, generator=generator())
    exact_map = exact(TIMES)
    for count in (20, 40, 80):
        times = qs.sampling.EvenLogSNR(count)(model)
        times = times if up else times.flip(0)
        points = list(follow(model, x, times, list(trace_vectors(x, None, None))))
        step = map_step(exact_map, x, int(times[0]), int(times[-1]))
        errors.append(
            torch.cat([points[-1].x - step.x, (points[-1].spread - step.spread)[:, None]], 1)
            .square()
            .mean()
            .sqrt()
            .item()
        )
    assert math.log2(errors[0] / errors[2]) / 2 == pytest.approx(2, abs=0.4)


def test_trajectories_from_noise_and_from_data_are_those_of_the_map(rng):
    model = Diffusion(**LAW.parts(KERNEL))
    raw = LAW.sample(30, generator(3))
    table = flow_trajectories(model, TIMES, 50, 200, None, True, rng, raw)
    assert table.x.shape == (10, 50, 2)
    assert table.times == (0, 1, *TIMES)
    student = exact(TIMES)
    for k in range(2, 10):
        step = map_step(student, table.x[1], 1, table.times[k])
        assert (step.x - table.x[k]).abs().max() < 5e-3
        assert (step.spread - table.spread[k]).abs().max() < 5e-3
    assert close(table.x[0], model.estimate(table.x[1], torch.ones(50).long()), atol=1e-9)


def test_the_steps_of_a_table_are_those_of_the_walks():
    table = flow_trajectories(
        Diffusion(**LAW.parts(KERNEL)), TIMES, 4, 20, None, False, generator()
    )
    assert table.pairs(1, False) == [(9, 0)]
    assert table.pairs(2, False) == [(5, 0), (9, 5)]
    assert table.pairs(2, True) == [(5, 0), (9, 5), (1, 5), (5, 9)]
    assert len(table.pairs(8, True)) == 16


# Training.


def test_the_mean_flow_loss_is_least_at_the_closed_form(rng):
    """About zero there, but for the steps of the trajectories; the divergence counts too."""
    model = exact(TIMES)
    table = flow_trajectories(Diffusion(**LAW.parts(KERNEL)), TIMES, 64, 200, None, True, rng)
    loss = MeanFlowLoss(table)(model, torch.zeros(256, 2), generator())
    assert loss.shape == (256,)
    assert loss.mean() < 1e-4
    model.network.flow_map.v.mul_(1.2)
    assert MeanFlowLoss(table)(model, torch.zeros(256, 2), generator()).mean() > 1e-3
    only = MeanFlowLoss(table, 0.0)(model, torch.zeros(256, 2), generator()).mean()
    assert only < MeanFlowLoss(table)(model, torch.zeros(256, 2), generator()).mean()


class TwoSteps(nn.Module):
    """What takes exactly the two DDIM steps that a teacher takes."""

    outputs, condition = 2, FlowMapNetwork.ENDS

    def __init__(self, teacher, times) -> None:
        super().__init__()
        self.teacher, self.times = [teacher], torch.tensor((0, *times))

    def forward(self, x, time, code):
        teacher = self.teacher[0]
        t = (time * teacher.steps).round().long()
        k = torch.searchsorted(self.times, t)
        x_s = x
        for a, b in ((k, k - 1), (k - 1, k - 2)):
            now, then = self.times[a], self.times[b]
            v = (KERNEL.signal(now, x) * x_s - teacher.estimate(x_s, now)) / KERNEL.noise(now, x)
            x_s = turned(teacher, x_s, v, now, then)
        found = mean_velocity(teacher, x, x_s, t, self.times[k - 2])
        return torch.stack([found, 0 * found], -1)


def test_the_progressive_loss_is_zero_for_two_steps_of_the_teacher(rng):
    teacher = Diffusion(**LAW.parts(KERNEL))
    parts = LAW.parts(KERNEL)
    parts["network"] = FlowMapNetwork(parts["network"], TwoSteps(teacher, TIMES), TIMES[1::2], 4)
    student = Diffusion(**parts)
    objective = ProgressiveLoss(teacher, TIMES)
    objective.check(student)
    assert objective(student, LAW.sample(64, rng), rng).max() < 1e-12
    # Its draws are those of DDIM along all times of the teacher.
    ddim = teacher.sample(10, [*TIMES], 0, stepper=qs.sampling.Multistep(1, corrected=False))
    assert close(student.sample(10, 4, 0, stepper=FlowMap()), ddim, atol=1e-9)
    with pytest.raises(ValueError, match="every second time of the teacher"):
        ProgressiveLoss(teacher, TIMES[1:]).check(student)


def small(**changes: Any) -> MLP:
    torch.manual_seed(0)
    return MLP(2, width=48, depth=1, outputs=2, condition=FlowMapNetwork.ENDS, **changes)


def test_training_converges_to_the_closed_form():
    """Draws and log-densities of 1, 2, 4 and 8 evaluations come close to those of the law."""
    teacher = Diffusion(**LAW.parts(KERNEL))
    errors = []
    for steps in (40, 500):
        how = Fit(steps=steps, batch=256, lr=5e-3, ema=0.98, validations=1)
        method = MeanFlow(trajectories=512, evaluations=40)
        model = qs.distill(teacher, 8, network=small(), method=method, settings=how)
        x = LAW.sample(200, generator(1))
        exact_model = exact(TIMES)
        each = []
        for count in (1, 2, 4, 8):
            draws, truth = (
                m.sample(200, count, 0, stepper=FlowMap()) for m in (model, exact_model)
            )
            score, log_p = (
                m.score(x, method=qs.FlowMapDensity(count), rng=0).nats
                for m in (model, exact_model)
            )
            each += [(draws - truth).square().mean(), (score - log_p).square().mean()]
        errors.append(torch.stack(each).sqrt())
    assert (errors[1] < 0.5 * errors[0]).all()
    assert errors[1].max() < 0.15


def test_progressive_rounds_come_close_to_the_flow():
    teacher = Diffusion(**LAW.parts(KERNEL))
    how = Fit(steps=250, batch=256, lr=5e-3, ema=0.98, validations=1)
    model = qs.distill(
        teacher, 2, network=small(), method=ProgressiveDistillation(start=8), settings=how
    )
    assert model.network.counts == (2,)
    draws = model.sample(400, 2, 0, stepper=FlowMap())
    ddim = teacher.sample(400, list(map_times(teacher, 8)), 0, stepper=DDIM())
    assert (draws - ddim).square().mean().sqrt() < 0.15
    with pytest.raises(TypeError, match="trained for draws only"):
        model.score(draws, method=qs.FlowMapDensity())
    with pytest.raises(ValueError, match="trained for walks of 2 evaluations, got 4"):
        model.sample(2, 4, stepper=FlowMap())


# What stays.


@pytest.fixture
def trained() -> Diffusion:
    torch.manual_seed(0)
    model = Diffusion(Continuous(2), KERNEL, qs.Velocity(), MLP(2, width=16, depth=1, dropout=0.2))
    qs.fit(model, LAW.sample(256, generator()), steps=20, batch=64, validations=1)
    return model


QUICK = Fit(steps=3, batch=32, validations=1)
SHORT = MeanFlow(trajectories=16, evaluations=10)


def test_the_other_verbs_give_what_they_gave_bit_for_bit(trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    model = qs.distill(trained, 4, method=SHORT, settings=QUICK)
    x = LAW.sample(6, generator(2))
    mask = torch.tensor([[True, False]]).expand(6, 2)
    for verb in (
        lambda m: m.sample(5, 10, 0),
        lambda m: m.sample(5, 10, 0, stepper=UniPC()),
        lambda m: m.score(x, rng=0).nats,
        lambda m: m.complete(x, mask, 2, 10, 0).draws,
        lambda m: m.encode(x, 30),
    ):
        assert torch.equal(verb(trained), verb(model))
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert all(weight.requires_grad for weight in trained.parameters())
    assert model.decompress(model.compress(x, 10)).shape == (6, 2)
    # The map's network started from the model's.
    made = model.network.flow_map
    assert made.dropout == 0
    assert made.width == trained.network.width


def test_a_run_folder_holds_the_map_and_the_same_call_resumes(trained, tmp_path):
    model = qs.distill(trained, 4, method=SHORT, settings=QUICK, run=tmp_path / "run")
    loaded = qs.load(tmp_path / "run")
    assert isinstance(loaded.network, FlowMapNetwork)
    assert loaded.network.times == model.network.times
    for count in (1, 2, 4):
        draws = [m.sample(5, count, 0, stepper=FlowMap()) for m in (model, loaded)]
        assert torch.equal(*draws)
    x = LAW.sample(6, generator(2))
    method = qs.FlowMapDensity(4)
    assert torch.equal(*(m.score(x, method=method, rng=0).nats for m in (model, loaded)))
    again = qs.distill(trained, 4, method=SHORT, settings=QUICK, run=tmp_path / "run")
    assert torch.equal(again.sample(5, 4, 0, stepper=FlowMap()), draws[0])
    model.save(tmp_path / "saved")
    assert torch.equal(qs.load(tmp_path / "saved").sample(5, 4, 0, stepper=FlowMap()), draws[0])


def test_progressive_rounds_have_folders_of_their_own(trained, tmp_path):
    method = ProgressiveDistillation(start=8)
    qs.distill(trained, 2, method=method, settings=QUICK, run=tmp_path / "run")
    assert (tmp_path / "run-4-steps" / "model.safetensors").exists()
    assert qs.load(tmp_path / "run").network.counts == (2,)


def test_a_map_follows_the_condition():
    """Of a model of p(x | y): y decides where its few steps end."""
    torch.manual_seed(0)
    condition = qs.conditions.ClassLabel(2)
    network = MLP(2, width=32, depth=1, condition=2)
    y = torch.arange(400) % 2
    x = 0.1 * torch.randn(400, 2, generator=generator()) + torch.where(y == 1, 1.0, -1.0)[:, None]
    model = Diffusion(Continuous(2), KERNEL, qs.Velocity(), network, condition)
    qs.fit(model, x, given=y, steps=400, batch=128, lr=5e-3, validations=1)
    how = Fit(steps=400, batch=128, lr=5e-3, validations=1)
    method = MeanFlow(trajectories=512, evaluations=20)
    student = qs.distill(model, 2, x, given=y, method=method, settings=how)
    for count in (1, 2):
        for label, place in ((0, -1.0), (1, 1.0)):
            draws = student.sample(200, count, 0, given=label, stepper=FlowMap())
            assert (draws.mean(0) - place).abs().max() < 0.3


def test_draws_do_not_depend_on_how_many_there_are():
    model = exact(TIMES)
    many = model.sample(20, 4, 3, stepper=FlowMap())
    assert torch.equal(model.sample(7, 4, 3, stepper=FlowMap()), many[:7])


# Bad input.


@dataclass(eq=False)
class Own(nn.Module):
    width: int = 3

    def __post_init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x, time):
        return (self.scale * x)[..., None]


def test_a_model_without_a_map_says_what_makes_one(trained):
    for call in (
        lambda: trained.sample(2, 4, stepper=FlowMap()),
        lambda: trained.score(torch.zeros(2, 2), method=qs.FlowMapDensity()),
    ):
        with pytest.raises(TypeError, match=r"MLP has no flow map: distill\(model\) trains one"):
            call()


def test_bad_distillations_are_refused(trained):
    bits = Diffusion(Binary(3), BinomialKernel(schedules.cosine(40)), qs.Clean(), MLP(3))
    own = Diffusion(Continuous(2), KERNEL, qs.Velocity(), Own())
    for call, error, says in (
        (lambda: qs.distill(bits), TypeError, "distill follows the probability flow"),
        (lambda: qs.distill(trained, 3), ValueError, "give 1, 2, 4, 8, ..., got 3"),
        (lambda: qs.distill(trained, 0), ValueError, "steps"),
        (
            lambda: qs.distill(trained, 256),
            ValueError,
            "needs a chain of at least 258, got T = 200",
        ),
        (lambda: qs.distill(own), TypeError, "Own cannot be built with other outputs"),
        (lambda: qs.distill(trained, 4, given=1), ValueError, "given is for the rows of x"),
        (
            lambda: qs.distill(trained, 4, network=MLP(2, outputs=2)),
            TypeError,
            f"needs condition={FlowMapNetwork.ENDS}",
        ),
        (
            lambda: qs.distill(trained, 4, network=MLP(2, condition=FlowMapNetwork.ENDS)),
            TypeError,
            "needs outputs=2",
        ),
        (
            lambda: qs.distill(trained, 4, method=ProgressiveDistillation(start=12)),
            ValueError,
            "start=12 must be 2, 4, 8, ... times the 4 steps",
        ),
        (lambda: MeanFlow(weight=0.0), ValueError, "give density=False"),
        (lambda: MeanFlow(trajectories=1), ValueError, "trajectories"),
        (lambda: FlowMapNetwork(MLP(2), small(), (3, 2)), ValueError, "must rise"),
        (lambda: FlowMapNetwork(MLP(2), small(), (1, 2, 3)), ValueError, "powers of two"),
        (lambda: FlowMapNetwork(MLP(2), None, (1, 2)), TypeError, "must be a network"),
    ):
        with pytest.raises(error, match=says):
            call()


def test_times_of_ones_own_are_refused():
    model = exact(TIMES)
    with pytest.raises(ValueError, match="the steps of a flow map are trained at times of its own"):
        model.sample(2, [1, 50, 200], stepper=FlowMap())
    with pytest.raises(ValueError, match="a flow map has times of its own"):
        model.score(torch.zeros(2, 2), times=10, method=qs.FlowMapDensity(4))
    with pytest.raises(ValueError, match="draws must be 1 or more"):
        model.score(torch.zeros(2, 2), method=qs.FlowMapDensity(4, draws=0))
