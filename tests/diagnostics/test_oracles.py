"""An oracle's answers follow from its density, and its density from its draws."""

import itertools
import math

import numpy as np
import pytest
import torch

from conftest import KERNELS, assert_mean, close
from quasistatic.data.synthetic import roll_curve, roll_noise, swiss_roll
from quasistatic.diagnostics.oracles import (
    CheckerboardOracle,
    GaussianOracle,
    HeartbeatOracle,
    IsingOracle,
    MixtureOracle,
    Moments,
    PinwheelOracle,
    RingOracle,
    SwissRollOracle,
)
from quasistatic.distributions import Gaussian
from quasistatic.heads import Clean
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous

REAL = {
    "gaussian": GaussianOracle((0.5, -2.0), (0.2, 3.0)),
    "one-value": GaussianOracle(1.0, 0.5),
    "mixture": MixtureOracle((0.3, 0.7), ((-1.0, 2.0), (0.5, -0.5)), (0.1, 0.4)),
    "stretched": MixtureOracle((0.5, 0.5), ((-1.0, 0.0), (1.0, 0.0)), ((0.02, 2.0), (1.0, 0.1))),
    "roll": SwissRollOracle(0.2),
    "ring": RingOracle(8, 1.4, 0.15),
    "pinwheel": PinwheelOracle(3, 6),
    "checkerboard": CheckerboardOracle(4, 3),
}
every_real = pytest.mark.parametrize("oracle", REAL.values(), ids=REAL.keys())


@every_real
@pytest.mark.parametrize("name", ["gaussian", "gaussian-log-snr"])
def test_the_answer_is_what_the_density_implies(oracle, name, rng):
    """Tweedie: E[x_0 | x_t] = (x_t + noise^2 grad) / signal, and Var[x_0 | x_t] = noise^2 (1 +
    noise^2 curvature) / signal^2, of log q(x_t)."""
    kernel = KERNELS[name]
    n, dims = 40, oracle.space.dims
    t = torch.linspace(1, kernel.steps, n).long()
    x_t = kernel.marginal(oracle.sample(n, rng), t).sample(rng).requires_grad_()
    log_prob = oracle.log_prob_t(x_t, kernel, t)
    (grad,) = torch.autograd.grad(log_prob.sum(), x_t, create_graph=True)
    curvature = torch.stack(
        [
            torch.autograd.grad(grad[:, i].sum(), x_t, retain_graph=True)[0][:, i]
            for i in range(dims)
        ],
        -1,
    )
    signal, gone = kernel.signal(t, x_t), kernel.noise(t, x_t) ** 2
    mean, variance = oracle.answer(kernel, x_t.detach(), t).unbind(-1)
    assert close(mean, (x_t + gone * grad) / signal, rtol=1e-6, atol=1e-6)
    # The two parts of the variance cancel where little of the signal is left.
    exact = gone * (1 + gone * curvature) / signal**2
    assert close(variance * signal**2, exact * signal**2, rtol=1e-6, atol=1e-9)


@every_real
def test_the_density_after_t_steps_is_the_mean_of_the_forward_process(oracle, rng):
    kernel = KERNELS["gaussian"]
    x_0 = oracle.sample(100_000, rng)
    t = torch.tensor([15])
    x_t = kernel.marginal(oracle.sample(1, rng), t).sample(rng)
    law = kernel.marginal(x_0, t.expand(len(x_0)))
    density = law.log_prob(x_t.expand_as(x_0)).sum(1).exp()
    assert_mean(density, oracle.log_prob_t(x_t, kernel, t).exp()[0])


@pytest.mark.parametrize("name", [each for each in REAL if REAL[each].space.dims == 2])
def test_the_density_integrates_to_one(name):
    oracle = REAL[name]
    axes = [torch.linspace(-9, 9, 361)] * 2
    grid = torch.cartesian_prod(*axes)
    mass = oracle.log_prob(grid).exp().sum() * (axes[0][1] - axes[0][0]) ** 2
    assert mass.item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", [each for each in REAL if REAL[each].space.dims == 2])
def test_draws_have_the_moments_of_the_mixture(name, rng):
    oracle = REAL[name]
    x, mixture = oracle.sample(100_000, rng), oracle.mixture
    weight = mixture.log_weight.exp()[:, None]
    mean = (weight * mixture.mean).sum(0)
    assert_mean(x, mean)
    assert_mean((x - mean) ** 2, (weight * (mixture.variance + (mixture.mean - mean) ** 2)).sum(0))
    cross = (weight[:, 0] * (mixture.mean - mean).prod(1)).sum()
    assert_mean((x - mean).prod(1), cross)


