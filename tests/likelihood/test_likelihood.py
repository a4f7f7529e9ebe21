"""K against distributions whose log-density is known."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from conftest import KERNELS, Silent, Wrong, assert_mean, close, random_data
from quasistatic.diagnostics.oracles import (
    GaussianOracle,
    HeartbeatOracle,
    MixtureOracle,
    Moments,
    SwissRollOracle,
)
from quasistatic.distributions import total
from quasistatic.heads import Clean, Levels, Natural, Noise
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.likelihood.terms import learned_term, stratified_terms, term_times
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous, Dequantized, Quantized
from quasistatic.training.objectives import Bound, Simple


def ends(oracle: GaussianOracle, kernel: GaussianKernel, first: int) -> float:
    """What a chain with exact steps loses on independent Gaussian data, in nats: at T,
    KL(q(x_T) || pi), and at its first time the mean KL from the exact q(x_0 | x_t) to the forward
    step in reverse."""
    lost = 0.0
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    a = kernel.schedule.alpha_bar
    loc, variance = a[-1].sqrt() * m, a[-1] * v + 1 - a[-1]
    lost += 0.5 * (variance - 1 - variance.log() + loc**2).sum().item()
    signal, gone = a[first].sqrt(), 1 - a[first]
    seen = signal**2 * v + gone
    exact = v * gone / seen
    slope = signal * v / seen - signal  # of the difference of the two means, in x_t
    rest = m - signal**2 * v * m / seen
    square = slope**2 * seen + (slope * signal * m + rest) ** 2
    ratio = exact / gone
    return lost + 0.5 * (ratio - 1 - ratio.log() + square / gone).sum().item()


@pytest.mark.parametrize("times", [None, 9, [2, 3, 10, 40]], ids=["all", "9", "listed"])
@pytest.mark.parametrize("name", ["gaussian", "gaussian-erase", "gaussian-log-snr"])
def test_on_gaussian_data_exact_steps_lose_at_the_two_ends_only(name, times, rng):
    """However few and uneven the times are, E[K] = E[log p] less a closed form."""
    kernel = KERNELS[name]
    oracle = GaussianOracle((0.0, 1.5), (0.3, 1.8))
    model, x = Model(**oracle.parts(kernel)), oracle.sample(20_000, rng)
    score = bound(model, x, times=times, rng=rng)
    lost = ends(oracle, kernel, int(model.times(times)[0]))
    assert_mean(score.nats - oracle.log_prob(x), -lost)
    assert lost > 0


def test_with_exact_steps_the_bound_closes_as_the_chain_grows(rng):
    """The steps of correlated data are no Gaussians, and less so the longer they are."""
    oracle = MixtureOracle((0.3, 0.7), ((-1.5, 0.5), (1.0, -0.5)), (0.1, 0.3))
    x = oracle.sample(4000, rng)
    gaps = []
    for steps in (5, 20, 160):
        kernel = GaussianKernel(schedules.erase_evenly(steps))
        gap = oracle.log_prob(x) - bound(Model(**oracle.parts(kernel)), x, rng=rng).nats
        gaps.append(gap.mean().item())
        assert gap.mean() > -5 * gap.std() / len(x) ** 0.5
    assert gaps[0] > 2 * gaps[1] > 6 * gaps[2]
    assert gaps[2] < 0.06


def test_the_roll_is_scored_at_its_own_density(rng):
    """Curved and narrow: the bound of the exact chain is a few hundredths of a nat below log p."""
    oracle = SwissRollOracle(noise=0.25)
    kernel = GaussianKernel(schedules.linear_log_snr(50, 10, -8))
    x = oracle.sample(1500, rng)
    gap = oracle.log_prob(x) - bound(Model(**oracle.parts(kernel)), x, rng=rng).nats
    error = gap.std().item() / len(gap) ** 0.5
    assert error < 0.05
    assert -5 * error < gap.mean().item() < 5 * error + 0.05


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_the_heartbeat_is_scored_at_log_one_fifth(mean, rng):
    """log2 1/5 = -2.322 bits a sequence, where independent bits of that activity have -14.4."""
    oracle = HeartbeatOracle()
    model = Model(**oracle.parts(BinomialKernel(schedules.erase_evenly(2000), mean)))
    score = bound(model, oracle.sample(400, rng), evaluations=100, rng=rng)
    assert_mean(score.nats, math.log(0.2), slack=0.01)
    assert score.stderr() < 0.05
    rate = 0.2 * math.log(mean) + 0.8 * math.log(1 - mean)
    assert close(score.null, torch.full_like(score.null, 20 * rate))


@pytest.mark.parametrize("name", ["gaussian", "bits-each"])
@pytest.mark.parametrize("evaluations", [1, 7, 13])
def test_a_share_of_the_terms_is_unbiased(name, evaluations, rng):
    """For a network that is wrong, too: the sum over few terms has the mean of the sum over all."""
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Continuous(3)
    model = Model(space, kernel, Clean(FixedLarge()), Wrong())
    x = random_data(kernel, 20_000, rng)
    few, full = bound(model, x, evaluations, rng=rng), bound(model, x, rng=rng)
    for name in ("transitions", "edge"):
        assert_mean(few.terms[name] - full.terms[name], 0.0)
    assert torch.equal(few.terms["prior"], full.terms["prior"])
    assert few.evaluations == evaluations


@pytest.mark.parametrize("terms", [1, 2, 9, 40])
def test_as_many_shares_as_terms_draw_each_term_once(terms, rng):
    for n in (1, 7):
        drawn = [stratified_terms(n, terms, k, terms, rng) for k in range(terms)]
        every = torch.arange(terms)[:, None].expand(-1, n)
        assert torch.equal(torch.stack(drawn), every)


def test_one_share_spreads_evenly_over_the_batch(rng):
    """As many examples as terms, or a multiple: each term equally often, in any order."""
    for multiple in (1, 3):
        drawn = stratified_terms(multiple * 20, 20, 0, 1, rng)
        assert torch.equal(drawn.bincount(minlength=20), torch.full((20,), multiple))


@pytest.mark.parametrize("shares", [1, 3, 7, 9])
def test_every_term_is_as_likely_as_every_other(shares, rng):
    """For each example by itself; shares that do not divide the terms split some of them, and
    still favour none."""
    visits = torch.zeros(400, 5, 10)
    for run in visits:
        for share in range(shares):
            run[torch.arange(5), stratified_terms(5, 10, share, shares, rng)] += 1
    assert_mean(visits, shares / 10)
    assert (visits.sum(2) == shares).all()


class Diary(nn.Module):
    """A silent network that keeps the times it was asked at, example by example."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[torch.Tensor] = []

    def forward(self, x, time):
        self.asked.append(time)
        return torch.zeros(*x.shape, 1, dtype=x.dtype)


