"""What each head's output means, and which heads serve which kernels."""

import pytest
import torch
from torch import nn

from conftest import KERNELS, Silent, Wrong, close, every_kernel, random_data, random_times
from quasistatic.distributions import total
from quasistatic.heads import Clean, Equilibrium, Levels, Mean, Natural, Noise, Velocity
from quasistatic.heads.variances import FixedLarge, FixedSmall, Sigmoid
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous, Quantized
from quasistatic.training.objectives import Simple

GAUSSIAN, BITS = KERNELS["gaussian"], KERNELS["bits-each"]


def setting(kernel, rng, outputs, n=100):
    t = torch.randint(2, kernel.steps + 1, (n,), generator=rng)
    t[0] = kernel.steps
    return random_data(kernel, n, rng), t, torch.randn(n, 3, outputs, generator=rng)


def beta(kernel, t):
    return kernel.schedule.beta[t - 1][:, None]


def test_natural_moves_the_forward_step_by_beta_f(rng):
    """mu = sqrt(1 - beta) x_t + beta f, with variance beta: a network that says nothing walks
    the forward process in reverse."""
    x_t, t, output = setting(GAUSSIAN, rng, 1)
    step = Natural().reverse(GAUSSIAN, output, x_t, t - 1, t)
    b = beta(GAUSSIAN, t)
    assert close(step.mean, (1 - b).sqrt() * x_t + b * output[..., 0])
    assert close(step.variance, b.expand_as(x_t))


def test_natural_moves_the_log_odds_of_a_bit_by_f(rng):
    x_t, t, output = setting(BITS, rng, 1)
    step, forward = Natural().reverse(BITS, output, x_t, t - 1, t), BITS.step(x_t, t - 1, t)
    assert close(step.logit, forward.logit + output[..., 0])


def test_mean_says_the_mean_itself(rng):
    x_t, t, output = setting(GAUSSIAN, rng, 1)
    assert close(Mean().reverse(GAUSSIAN, output, x_t, t - 1, t).mean, output[..., 0])
    x_t, t, output = setting(BITS, rng, 1)
    logit = torch.tensor(BITS.mean).logit() + output[..., 0]
    assert close(Mean().reverse(BITS, output, x_t, t - 1, t).mean, logit.sigmoid())


every_gaussian = pytest.mark.parametrize("name", ["gaussian", "gaussian-erase", "gaussian-log-snr"])


@every_gaussian
def test_equilibrium_is_mean_and_variance_as_the_paper_prints_them(name, rng):
    """SD15 Eq. 64, 65 at every t, T and the last step among them; at T the evenly erasing chain
    has beta = 1, and the step forgets x_T."""
    kernel, head = KERNELS[name], Equilibrium()
    t = torch.arange(1, kernel.steps + 1)
    x_t, output = torch.randn(40, 3, generator=rng), torch.randn(40, 3, 2, generator=rng)
    z_mu, z_sigma = output.unbind(-1)
    variance = (z_sigma + beta(kernel, t).logit()).sigmoid()
    mean = (x_t - z_mu) * (1 - variance) + z_mu
    step = head.reverse(kernel, output, x_t, t - 1, t)
    assert close(step.mean, mean)
    assert close(step.variance, variance, rtol=1e-8)
    last = head.last(kernel, output[:1], x_t[:1], t[:1])
    assert close(last.mean, mean[:1])
    assert close(last.variance, variance[:1])


def test_equilibrium_that_says_nothing_is_the_forward_step_without_the_root(rng):
    """Variance beta, and mean (1 - beta) x_t, where the forward step has sqrt(1 - beta) x_t."""
    x_t, t, output = setting(GAUSSIAN, rng, 2)
    step = Equilibrium().reverse(GAUSSIAN, torch.zeros_like(output), x_t, t - 1, t)
    forward = GAUSSIAN.step(x_t, t - 1, t)
    assert close(step.variance, forward.variance)
    assert close(step.mean, (1 - beta(GAUSSIAN, t)).sqrt() * forward.mean)


