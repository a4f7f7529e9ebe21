"""What a kernel does with a belief about x_0 and with a factor, against sums and integrals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import (
    KERNELS,
    assert_mean,
    close,
    data_like_noise,
    each_scalar,
    every_kernel,
    every_kernel_at_all,
    member,
    random_data,
    random_times,
)
from quasistatic.distributions import Bernoulli, Gaussian, Lattice, total
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules

INF = math.inf
every_gaussian = pytest.mark.parametrize(
    "kernel", [KERNELS[k] for k in KERNELS if not KERNELS[k].binary]
)
every_binomial = pytest.mark.parametrize(
    "kernel", [KERNELS[k] for k in KERNELS if KERNELS[k].binary]
)
HERMITE = [torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(80)]


def mean_over(p: Gaussian, f) -> torch.Tensor:
    """log E_p[exp f(x)] by Gauss-Hermite."""
    nodes, weights = HERMITE
    x = p.loc[..., None] + p.variance.sqrt()[..., None] * nodes
    return (torch.stack([f(each) for each in x.unbind(-1)], -1) + weights.log()).logsumexp(
        -1
    ) - 0.5 * math.log(2 * math.pi)


def belief_for(kernel, rng, n):
    if kernel.binary:
        return Bernoulli(2 * torch.randn(n, 3, generator=rng))
    return Gaussian(torch.randn(n, 3, generator=rng), torch.rand(n, 3, generator=rng) + 0.1)


@every_kernel
def test_the_prior_is_the_fixed_point(kernel, rng):
    """A step from pi has the mean of pi, and its second moment, which is 1 on the real line."""
    s, t = random_times(kernel, 64, rng)
    pi = kernel.prior(torch.zeros(64, 3))
    zeros, ones = torch.zeros(64, 3), torch.ones(64, 3)
    rest, slope = kernel.step(zeros, s, t).mean, kernel.step(ones, s, t).mean
    slope = slope - rest
    assert close(rest + slope * pi.mean, pi.mean)
    if not kernel.binary:
        assert close(slope**2 * pi.variance + kernel.step(zeros, s, t).variance, pi.variance)


@every_kernel
def test_a_step_from_time_zero_is_the_marginal(kernel, rng):
    x_0 = random_data(kernel, 64, rng)
    _, t = random_times(kernel, 64, rng)
    step, marginal = kernel.step(x_0, torch.zeros_like(t), t), kernel.marginal(x_0, t)
    assert close(step.mean, marginal.mean)
    assert close(step.variance, marginal.variance)


@every_gaussian
def test_the_bridge_of_a_gaussian_belief_is_the_exact_mixture(kernel, rng):
    """The integral of q(x_s | x_t, x_0) N(x_0; m, v) over x_0, at every x_s."""
    s, t = random_times(kernel, 32, rng)
    x_t, x_s = torch.randn(2, 32, 3, generator=rng)
    belief = belief_for(kernel, rng, 32)
    bridge = kernel.bridge(x_t, belief, s, t)
    step = kernel.posterior(x_t, belief.mean, s, t)
    one, zero = torch.ones_like(x_t), torch.zeros_like(x_t)
    # The posterior is linear in x_0: the mixture is a Gaussian of which this is the variance.
    slope = kernel.posterior(x_t, one, s, t).mean - kernel.posterior(x_t, zero, s, t).mean
    exact = Gaussian(step.mean, step.variance + slope**2 * belief.variance)
    assert close(bridge.log_prob(x_s), exact.log_prob(x_s), rtol=1e-8)


@every_gaussian
def test_the_bridge_of_any_belief_has_the_mixture_s_mean_and_variance(kernel, rng):
    """Enumerated over the values of a lattice, which need not be near normal."""
    s, t = random_times(kernel, 32, rng)
    x_t = torch.randn(32, 3, generator=rng)
    belief = member("lattice", rng, 32, 3)
    bridge = kernel.bridge(x_t, belief, s, t)
    parts = [kernel.posterior(x_t, v.expand_as(x_t), s, t) for v in belief.values]
    mean = sum(w * p.mean for w, p in zip(belief.probs.unbind(-1), parts, strict=True))
    second = sum(
        w * (p.variance + (p.mean - mean) ** 2)
        for w, p in zip(belief.probs.unbind(-1), parts, strict=True)
    )
    assert close(bridge.mean, mean)
    assert close(bridge.variance, second)


@every_binomial
@pytest.mark.parametrize("as_lattice", [False, True])
def test_the_bridge_of_a_bit_mixes_and_does_not_plug_in(kernel, as_lattice, rng):
    """sum over x_0 of P(x_0) q(x_s | x_t, x_0); a probability put into Bayes' rule in the place
    of x_0, as one does with categories by mistake, is something else."""
    s, t = random_times(kernel, 64, rng)
    x_t = random_data(kernel, 64, rng)
    bits = belief_for(kernel, rng, 64)
    logits = torch.stack([torch.zeros_like(bits.logit), bits.logit], -1)
    belief = Lattice(logits, torch.tensor([0.0, 1.0])) if as_lattice else bits
    one, zero = torch.ones_like(x_t), torch.zeros_like(x_t)
    mixed = bits.mean * kernel.posterior(x_t, one, s, t).mean
    mixed = mixed + (1 - bits.mean) * kernel.posterior(x_t, zero, s, t).mean
    bridge = kernel.bridge(x_t, belief, s, t)
    assert close(bridge.mean, mixed)
    at_s = kernel.marginal(one, s).mean * bits.mean + kernel.marginal(zero, s).mean * (
        1 - bits.mean
    )
    plugged = Bernoulli(at_s.logit()).tilt(*kernel.likelihood_tilt(x_t, s, t))
    assert (bridge.mean - plugged.mean).abs().max() > 0.01


@every_binomial
def test_the_bridge_of_a_known_bit_is_the_posterior(kernel, rng):
    s, t = random_times(kernel, 64, rng)
    x_t, x_0 = random_data(kernel, 64, rng), random_data(kernel, 64, rng)
    known = Bernoulli(torch.where(x_0 > 0.5, INF, -INF))
    bridge, posterior = kernel.bridge(x_t, known, s, t), kernel.posterior(x_t, x_0, s, t)
    assert close(bridge.logit, posterior.logit)
    assert close(kernel.divergence(x_t, x_0, known, s, t), torch.zeros(64, 3))


@every_kernel
def test_divergence_is_the_kl_from_the_posterior_to_the_bridge(kernel, rng):
    s, t = random_times(kernel, 256, rng)
    x_0 = random_data(kernel, 256, rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    belief = belief_for(kernel, rng, 256)
    naive = kernel.posterior(x_t, x_0, s, t).kl(kernel.bridge(x_t, belief, s, t))
    assert close(kernel.divergence(x_t, x_0, belief, s, t), naive, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("steps", [10, 1000, 10_000])
@pytest.mark.parametrize(
    "make", [schedules.linear_log_snr, schedules.cosine, schedules.erase_evenly]
)
def test_divergence_keeps_its_digits_in_float32(make, steps, rng):
    """Every term by itself, within 1e-3. The belief is off by a share of the noise, as a good
    network's is. A difference of the two means is worthless there; see the next test."""
    table = make(steps, 14, -6) if make is schedules.linear_log_snr else make(steps)
    kernel = GaussianKernel(table)
    t = torch.linspace(2, steps, 200).long()
    x_0, off = torch.randn(200, 32, generator=rng), torch.randn(200, 32, generator=rng)
    ratio = kernel.noise(t, x_0) / kernel.signal(t, x_0).clamp(min=1e-3)
    # Both are cut to float32 first, so that only what is computed from them is compared.
    x_0 = x_0.float()
    mean = (x_0 + (0.5 * off * ratio.clamp(max=1)).float()).float()
    x_t = kernel.marginal(x_0.double(), t).sample(rng)
    belief = Gaussian(mean, torch.rand(200, 32, generator=rng).float() * ratio.float() ** 2)
    single = kernel.divergence(x_t.float(), x_0, belief, t - 1, t)
    exact = kernel.divergence(x_t, x_0.double(), belief.to(torch.float64), t - 1, t)
    assert single.dtype == torch.float32
    assert close(total(single).double(), total(exact), rtol=1e-3, atol=0)


