"""Factors that multiply, against closed forms: a mixture of normals seen through any of them."""

import math

import pytest
import torch
from torch import nn

import quasistatic as qs
from conftest import Silent, assert_mean, close
from quasistatic.diagnostics.oracles import HeartbeatOracle, MixtureOracle
from quasistatic.distributions import Gaussian
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.sampling import SMC, Guided
from quasistatic.sampling.factors import Anything, Label, Linear, Observed, Product, Smooth
from quasistatic.sampling.guidance import RULES

INF = math.inf
LAW = MixtureOracle((0.4, 0.6), ((-1.2, 1.0, 0.3), (0.9, -0.8, 0.1)), (0.3, 0.4))
MATRIX = torch.tensor([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7]], dtype=torch.float64)


@pytest.fixture(scope="module")
def model():
    return qs.Diffusion(**LAW.parts(GaussianKernel(schedules.linear_log_snr(200, 11, -9))))


def conjugate(matrix, y, variance):
    """The mean, the covariance and log E_p[r] of LAW times N(y; matrix x, variance)."""
    mean, spread = LAW.mixture.mean, LAW.mixture.variance
    joint, means, covariances = [], [], []
    for k in range(len(mean)):
        prior = torch.diag(spread[k])
        seen = matrix @ prior @ matrix.T + torch.diag(variance)
        gain = prior @ matrix.T @ torch.linalg.inv(seen)
        law = torch.distributions.MultivariateNormal(matrix @ mean[k], seen)
        joint.append(LAW.mixture.log_weight[k] + law.log_prob(y))
        means.append(mean[k] + gain @ (y - matrix @ mean[k]))
        covariances.append(prior - gain @ matrix @ prior)
    share = torch.stack(joint).softmax(0)
    whole = sum(p * m for p, m in zip(share, means, strict=True))
    covariance = sum(
        p * (c + torch.outer(m - whole, m - whole))
        for p, m, c in zip(share, means, covariances, strict=True)
    )
    return whole, covariance, torch.stack(joint).logsumexp(0)


def check(model, factor, expected, rng, slack=0.03, pull=0.0):
    """Draws and evidence of the same example many times over; their spread tells the error."""
    mean, covariance, log_evidence = expected
    found = model.posterior(factor, 300, None, rng, method=SMC(300, 1, pull))
    assert_mean(found.draws.mean(1), mean, slack)
    around = found.draws - mean
    assert_mean((around[..., :, None] * around[..., None, :]).mean(1), covariance, slack)
    assert_mean((found.log_evidence - log_evidence).exp(), 1.0, slack)


SIX = 6
SEEN = torch.tensor([0.4, -0.6], dtype=torch.float64)
NOISE = torch.tensor([0.2, 0.1], dtype=torch.float64)


def six(y):
    return y.expand(SIX, *y.shape)


@pytest.mark.parametrize("pull", [0.0, 1.0])
def test_a_linear_view_is_conjugate(model, pull, rng):
    factor = Linear(six(SEEN), MATRIX, NOISE)
    check(model, factor, conjugate(MATRIX, SEEN, NOISE), rng, pull=pull)


@pytest.mark.parametrize("t", [1, 100, 200])
def test_a_linear_view_seen_through_the_noise_is_conjugate(model, t):
    """The mean of x_t where x_0 ~ N(signal x_t, noise^2): y has the noise of x_0 besides."""
    kernel, law = model.kernel, Gaussian(six(SEEN[[0, 1, 0]]), torch.tensor([0.5, 1.0, 2.0]))
    at = torch.full((SIX,), t)
    factor = Linear(six(SEEN), MATRIX, NOISE).on(model.space)
    found = factor.matched(kernel, law, at)
    signal, noise = (
        each[0, 0].double() for each in (kernel.signal(at, law.mean), kernel.noise(at, law.mean))
    )
    matrix, prior = signal * MATRIX, torch.diag(law.variance).double()
    seen = matrix @ prior @ matrix.T + noise**2 * MATRIX @ MATRIX.T + torch.diag(NOISE)
    gain = prior @ matrix.T @ torch.linalg.inv(seen)
    expected = law.mean + (SEEN - law.mean @ matrix.T) @ gain.T
    assert close(found.mean, expected, rtol=1e-6)
    assert close(found.variance, law.variance.expand(SIX, 3))


