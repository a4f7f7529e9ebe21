"""Widths: what each says of x_0, what step follows from it, and how the last one ends a chain."""

import itertools
import math

import pytest
import torch
from torch import nn

from conftest import KERNELS, Silent, Wrong, assert_mean, close, random_data, random_times
from quasistatic.heads import Clean, Mean, Natural, Noise, Velocity
from quasistatic.heads.variances import FixedLarge, FixedSmall, Interpolated, LearnedRange, Sigmoid
from quasistatic.kernels import GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.sampling import sample as ancestral
from quasistatic.spaces import Binary, Continuous, Quantized

GAUSSIAN = {name: kernel for name, kernel in KERNELS.items() if not kernel.binary}
every_gaussian = pytest.mark.parametrize("kernel", GAUSSIAN.values(), ids=GAUSSIAN.keys())
every_head = pytest.mark.parametrize("head", [Noise, Clean, Velocity, Mean, Natural])
BELIEFS = [Noise, Clean, Velocity]
END = math.inf  # of v: the sigmoid of it is 1, and that of its negative is 0


def every_step(kernel, z, rng):
    """x_t and an output that says z of the width, at every time t = 1..T."""
    t = torch.arange(1, kernel.steps + 1)
    output = torch.randn(kernel.steps, 3, 2, generator=rng)
    output[..., 1] = z
    return torch.randn(kernel.steps, 3, generator=rng), t, output


def width(variance, kernel, x_t, t, output, head=Clean):
    """The variance of the step from t to t - 1."""
    head = head(variance)
    return head.reverse(kernel, output[..., : head.outputs], x_t, t - 1, t).variance


def beta_tilde(kernel):
    """DDPM Eq. 7 for t = 1..T, with the second for the first, which is zero."""
    a = kernel.schedule.alpha_bar
    table = (1 - a[:-1]) / (1 - a[1:]) * kernel.schedule.beta
    return torch.cat([table[1:2], table[1:]])[:, None]


@every_gaussian
@every_head
def test_between_neighbours_the_width_is_the_formula_of_the_paper(head, kernel, rng):
    """exp(v log beta + (1 - v) log beta_tilde), at every t, the clipped first one included."""
    x_t, t, output = every_step(kernel, 0.0, rng)
    output[..., 1] = 3 * torch.randn(kernel.steps, 3, generator=rng)
    v, beta = output[..., 1].sigmoid(), kernel.schedule.beta[:, None]
    expected = (v * beta.log() + (1 - v) * beta_tilde(kernel).log()).exp()
    assert close(width(Interpolated(), kernel, x_t, t, output, head), expected, rtol=1e-8, atol=0)


@every_gaussian
@every_head
def test_a_learned_range_is_linear_in_the_output_and_ends_at_its_ends(head, kernel, rng):
    """exp(v log beta + (1 - v) log beta_tilde) with v = (z + 1) / 2 from 0 to 1, as the code that
    IDDPM published has it."""
    x_t, t, output = every_step(kernel, 0.0, rng)
    output[..., 1] = 2 * torch.randn(kernel.steps, 3, generator=rng)
    v, beta = ((output[..., 1] + 1) / 2).clamp(0, 1), kernel.schedule.beta[:, None]
    assert (v == 0).any()
    assert (v == 1).any()
    expected = (v * beta.log() + (1 - v) * beta_tilde(kernel).log()).exp()
    assert close(width(LearnedRange(), kernel, x_t, t, output, head), expected, rtol=1e-8, atol=0)


@every_gaussian
@pytest.mark.parametrize(("z", "fixed"), [(-END, FixedSmall()), (END, FixedLarge())])
def test_the_ends_of_the_interpolation_are_the_two_fixed_widths(z, fixed, kernel, rng):
    """Between neighbours, and between any two times too: there both are what IDDPM says."""
    x_t, t, output = every_step(kernel, z, rng)
    expected = width(fixed, kernel, x_t, t, output)
    assert close(width(Interpolated(), kernel, x_t, t, output), expected, rtol=1e-12, atol=0)
    s, t = random_times(kernel, kernel.steps, rng)
    long = Velocity(Interpolated()).reverse(kernel, output, x_t, s, t).variance
    beta = -torch.expm1(kernel.log_share(s, t, x_t))
    least = kernel.variance_terms(s, t, x_t)[0]
    assert close(long, (beta if z > 0 else least).expand_as(long), rtol=1e-9, atol=0)