def test_the_difference_of_two_means_does_not():
    """Why `divergence` is there: at high SNR in float32 the means agree in most of their digits."""
    kernel = GaussianKernel(schedules.linear_log_snr(10_000, 14, -6))
    t = torch.arange(2, 202)
    x_0 = torch.linspace(-2, 2, 200)[:, None]
    belief = Gaussian(x_0 + 0.3 * kernel.noise(t, x_0), torch.zeros_like(x_0))
    x_t = x_0.clone()
    exact = kernel.divergence(x_t, x_0, belief, t - 1, t)
    single = belief.to(torch.float32)
    p = kernel.posterior(x_t.float(), x_0.float(), t - 1, t)
    naive = p.kl(kernel.bridge(x_t.float(), single, t - 1, t)).double()
    kept = kernel.divergence(x_t.float(), x_0.float(), single, t - 1, t).double()
    assert (kept.sum() / exact.sum() - 1).abs() < 1e-3
    assert (naive.sum() / exact.sum() - 1).abs() > 1e-2


@pytest.mark.parametrize("steps", [10, 1000, 10_000])
@pytest.mark.parametrize("make", [schedules.cosine, schedules.erase_evenly])
def test_divergence_of_bits_keeps_its_digits_in_float32(make, steps, rng):
    """The sum over the chain, within 1e-3: single terms near T, where x_0 hardly matters, are
    differences of logits that agree in all of float32's digits, and add next to nothing."""
    kernel = BinomialKernel(make(steps), mean=0.2)
    t = torch.linspace(2, steps, 200).long()
    x_0 = random_data(kernel, 200, rng)
    belief = Bernoulli((3 * torch.randn(200, 3, generator=rng)).float())
    x_t = kernel.marginal(x_0, t).sample(rng)
    single = kernel.divergence(x_t.float(), x_0.float(), belief, t - 1, t)
    exact = kernel.divergence(x_t, x_0, belief.to(torch.float64), t - 1, t)
    assert single.dtype == torch.float32
    assert single.sum().item() == pytest.approx(exact.sum().item(), rel=1e-3)