def test_a_product_is_one_factor(model, rng):
    """A linear view and a noisy value are one linear view of three rows."""
    value = torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64)
    factor = Linear(six(SEEN), MATRIX, NOISE) * Observed(six(value), torch.tensor([INF, 0.3, INF]))
    whole = torch.cat([MATRIX, torch.eye(3, dtype=torch.float64)[1:2]])
    y, noise = torch.cat([SEEN, value[1:2]]), torch.cat([NOISE, torch.tensor([0.3])])
    check(model, factor, conjugate(whole, y, noise), rng)


def test_a_smooth_factor_is_the_linear_one_written_out(model, rng):
    def log_r(x):
        return Gaussian(x @ MATRIX.to(x).T, NOISE.to(x)).log_prob(SEEN.to(x)).sum(1)

    factor = Smooth(log_r) * Observed(six(torch.zeros(3)), INF)
    check(model, factor, conjugate(MATRIX, SEEN, NOISE), rng, slack=0.05)


def test_a_label_is_a_posterior_over_components(model, rng):
    """A classifier that knows the components: the draws are the component's, the evidence its
    weight."""

    def logits(x):
        law = Gaussian(LAW.mixture.mean.to(x), LAW.mixture.variance.to(x))
        return LAW.mixture.log_weight.to(x) + law.log_prob(x[:, None]).sum(-1)

    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    found = model.posterior(Label(logits, labels), 300, None, rng, method=SMC(300, 1))
    for k, rows in enumerate(found.draws.split(3)):
        assert_mean(rows.mean(1), LAW.mixture.mean[k], slack=0.05)
        weight = LAW.weights[k]
        assert_mean(found.log_evidence[3 * k : 3 * k + 3].exp(), weight, slack=0.05)


def test_units_are_those_of_the_raw_data(rng):
    """Raw data times c, seen with noise of c^2 the variance: the same draws, and a density less
    by log c a value."""
    kernel, c = GaussianKernel(schedules.linear_log_snr(60, 9, -9)), 7.0
    network = qs.networks.MLP(3, 16)
    y = torch.tensor([[0.4, -0.6, 0.0]] * 2)
    variance = torch.tensor([[0.2, 0.0, INF]] * 2)
    view = torch.tensor([[0.3], [0.1]])
    row = torch.tensor([[1.0, 2.0, -1.0]])
    found = []
    for scale in (1.0, c):
        small = qs.Diffusion(qs.Continuous(3, 0.5 * scale, scale), kernel, qs.Velocity(), network)
        seen = Observed(y * scale, variance * scale**2) * Linear(view * scale, row, 0.5 * scale**2)
        rng.manual_seed(0)
        found.append(small.posterior(seen, 4, None, rng, method=SMC(16, 2)))
    assert torch.allclose(found[1].draws, c * found[0].draws, rtol=1e-4, atol=1e-5)
    change = found[1].log_evidence - found[0].log_evidence
    assert torch.allclose(change, torch.full((2,), -3 * math.log(c)).double(), atol=1e-4)


def test_a_linear_view_of_shifted_data_is_one_of_the_raw_values(rng):
    """A x of raw data, where the space has a shift and a scale of each value's own."""
    kernel = GaussianKernel(schedules.linear_log_snr(60, 9, -9))
    space = qs.Continuous(3, shift=(5.0, -2.0, 0.5), scale=(2.0, 0.5, 3.0))
    raw = torch.randn(SIX, 3, generator=rng)
    about = Linear(six(SEEN), MATRIX, NOISE).on(space)
    expected = Gaussian(raw @ MATRIX.T, NOISE.expand(SIX, 2)).log_prob(six(SEEN)).sum(1)
    assert close(about.log_prob(space.encode(raw)), expected)
    shifted = qs.Diffusion(space, kernel, qs.Natural(), Silent())
    # With data that are the kernel's noise, raw values are N(shift, scale^2).
    prior = torch.tensor([5.0, -2.0, 0.5]), torch.tensor([4.0, 0.25, 9.0])
    seen = MATRIX @ torch.diag(prior[1]) @ MATRIX.T + torch.diag(NOISE)
    gain = torch.diag(prior[1]) @ MATRIX.T @ torch.linalg.inv(seen)
    mean = prior[0] + gain @ (SEEN - MATRIX @ prior[0])
    found = shifted.posterior(Linear(six(SEEN), MATRIX, NOISE), 300, None, rng, method=SMC(300, 1))
    assert_mean(found.draws.mean(1), mean, slack=0.1)
    law = torch.distributions.MultivariateNormal(MATRIX @ prior[0], seen)
    assert_mean(found.log_evidence, law.log_prob(SEEN), slack=0.05)