def test_equilibrium_is_where_the_step_comes_to_rest(rng):
    """Taken n times with one output, the mean is (1 - sigma^2)^n as far from z as it began."""
    x_t, t, output = setting(GAUSSIAN, rng, 2)
    head, rest, n = Equilibrium(), output[..., 0], 20
    keeps = 1 - head.reverse(GAUSSIAN, output, x_t, t - 1, t).variance
    assert (keeps < 1).all()
    x = x_t
    for _ in range(n):
        x = head.reverse(GAUSSIAN, output, x, t - 1, t).mean
    assert close(x - rest, keeps**n * (x_t - rest))


@every_gaussian
@pytest.mark.parametrize("head", [Natural(Sigmoid()), Mean(Sigmoid()), Equilibrium()], ids=repr)
def test_the_estimate_of_x_0_is_the_one_whose_posterior_has_the_step_s_mean(head, name, rng):
    kernel = KERNELS[name]
    x_t, t, output = setting(kernel, rng, 2)
    estimate = head.estimate(kernel, output, x_t, t)
    step = head.reverse(kernel, output, x_t, t - 1, t)
    assert close(kernel.posterior(x_t, estimate, t - 1, t).mean, step.mean)


@pytest.mark.parametrize("make", [schedules.linear, schedules.cosine, schedules.erase_evenly])
@pytest.mark.parametrize("steps", [500, 1000])
@pytest.mark.parametrize("head", [Natural(Sigmoid()), Mean(Sigmoid()), Equilibrium()], ids=repr)
def test_a_step_with_a_learned_width_keeps_its_digits_in_float32(head, steps, make, rng):
    """The KL of each example and the estimate of x_0 are those of float64, at every t. The
    output is that of a good network: the score, off by a fifth of what there is to know."""
    kernel = GaussianKernel(make(steps))
    t = torch.arange(2, steps + 1)
    x_0 = torch.randn(len(t), 16, generator=rng).float().double()
    x_t = kernel.marginal(x_0, t).sample(rng).float().double()
    score = (kernel.signal(t, x_0) * x_0 - x_t) / kernel.noise(t, x_0) ** 2
    width = 0.1 * torch.randn(x_0.shape, generator=rng)
    told = torch.stack([0.8 * score, width], -1)
    if isinstance(head, Mean):  # whose output is the mean itself
        told[..., 0] = Natural(Sigmoid()).reverse(kernel, told, x_t, t - 1, t).mean
    told = told.float().double()  # what is compared is computed from the same numbers

    def digits(x_t, x_0, told):
        kl = total(head.divergence(kernel, told, x_t, x_0, t - 1, t))
        return kl, head.estimate(kernel, told, x_t, t)

    exact = digits(x_t, x_0, told)
    single = digits(x_t.float(), x_0.float(), told.float())
    assert {each.dtype for each in single} == {torch.float32}
    for a, b in zip(single, exact, strict=True):
        assert close(a.double(), b, rtol=1e-3, atol=1e-3 * b.abs().mean().item())
    assert single[0].sum().item() == pytest.approx(exact[0].sum().item(), rel=1e-5)


@every_gaussian
@pytest.mark.parametrize("head", [Noise, Clean, Velocity, Mean, Natural, Equilibrium])
def test_each_variance_is_the_one_that_it_is_named_for(head, name, rng):
    """beta_tilde, beta and sigmoid(z + logit beta), for every head alike."""
    kernel = KERNELS[name]
    x_t, t, output = setting(kernel, rng, 2)
    if name == "gaussian-erase":
        t = t.clamp(max=kernel.steps - 1)  # at T, where beta = 1, its log-odds are infinite
    a, before = (kernel.schedule.alpha_bar[each][:, None] for each in (t, t - 1))
    b, z = beta(kernel, t), output[..., 1]
    for variance, expected in [
        (FixedSmall(), (1 - before) / (1 - a) * b),
        (FixedLarge(), b),
        (Sigmoid(), (z + b.logit()).sigmoid()),
    ]:
        model_head = head(variance)
        step = model_head.reverse(kernel, output[..., : model_head.outputs], x_t, t - 1, t)
        assert close(step.variance, expected.expand_as(x_t), rtol=1e-8)


def test_a_learned_width_can_be_anything_between_0_and_1(rng):
    """Also narrower than beta_tilde, the least that a belief about x_0 could give."""
    x_t, t, output = setting(GAUSSIAN, rng, 2)
    for z in (-8.0, 8.0):
        output[..., 1] = z
        step = Noise(Sigmoid()).reverse(GAUSSIAN, output, x_t, t - 1, t)
        assert close(step.variance, (z + beta(GAUSSIAN, t).logit()).sigmoid().expand_as(x_t))


