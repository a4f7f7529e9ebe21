"""p(x) r(x) and its evidence, against conjugate answers."""

import math

import pytest
import torch
from torch import nn

from conftest import KERNELS, Silent, assert_mean, close
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle, MixtureOracle
from quasistatic.distributions import Gaussian
from quasistatic.heads import Clean, Levels, Natural, Noise
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.model import Model
from quasistatic.sampling import SMC, Clip, DPMSolver, EvenLogSNR, Guided, Kept, UniPC, sample
from quasistatic.sampling.factors import Anything, Observed
from quasistatic.sampling.particles import Particles
from quasistatic.sampling.proposals import Lookahead
from quasistatic.spaces import Binary, Continuous, Quantized

INF = math.inf


def observed(y, variance) -> Observed:
    """Measurements of x_0, in float64: y is (examples, *)."""
    return Observed(*(torch.as_tensor(each, dtype=torch.float64) for each in (y, variance)))


def posterior(model, factor, examples, particles, times=None, rng=None):
    """Draws of equal weight, as many as particles, and the log-evidence, of one set."""
    found = SMC(particles, 1).run(model, factor, examples, times, rng)
    return found.draw(particles, rng), found.log_evidence


def test_denoising_is_exact_where_the_data_are_noise(rng):
    """The lifted factor is then exact at every t: the evidence has no Monte-Carlo error at all."""
    model = Model(Continuous(1), KERNELS["gaussian"], Natural(), Silent())
    n = 10_000
    x, evidence = posterior(model, observed([[1.5]], 0.5), 1, n, rng=rng)
    assert_mean(x[0], 1.0)
    assert_mean((x[0] - 1) ** 2, 1 / 3)
    law = Gaussian(torch.zeros(1), torch.full((1,), 1.5))
    assert close(evidence, law.log_prob(torch.tensor([1.5])), rtol=1e-8)


def test_denoising_bits_is_exact_where_they_are_noise(rng):
    kernel, n = KERNELS["bits-each"], 10_000
    model = Model(Binary(3), kernel, Natural(), Silent())
    y, variance = torch.tensor([[0.8, -0.5, 1.5]]), torch.tensor([[0.3, 2.0, 0.1]])
    x, evidence = posterior(model, observed(y, variance), 1, n, rng=rng)
    bits = torch.tensor([0.0, 1.0])[:, None]
    mean = torch.tensor(kernel.mean)
    joint = torch.where(bits > 0, mean, 1 - mean).log() + Gaussian(bits, variance).log_prob(y)
    # What is left of the data at T is not sent for: its noise is all there is.
    assert close(evidence, joint.logsumexp(0).sum().reshape(1), rtol=1e-4)
    assert_mean(x[0], joint.softmax(0)[1], slack=1e-4)


def test_a_guided_walk_draws_something_else(rng):
    """With r constant in t and no weights a guided walk draws p r^2, about N(1.2, 0.2): it is no
    posterior, which is why `posterior` weighs its particles."""
    kernel = GaussianKernel(schedules.linear(400, 0.01, 0.01))
    model = Model(Continuous(1), kernel, Natural(), Silent())
    factor = observed([[1.5]], 0.5)
    x = Guided("constant")(model, factor, 1, 4000, None, rng, 4000).x_0
    assert abs(x.mean().item() - 1.2) < 0.05
    assert abs(x.var().item() - 0.2) < 0.03
    y, _ = posterior(model, factor, 1, 4000, rng=rng)
    assert abs(y.mean().item() - 1.0) < 0.05
    assert abs(y.var().item() - 1 / 3) < 0.03


# Inpainting and denoising of data that are not noise.


def conjugate(oracle: MixtureOracle, y, variance):
    """Component weights, means and variances of p(x) N(y; x, variance), and log E_p[r]."""
    mixture = oracle.mixture
    y, variance = (torch.as_tensor(each, dtype=torch.float64) for each in (y, variance))
    missing = variance.isinf()
    seen = mixture.variance + torch.where(missing, 0.0, variance)
    each = torch.where(missing, 0.0, Gaussian(mixture.mean, seen).log_prob(y.expand_as(seen)))
    joint = mixture.log_weight + each.sum(1)
    gain = torch.where(missing, 0.0, mixture.variance / seen)
    mean = mixture.mean + gain * (torch.where(missing, 0.0, y) - mixture.mean)
    spread = mixture.variance * (1 - gain)
    return joint.softmax(0), mean, spread, joint.logsumexp(0)