def test_an_adjoint_that_is_found_is_the_one_that_is_told(model, rng):
    def forward(x):
        return x @ MATRIX.to(x).T

    def back(v):
        return v @ MATRIX.to(v)

    told, found = (Linear(six(SEEN), forward, NOISE, adjoint) for adjoint in (back, None))
    belief = Gaussian(torch.randn(SIX, 3, dtype=torch.float64, generator=rng), torch.ones(SIX, 3))
    updated = [each.on(model.space).update(belief) for each in (told, found)]
    assert close(updated[0].mean, updated[1].mean)
    # and the update is the conditional mean of a normal belief
    gain = MATRIX.T @ torch.linalg.inv(MATRIX @ MATRIX.T + torch.diag(NOISE))
    expected = belief.mean + (SEEN - belief.mean @ MATRIX.T) @ gain.T
    assert close(updated[0].mean, expected, rtol=1e-7)


@pytest.mark.parametrize("rule", list(RULES))
def test_guided_walks_keep_what_is_known_and_know_no_evidence(model, rule, rng):
    y = torch.tensor([[0.1234567, 0.0, 0.0]] * 2)
    seen = Observed(y, torch.tensor([0.0, 0.3, INF]))
    found = model.posterior(seen, 8, 50, rng, method=Guided(rule))
    assert found.draws.shape == (2, 8, 3)
    assert torch.equal(found.draws[..., 0], y[:, :1].expand(2, 8).to(found.draws.dtype))
    assert found.log_evidence.isnan().all()
    assert found.draws.isfinite().all()
    assert found.draws[..., 2].std() > 0.1


@pytest.mark.parametrize("rule", ["constant", "growing"])
def test_guided_walks_are_approximations(rule, rng):
    """p = N(0, 1), r = N(1.5; x, 0.5), exact steps: r at every step is p r^2 in the end, and r
    that grows with t is off too. r matched to the noise is right for the kernel's own fixed
    point, which this is, and weighted particles are right."""
    kernel = GaussianKernel(schedules.linear(400, 0.01, 0.01))
    oracle = qs.diagnostics.oracles.GaussianOracle((0.0,), (1.0,))
    normal = qs.Diffusion(**oracle.parts(kernel))
    seen = Observed(torch.tensor([[1.5]]), 0.5)
    off = normal.posterior(seen, 3000, None, rng, method=Guided(rule)).draws
    assert abs(off.mean().item() - 1.0) > 0.1 or abs(off.var().item() - 1 / 3) > 0.1
    for method in (Guided("matched"), SMC(3000, 1)):
        right = normal.posterior(seen, 3000, None, rng, method=method).draws
        assert abs(right.mean().item() - 1.0) < 0.05
        assert abs(right.var().item() - 1 / 3) < 0.03


def test_impute_takes_nan_for_missing(model, rng):
    x = torch.tensor([[0.5, math.nan, 0.1], [0.3, 0.2, 0.1]])
    found = model.impute(x, 32, 60, rng)
    hidden = x.isnan()
    assert torch.equal(found.draws[:, 0][~hidden], x[~hidden].to(found.draws.dtype))
    assert (found.deviation[hidden] > 0).all()
    assert (found.deviation[~hidden] == 0).all()
    low, high = found.quantile((0.1, 0.9))
    assert (low <= high).all()
    assert low.shape == x.shape
    with pytest.warns(UserWarning, match="nothing is known of 1 rows, of row 1 first"):
        model.impute(torch.tensor([[0.5, 0.0, 0.1], [math.nan] * 3]), 2, 20, rng)