@every_kernel
def test_a_step_from_a_belief_may_jump(kernel, rng):
    """Two steps down by one belief's own bridge have the mean of one: the belief does not change
    because a walker went by way of u."""
    head = Clean(FixedLarge())
    x_t, _, output = setting(kernel, rng, 1)
    s, t = random_times(kernel, 100, rng)
    s, u = torch.minimum(s, t - 2).clamp(min=0), t - 1
    keep = t >= 2
    x_t, output, s, u, t = (each[keep] for each in (x_t, output, s, u, t))
    belief = head.denoise(kernel, output, x_t, t)
    whole = kernel.bridge(x_t, belief, s, t)
    # E[x_s | x_t] by way of x_u, where x_s given x_u and x_0 has a mean affine in each.
    zero, one = torch.zeros_like(x_t), torch.ones_like(x_t)
    corner = {
        (a, b): kernel.posterior(x_u, x_0, s, u).mean
        for a, x_u in enumerate((zero, one))
        for b, x_0 in enumerate((zero, one))
    }
    at_u = [kernel.posterior(x_t, x_0, u, t).mean for x_0 in (zero, one)]
    mean_0 = belief.mean
    if kernel.binary:
        by_way = sum(
            weight_0 * ((1 - up) * corner[0, b] + up * corner[1, b])
            for b, (weight_0, up) in enumerate(zip((1 - mean_0, mean_0), at_u, strict=True))
        )
    else:
        x_u = at_u[0] + (at_u[1] - at_u[0]) * mean_0
        by_way = corner[0, 0] + (corner[1, 0] - corner[0, 0]) * x_u
        by_way = by_way + (corner[0, 1] - corner[0, 0]) * mean_0
    assert close(whole.mean, by_way, rtol=1e-7, atol=1e-8)


@every_kernel
def test_levels_by_a_silent_network_is_the_posterior_of_a_uniform_prior(kernel, rng):
    """Bits: P(x_0 = 1 | x_t) = q(x_t | 1) / (q(x_t | 1) + q(x_t | 0)), and the step mixes."""
    model = Model(Binary(3), kernel, Levels(), Silent(2))
    x_t, t, _ = setting(kernel, rng, 1)
    zero, one = torch.zeros_like(x_t), torch.ones_like(x_t)
    up = kernel.marginal(one, t).log_prob(x_t)
    down = kernel.marginal(zero, t).log_prob(x_t)
    chance = (up - down).sigmoid()
    assert close(model.estimate(x_t, t), chance)
    step = model.reverse(x_t, t - 1, t)
    mixed = chance * kernel.posterior(x_t, one, t - 1, t).mean
    mixed = mixed + (1 - chance) * kernel.posterior(x_t, zero, t - 1, t).mean
    assert close(step.mean, mixed)


def test_levels_rounds_where_the_noise_is_small(rng):
    """No network learns that by regression: next to the data the belief is a certainty."""
    kernel = GaussianKernel(schedules.linear_log_snr(10, 16, -4))
    space = Quantized(3, count=16)
    model = Model(space, kernel, Levels(), Silent(16))
    x_0 = space.encode(torch.randint(16, (100, 3), generator=rng).double())
    t = torch.ones(100, dtype=torch.long)
    x_1 = kernel.marginal(x_0, t).sample(rng)
    assert close(model.estimate(x_1, t), x_0)


def test_clean_is_the_shift_of_a_bit_s_log_odds(rng):
    x_t, t, output = setting(BITS, rng, 1)
    belief = Clean().denoise(BITS, output, x_t, t)
    assert close(belief.logit, torch.tensor(BITS.mean).logit() + output[..., 0])
    bit = random_data(BITS, 100, rng)
    error = Clean().error(BITS, output, x_t, bit, t)
    expected = nn.functional.binary_cross_entropy_with_logits(belief.logit, bit, reduction="none")
    assert close(error, expected)


