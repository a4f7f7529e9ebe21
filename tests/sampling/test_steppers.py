"""Steppers: orders of convergence, marginals by enumeration, and what others compute."""

import math
import warnings

import pytest
import torch

from conftest import GROUPED, KERNELS, Silent, Wrong, close, random_times
from quasistatic import diagnostics
from quasistatic.diagnostics.certificates import certify, pinwheel, ring, true_flow
from quasistatic.diagnostics.oracles import GaussianOracle, MixtureOracle
from quasistatic.diffusion import Diffusion
from quasistatic.distributions import Bernoulli, Categorical, Gaussian
from quasistatic.heads import Classes, Clean, Levels, Natural, Velocity
from quasistatic.kernels import BinomialKernel, CategoricalKernel, GaussianKernel, schedules
from quasistatic.kernels.flow import Angle, LogSNR, flow_step, new_noise
from quasistatic.model import Model
from quasistatic.networks import MLP
from quasistatic.sampling import (
    DDIM,
    Adaptive,
    Ancestral,
    Clip,
    DPMSolver,
    DynamicThreshold,
    EvenLogSNR,
    EvenTimes,
    Heun,
    Karras,
    Kept,
    Multistep,
    Parallel,
    Quadratic,
    UniPC,
    drawing_progress,
    sample,
    walk,
)
from quasistatic.sampling.interpolation import slerp
from quasistatic.sampling.steppers import State, multistep
from quasistatic.spaces import Binary, Continuous, OneHot, Quantized

FINE = GaussianKernel(schedules.linear_log_snr(1281, 8, -8))
LAWS = {
    "gaussian": GaussianOracle((0.5, -1.0), (0.25, 3.0)),
    "mixture": MixtureOracle((0.3, 0.7), ((-1.0, 0.5), (0.8, -0.3)), (0.3, 0.2)),
}


def start(n: int = 64) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0))


def flown(law, stepper, times, x_T, kernel=FINE, until: int = 1):
    """Where a stepper carries x_T, at time `until`."""
    model = Model(**law.parts(kernel))
    grid = torch.as_tensor(times)
    for state in stepper.walk(model, State(x_T, int(grid[-1])), grid.tolist()):
        if state.t == until:
            return state.x
    raise AssertionError(f"the walk has not visited {until}")


# Orders.