def check_against(oracle, y, variance, rng, particles=600, examples=8, slack=0.03):
    """Means, variances and covariance of draws, and the evidence, within Monte-Carlo error: the
    examples are the same, so that their spread tells it."""
    kernel = GaussianKernel(schedules.linear_log_snr(320, 11, -9))
    model = Model(**oracle.parts(kernel))
    factor = observed(torch.tensor([y] * examples), torch.tensor([variance] * examples))
    x, evidence = posterior(model, factor, examples, particles, rng=rng)
    share, mean, spread, log_evidence = conjugate(oracle, y, variance)
    whole = (share[:, None] * mean).sum(0)
    off = mean - whole
    covariance = (share[:, None, None] * (off[:, :, None] * off[:, None])).sum(0)
    covariance = covariance + torch.diag((share[:, None] * spread).sum(0))
    assert_mean(x.mean(1), whole, slack)
    around = x - whole
    assert_mean((around[..., :, None] * around[..., None, :]).mean(1), covariance, slack)
    assert_mean((evidence - log_evidence).exp(), 1.0, slack)  # unbiased, as the evidence is
    return x


CORRELATED = MixtureOracle((0.4, 0.6), ((-1.2, 1.0), (0.9, -0.8)), ((0.3, 0.2), (0.4, 0.1)))


def test_inpainting_correlated_data_is_conditioning(rng):
    """One of two values known: the other's mean, variance and bimodality are the conditional's."""
    x = check_against(CORRELATED, [-0.2, 9.0], [0.0, INF], rng)
    assert torch.equal(x[..., 0], torch.full_like(x[..., 0], -0.2))  # to the last bit


def test_denoising_correlated_data_is_conjugate(rng):
    check_against(CORRELATED, [-0.2, 0.6], [0.5, 0.5], rng)


def test_known_and_noisy_and_missing_in_one_factor(rng):
    oracle = MixtureOracle(
        (0.5, 0.5), ((-1.0, 0.5, 1.0), (1.0, -0.5, 0.0)), ((0.3, 0.5, 0.2), (0.5, 0.2, 0.4))
    )
    x = check_against(oracle, [0.3, 0.1, 5.0], [0.0, 0.7, INF], rng)
    assert torch.equal(x[..., 0], torch.full_like(x[..., 0], 0.3))


def test_steps_that_keep_the_noise_are_weighted_to_the_same_posterior(rng):
    """With Kept(eta) as the particles' steps, in a quarter of the times."""
    kernel = GaussianKernel(schedules.linear_log_snr(320, 11, -9))
    model = Model(**CORRELATED.parts(kernel))
    y, variance, examples = [-0.2, 9.0], [0.0, INF], 8
    factor = observed(torch.tensor([y] * examples), torch.tensor([variance] * examples))
    share, mean, _, log_evidence = conjugate(CORRELATED, y, variance)
    expected = (share[:, None] * mean).sum(0)[1]
    for eta in (1.0, 0.6):
        method = SMC(600, 1, stepper=Kept(eta))
        found = method.run(model, factor, examples, EvenLogSNR(80), rng)
        weight = found.log_weight.flatten(1).softmax(1)
        means = (weight * found.x_0.flatten(1, 2)[..., 1]).sum(1)
        assert_mean(means, expected, 0.03)
        assert_mean((found.log_evidence - log_evidence).exp(), 1.0, 0.03)
    plain = SMC(50, 1).run(model, factor, examples, 20, torch.Generator().manual_seed(0))
    same = SMC(50, 1, stepper=Kept(1.0))
    same = same.run(model, factor, examples, 20, torch.Generator().manual_seed(0))
    assert torch.equal(plain.x_0, same.x_0)


class OfBits(nn.Module):
    """The exact log-odds of independent bits, for the Clean head."""

    def __init__(self, kernel, means) -> None:
        super().__init__()
        self.kernel, self.means = kernel, means

    def forward(self, x, time):
        t = (time * self.kernel.steps).round().long()
        ones = torch.ones_like(x)
        up, down = (self.kernel.marginal(each, t).log_prob(x) for each in (ones, 0 * ones))
        return (self.means.logit() + up - down)[..., None]