@every_gaussian
def test_a_longer_step_has_the_width_of_the_neighbours_walked_with_one_belief(kernel, rng):
    """What v says of x_0 at t is a law of x_0: by way of x_u the step to s is as wide."""
    x_t, _, output = every_step(kernel, 0.0, rng)
    output[..., 1] = torch.randn(kernel.steps, 3, generator=rng)
    s, t = random_times(kernel, kernel.steps, rng)
    u = torch.maximum(s, t - 1)
    x_t, output, s, u, t = (each[u > s] for each in (x_t, output, s, u, t))
    belief = Clean(Interpolated()).denoise(kernel, output, x_t, t)
    # x_s is affine in x_u and x_0 with a noise of its own, and x_u in x_0 with another.
    zero, one = torch.zeros_like(x_t), torch.ones_like(x_t)
    base = kernel.posterior(zero, zero, s, u)
    by_u = kernel.posterior(one, zero, s, u).mean
    by_0 = kernel.posterior(zero, one, s, u).mean
    at_u = kernel.posterior(zero, one, u, t)
    slope = by_0 + by_u * at_u.mean
    expected = base.variance + by_u**2 * at_u.variance + slope**2 * belief.variance
    step = kernel.bridge(x_t, belief, s, t)
    assert close(step.variance, expected, rtol=1e-8, atol=0)
    assert (belief.variance > 0).all()