def test_the_true_flow_of_a_normal_law_is_known():
    law, x_T = LAWS["gaussian"], start()
    table = FINE.schedule
    m, v = law.mixture.mean, law.mixture.variance
    signal, variance = table.alpha_bar.sqrt(), table.log_noise.exp()
    for t in (0, 1, 700):
        wide = (signal[t] ** 2 * v + variance[t]) / (signal[1281] ** 2 * v + variance[1281])
        expected = signal[t] * m + wide.sqrt() * (x_T - signal[1281] * m)
        assert close(true_flow(law, FINE, x_T, t), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
@pytest.mark.parametrize(
    ("stepper", "order"),
    [
        (DDIM(), 1),
        (Multistep(1, corrected=False), 1),
        (Heun(), 2),
        (DPMSolver(2), 2),
        (Multistep(2, corrected=False), 2),
        (Multistep(2, corrected=False, coordinate=LogSNR(midpoint=False)), 2),
        (UniPC(1), 2),
        (UniPC(2), 3),
        (Multistep(2), 3),
    ],
    ids=str,
)
def test_the_order_of_a_stepper_is_the_slope_of_its_error(law, stepper, order):
    """By the error at t = 1 on grids that are even in log-SNR, each with half the steps."""
    x_T = start()
    truth = true_flow(law, FINE, x_T, 1)
    counts = (41, 81, 161)
    errors = [
        (flown(law, stepper, torch.linspace(1, 1281, n).round().long(), x_T) - truth)
        .square()
        .mean()
        .sqrt()
        .item()
        for n in counts
    ]
    slope = math.log(errors[-2] / errors[-1]) / math.log(2)
    assert slope == pytest.approx(order, abs=0.15)


def test_a_flow_step_is_exact_for_estimates_that_are_polynomials_of_the_coordinate():
    """In both directions, and to no noise at all where the coordinate is finite there."""
    t, s, later = (torch.tensor([k]) for k in (500, 300, 640))
    x_t = start()
    for coordinate in (Angle(), LogSNR(midpoint=False)):
        for goal in (300, 700):
            goal = torch.tensor([goal])
            u = {int(k): coordinate(0.5 * FINE.schedule.log_snr[k]) for k in (t, later)}
            estimates = [x_t * 0 + (2 * u[int(k)] - 1) for k in (t, later)]
            whole = flow_step(FINE, coordinate, x_t, t, goal, (t, later), estimates)
            # in many small steps, each by the estimate at its middle
            fine = torch.linspace(
                float(0.5 * FINE.schedule.log_snr[t]),
                float(0.5 * FINE.schedule.log_snr[goal]),
                20001,
            )
            middle = (fine[1:] + fine[:-1]) / 2
            area = ((2 * coordinate(middle) - 1) * fine.exp().diff()).sum()
            noise = {int(k): FINE.schedule.log_noise[k].exp().sqrt() for k in (t, goal)}
            expected = noise[int(goal)] * (x_t / noise[500] + area)
            assert close(whole, expected, rtol=1e-6)
    ended = flow_step(FINE, Angle(), x_t, s, 0 * s, (s, t), [x_t, x_t + 1])
    u = [(0.5 * FINE.schedule.log_snr[k]).exp().atan() for k in (s, t)]
    share = (math.pi / 2 - u[0]) / (u[1] - u[0])
    assert close(ended, x_t + share)


# With noise.


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0, 1.5])
def test_a_step_with_noise_has_the_marginals_of_the_chain(eta, rng):
    """Mean and variance of x_s given x_0, where the step is linear in x_t; DDPM's at eta = 1."""
    kernel = KERNELS["gaussian"]
    s, t = random_times(kernel, 6, rng)
    x_0 = torch.randn(6, 3, generator=rng)
    q_t = kernel.marginal(x_0, t)
    zero, one = (
        flow_step(kernel, LogSNR(), x, t, s, [t], [x_0], eta) for x in (0 * x_0, 0 * x_0 + 1)
    )
    drawn = new_noise(kernel, x_0, t, s, eta)
    expected = kernel.marginal(x_0, s)
    assert close(zero + (one - zero) * q_t.mean, expected.mean)
    assert close((one - zero) ** 2 * q_t.variance + drawn**2, expected.variance.expand(6, 3))
    if eta == 1:
        ddpm = kernel.posterior(0 * x_0, x_0, s, t)
        assert close(zero, ddpm.mean)
        assert close((drawn**2).expand(6, 3), ddpm.variance.expand(6, 3))


def spread(law, stepper, n: int, monkeypatch) -> torch.Tensor:
    """Var[x_1 | x_T] of a walk along n times for a normal law. The walk is linear, so that row k of
    a batch finds the weight of the noise of step k."""
    calls = iter(range(n))

    def impulse(shape, rng, like):
        only = torch.zeros_like(like)
        only[next(calls)] = 1
        return only

    monkeypatch.setattr(multistep, "normal", impulse)
    x = flown(law, stepper, torch.linspace(1, 1281, n).round().long(), torch.zeros(n, 2))
    return ((x[:-1] - x[-1]) ** 2).sum(0)


@pytest.mark.parametrize(
    ("stepper", "order"),
    [
        (DPMSolver(1, eta=1.0), 1),
        (DPMSolver(2, eta=1.0), 2),
        (Multistep(2, corrected=False, eta=1.0), 2),
        (Multistep(1, eta=1.0), 2),
    ],
    ids=str,
)
def test_the_order_of_a_walk_with_noise(stepper, order, monkeypatch):
    """By Var[x_1 | x_T], which the chain itself has at eta = 1; the mean is exact at any order."""
    law, table = LAWS["gaussian"], FINE.schedule
    wide = [table.alpha_bar[t] * law.mixture.variance + table.log_noise[t].exp() for t in (1, 1281)]
    shared = (table.alpha_bar[1281] / table.alpha_bar[1]).sqrt() * wide[0]
    truth = wide[0] - shared**2 / wide[1]
    errors = [(spread(law, stepper, n, monkeypatch) - truth).abs().max() for n in (41, 81, 161)]
    slope = math.log(errors[-2] / errors[-1]) / math.log(2)
    assert slope == pytest.approx(order, abs=0.15)


def test_a_correction_keeps_the_noise_of_its_step():
    """With estimates that never change a correction changes nothing."""
    law = GaussianOracle((0.5, -1.0), (1e-20, 1e-20))
    model = Model(**law.parts(FINE))
    plain, corrected = (
        [state.x for state in walk(model, 5, EvenLogSNR(9), 0, Multistep(1, kind, eta=0.7))]
        for kind in (False, True)
    )
    for a, b in zip(plain, corrected, strict=True):
        assert close(a, b, atol=1e-9)


# Limits.