def test_bits_may_keep_too(rng):
    """Independent bits, of which one is known: the others have their own means."""
    means = torch.tensor([0.2, 0.5, 0.9])
    kernel = BinomialKernel(schedules.cosine(40))
    model = Model(Binary(3), kernel, Clean(), OfBits(kernel, means))
    factor = observed([[1.0, 0.0, 0.0]], [[0.0, INF, INF]])
    found = SMC(4000, 1, stepper=Kept(0.3)).run(model, factor, 1, 12, rng)
    weight = found.log_weight.flatten(1).softmax(1)
    assert close(found.log_evidence, means[:1].log(), atol=0.05)
    marginal = (weight[..., None] * found.x_0.flatten(1, 2)).sum(1)[0]
    assert (marginal - torch.tensor([1.0, 0.5, 0.9])).abs().max() < 0.03


@pytest.mark.parametrize(
    "stepper", [Kept(0.0), Kept(0.5, Clip()), UniPC(2), DPMSolver(2, eta=1.0)], ids=str
)
def test_steps_without_a_density_cannot_be_weighted(stepper):
    with pytest.raises(TypeError, match=r"give Ancestral\(\), or Kept\(eta\) with eta above 0"):
        SMC(stepper=stepper)


def test_one_component_one_answer(rng):
    """Independent coordinates: what is known of one tells nothing of the other."""
    oracle = MixtureOracle((1.0,), ((0.5, -1.0),), ((0.25, 2.0),))
    check_against(oracle, [1.0, 0.0], [0.0, INF], rng)


@pytest.mark.parametrize("times", [None, 20], ids=["all", "20"])
def test_inpainting_the_chain_s_own_law_is_exact(times, rng):
    """With exact steps from pure noise the chain's law of x_0 is known, ends and all: the evidence
    is its density, whatever the number of steps."""
    kernel = KERNELS["gaussian-erase"]
    oracle = GaussianOracle((0.5, -1.0), (0.25, 2.0))
    examples, particles = 16, 1000
    y = torch.tensor([[0.9, 0.0]] * examples)
    variance = torch.tensor([[0.0, INF]])
    model = Model(**oracle.parts(kernel))
    x, evidence = posterior(
        model, observed(y, variance.expand_as(y)), examples, particles, times, rng
    )
    a = kernel.schedule.alpha_bar[1]
    m, v = oracle.mixture.mean[0], oracle.mixture.variance[0]
    law = Gaussian(a * m, a * (a * v + 1 - a) + 1 - a)
    assert_mean((evidence - law.log_prob(y[0])[0]).exp(), 1.0)
    assert_mean(x[..., 1].mean(1), law.mean[1])
    assert_mean(((x[..., 1] - law.mean[1]) ** 2).mean(1), law.variance[1])


def test_examples_are_worked_on_by_themselves(rng):
    """Three observations at once: each has the evidence and the mean that it would have alone."""
    model = Model(Continuous(1), KERNELS["gaussian"], Natural(), Silent())
    y, n = torch.tensor([[-2.0], [0.0], [3.0]]), 4000
    x, evidence = posterior(model, observed(y, 0.5), 3, n, rng=rng)
    for i in range(3):
        assert_mean(x[i], y[i] / 1.5)
        law = Gaussian(torch.zeros(1), torch.full((1,), 1.5))
        assert close(evidence[i], law.log_prob(y[i])[0], rtol=1e-8)


def test_evidence_of_known_values_is_in_the_raw_data_s_units(rng):
    """Rescaling the raw data by c moves it by -log c for each known value."""
    kernel = KERNELS["gaussian"]
    raw, c = torch.tensor([[0.7, 9.0, -0.4]]), 20.0
    variance = torch.tensor([[0.0, INF, 0.0]])
    found = []
    for scale in (1.0, c):
        space = Continuous(3, scale=scale)
        model = Model(space, kernel, Natural(), Silent())
        y = space.encode(raw * scale)
        found.append(posterior(model, observed(y, variance), 1, 50, rng=rng)[1])
    prior = kernel.prior(raw).log_prob(raw)[0, [0, 2]].sum()
    assert close(found[0], prior.reshape(1))
    assert close(found[1], found[0] - 2 * math.log(c))


# Bits.


def heartbeat_model(mean=0.5, steps=200):
    oracle = HeartbeatOracle(20, 5)
    kernel = BinomialKernel(schedules.erase_evenly(steps), mean)
    return oracle, Model(**oracle.parts(kernel))