@pytest.mark.parametrize(
    ("space", "kernel", "head", "says"),
    [
        (Binary(3), BITS, Noise(), "Noise needs a kernel with signal and noise scales"),
        (Binary(3), BITS, Equilibrium(), r"Equilibrium needs .* got BinomialKernel: use Clean"),
        (Binary(3), BITS, Velocity(), r"Velocity needs .* got BinomialKernel: use Clean"),
        (Binary(3), BITS, Clean(Sigmoid()), r"Clean\(Sigmoid\(\)\) needs a kernel"),
        (Continuous(3), GAUSSIAN, Levels(), r"Levels needs a space with levels .* got Continuous"),
        (Continuous(3), KERNELS["gaussian-erase"], Noise(), "'erase_evenly' leaves no signal at T"),
        (Continuous(3), BITS, Clean(), "BinomialKernel diffuses bits, but Continuous holds other"),
        (Quantized(3, count=2), BITS, Clean(), "diffuses bits, but Quantized holds other"),
        (Binary(4), BITS, Clean(), r"does not fit data of shape \(4,\)"),
        (Continuous(3), GAUSSIAN, Clean(Sigmoid()), r"gives \(2, 3, 1\), but Clean on Continuous"),
        (Binary(3), GAUSSIAN, Levels(), r"needs \(2, 3, 2\): build the network with outputs=2"),
    ],
)
def test_parts_that_do_not_fit_are_refused_when_the_model_is_built(space, kernel, head, says):
    with pytest.raises(TypeError, match=says):
        Model(space, kernel, head, Silent())


def test_a_head_without_a_target_cannot_be_regressed():
    for head in (Natural(), Levels()):
        model = Model(Binary(3), BITS, head, Silent(2 if isinstance(head, Levels) else 1))
        with pytest.raises(TypeError, match=f"{type(head).__name__} states no regression target"):
            Simple().check(model)


def test_levels_does_not_know_its_outputs_before_it_is_bound():
    with pytest.raises(TypeError, match="build a Model with it first"):
        _ = Levels().outputs


@pytest.mark.parametrize(
    "head",
    [Natural(), Mean(), Equilibrium(), Equilibrium(FixedLarge()), Noise(Sigmoid())],
    ids=["Natural", "Mean", "Equilibrium", "Equilibrium-fixed", "learned-width"],
)
def test_a_step_between_neighbours_does_not_skip(head):
    """Nor does a width that is one step's own: below beta_tilde no spread of x_0 explains it."""
    model = Model(Continuous(3), GAUSSIAN, head, Wrong(head.outputs))
    says = f"{type(head).__name__} defines steps from t to t - 1 only, and 7 of 40 times"
    with pytest.raises(ValueError, match=says):
        model.times(7)
    assert model.times().tolist() == list(range(1, 41))


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (1, "a chain needs 2 to T = 40 times, got 1"),
        (41, "a chain needs 2 to T = 40 times, got 41"),
        ([3, 2, 40], r"times must rise from 1 or more, got \[3, 2, 40\]"),
        ([0, 40], r"times must rise from 1 or more, got \[0, 40\]"),
        ([40], r"times must rise from 1 or more, got \[40\]"),
        ([1, 20], "times must end at T = 40, where the prior is, got 20"),
    ],
)
def test_times_that_make_no_chain_are_refused(times, says):
    model = Model(Continuous(3), GAUSSIAN, Clean(), Silent())
    with pytest.raises(ValueError, match=says):
        model.times(times)


@pytest.mark.parametrize("steps", [2, 3, 10, 997])
def test_times_spread_evenly_are_times_of_a_chain(steps):
    model = Model(Continuous(1), GaussianKernel(schedules.cosine(steps)), Clean(), Silent())
    for n in range(2, min(steps, 60) + 1):
        grid = model.times(n)
        assert (grid[0], grid[-1], len(grid)) == (1, steps, n)
        assert (grid - torch.linspace(1, steps, n)).abs().max() <= 0.5


def test_a_network_is_told_the_time_as_a_share_of_T(rng):
    class Clock(nn.Module):
        def forward(self, x, time):
            return time[:, None, None].expand(*x.shape, 1)

    model = Model(Continuous(3), GAUSSIAN, Clean(), Clock())
    t = torch.tensor([1, 20, 40])
    assert torch.equal(model.estimate(torch.randn(3, 3, generator=rng), t)[:, 0], t / 40)