@pytest.mark.parametrize(
    "stepper",
    [DDIM(limits=Clip(-0.5, 0.5)), Kept(1.0, Clip(-0.5, 0.5)), UniPC(limits=Clip(-0.5, 0.5))],
    ids=str,
)
def test_limits_hold_where_the_law_leaves_them(stepper):
    """Of a normal law beyond the limits: all estimates are at one end, and so are the draws."""
    model = Diffusion(**GaussianOracle((3.0, -3.0), (0.01, 0.01)).parts(FINE))
    with pytest.warns(UserWarning, match="do not have the law that score bounds"):
        x = model.sample(16, 20, 0, stepper=stepper)
    assert close(x, torch.tensor([0.5, -0.5]).expand(16, 2), atol=0.1)


@pytest.mark.filterwarnings("ignore:.*law that score bounds")
@pytest.mark.parametrize("stepper", [DDIM, UniPC, DPMSolver, Heun])
def test_wide_limits_change_nothing(stepper):
    model = Diffusion(**LAWS["mixture"].parts(FINE))
    wide = model.sample(8, 20, 0, stepper=stepper(limits=Clip(-100, 100)))
    assert torch.equal(wide, model.sample(8, 20, 0, stepper=stepper()))


def test_a_dynamic_threshold_divides_by_a_quantile_of_each_example():
    x_0 = torch.tensor([[4.0, -2.0, 1.0, 0.5, 0.0], [0.5, -0.5, 0.1, 0.0, 0.2]])
    limited = DynamicThreshold(0.75)(x_0)
    assert close(limited, torch.tensor([[1.0, -1.0, 0.5, 0.25, 0.0], x_0[1].tolist()]))


def test_diffusers_clips_the_same(float32):
    """Its DDIM with `clip_sample`, where the noise is what the clipped estimate leaves of x_t."""
    schedulers = pytest.importorskip("diffusers.schedulers")
    kernel = GaussianKernel(schedules.linear(1000, 1e-4, 0.02))
    model = Model(**LAWS["mixture"].parts(kernel))
    theirs = schedulers.DDIMScheduler(
        beta_start=1e-4, beta_end=0.02, clip_sample=True, clip_sample_range=0.4
    )
    theirs.set_timesteps(20)
    x_T = start(16).float()
    times = theirs.timesteps.long().flip(0) + 1
    found = diffusers_answer(theirs, model, x_T, times, use_clipped_model_output=True)
    stepper = DDIM(limits=Clip(-0.4, 0.4))
    expected = flown(LAWS["mixture"], stepper, times, x_T, kernel, until=0)
    assert (found - expected).abs().max() < 1e-4


# What is kept.


def known(kernel, x_0):
    """The law of x_0 that is sure of it."""
    if isinstance(kernel, CategoricalKernel):
        return Categorical(x_0.log(), kernel.groups)
    if isinstance(kernel, BinomialKernel):
        return Bernoulli(torch.where(x_0 > 0.5, math.inf, -math.inf))
    return Gaussian(x_0, torch.zeros_like(x_0))