def test_one_gaussian_is_a_gaussian(rng):
    oracle = GaussianOracle((0.5, -2.0), (0.2, 3.0))
    x = oracle.sample(100, rng)
    law = Gaussian(torch.tensor([0.5, -2.0]), torch.tensor([0.2, 3.0]))
    assert close(oracle.log_prob(x), law.log_prob(x).sum(1))
    assert GaussianOracle(0.0, (1.0, 2.0)).mixture.mean.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("noise", "bits"), [(0.025, 2.36), (0.05, 1.41), (0.1, 0.38), (0.25, -0.98)]
)
def test_the_true_k_of_scikit_learn_s_roll(noise, bits, rng):
    """E[log2 p] at unit variance; `noise` is scikit-learn's own, added before the scaling, so that
    it is 6.79 times smaller in units of the data."""
    oracle = SwissRollOracle(roll_noise(noise))
    log_prob = oracle.log_prob(oracle.sample(1500, rng)) / math.log(2)
    assert_mean(log_prob, bits, slack=0.03)
    assert log_prob.std() / 1500**0.5 < 0.04


@pytest.mark.parametrize(
    ("noise", "bits"), [(0.025, -0.39), (0.05, -1.39), (0.1, -2.40), (0.25, -3.60)]
)
def test_the_true_k_of_our_roll(noise, bits, rng):
    """The same where the noise is given in the data's own units: twice the noise costs one bit."""
    log_prob = SwissRollOracle(noise).log_prob(SwissRollOracle(noise).sample(4000, rng))
    assert_mean(log_prob / math.log(2), bits, slack=0.02)


def test_the_roll_is_the_one_that_recipes_train_on(rng):
    """Points of `data.swiss_roll` have the density's own mean log-probability and unit variance."""
    noise = 0.1
    x = torch.from_numpy(swiss_roll(4000, noise, seed=1))
    oracle = SwissRollOracle(noise)
    own = oracle.log_prob(oracle.sample(4000, rng))
    assert_mean(oracle.log_prob(x), own.mean().item(), slack=5 * own.std().item() / 4000**0.5)
    assert x.var(0).mean().item() == pytest.approx(1, abs=0.05)
    assert_mean(x, oracle.mixture.log_weight.exp() @ oracle.mixture.mean)


def test_the_roll_s_quadrature_has_converged(rng):
    """Against a plain sum over forty times as many places on the curve, ends and all."""
    oracle = SwissRollOracle(0.1)
    angle = 1.5 * np.pi * (1 + 2 * (np.arange(40_000) + 0.5) / 40_000)
    curve = torch.from_numpy(roll_curve(angle)) * math.sqrt(1 - 0.1**2)
    ends = curve[[0, -1]] + torch.tensor([[0.05, -0.15], [-0.1, 0.1]])
    x = torch.cat([oracle.sample(20, rng), ends, torch.tensor([[0.0, 0.0], [3.0, 3.0]])])
    square = ((x[:, None] - curve) ** 2).sum(-1)
    plain = (-square / (2 * 0.1**2)).logsumexp(1) - math.log(40_000 * 2 * math.pi * 0.1**2)
    assert close(oracle.log_prob(x), plain, rtol=1e-6, atol=1e-6)


def test_pieces_change_nothing(rng, monkeypatch):
    """Large batches are worked through in pieces."""
    kernel, oracle = KERNELS["gaussian"], REAL["mixture"]
    x, t = torch.randn(50, 2, generator=rng), torch.randint(1, 41, (50,), generator=rng)
    whole = oracle.answer(kernel, x, t), oracle.log_prob(x)
    monkeypatch.setattr("quasistatic.diagnostics.oracles.mixtures.LARGEST", 12)
    assert torch.equal(oracle.answer(kernel, x, t), whole[0])
    assert torch.equal(oracle.log_prob(x), whole[1])


def test_shapes_of_the_plane_have_their_symmetry(rng):
    """A turn by one arm or one normal, and a shift by two squares within the board, change no
    density."""
    x = torch.randn(50, 2, generator=rng)
    for oracle, count in ((RingOracle(8), 8), (PinwheelOracle(5), 5)):
        angle = 2 * math.pi / count
        turn = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        assert close(oracle.log_prob(x @ turn.T), oracle.log_prob(x))
    board = CheckerboardOracle(4, 6)
    inside = torch.tensor([[-1.5, -1.5], [-0.5, -0.5], [-1.4, 0.5]])
    dark = torch.full((3,), -math.log(8.0))  # eight squares of area 1
    assert close(board.log_prob(inside), dark, atol=0.04)
    assert (board.log_prob(inside + torch.tensor([1.0, 0.0])) < dark - 3).all()
    assert close(board.log_prob(-x), board.log_prob(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RingOracle(0), "a ring needs positive sizes, got count = 0"),
        (lambda: PinwheelOracle(5, 1), "a pinwheel needs positive sizes, got normals = 0"),
        (lambda: CheckerboardOracle(4, 0), "a board needs positive sizes, got grid = 0"),
        (lambda: IsingOracle(2), "a ring has 3 to 12 bits here, got 2"),
        (lambda: IsingOracle(4, math.inf), "coupling and field must be finite, got inf"),
    ],
)
def test_shapes_without_a_size_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Bits.