def test_hidden_bits_come_back_when_the_phase_is_known(rng):
    """Five bits tell the phase, and the phase the other fifteen; P(those five) = 1/5."""
    oracle, model = heartbeat_model(0.2)
    y = oracle.sequences
    variance = torch.cat([torch.zeros(5), torch.full((15,), INF)]).expand_as(y)
    x, evidence = posterior(model, observed(y, variance), 5, 100, 100, rng)
    assert torch.equal(x, y[:, None].expand_as(x))
    assert torch.equal(x[..., :5], y[:, None, :5].expand(-1, 100, -1))
    # Bits that all depend on each other make its weights uneven: a wide margin.
    assert evidence.exp().mean().item() == pytest.approx(0.2, rel=0.4)


def test_a_bit_that_is_0_leaves_four_phases_alike(rng):
    _, model = heartbeat_model()
    examples, particles = 8, 200
    y = torch.zeros(examples, 20)
    variance = torch.cat([torch.zeros(1), torch.full((19,), INF)]).expand_as(y)
    x, evidence = posterior(model, observed(y, variance), examples, particles, 60, rng)
    share = x[..., :5].mean(1)
    assert torch.equal(share[:, 0], torch.zeros(examples))
    assert_mean(share[:, 1:], 0.25, slack=0.01)
    assert_mean(evidence.exp(), 0.8, slack=0.01)


def test_zeros_that_tell_little_leave_phases_in_proportion(rng):
    """Five zeros that rule two phases out: the other three come as often as each other, by
    chi-square over independent sets of particles."""
    oracle, model = heartbeat_model()
    examples = 240
    where = (torch.arange(20) % 5 < 2) & (torch.arange(20) < 11)
    y = torch.zeros(examples, 20)
    variance = torch.where(where, 0.0, INF).expand_as(y)
    x = SMC(24, 1).run(model, observed(y, variance), examples, 60, rng).draw(1, rng)[:, 0]
    phase = (x[:, None] == oracle.sequences).all(-1)
    assert phase.any(1).double().mean() > 0.99
    count = phase.sum(0)
    assert torch.equal(count[:2], torch.zeros(2, dtype=torch.long))
    expected = count.sum() / 3
    assert ((count[2:] - expected) ** 2 / expected).sum() < 9.21  # 1 % of chi-square with 2


def test_noisy_bits_are_weighed_by_bayes(rng):
    """A reading of every bit with noise of variance 1: a posterior over the five phases."""
    oracle, model = heartbeat_model()
    examples, particles = 8, 200
    reading = oracle.sequences[2] + torch.randn(20, generator=rng)
    each = Gaussian(oracle.sequences, torch.ones(5, 20)).log_prob(reading.expand(5, 20)).sum(1)
    y = reading.expand(examples, 20)
    x, evidence = posterior(model, observed(y, 1.0), examples, particles, 60, rng)
    assert_mean(x[..., :5].mean(1), each.softmax(0), slack=0.01)
    expected = each.logsumexp(0) - math.log(5)
    assert_mean((evidence - expected).exp(), 1.0, slack=0.02)


def test_levels_that_are_known_come_back_bit_equal(rng):
    """Grey values by a silent Levels head: independent, so that the rest stays uniform and the
    evidence is 1/16 a value."""
    kernel = GaussianKernel(schedules.linear_log_snr(60, 11, -9))
    space = Quantized(2, count=16)
    model = Model(space, kernel, Levels(), Silent(16))
    examples, particles = 6, 500
    raw = torch.tensor([[3.0, 0.0]] * examples)
    y = space.encode(raw)
    variance = torch.tensor([[0.0, INF]]).expand_as(y)
    x, evidence = posterior(model, observed(y, variance), examples, particles, rng=rng)
    assert torch.equal(x[..., 0], y[:, :1].expand(-1, particles))
    drawn = space.decode(x[..., 1])
    assert_mean(drawn.mean(1), 7.5, slack=0.1)
    assert_mean(evidence.exp() * 16, 1.0, slack=0.02)


# Nothing known, and nothing possible.