@every_gaussian
def test_widen_gives_the_step_the_spread_of_x_0(kernel, rng):
    """beta_tilde + c^2 Var[x_0 | x_t], where c is the slope of the posterior's mean in x_0."""
    s, t = random_times(kernel, 64, rng)
    x_t, variance = torch.randn(64, 3, generator=rng), torch.rand(64, 3, generator=rng)
    one, zero = torch.ones_like(x_t), torch.zeros_like(x_t)
    step = kernel.posterior(x_t, one, s, t)
    slope = step.mean - kernel.posterior(x_t, zero, s, t).mean
    widened = kernel.widen(step, variance, s, t)
    assert close(widened.variance, step.variance + slope**2 * variance)
    assert torch.equal(widened.mean, step.mean)


@every_gaussian
@pytest.mark.parametrize("variance", [0.05, 1.0, INF])
def test_a_factor_lifted_is_its_mean_over_data_that_are_noise(kernel, variance, rng):
    """log E[N(y; x_0, variance) | x_t] by quadrature, at every x_t."""
    y, x_t = torch.randn(2, 64, 3, generator=rng)
    _, t = random_times(kernel, 64, rng)
    linear, precision, constant = kernel.propagate_likelihood(y, torch.full_like(y, variance), t)
    lifted = linear * x_t - precision * x_t**2 / 2 + constant
    if variance == INF:
        assert torch.equal(lifted, torch.zeros_like(y))  # nothing is known: r = 1
        return
    x_0 = kernel.step(x_t, torch.zeros_like(t), t)  # q(x_0 | x_t) under pi, by detailed balance
    if variance == 1.0:
        expected = mean_over(x_0, lambda x: Gaussian(x, torch.ones_like(x)).log_prob(y))
        assert close(lifted, expected, rtol=1e-6, atol=1e-6)
    # Conjugate: y given x_t is normal with both variances.
    law = Gaussian(x_0.loc, x_0.variance + variance)
    assert close(lifted, law.log_prob(y), rtol=1e-8, atol=1e-8)