DISCRETE = {
    name: kernel
    for name, kernel in (KERNELS | GROUPED).items()
    if isinstance(kernel, BinomialKernel | CategoricalKernel)
}


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kernel", DISCRETE.values(), ids=DISCRETE.keys())
def test_what_is_kept_of_bits_and_classes_has_the_marginals_of_the_chain(kernel, eta, rng):
    """By enumeration over x_t and x_0: the law of x_s given x_0 is q(x_s | x_0)."""
    s, t = random_times(kernel, 6, rng)
    values = torch.eye(3) if isinstance(kernel, CategoricalKernel) else torch.eye(2)[:, :1] + 0
    states = [v.expand(6, -1) for v in values]
    if isinstance(kernel, BinomialKernel):
        states = [torch.full((6, 3), bit) for bit in (0.0, 1.0)]
    possible = states[:-1] if isinstance(kernel, CategoricalKernel) else states
    for x_0 in possible:
        q_t = kernel.marginal(x_0, t)
        mean = torch.zeros(6, 3)
        for x_t in states:
            weight = q_t.log_prob(x_t).exp()
            if isinstance(kernel, CategoricalKernel):
                weight = q_t.log_prob(x_t).sum(-1, keepdim=True).exp()
            kept = kernel.kept(x_t, known(kernel, x_0), s, t, eta)
            mean = mean + torch.where(weight > 0, weight * kept.mean, 0.0)
        assert close(mean, kernel.marginal(x_0, s).mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("kernel", DISCRETE.values(), ids=DISCRETE.keys())
def test_a_share_eta_of_what_is_kept_is_by_the_bridge(kernel, eta, rng):
    """The marginals are the same for each eta; the law given x_t is not."""
    s, t = random_times(kernel, 6, rng)
    classes = isinstance(kernel, CategoricalKernel)
    x_0 = torch.eye(3)[:1].expand(6, -1) if classes else torch.ones(6, 3)
    x_t, law = kernel.marginal(x_0, t).sample(rng), known(kernel, x_0)
    none, some = (kernel.kept(x_t, law, s, t, share) for share in (0.0, eta))
    expected = (1 - eta) * none.mean + eta * kernel.bridge(x_t, law, s, t).mean
    assert close(some.mean, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_what_is_kept_of_reals_has_the_marginals_of_the_chain(eta, rng):
    """Mean and variance of x_s given x_0, where the kept law is linear in x_t."""
    kernel = KERNELS["gaussian"]
    s, t = random_times(kernel, 6, rng)
    x_0 = torch.randn(6, 3, generator=rng)
    q_t = kernel.marginal(x_0, t)
    zero, one = (
        kernel.kept(each, known(kernel, x_0), s, t, eta) for each in (0 * x_0, 0 * x_0 + 1)
    )
    slope = one.mean - zero.mean
    expected = kernel.marginal(x_0, s)
    assert close(zero.mean + slope * q_t.mean, expected.mean)
    assert close(slope**2 * q_t.variance + zero.variance, expected.variance)


def heads():
    return {
        "reals": (Continuous(3), KERNELS["gaussian"], Velocity()),
        "levels": (Quantized(3, count=4), KERNELS["gaussian-log-snr"], Levels()),
        "bits": (Binary(3), KERNELS["bits-rare"], Clean()),
        "classes": (OneHot((3,)), GROUPED["classes-rare"], Classes()),
        "absorbing": (OneHot((2,), masked=True), GROUPED["absorbing"], Classes()),
    }


def model_of(kind: str) -> Diffusion:
    space, kernel, head = heads()[kind]
    outputs = head.bind(space, kernel).outputs
    return Diffusion(space, kernel, head, Wrong(outputs))


@pytest.mark.parametrize("kind", heads())
def test_all_noise_drawn_anew_is_ancestral(kind):
    model = model_of(kind)
    for times in (None, 7):
        ancestral = model.sample(12, times, 1)
        assert torch.equal(model.sample(12, times, 1, stepper=Kept(1.0)), ancestral)
    assert torch.equal(model.sample(12, 7, 1, stepper=Ancestral()), model.sample(12, 7, 1))


def test_ddim_is_the_flow_by_one_estimate():
    model = Model(Continuous(3), KERNELS["gaussian"], Velocity(), Wrong())
    flow = sample(model, 5, [1, 4, 20, 40], 0, Multistep(1, corrected=False))
    assert close(sample(model, 5, [1, 4, 20, 40], 0, DDIM()), flow)


@pytest.mark.parametrize("kind", heads())
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_kept_serves_every_kernel_and_is_reproducible(kind, eta):
    model = model_of(kind)
    many = model.sample(20, 8, 3, stepper=Kept(eta))
    model.space.check(many)
    assert torch.equal(model.sample(7, 8, 3, stepper=Kept(eta)), many[:7])


def test_kept_bits_fall_where_the_data_are(rng):
    """With the true law of each bit: independent bits have their own mean, by any share kept."""
    means = torch.tensor([0.1, 0.5, 0.8])
    kernel = BinomialKernel(schedules.cosine(40))
    model = Model(Binary(3), kernel, Clean(), OfBits(kernel, means))
    for eta in (0.0, 0.5):
        x = sample(model, 20_000, 6, rng, Kept(eta))
        assert ((x.mean(0) - means).abs() < 0.015).all()


class OfBits(torch.nn.Module):
    """The exact log-odds of independent bits, for the Clean head."""

    def __init__(self, kernel, means) -> None:
        super().__init__()
        self.kernel, self.means = kernel, means

    def forward(self, x, time):
        t = (time * self.kernel.steps).round().long()
        ones = torch.ones_like(x)
        up, down = (self.kernel.marginal(each, t).log_prob(x) for each in (ones, 0 * ones))
        return (self.means.logit() + up - down)[..., None]


# What others compute.


def diffusers_answer(scheduler, model, x_T, times, **options):
    """x_0 by one of diffusers' schedulers, from the same noise and network."""
    x = x_T
    for t in times.flip(0).tolist():
        at = torch.full((len(x),), t)
        signal, noise = model.kernel.signal(at, x), model.kernel.noise(at, x)
        eps = (x - signal * model.estimate(x, at)) / noise
        x = scheduler.step(eps, t - 1, x, return_dict=False, **options)[0]
    return x


@pytest.mark.parametrize("count", [6, 10, 20])
@pytest.mark.parametrize("name", ["ddim", "dpm", "unipc"])
def test_diffusers_computes_the_same(name, count, float32):
    """From the same noise and network, at the times that they choose: DDIM and UniPC even ones, and
    DPM-Solver++ those that are even in log-SNR."""
    schedulers = pytest.importorskip("diffusers.schedulers")
    kernel = GaussianKernel(schedules.linear(1000, 1e-4, 0.02))
    model = Model(**LAWS["mixture"].parts(kernel))
    x_T = start(16).float()
    about = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
    solver = about | {"solver_order": 2, "final_sigmas_type": "zero", "lower_order_final": True}
    if name == "ddim":
        mine, ddim = DDIM(), schedulers.DDIMScheduler
        theirs = ddim(**about, clip_sample=False, set_alpha_to_one=True)
        theirs.set_timesteps(count)
    elif name == "dpm":
        mine, dpm = DPMSolver(2), schedulers.DPMSolverMultistepScheduler
        theirs = dpm(**solver, euler_at_final=True)
        theirs.set_timesteps(timesteps=(EvenLogSNR(count)(model) - 1).flip(0).tolist())
    else:
        mine, unipc = UniPC(2), schedulers.UniPCMultistepScheduler
        theirs = unipc(**solver, solver_type="bh2")
        theirs.set_timesteps(count)
    times = theirs.timesteps.long().flip(0) + 1
    found = diffusers_answer(theirs, model, x_T, times)
    expected = flown(LAWS["mixture"], mine, times, x_T, kernel, until=0)
    assert (found - expected).abs().max() < 1e-4


# Many at once, as many as needed, and back.


class Counting(torch.nn.Module):
    """A network that counts its rounds and its rows."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network, self.rounds, self.rows = network, 0, 0

    def forward(self, x, time):
        self.rounds, self.rows = self.rounds + 1, self.rows + len(x)
        return self.network(x, time)


def counted(law, kernel=FINE):
    parts = law.parts(kernel)
    network = Counting(parts["network"])
    model = Diffusion(**(parts | {"network": network}))
    network.rounds = network.rows = 0
    return model, network


@pytest.mark.parametrize("window", [None, 30])
@pytest.mark.parametrize("order", [1, 2])
def test_parallel_rounds_give_the_serial_answer(order, window):
    """Within 1e-4, in at most a quarter of the rounds at 94 steps."""
    model, network = counted(LAWS["mixture"], GaussianKernel(schedules.linear(1000)))
    serial = Multistep(order, corrected=False)
    grid = EvenLogSNR(94)
    expected = model.sample(16, grid, 0, stepper=serial)
    assert network.rounds == 94
    network.rounds = 0
    parallel = Parallel(serial, window, tolerance=1e-6)
    assert (model.sample(16, grid, 0, stepper=parallel) - expected).abs().max() < 1e-4
    if window is None:
        assert network.rounds <= 94 / 4


def test_a_smaller_tolerance_takes_more_steps_and_errs_less():
    """And each example has steps of its own: its answer is the same alone."""
    errors, costs = [], []
    for tolerance in (1e-1, 1e-2, 1e-3):
        model, network = counted(LAWS["mixture"])
        x = model.sample(64, None, 0, stepper=Adaptive(tolerance))
        costs.append(network.rows / 64)
        x_T = next(iter(walk(model, 64, None, 0))).x
        errors.append((x - true_flow(LAWS["mixture"], FINE, x_T)).square().mean().sqrt().item())
        alone = model.sample(3, None, 0, stepper=Adaptive(tolerance))
        assert close(alone, x[:3], rtol=1e-9)
    assert costs[0] < costs[1] < costs[2] < 200
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 1e-3


@pytest.mark.parametrize(
    "stepper",
    [Multistep(1, corrected=False), Multistep(2, corrected=False), DPMSolver(2)],
    ids=["ddim", "angle", "dpm"],
)
@pytest.mark.parametrize("times", [20, 50])
def test_encoding_is_the_inverse_of_decoding(stepper, times):
    model = Diffusion(**ring().parts(GaussianKernel(schedules.linear(1000))))
    x = ring().sample(12, torch.Generator().manual_seed(1))
    noise = model.encode(x, times, stepper=stepper, tolerance=1e-9)
    assert (model.decode(noise, times, stepper=stepper) - x).abs().max() < 1e-6
    noise = torch.randn(12, 2, generator=torch.Generator().manual_seed(2))
    if times == 50:
        x = model.decode(noise, times, stepper=stepper)
        back = model.encode(x, times, stepper=stepper, tolerance=1e-9)
        assert (back - noise).abs().max() < 1e-4


def test_encoding_follows_the_true_flow():
    """Of a normal law, whose x_T is known: standard normal, but for the signal that is left."""
    law = LAWS["gaussian"]
    model = Diffusion(**law.parts(FINE))
    x = law.sample(200, torch.Generator().manual_seed(1))
    noise = model.encode(x, 100, tolerance=1e-8)
    m, v = law.mixture.mean, law.mixture.variance
    signal = FINE.schedule.alpha_bar[-1].sqrt()
    expected = signal * m + (1 + signal**2 * (v - 1)).sqrt() * (x - m) / v.sqrt()
    assert (noise - expected).abs().max() < 0.01


@pytest.mark.parametrize("stepper", [None, DPMSolver(2), DDIM()], ids=str)
def test_interpolation_starts_and_ends_at_the_examples(stepper):
    model = Diffusion(**ring().parts(GaussianKernel(schedules.linear(1000))))
    x = ring().sample(10, torch.Generator().manual_seed(1))
    between = model.interpolate(x[:5], x[5:], 7, 50, stepper=stepper, tolerance=1e-8)
    assert between.shape == (5, 7, 2)
    assert (between[:, 0] - x[:5]).abs().max() < 1e-5
    assert (between[:, -1] - x[5:]).abs().max() < 1e-5
    backwards = model.interpolate(x[5:], x[:5], 7, 50, stepper=stepper, tolerance=1e-8)
    assert (between.flip(1) - backwards).abs().max() < 1e-5
    same = model.interpolate(x[:5], x[:5], 3, 50, stepper=stepper, tolerance=1e-8)
    assert (same - x[:5, None]).abs().max() < 1e-5


def test_interpolation_of_a_normal_law_is_slerp_of_its_standard_scores():
    """Its flow is linear, so that the way between two examples is known."""
    law = LAWS["gaussian"]
    model = Diffusion(**law.parts(FINE))
    a, b = law.sample(6, torch.Generator().manual_seed(1)).chunk(2)
    m, deviation = law.mixture.mean, law.mixture.variance.sqrt()
    mixed = slerp((a - m) / deviation, (b - m) / deviation, torch.linspace(0, 1, 5))
    found = model.interpolate(a, b, 5, 100, tolerance=1e-8)
    assert (found - (m + deviation * mixed)).abs().max() < 0.05  # some signal is left at T


def test_slerp_keeps_the_length_and_turns_evenly():
    a, b = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    a, b = (each / each.norm(dim=1, keepdim=True) for each in (a, b))
    mixed = slerp(a, b, torch.linspace(0, 1, 6))
    assert close(mixed.norm(dim=2), torch.ones(4, 6))
    turn = (mixed[:, 1:] * mixed[:, :-1]).sum(2).acos()
    assert close(5 * turn, (a * b).sum(1).acos()[:, None].expand(4, 5))
    assert close(slerp(a, a, torch.linspace(0, 1, 3)), a[:, None].expand(4, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m, x: m.interpolate(x, x[:1]), ValueError, "first holds 2 examples and second 1"),
        (lambda m, x: m.interpolate(x, x, 1), ValueError, "n must be a whole number at least 2"),
        (lambda m, x: m.encode(x, stepper=Kept(0.5)), TypeError, "encode follows the probability"),
        (lambda m, x: m.decode(x, stepper=Ancestral()), TypeError, "decode follows the probab"),
        (lambda m, x: m.encode(x, stepper=Adaptive()), TypeError, "steps of fixed times"),
    ],
)
def test_what_cannot_be_encoded_or_mixed_is_refused(call, error, says):
    model = Diffusion(**LAWS["mixture"].parts(FINE))
    with pytest.raises(error, match=says):
        call(model, torch.zeros(2, 2))


def test_a_mix_of_bits_is_not_a_bit():
    with pytest.raises(TypeError, match="BinomialKernel jumps"):
        model_of("bits").interpolate(torch.zeros(1, 3), torch.ones(1, 3))


# Progress.


@pytest.mark.parametrize("stepper", [None, UniPC(2), Parallel()], ids=str)
def test_draws_report_their_progress(stepper, monkeypatch):
    """Rising to the whole, over all batches; and watching changes no draw."""
    monkeypatch.setattr(drawing_progress, "PAUSE", 0.0)
    monkeypatch.setattr(Diffusion, "chunk_size", 16)
    model, seen = Diffusion(**LAWS["mixture"].parts(FINE)), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = model.sample(40, 6, 0, stepper=stepper, callbacks=[seen.append])
        assert torch.equal(x, model.sample(40, 6, 0, stepper=stepper, progress=False))
    done = [each.step for each in seen]
    assert done == sorted(done)
    assert seen[-1].step == seen[-1].steps == 3 * 6
    assert seen[-1].seconds_left == 0
    assert seen[-1].examples_per_second > 0
    if stepper is None:
        assert len(set(done)) == 19


def test_a_bar_appears_only_where_drawing_takes_a_while(monkeypatch, capsys):
    model = Diffusion(**LAWS["mixture"].parts(FINE))
    model.sample(2, 4, 0, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(drawing_progress, "PATIENCE", 0.0)
    monkeypatch.setattr(drawing_progress, "PAUSE", 0.0)
    model.sample(2, 4, 0, progress=True)
    assert "4/4" in capsys.readouterr().err
    model.sample(2, 4, 0, progress=False)
    assert capsys.readouterr().err == ""


# Times.


def test_time_grids_are_what_they_say():
    kernel = GaussianKernel(schedules.linear(1000))
    model = Diffusion(Continuous(3), kernel, Velocity(), Wrong())
    half = 0.5 * kernel.schedule.log_snr
    assert torch.equal(EvenTimes(25)(model), model.times(25))
    roots = Quadratic(10)(model).double().sqrt().diff()
    assert (roots - roots.mean()).abs().max() < 0.1 * roots.mean()
    h = half[EvenLogSNR(12, high=4.0)(model)].diff()
    assert (h - h.mean()).abs().max() < 0.15 * h.abs().mean()
    low = half[EvenLogSNR(12, low=-2.0)(model)]
    assert low[-2] == pytest.approx(-2, abs=0.02)
    assert low[-1] == half[-1]
    sigma = (-half[Karras(12)(model)] / 7).exp().diff()
    assert (sigma - sigma.mean()).abs().max() < 0.15 * sigma.mean()
    for grid in (EvenTimes(10), EvenLogSNR(10), Karras(10), Quadratic(10)):
        assert torch.equal(model.times(grid), grid(model))
        assert grid(model)[-1] == 1000
    with pytest.raises(ValueError, match="a time grid has 2 to T = 1000 times, got 1"):
        EvenTimes(1)(model)


def test_the_flow_of_levels_is_walked_down_to_the_noise_of_a_level():
    """By default: from T, even in log-SNR, to where the noise is one level wide."""
    kernel = GaussianKernel(schedules.linear_log_snr(1000, 12, -6))
    for count in (5, 17, 256):
        space = Quantized(3, count, spread=2.0)
        model = Model(space, kernel, Levels(1 if count > 5 else 0), outputs_of(space, count))
        times = UniPC(2).times(model, 8)
        half = 0.5 * kernel.schedule.log_snr[times]
        width = 4 / count
        assert half[0] == pytest.approx(-math.log(width), abs=0.02)
        assert (half.diff() - half.diff().mean()).abs().max() < 0.03
        assert times[-1] == 1000


def outputs_of(space, count):
    return MLP(3, width=8, depth=1, outputs=3 if count > 5 else count)


def test_times_that_collide_are_moved_apart():
    """Even in log-SNR, 1000 times of 1000 are all of them, and 600 are 600 different ones."""
    model = Diffusion(Continuous(3), GaussianKernel(schedules.linear(1000)), Velocity(), Wrong())
    assert torch.equal(EvenLogSNR(1000)(model), torch.arange(1, 1001))
    times = EvenLogSNR(600)(model)
    assert len(times.unique()) == 600
    assert (times.diff() > 0).all()


def test_any_verb_takes_a_grid():
    model = Diffusion(Continuous(3), KERNELS["gaussian"], Velocity(), Wrong())
    grid = Quadratic(5)
    times = grid(model)
    x = model.sample(4, grid, 0)
    assert torch.equal(x, model.sample(4, times, 0))
    assert torch.equal(model.score(x, 4, grid, 0).nats, model.score(x, 4, times, 0).nats)
    mask = torch.zeros_like(x)
    mask[:, 0] = 1
    found, expected = (model.complete(x, mask, 2, each, 0).draws for each in (grid, times))
    assert torch.equal(found, expected)


# Bad input.


@pytest.mark.parametrize(
    ("kind", "stepper", "error", "says"),
    [
        ("bits", Multistep(), TypeError, r"BinomialKernel jumps: use Kept\(\) or Ancestral"),
        ("classes", Adaptive(), TypeError, "CategoricalKernel jumps"),
        ("neighbours", Kept(), TypeError, "between neighbours only, and Kept"),
        ("neighbours", UniPC(), TypeError, "between neighbours only, and Multi"),
        ("reals", Adaptive(1e-20), ValueError, "cannot reach a tolerance of 1e-20: give 2e-15"),
        ("reals", Parallel(tolerance=1e-20), ValueError, "cannot reach a tolerance of 1e-20"),
    ],
)
def test_a_stepper_that_cannot_serve_says_what_can(kind, stepper, error, says):
    if kind == "neighbours":
        model = Diffusion(Continuous(3), KERNELS["gaussian"], Natural(), Silent())
        times = None if isinstance(stepper, Kept) else torch.arange(1, 41)
    else:
        model, times = model_of(kind), None
    with pytest.raises(error, match=says):
        model.sample(2, times, 0, stepper=stepper)


@pytest.mark.parametrize("stepper", [Adaptive(1e-7), Parallel(tolerance=1e-7)], ids=str)
def test_a_tolerance_that_float32_cannot_reach_is_refused(stepper, float32):
    model = Diffusion(Continuous(3), KERNELS["gaussian"], Velocity(), Wrong()).float()
    with pytest.raises(ValueError, match=r"torch.float32 cannot reach a tolerance of 1e-07: give"):
        model.sample(2, stepper=stepper)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Kept(1.5), "eta is a share"),
        (lambda: Multistep(0), "the order of a stepper is 1 or more, got 0"),
        (lambda: Multistep(1, corrected=False, again=True), "give corrected=True as well"),
        (lambda: Parallel(UniPC(2)), "give one without correction"),
        (lambda: Parallel(window=0), "a window has 1 or more times"),
        (lambda: Parallel(DDIM(), window=0), "a window has 1 or more times"),
        (lambda: Adaptive(0.0), "a tolerance is positive"),
    ],
)
def test_a_stepper_that_is_none_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_even_times_and_repeated_ones_are_told_of():
    kernel = GaussianKernel(schedules.linear(1000))
    model = Diffusion(Continuous(3), kernel, Velocity(), Wrong())
    with pytest.warns(UserWarning, match=r"times as long in log-SNR as the one before it, at t = "):
        model.sample(2, EvenTimes(10), 0, stepper=DPMSolver(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample(2, 10, 0, stepper=DPMSolver(2))
        model.sample(2, EvenTimes(10), 0, stepper=DDIM())
    with pytest.raises(ValueError, match=r"times must rise"):
        model.sample(2, [1, 500, 500, 1000], 0, stepper=DPMSolver(2))
    with pytest.raises(ValueError, match="corrects its steps"):
        model.encode(torch.zeros(2, 3), stepper=UniPC(2))


def test_a_certificate_says_order_error_and_cost():
    assert diagnostics.certify is certify
    found = certify(UniPC(2), EvenLogSNR, LAWS["gaussian"], FINE, counts=(10, 20, 40), n=100)
    assert found.rmse[0] > found.rmse[1] > found.rmse[2]
    assert found.rmse[2] < 2e-3
    assert abs(found.nll[2] - found.entropy) < 0.3
    assert repr(found).count("\n") == 3
    assert "order" in repr(found)
    heun = certify(Heun(), law=LAWS["gaussian"], kernel=FINE, counts=(20,) * 3, n=50)
    assert len(heun.rmse) == 3
    assert pinwheel().mixture.mean.shape == (60, 2)


def test_parallel_takes_ddim_by_either_name():
    """And refuses what does not follow the flow."""
    model, _ = counted(LAWS["mixture"], GaussianKernel(schedules.linear(1000)))
    grid = EvenLogSNR(20)
    expected = model.sample(8, grid, 0, stepper=DDIM())
    for serial in (DDIM(), Multistep(1, corrected=False)):
        found = model.sample(8, grid, 0, stepper=Parallel(serial, tolerance=1e-8))
        assert (found - expected).abs().max() < 1e-6
    for other in (Ancestral(), Kept(0.5), Adaptive(0.1)):
        with pytest.raises(TypeError, match="give DDIM"):
            Parallel(other)