def test_memory_is_bounded_and_the_answer_the_same(model):
    """However few particles the network sees at once."""
    seen = Observed(torch.tensor([[0.5, 0.0, 0.0]]), torch.tensor([0.2, INF, INF]))
    sizes = []
    network = model.network
    hook = network.register_forward_hook(lambda m, given, out: sizes.append(len(given[0])))
    found = model.posterior(seen, 4, 20, torch.Generator().manual_seed(0), together=10)
    hook.remove()
    assert max(sizes) <= 10
    assert found.draws.shape == (1, 4, 3)


def test_repeats_tell_the_error_of_the_evidence(model, rng):
    seen = Observed(torch.tensor([[0.5, 0.2, 0.0]] * 40), torch.tensor([0.0, 0.2, INF]))
    found = model.posterior(seen, 2, 40, rng, method=SMC(20, 8))
    spread = found.log_evidence.std().item()
    assert found.evidence_stderr.mean().item() == pytest.approx(spread, rel=0.5)
    assert ((found.effective > 0) & (found.effective <= 1)).all()
    assert (found.ancestors <= 160).all()
    assert (found.ancestors >= 8).all()


@pytest.mark.parametrize("repeats", [2, 8])
def test_intervals_of_the_evidence_hold_the_truth_as_often_as_they_say(model, repeats, rng):
    """By Student's t. 1.96 standard errors of two repeats hold it in two cases of three."""
    seen = Observed(torch.tensor([[-0.2, 0.0, 0.0]] * 400), torch.tensor([0.0, INF, INF]))
    found = model.posterior(seen, 1, 10, rng, method=SMC(32, repeats))
    truth = found.log_evidence.exp().mean().log()  # of these ten steps
    for level in (0.5, 0.95):
        low, high = found.evidence_interval(level)
        assert ((low <= truth) & (truth <= high)).double().mean() == pytest.approx(level, abs=0.05)
    if repeats == 2:
        close_by = (found.log_evidence - truth).abs() < 1.96 * found.evidence_stderr
        assert close_by.double().mean() < 0.75
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        found.evidence_interval(95)


def test_intervals_of_the_defaults_hold_hidden_values_as_often_as_they_say(model, rng):
    """Simulation-based calibration: data that the model drew, two of three values hidden."""
    x = model.sample(300, 30, rng)
    mask = torch.tensor([True, False, True]).expand_as(x)
    found = model.complete(x, mask, 63, 30, rng)
    place = (found.draws < x[:, None]).double().mean(1)[mask]
    for level in (0.5, 0.8, 0.95):
        inside = ((place - 0.5).abs() < level / 2).double().mean()
        assert inside == pytest.approx(level, abs=0.05)
    assert found.repeats == 4


def test_a_posterior_prints_in_a_few_lines(model, rng):
    seen = Observed(torch.zeros(2, 3), torch.tensor([0.0, 0.2, INF]))
    told = repr(model.posterior(seen, 4, 10, rng))
    assert told.count("\n") < 5
    assert "4 draws for each of 2 examples, by SMC(particles=" in told
    assert "nats, each ±" in told
    assert "(4 repeats)" in told
    guided = model.posterior(seen, 4, 10, rng, method=Guided("matched"))
    assert repr(guided) == "Posterior: 4 draws for each of 2 examples, by Guided(rule='matched')"
    assert repr(SMC(8, 2).run(model, seen.on(model.space), 2, 10, rng)).startswith(
        "WeightedParticles: 2 examples, 2 sets of 8 particles"
    )


def test_evidence_of_bits_seen_in_part_is_a_sum(rng):
    """Five zeros at places that tell nothing leave the phases of the others alike."""
    oracle = HeartbeatOracle(20, 5)
    bits = qs.Diffusion(**oracle.parts(qs.BinomialKernel(schedules.erase_evenly(100), 0.2)))
    y = torch.zeros(6, 20)
    seen = Observed(y, torch.where(torch.arange(20) % 5 < 2, 0.0, INF))
    found = bits.posterior(seen, 300, 60, rng, method=SMC(300, 1))
    phase = found.draws[..., :5].mean(1)
    assert_mean(phase, torch.tensor([0.0, 0.0, 1 / 3, 1 / 3, 1 / 3]), slack=0.01)
    assert_mean(found.log_evidence.exp(), 0.6, slack=0.01)