@pytest.mark.parametrize("name", ["gaussian", "bits"])
def test_the_full_sum_asks_the_network_once_a_term(name, rng):
    """At every time that it decides: from 2 on the real line, where p(x_0 | x_1) is fixed, and
    from 1 for bits."""
    kernel, diary = KERNELS[name], Diary()
    model = Model(Binary(3) if kernel.binary else Continuous(3), kernel, Clean(), diary)
    diary.asked.clear()
    bound(model, random_data(kernel, 5, rng), rng=rng)
    asked = (torch.stack(diary.asked) * kernel.steps).round().long().sort(0).values
    first = 1 if kernel.binary else 2
    assert torch.equal(asked, torch.arange(first, 41)[:, None].expand(-1, 5))


@pytest.mark.parametrize("name", ["gaussian", "bits-each"])
def test_the_training_loss_is_the_learned_part_of_minus_k(name, rng):
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Continuous(3)
    model = Model(space, kernel, Clean(FixedLarge()), Wrong())
    x = random_data(kernel, 20_000, rng)
    score = bound(model, x, rng=rng)
    learned = -score.terms["transitions"]
    if kernel.binary:
        learned = learned - score.terms["edge"]
    assert_mean(Bound()(model, x, rng) - learned, 0.0)


def test_the_simple_loss_is_the_mean_squared_error_of_the_noise(rng):
    """A network that says eps = 0 is off by E[eps^2] = 1 for each value, at every time."""
    model = Model(Continuous(3), KERNELS["gaussian"], Noise(), Silent())
    assert_mean(Simple()(model, random_data(model.kernel, 20_000, rng), rng), 3.0)


def test_a_term_is_a_kl_and_the_sum_of_terms_is_the_bound(rng):
    """Each term of exact Gaussian steps is the information I(x_s; x_0 | x_t), in closed form."""
    oracle, kernel = GaussianOracle((0.0,), 0.5), KERNELS["gaussian"]
    model, x = Model(**oracle.parts(kernel)), oracle.sample(50_000, rng)
    a = kernel.schedule.alpha_bar

    def information(t):  # I(x_t; x_0) = log(1 + SNR variance) / 2
        return 0.5 * torch.log1p(0.5 * a[t] / (1 - a[t])).item()

    for k in (1, 10, 39):
        index = torch.full((len(x),), k - 1)  # a real value has no learned term at s = 0
        term = learned_term(model, x, term_times(model), index, rng)
        # x_s tells of x_0 all that x_t does: I(x_s; x_0 | x_t) is the difference.
        assert_mean(term, information(k) - information(k + 1))