@every_gaussian
@every_head
def test_the_divergence_is_the_kl_to_the_step_itself(head, kernel, rng):
    head = head(Interpolated())
    s, t = random_times(kernel, 200, rng)
    s = s if head.jumps else t - 1
    s, t = s[t > 1], t[t > 1]
    x_0 = random_data(kernel, len(t), rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    output = torch.randn(len(t), 3, 2, generator=rng)
    kl = head.divergence(kernel, output, x_t, x_0, s, t)
    naive = kernel.posterior(x_t, x_0, s, t).kl(head.reverse(kernel, output, x_t, s, t))
    assert close(kl, naive, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [10, 1000, 10_000])
def test_the_width_keeps_its_digits_in_float32(steps, rng):
    """beta_tilde is close to beta at most times: the KL of the two widths, which is all that v can
    change, is v ratio less what its exponential says, and none of it cancels."""
    kernel = GaussianKernel(schedules.cosine(steps))
    t = torch.linspace(2, steps, 50).long()
    x_0 = torch.randn(50, 3, generator=rng)
    output = torch.stack([x_0, torch.randn(50, 3, generator=rng)], -1)
    x_t = kernel.marginal(x_0, t).sample(rng)
    head = Clean(Interpolated())
    precise = head.divergence(kernel, output, x_t, x_0, t - 1, t)
    single = head.divergence(kernel, output.float(), x_t.float(), x_0.float(), t - 1, t)
    assert single.dtype == torch.float32
    assert close(single.double(), precise, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("steps", [2, 3])
def test_where_the_two_widths_are_one_so_is_what_lies_between(steps, rng):
    """Nothing left at T = 2: beta_tilde_2 is beta_1, and 0 / 0 has to be no width."""
    kernel = GaussianKernel(schedules.erase_evenly(steps))
    x_t, t, output = every_step(kernel, 0.3, rng)
    v, beta = torch.tensor(0.3).sigmoid(), kernel.schedule.beta[:, None]
    expected = (v * beta.log() + (1 - v) * beta_tilde(kernel).log()).exp()
    assert close(width(Interpolated(), kernel, x_t, t, output), expected.expand_as(x_t))


# The last step, on data with levels.

SPACE = Quantized(3, count=16)
FINE = GaussianKernel(schedules.linear_log_snr(20, 9, -6))


class Knows(nn.Module):
    """Says x_0 = x_t / signal, right next to the data, and what it was told of the width."""

    def __init__(self, kernel, outputs, z=0.0):
        super().__init__()
        self.kernel, self.outputs, self.z = kernel, outputs, z

    def forward(self, x, time):
        t = (time * self.kernel.steps).round().long()
        clean = x / self.kernel.signal(t, x)
        more = [torch.full_like(x, self.z)] * (self.outputs - 1)
        return torch.stack([clean, *more], -1)


@pytest.mark.parametrize("head", [*BELIEFS, Mean, Natural])
@pytest.mark.parametrize(
    "variance",
    [FixedSmall(), FixedLarge(), Interpolated(), Sigmoid()],
    ids=lambda v: type(v).__name__,
)
def test_the_last_step_gives_every_level_a_probability_and_they_sum_to_one(head, variance, rng):
    head = head(variance)
    model = Model(SPACE, FINE, head, Wrong(head.outputs))
    x_1, t = torch.randn(8, 3, generator=rng), torch.ones(8, dtype=torch.long)
    p = model.last(x_1, t)
    level = SPACE.encode(torch.arange(16.0)[:, None, None].expand(16, 8, 3))
    mass = torch.stack([SPACE.log_prob(p, each) for each in level]).exp().sum(0)
    assert close(mass, torch.ones(8, 3))
    assert (p.variance > 0).all()


@pytest.mark.parametrize(
    ("variance", "expected"),
    [
        (FixedSmall(), beta_tilde(FINE)[0]),
        (FixedLarge(), FINE.schedule.beta[:1]),
        (Interpolated(), (beta_tilde(FINE)[0] * FINE.schedule.beta[:1]).sqrt()),
    ],
)
def test_the_last_width_is_the_published_one(variance, expected, rng):
    """beta_tilde_2, beta_1, and at v = 1/2 their geometric mean; what it costs, by quadrature."""
    model = Model(SPACE, FINE, Clean(variance), Knows(FINE, Clean(variance).outputs))
    raw, t = torch.randint(1, 15, (4000, 3), generator=rng).double(), torch.ones(4000).long()
    x_0 = SPACE.encode(raw)
    p = model.last(FINE.marginal(x_0, t).sample(rng), t)
    assert close(p.variance, expected.expand_as(x_0), rtol=1e-9, atol=0)
    # x_1 / signal is off by a normal error of variance 1 / SNR, and the cell is 1 / 8 wide.
    error = torch.linspace(-8, 8, 4001) * (-FINE.schedule.log_snr[1] / 2).exp()
    density = (-0.5 * error**2 * FINE.schedule.log_snr[1].exp()).exp()
    above, below = ((error + half) / expected.sqrt() for half in (1 / 16, -1 / 16))
    nats = (torch.special.ndtr(above) - torch.special.ndtr(below)).log()
    assert_mean(SPACE.log_prob(p, x_0).flatten(), ((density * nats).sum() / density.sum()).item())


def test_a_chain_that_skips_times_ends_with_the_same_step(rng):
    model = Model(SPACE, FINE, Clean(Interpolated()), Knows(FINE, 2))
    raw = torch.randint(16, (4000, 3), generator=rng).double()
    whole, thin = (bound(model, raw, times=times, rng=rng).terms["edge"] for times in (None, 7))
    assert_mean(whole - thin, 0.0)


def test_known_data_at_a_later_end_are_a_point_and_its_misses_cost_everything(rng):
    """FixedSmall has a width for t = 1 only: scores are honest about a chain that stops before."""
    model = Model(SPACE, FINE, Clean(FixedSmall()), Knows(FINE, 1))
    raw = torch.randint(16, (50, 3), generator=rng).double()
    edge = bound(model, raw, times=[15, 18, 20], rng=rng).terms["edge"]
    assert set(edge.tolist()) == {-math.inf}
    assert ancestral(model, 5, [2, 5, 20], rng).shape == (5, 3)


def test_bits_under_a_gaussian_step_have_probabilities(rng):
    """The two halves of the line, and not a density, which would be worth more than certainty."""
    sharp = GaussianKernel(schedules.linear_log_snr(10, 12, -4))
    for variance in (FixedSmall(), FixedLarge()):
        model = Model(Binary(3), sharp, Clean(variance), Silent())
        p = model.last(torch.randn(4, 3, generator=rng), torch.ones(4, dtype=torch.long))
        zero, one = torch.zeros(4, 3), torch.ones(4, 3)
        mass = model.space.log_prob(p, zero).exp() + model.space.log_prob(p, one).exp()
        assert close(mass, torch.ones(4, 3))
        assert (model.space.log_prob(p, zero) <= 0).all()


@pytest.mark.parametrize(
    ("variance", "head"),
    list(itertools.product([Interpolated(), Sigmoid()], [Clean, Mean, Natural])),
)
def test_a_learned_width_needs_signal_and_noise(variance, head):
    name = f"{head.__name__}\\({type(variance).__name__}\\(\\)\\) needs a kernel with signal"
    with pytest.raises(TypeError, match=name):
        Model(Binary(3), KERNELS["bits"], head(variance), Silent(2))


def test_a_chain_with_interpolated_widths_may_skip_times_and_stays_a_bound(rng):
    """On N(0, 1) data, whose log-probability is known."""
    kernel = KERNELS["gaussian"]
    model = Model(Continuous(3), kernel, Velocity(Interpolated()), Wrong(2))
    x = torch.randn(4000, 3, generator=rng)
    for times in (None, 8):
        score = bound(model, x, times=times, rng=rng)
        gap = score.null - score.nats
        assert gap.mean() > 5 * gap.std() / math.sqrt(len(gap))