# Bad input.


class Doubler(nn.Module):
    def forward(self, x):
        return x**2


@pytest.mark.parametrize(
    ("factor", "says"),
    [
        (lambda: Observed(torch.zeros(2, 4)), r"shape \(2, 4\), and the data have \(N, 3\)"),
        (lambda: Observed(torch.full((2, 3), math.nan)), r"measurement at \(0, 0\) is nan"),
        (lambda: Observed(torch.zeros(2, 3), -1.0), "variance at .* is -1.0: give 0 or more"),
        (
            lambda: Observed(torch.zeros(2, 3), 0) * Observed(torch.ones(2, 3), 0),
            r"at \(0, 0\) is known as 0 and as 1",
        ),
        (
            lambda: Observed(torch.zeros(2, 3)) * Observed(torch.zeros(3, 3)),
            "about 2 and 3 examples",
        ),
        (lambda: Linear(torch.zeros(2, 2), MATRIX, 0.0), "must be positive and finite, got 0"),
        (lambda: Linear(torch.full((2, 2), INF), MATRIX, 1.0), "must be finite"),
        (lambda: Linear(torch.zeros(2, 2), MATRIX[:, :2], 1.0), "has 3 columns"),
        (lambda: Linear(torch.zeros(2, 5), MATRIX, 1.0), r"A gives \(2,\) for an example"),
        (lambda: Linear(torch.zeros(2, 3), Doubler(), 1.0), "A is not linear"),
        (
            lambda: Linear(torch.zeros(2, 3), lambda x: 2 * x, 1.0, lambda v: 3 * v),
            "the adjoint is not A's",
        ),
        (lambda: Smooth(lambda x: x), "one number for each of"),
        (lambda: Label(lambda x: x, [0, 5]), "labels must be from 0 to 2"),
        (lambda: Label(lambda x: x, [[0]]), r"labels must have shape \(N,\)"),
    ],
)
def test_a_factor_that_is_none_is_refused(model, factor, says):
    with pytest.raises(ValueError, match=says):
        model.posterior(factor(), 2, 20)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (lambda: Guided("repaint"), "no rule 'repaint' of guided walks: choose one of constant"),
        (lambda: SMC(0), "particles must be 1 or more, got 0"),
        (lambda: SMC(repeats=0), "repeats must be 1 or more, got 0"),
        (lambda: SMC(pull=-1.0), "pull must be 0 or more"),
        (lambda: SMC(threshold=2.0), "threshold is a share of the particles"),
    ],
)
def test_a_method_out_of_range_is_refused(method, says):
    with pytest.raises(ValueError, match=says):
        method()


@pytest.mark.parametrize("name", ["draws", "together"])
def test_a_count_below_one_is_refused(model, name):
    with pytest.raises(ValueError, match=rf"{name} must be .*(1 or more|at least 1), got 0"):
        model.posterior(Anything(), times=20, **{name: 0})


def test_products_are_flat_and_anything_is_one():
    seen = Observed(torch.zeros(2, 3), 0.5)
    both = seen * Anything() * seen
    assert isinstance(both, Product)
    assert len(both.factors) == 3
    belief = Gaussian(torch.ones(2, 3), torch.ones(2, 3))
    assert close(both.update(belief).mean, seen.power(2).update(belief).mean)


@pytest.mark.parametrize("shift", [0.0, 3.0, -40.0])
def test_a_measurement_is_of_raw_values_whatever_the_space_does_to_them(shift, rng):
    """Shift and scale of the space belong to the measurement: log r(x_0) is N(y; A raw, v)."""
    space = qs.Continuous(3, (shift, 2 * shift, 1.0), (2.0, 0.5, 3.0))
    raw = space.decode(torch.randn(5, 3, dtype=torch.float64, generator=rng))
    y, variance = torch.randn(5, 2, dtype=torch.float64, generator=rng), torch.tensor([0.3, 2.0])
    on = Linear(y, MATRIX, variance).on(space)
    expected = Gaussian(raw @ MATRIX.T, variance.double().expand(5, 2)).log_prob(y).sum(1)
    assert close(on.log_prob(space.encode(raw)), expected)