def test_what_a_score_holds(rng):
    kernel = KERNELS["gaussian-erase"]
    oracle = GaussianOracle((0.0, 0.0), 1.0)
    x = oracle.sample(20_000, rng)
    score = bound(Model(**oracle.parts(kernel)), x, 5, rng=rng)
    assert close(score.nats, sum(score.terms.values()))
    assert close(score.bits * math.log(2), score.nats)
    assert close(score.bits_per_dim * -2, score.bits)
    assert close(score.above_null + score.null, score.nats)
    assert score.stderr() == pytest.approx((score.nats.std() / 20_000**0.5).item())
    # L_null of SD15 Tab. 1, -4.094 bits: two values of unit variance under N(0, 1).
    assert_mean(score.null / math.log(2), -4.094)
    # SD15 Eq. 14: nothing is left of x_0 at T, and entropies of normals are what they are.
    full = 1 + math.log(2 * math.pi)
    first = full + math.log(kernel.schedule.beta[0])
    for name, nats in [("H_q(X_T|X_0)", full), ("H_q(X_1|X_0)", first), ("H_p(X_T)", full)]:
        assert close(score.entropies[name], torch.full_like(score.nats, nats))
    assert close(score.terms["prior"], torch.zeros_like(score.nats))


@pytest.mark.parametrize("name", ["gaussian", "gaussian-erase", "bits-rare"])
def test_the_paper_s_four_terms_and_the_boundary_are_the_bound(name, rng):
    """K = transitions + H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T) + what B.1 and B.2 drop, which
    for real data is E log pi(x_0) - E log pi(x_1) + E log pi(x_T) + H_p(X_T)."""
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Continuous(3, scale=2.0)
    model = Model(space, kernel, Natural(), Wrong())
    x = random_data(kernel, 50, rng)
    score = bound(model, x, rng=rng)
    paper = score.terms["transitions"] + score.entropies["H_q(X_T|X_0)"]
    paper = paper - score.entropies["H_q(X_1|X_0)"] - score.entropies["H_p(X_T)"]
    assert close(paper + score.boundary, score.nats)
    if kernel.binary:
        return
    x_0 = space.encode(x)

    def mean_log_pi(t):
        law = kernel.marginal(x_0, torch.full((50,), t))
        return total(-0.5 * (law.mean**2 + law.variance + math.log(2 * math.pi)))

    dropped = mean_log_pi(0) - mean_log_pi(1) + mean_log_pi(40) + score.entropies["H_p(X_T)"]
    assert close(score.boundary, dropped - 3 * math.log(2.0))


@pytest.mark.parametrize("count", [2, 16])
def test_uniform_levels_cost_their_logarithm(count, rng):
    """16 levels, any of them alike: 4 bits a value. A silent Levels head knows it."""
    kernel = GaussianKernel(schedules.linear_log_snr(100, 12, -8))
    space = Quantized(3, count)
    model = Model(space, kernel, Levels(), Silent(count))
    x = torch.randint(count, (3000, 3), generator=rng).double()
    score = bound(model, x, rng=rng)
    assert_mean(score.bits_per_dim, math.log2(count), slack=0.02)
    assert score.stderr(score.bits_per_dim) < 0.02


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_uniform_bits_cost_one_bit(mean, rng):
    """Independent bits have exact steps: nothing is lost, but at T what the prior gets wrong."""
    kernel = BinomialKernel(schedules.cosine(40), mean)
    model = Model(Binary(3), kernel, Levels(), Silent(2))
    x = (torch.rand(4000, 3, generator=rng) < 0.5).double()
    score = bound(model, x, rng=rng)
    ones = kernel.marginal(torch.ones(1, 1), torch.tensor([40])).mean
    zeros = kernel.marginal(torch.zeros(1, 1), torch.tensor([40])).mean
    up = ((ones + zeros) / 2).item()
    lost = up * math.log2(up / mean) + (1 - up) * math.log2((1 - up) / (1 - mean))
    assert_mean(score.bits_per_dim, 1.0 + lost)


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_the_edge_is_the_last_step_alone(mean, rng):
    """The mean log-probability of uniform bits given x_1, by enumeration."""
    kernel = BinomialKernel(schedules.erase_evenly(10), mean)
    model = Model(Binary(3), kernel, Levels(), Silent(2))
    x = (torch.rand(4000, 3, generator=rng) < 0.5).double()
    one = torch.tensor([1])
    up = torch.cat([kernel.marginal(torch.full((1, 1), b), one).mean for b in (0.0, 1.0)])
    joint = torch.cat([up, 1 - up], 1) / 2  # of x_0 and x_1
    given = 3 * (joint * (joint / joint.sum(0)).log()).sum()
    assert_mean(bound(model, x, rng=rng).terms["edge"], given)
    assert_mean(bound(model, x, 4, rng=rng).terms["edge"], given)