BITS = {
    "6 by 3": HeartbeatOracle(6, 3),
    "7 by 3": HeartbeatOracle(7, 3),
    "8 by 2": HeartbeatOracle(8, 2),
    "5 by 5": HeartbeatOracle(5, 5),
    "ising": IsingOracle(6),
    "apart": IsingOracle(5, -0.8, 0.3),
}


@pytest.mark.parametrize("oracle", BITS.values(), ids=BITS.keys())
def test_probabilities_of_bits_sum_to_one(oracle):
    """Over all sequences of bits, before and after any number of steps."""
    length = oracle.space.dims
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=length)))
    assert oracle.log_prob(every).exp().sum().item() == pytest.approx(1)
    assert (oracle.log_prob(every).isfinite()).sum() == len(oracle.sequences)
    kernel = BinomialKernel(schedules.erase_evenly(20), 0.3)
    for t in (1, 7, 20):
        after = oracle.log_prob_t(every, kernel, torch.full((len(every),), t))
        assert after.logsumexp(0).item() == pytest.approx(0, abs=1e-12)


def test_an_ising_law_has_the_log_odds_of_its_energy(rng):
    """log p of a flip of one spin: 2 s_i (coupling (s_{i-1} + s_{i+1}) + field)."""
    oracle = IsingOracle(6, 0.7, 0.2)
    x = oracle.sample(200, rng)
    spin = 2 * x - 1
    for i in range(6):
        flipped = x.clone()
        flipped[:, i] = 1 - flipped[:, i]
        energy = 0.7 * (spin[:, i - 1] + spin[:, (i + 1) % 6]) + 0.2
        lost = oracle.log_prob(x) - oracle.log_prob(flipped)
        assert close(lost, 2 * spin[:, i] * energy)
    drawn = IsingOracle(6, 0.7, 0.2).sample(50_000, rng)
    assert_mean(drawn, oracle.log_weight.exp() @ oracle.sequences)


def test_a_heartbeat_is_a_1_every_period_places(rng):
    x = HeartbeatOracle(20, 5).sample(2000, rng)
    assert torch.equal(x.sum(1), torch.full((2000,), 4.0))
    first = x.argmax(1)
    assert (x.gather(1, first[:, None] + 5 * torch.arange(4)) == 1).all()
    assert_mean(torch.nn.functional.one_hot(first, 5).double(), 0.2)


@pytest.mark.parametrize("mean", [0.2, 0.5, (0.1, 0.5, 0.8, 0.3, 0.2, 0.6, 0.9)])
@pytest.mark.parametrize("oracle", [HeartbeatOracle(7, 3), IsingOracle(7)], ids=["beat", "ising"])
def test_the_answer_on_bits_is_bayes_by_enumeration(oracle, mean, rng):
    """P(x_0i = 1 | x_t) over all 2^7 clean sequences, also where it is all but certain."""
    kernel = BinomialKernel(schedules.erase_evenly(30), mean)
    model = Model(**oracle.parts(kernel))
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=7)))
    t = torch.randint(1, 31, (60,), generator=rng)
    x_t = kernel.marginal(oracle.sample(60, rng), t).sample(rng)
    joint = torch.zeros(60, len(every))
    for k, x_0 in enumerate(every):
        law = kernel.marginal(x_0.expand(60, 7), t)
        joint[:, k] = (law.log_prob(x_t).sum(1) + oracle.log_prob(x_0[None])).exp()
    expected = joint @ every / joint.sum(1, keepdim=True)
    assert close(model.estimate(x_t, t), expected)


def test_a_heartbeat_that_is_all_but_known_keeps_its_odds():
    """Next to the data the odds are e^60 and more: in logs, not 0 and 1."""
    oracle, kernel = HeartbeatOracle(20, 5), BinomialKernel(schedules.erase_evenly(2000), 0.5)
    t = torch.ones(5, dtype=torch.long)
    x = oracle.sequences
    belief = Model(**oracle.parts(kernel)).last(x, t)
    # Another phase asks for eight bits to have flipped, each with probability 1/4000.
    flip = math.log(1 / 4000) - math.log(1 - 1 / 4000)
    expected = torch.where(x > 0.5, -8 * flip - math.log(4), 8 * flip)
    up = 8 * flip - math.log1p(3 * math.exp(8 * flip))
    assert close(belief.logit[x > 0.5], expected[x > 0.5])
    assert close(belief.logit[x < 0.5], torch.full((80,), up), rtol=1e-8)