def test_knowing_nothing_is_sampling(rng):
    """No weight moves, the evidence is log 1, and the draws have the model's law."""
    oracle, kernel = GaussianOracle((0.5,), 0.25), KERNELS["gaussian-erase"]
    model = Model(**oracle.parts(kernel))
    blank = torch.zeros(1, 1)
    for factor in (Anything(), observed(blank, INF)):
        x, evidence = posterior(model, factor, 1, 10_000, rng=rng)
        assert close(evidence, torch.zeros(1))
        free = sample(model, 10_000, rng=rng)
        assert_mean(x[0], free.mean().item(), slack=5 * free.std().item() / 100)
        assert abs(x.var().item() / free.var().item() - 1) < 0.1


class Certain(nn.Module):
    """A network that is sure that every bit is 1."""

    def forward(self, x, time):
        return torch.full((*x.shape, 1), INF, dtype=x.dtype)


def test_what_cannot_be_is_said_to_have_no_probability(rng):
    model = Model(Binary(3), KERNELS["bits"], Clean(), Certain())
    y = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="no particle of example 1 has any weight at t = 0"):
        posterior(model, observed(y, 0.0), 2, 20, rng=rng)
    x, _ = posterior(model, observed(y[:1], 0.0), 1, 20, rng=rng)
    assert torch.equal(x[0], torch.ones(20, 3))


@pytest.mark.parametrize(
    ("variance", "says"),
    [
        (torch.zeros(2), r"the variance has shape \(2,\), which does not fit .* \(4, 3\)"),
        (torch.tensor([0.0, -1.0, 1.0]), r"the variance at \(0, 1\) is -1.0: give 0 or more"),
        (torch.tensor([0.0, 1.0, math.nan]), r"the variance at \(0, 2\) is nan"),
    ],
)
def test_a_variance_that_is_none_is_refused(variance, says):
    with pytest.raises(ValueError, match=says):
        Observed(torch.zeros(4, 3), variance)


def test_resampling_keeps_the_mean_weight_of_each_set(rng):
    """With twisting functions at any exponent: a set that is drawn anew has equal weights, whose
    mean is that of the weights before; a set that is even enough stays as it is."""
    groups, size = 3, 40
    n = groups * size
    x = torch.randn(n, 2, generator=rng)
    log_twist = 3 * torch.randn(n, generator=rng)
    log_twist[:size] = 0.0
    rows = [x[:, None], log_twist, x, x, x, x, x]
    exponent = torch.tensor([0.3, 0.7, 1.0]).repeat_interleave(size)
    before = Particles(x, torch.zeros(n), exponent, Lookahead(*rows), torch.arange(n))
    after = before.resampled(size, 0.5, rng)
    weights = [each.log_weight.reshape(groups, size) for each in (before, after)]
    assert close(weights[1].logsumexp(1), weights[0].logsumexp(1))
    assert close(weights[1], weights[1].mean(1, keepdim=True).expand(-1, size))
    assert torch.equal(after.ancestor[:size], torch.arange(size))
    drawn = after.ancestor[size:].reshape(2, size)
    assert (drawn // size == torch.tensor([[1], [2]])).all()
    # Systematic: each is drawn as often as its weight says, to one.
    share = weights[0].softmax(1)[1:] * size
    count = torch.stack([torch.bincount(row, minlength=n)[size:] for row in drawn])
    for k in range(2):
        off = count[k, k * size : (k + 1) * size] - share[k]
        assert off.abs().max() < 1


def test_a_fixed_last_step_has_a_width_of_its_own(rng):
    """A value seen with less noise than the chain's last step has: the conjugate answer again."""
    kernel = GaussianKernel(schedules.linear(20, 0.2, 0.5))
    model = Model(Continuous(1), kernel, Noise(FixedLarge()), NoiseOfNoise(kernel))
    n = 4000
    x, evidence = posterior(model, observed([[0.8]], 0.01), 1, n, rng=rng)
    assert_mean(x[0], 0.8 / 1.01)
    assert_mean((x[0] - 0.8 / 1.01) ** 2, 0.01 / 1.01)
    law = Gaussian(torch.zeros(1), torch.full((1,), 1.01))
    assert close(evidence, law.log_prob(torch.tensor([0.8])), rtol=1e-6)


class NoiseOfNoise(nn.Module):
    """E[eps | x_t] = noise x_t for data that are N(0, 1)."""

    def __init__(self, kernel) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x, time):
        t = (time * self.kernel.steps).round().long()
        return (self.kernel.noise(t, x) * x)[..., None]