class Flat(nn.Module):
    """The moments of x_0 uniform on (-1, 1) given x_t, by quadrature where they are supported."""

    def __init__(self, kernel: GaussianKernel) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_t, time):
        t = (time * self.kernel.steps).round().long()
        loc = x_t / self.kernel.signal(t, x_t)
        scale = self.kernel.noise(t, x_t) / self.kernel.signal(t, x_t)
        lower, upper = ((loc + sign * 9 * scale).clamp(-1, 1) for sign in (-1, 1))
        lower, upper = torch.minimum(lower, upper - 1e-9), torch.maximum(upper, lower + 1e-9)
        nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(40))
        half = (upper - lower)[..., None] / 2
        x_0 = lower[..., None] + half * (1 + nodes)
        odds = -((x_0 - loc[..., None]) ** 2) / (2 * scale[..., None] ** 2) + weights.log()
        share = odds.softmax(-1)
        mean = (share * x_0).sum(-1)
        return torch.stack([mean, (share * (x_0 - mean[..., None]) ** 2).sum(-1)], -1)


@pytest.mark.parametrize(("count", "spread"), [(16, 1.0), (256, 1.0)])
def test_uniform_levels_cost_their_logarithm_when_dequantised(count, spread, rng):
    """The density of raw + u is 1/16 on (0, 16), whatever the scale on which it is diffused. The
    chain ends in noise of a few thousandths, which is what the two walls cost."""
    kernel = GaussianKernel(schedules.linear_log_snr(100, 13, -8))
    space = Dequantized(1, count, spread)
    model = Model(space, kernel, Moments(), Flat(kernel))
    x = torch.randint(count, (6000, 1), generator=rng).double()
    score = bound(model, x, rng=rng)
    assert_mean(score.bits_per_dim, math.log2(count), slack=0.02)
    assert score.stderr(score.bits_per_dim) < 0.02


def test_in_float32_as_users_run_it_the_bound_closes_too(float32, rng):
    """A thousand steps, from a log-SNR of 14: the terms are differences of nearly equal numbers."""
    oracle = GaussianOracle((0.0, 0.5, -1.0), (0.2, 1.0, 2.0))
    kernel = GaussianKernel(schedules.linear_log_snr(1000, 14, -10))
    x = oracle.sample(4000, rng)
    score = bound(Model(**oracle.parts(kernel)), x, evaluations=60, rng=rng)
    assert score.nats.dtype == torch.float32
    gap = score.nats.double() - oracle.log_prob(x)
    assert_mean(gap, -ends(oracle, kernel, 1), slack=1e-3)
    assert score.stderr(gap) < 0.05


def test_scoring_leaves_a_model_as_it_was(rng):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    for training in (True, False):
        model.train(training)
        bound(model, random_data(model.kernel, 2, rng), 3, rng=rng)
        assert model.training is training
        assert model.network.training is training


@pytest.mark.parametrize("evaluations", [0, 40, -1])
def test_evaluations_beyond_the_terms_are_refused(evaluations):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Silent())
    with pytest.raises(ValueError, match=f"from 1 to 39, .* got {evaluations}"):
        bound(model, torch.zeros(1, 3), evaluations)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (torch.zeros(2, 4), r"\(examples, 3\), got \(2, 4\)"),
        (torch.zeros(0, 3), "x is empty"),
        (torch.tensor([[0.0, math.nan, 0.0]]), r"x holds nan at \(0, 1\)"),
    ],
)
def test_data_are_checked_at_the_door(raw, says):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Silent())
    with pytest.raises(ValueError, match=says):
        bound(model, raw)


def test_one_example_has_no_error_over_examples():
    """It is NaN, without a warning, and is not printed."""
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Silent())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = bound(model, torch.zeros(1, 3), 4, rng=0)
        assert math.isnan(score.stderr())
        assert "±" not in repr(score)
        assert "nan" not in repr(score)