@every_gaussian
def test_a_value_known_exactly_lifts_to_its_own_density(kernel, rng):
    y, x_t = torch.randn(2, 64, 3, generator=rng)
    _, t = random_times(kernel, 64, rng)
    linear, precision, constant = kernel.propagate_likelihood(y, torch.zeros_like(y), t)
    law = kernel.step(x_t, torch.zeros_like(t), t)
    lifted = linear * x_t - precision * x_t**2 / 2 + constant
    assert close(lifted, law.log_prob(y), rtol=1e-6, atol=1e-6)


@every_binomial
@pytest.mark.parametrize("variance", [0.0, 0.05, 1.0, INF])
def test_a_factor_on_a_bit_lifts_to_its_mean_over_both_values(kernel, variance, rng):
    noisy = 0.0 < variance < INF
    x_t = random_data(kernel, 64, rng)
    y = torch.randn(64, 3, generator=rng) if noisy else random_data(kernel, 64, rng)
    _, t = random_times(kernel, 64, rng)
    linear, precision, constant = kernel.propagate_likelihood(y, torch.full_like(y, variance), t)
    lifted = linear * x_t - precision * x_t**2 / 2 + constant
    x_0 = kernel.step(x_t, torch.zeros_like(t), t)
    expected = torch.zeros_like(y)
    if variance == 0:
        expected = x_0.log_prob(y)
    elif noisy:
        expected = torch.stack(
            [
                Gaussian(torch.full_like(y, bit), torch.full_like(y, variance)).log_prob(y)
                + x_0.log_prob(torch.full_like(y, bit))
                for bit in (0.0, 1.0)
            ]
        ).logsumexp(0)
    assert close(lifted, expected)


def test_when_nothing_of_the_data_is_left_a_factor_says_the_same_of_every_x(rng):
    """At T of erase_evenly: log E_pi[r], whatever x_T is."""
    for name in ("gaussian-erase", "bits-rare"):
        kernel = KERNELS[name]
        y = data_like_noise(kernel, 16, rng)
        t = torch.full((16,), kernel.steps)
        linear, precision, constant = kernel.propagate_likelihood(y, torch.zeros_like(y), t)
        assert close(linear, torch.zeros_like(y))
        assert close(precision, torch.zeros_like(y))
        assert close(constant, kernel.prior(y).log_prob(y))


def test_bits_with_an_activity_of_their_own_are_so_many_kernels(rng):
    """A mean for each coordinate does to each what one mean does to all."""
    each = KERNELS["bits-each"]
    s, t = random_times(each, 64, rng)
    x_0, x_t = random_data(each, 64, rng), random_data(each, 64, rng)
    for i, mean in enumerate(each.mean):
        one = replace(each, mean=mean)
        a, b = each.posterior(x_t, x_0, s, t), one.posterior(x_t, x_0, s, t)
        assert close(a.logit[:, i], b.logit[:, i])
        assert close(each.prior(x_t).logit[:, i], one.prior(x_t).logit[:, i])


@pytest.mark.parametrize("mean", [0.0, 1.0, -0.2, (0.5, 1.5), math.nan])
def test_a_bit_that_is_always_the_same_is_refused(mean):
    with pytest.raises(ValueError, match="mean activity must lie strictly between 0 and 1"):
        BinomialKernel(schedules.erase_evenly(10), mean=mean)


@every_kernel_at_all
def test_the_mean_entropy_of_a_step_is_the_mean_over_its_starts(kernel, rng):
    """For each x_s exactly, and over draws of x_s in the mean."""
    x_0 = random_data(kernel, 200, rng)
    s, t = random_times(kernel, 200, rng)
    law = kernel.marginal(x_0, s)
    x_s = law.sample(rng)
    alone = each_scalar(kernel, kernel.step(x_s, s, t).entropy())
    assert close(each_scalar(kernel, kernel.mean_step_entropy(x_s, s, t)), alone)
    expected = total(kernel.mean_step_entropy(law.mean, s, t))
    draws = [total(kernel.step(law.sample(rng), s, t).entropy()) for _ in range(400)]
    assert_mean(torch.stack(draws), expected, slack=1e-3)