# What an oracle is to a model.


@pytest.mark.parametrize("name", ["mixture", "roll"])
def test_an_oracle_s_network_learns_nothing_and_answers_in_the_type_it_is_asked(name, rng):
    oracle, kernel = REAL[name], KERNELS["gaussian"]
    network = oracle.network(kernel)
    assert list(network.parameters()) == []
    x, t = torch.randn(20, 2, generator=rng), torch.randint(1, 41, (20,), generator=rng)
    exact = oracle.answer(kernel, x.float().double(), t)
    single = network(x.float(), (t / 40).float())
    assert single.dtype == torch.float32
    assert torch.equal(single, exact.float())


def test_a_step_has_the_moments_that_the_network_says(rng):
    kernel = KERNELS["gaussian"]
    x_t, t = torch.randn(20, 3, generator=rng), torch.randint(2, 41, (20,), generator=rng)
    output = torch.rand(20, 3, 2, generator=rng)
    head = Moments()
    step = head.reverse(kernel, output, x_t, t - 1, t)
    clean = kernel.posterior(x_t, output[..., 0], t - 1, t)
    assert close(step.mean, clean.mean)
    assert close(step.variance, kernel.widen(clean, output[..., 1], t - 1, t).variance)
    assert close(head.estimate(kernel, output, x_t, t), output[..., 0])


def test_the_best_normal_step_has_the_oracle_s_moments(rng):
    """E log p(x_s | x_t) over the true q is highest at them: any other mean or width loses."""
    oracle, kernel = REAL["mixture"], GaussianKernel(schedules.linear_log_snr(6, 4, -6))
    n = 40_000
    x_0 = oracle.sample(n, rng)
    t = torch.full((n,), 4)
    x_s = kernel.marginal(x_0, t - 2).sample(rng)
    x_t = kernel.step(x_s, t - 2, t).sample(rng)
    exact = oracle.answer(kernel, x_t, t)

    def mean_log_prob(output):
        return Moments().reverse(kernel, output, x_t, t - 2, t).log_prob(x_s).sum(1)

    best = mean_log_prob(exact)
    for shift in (-0.15, 0.15):
        worse = mean_log_prob(exact + torch.tensor([shift, 0.0]))
        assert_better(best, worse)
        worse = mean_log_prob(exact * torch.tensor([1.0, 1 + 2 * shift]))
        assert_better(best, worse)


def assert_better(best, worse):
    gain = best - worse
    assert gain.mean() > 5 * gain.std() / len(gain) ** 0.5


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: GaussianOracle(0.0, 0.0), ValueError, "variances positive"),
        (lambda: GaussianOracle(math.nan), ValueError, "means must be finite"),
        (lambda: GaussianOracle((0.0, 1.0), (1.0, 2.0, 3.0)), ValueError, "do not fit"),
        (lambda: MixtureOracle((0.5, 0.6), (0.0, 1.0), (1.0, 1.0)), ValueError, "sum to 1"),
        (lambda: MixtureOracle((1.5, -0.5), (0.0, 1.0), (1.0, 1.0)), ValueError, "be positive"),
        (
            lambda: MixtureOracle((0.5, 0.5), (0.0, 1.0, 2.0), (1.0, 1.0, 1.0)),
            ValueError,
            r"2 weights, means of shape \(3, 1\)",
        ),
        (lambda: SwissRollOracle(0.0), ValueError, "give 0 < noise < 1, got 0.0"),
        (lambda: SwissRollOracle(1.0), ValueError, "give 0 < noise < 1, got 1.0"),
        (lambda: HeartbeatOracle(4, 5), ValueError, "from 2 to the length, 4, got 5"),
        (lambda: HeartbeatOracle(4, 1), ValueError, "from 2 to the length, 4, got 1"),
        (
            lambda: Moments().bind(Binary(3), KERNELS["bits"]),
            TypeError,
            "Moments needs a kernel with signal and noise scales .* got BinomialKernel",
        ),
        (
            lambda: Model(**GaussianOracle().parts(KERNELS["bits"])),
            TypeError,
            "diffuses bits, but Continuous holds other",
        ),
        (
            lambda: HeartbeatOracle().log_prob(torch.full((1, 20), 0.5)),
            ValueError,
            "whole numbers from 0 to 1, got 0.5",
        ),
    ],
)
def test_what_is_no_distribution_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_an_oracle_brings_its_space_and_its_head():
    kernel = KERNELS["gaussian"]
    parts = SwissRollOracle(0.2).parts(kernel)
    assert parts["space"] == Continuous(2)
    assert parts["head"] == Moments()
    assert parts["kernel"] is kernel
    parts = HeartbeatOracle(6, 3).parts(KERNELS["bits"])
    assert parts["space"] == Binary(6)
    assert parts["head"] == Clean()
