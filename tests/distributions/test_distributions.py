"""A family's draws, moments and masses agree with its density, at the ends of its range too."""

import itertools
import math

import numpy as np
import pytest
import torch

from conftest import assert_mean, close, copies, every_family, member
from quasistatic.distributions import Bernoulli, Gaussian, Lattice, total

INF = math.inf


def integral(f, lower: float, upper: float) -> torch.Tensor:
    """log of the integral of exp(f) by Gauss-Legendre: exact where exp(f) is smooth."""
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.legendre.leggauss(96))
    half = (upper - lower) / 2
    return (f(lower + half * (1 + nodes)) + weights.log() + math.log(half)).logsumexp(0)


@every_family
def test_draws_have_the_mean_and_the_variance(family, rng):
    p = member(family, rng, 1, 3)
    x = copies(p, 100_000).sample(rng)
    assert_mean(x, p.mean[0])
    assert_mean((x - p.mean) ** 2, p.variance[0])


@every_family
def test_draws_fall_in_a_cell_as_often_as_its_mass_says(family, rng):
    p = member(family, rng, 1, 3)
    x = copies(p, 100_000).sample(rng)
    for lower, upper in [(-INF, -0.3), (-0.3, 0.0), (0.0, 1.2), (1.2, INF)]:
        ends = torch.full((1, 3), lower), torch.full((1, 3), upper)
        inside = ((x > lower) & (x <= upper)).double()
        assert_mean(inside, p.log_mass(*ends)[0].exp(), slack=1e-4)


@every_family
def test_masses_of_cells_that_cover_the_line_sum_to_one(family, rng):
    p = member(family, rng, 4, 3)
    ends = [-INF, -2.0, -0.25, 0.0, 0.5, 1.0, 1.1, INF]
    cells = [
        p.log_mass(torch.full((4, 3), lower), torch.full((4, 3), upper))
        for lower, upper in itertools.pairwise(ends)
    ]
    assert close(torch.stack(cells).logsumexp(0), torch.zeros(4, 3))


@pytest.mark.parametrize("family", ["bernoulli", "lattice"])
def test_the_mass_of_a_cell_is_the_sum_of_what_is_in_it(family, rng):
    """A cell is open below and closed above."""
    p = member(family, rng, 4, 3)
    ends = torch.full((4, 3), -0.25), torch.full((4, 3), 1.0)
    inside = torch.tensor([0.0, 1.0])  # the lattice has -0.25 too, on the open end
    each = torch.stack([p.log_prob(value.expand(4, 3)) for value in inside])
    assert close(p.log_mass(*ends), each.logsumexp(0))


@pytest.mark.parametrize(
    ("lower", "upper"), [(-0.3, 0.9), (2.0, 2.001), (40.0, 40.5), (-41.0, -40.0), (300.0, 300.1)]
)
def test_gaussian_mass_is_the_integral_of_the_density_however_far_out(lower, upper):
    """No clamp: a cell at 40 deviations has 800 nats, and its gradient is the exact one."""
    loc = torch.zeros(1, requires_grad=True)
    p = Gaussian(loc, torch.ones(1))
    log_mass = p.log_mass(torch.tensor([lower]), torch.tensor([upper]))
    expected = integral(Gaussian(torch.zeros(96), torch.ones(96)).log_prob, lower, upper)
    assert close(log_mass[0], expected, rtol=1e-9)
    (slope,) = torch.autograd.grad(log_mass.sum(), loc)
    ends = torch.tensor([lower, upper])
    at = (Gaussian(torch.zeros(2), torch.ones(2)).log_prob(ends) - expected).exp()
    assert close(slope[0], at[0] - at[1], rtol=1e-6)


@pytest.mark.parametrize("far", [0.0, 5.0, 40.0, 1e4])
def test_gaussian_tails_beyond_every_power_of_ten(far):
    """-log P(x > z) = z^2 / 2 + log(2 pi z^2) / 2 + 1 / z^2 - 5 / 2z^4; its slope is z + 1 / z."""
    loc = torch.zeros(1, requires_grad=True)
    above = Gaussian(loc, torch.ones(1)).log_mass(torch.tensor([far]), torch.tensor([INF]))
    below = Gaussian(-loc, torch.ones(1)).log_mass(torch.tensor([-INF]), torch.tensor([-far]))
    assert torch.equal(above, below)  # it is symmetric to the last bit
    slope = torch.autograd.grad(above.sum(), loc)[0].item()
    if far <= 5:
        assert above.item() == pytest.approx(math.log(math.erfc(far / 2**0.5) / 2), rel=1e-12)
    else:
        tail = far**2 / 2 + math.log(far) + math.log(2 * math.pi) / 2 + 1 / far**2 - 2.5 / far**4
        assert -above.item() == pytest.approx(tail, rel=1e-9)
        assert slope == pytest.approx(far + 1 / far, rel=1e-6)


@pytest.mark.parametrize(("lower", "upper"), [(-INF, 0.9), (0.9, INF), (-INF, INF), (-0.4, 0.9)])
def test_gaussian_mass_has_the_gradient_of_its_ends(lower, upper):
    """d mass = density(lower) d loc + z_lower density(lower) d deviation, less the same above; an
    infinite end adds nothing to it."""
    loc = torch.tensor([0.3], requires_grad=True)
    variance = torch.tensor([0.25], requires_grad=True)
    ends = torch.tensor([lower]), torch.tensor([upper])
    log_mass = Gaussian(loc, variance).log_mass(*ends)
    by_loc, by_variance = torch.autograd.grad(log_mass.sum(), (loc, variance))
    expected_loc, expected_deviation = 0.0, 0.0
    for end, sign in ((lower, 1), (upper, -1)):
        if math.isfinite(end):
            density = Gaussian(loc, variance).log_prob(torch.tensor([end])).exp().item()
            expected_loc += sign * density
            expected_deviation += sign * density * (end - 0.3) / 0.5
    mass = log_mass.exp().item()
    assert by_loc.item() == pytest.approx(expected_loc / mass)
    assert by_variance.item() == pytest.approx(expected_deviation / mass / (2 * 0.5))


@every_family
def test_tilts_add(family, rng):
    p = member(family, rng, 4, 3)
    a, b = torch.randn(2, 4, 3, generator=rng)
    c, d = torch.rand(2, 4, 3, generator=rng)
    x = p.sample(rng)
    twice, once = p.tilt(a, c).tilt(b, d), p.tilt(a + b, c + d)
    assert close(twice.log_prob(x), once.log_prob(x))
    assert close(twice.mean, once.mean)


def test_kl_of_gaussians_is_the_textbook_formula(rng):
    p, q = member("gaussian", rng, 4, 3), member("gaussian", rng, 4, 3)
    ratio = p.variance / q.variance
    expected = 0.5 * (ratio - 1 - ratio.log() + (p.loc - q.loc) ** 2 / q.variance)
    assert close(p.kl(q), expected)


@pytest.mark.parametrize("logit", [-30.0, -4.0, 0.0, 1.0, 8.0, 30.0])
@pytest.mark.parametrize("gap", [-1.5, -1.0, -0.999, -1e-3, -1e-5, 1e-5, 1e-3, 0.999, 1.0, 1.5])
def test_kl_of_bits_keeps_its_digits_in_float32(logit, gap):
    """Nearly equal bits: the two log-probabilities cancel, the KL does not."""
    p, q = (torch.tensor([each], dtype=torch.float32) for each in (logit, logit + gap))
    exact = Bernoulli(p.double()).kl(Bernoulli(q.double()))
    assert close(Bernoulli(p).kl(Bernoulli(q)).double(), exact, rtol=1e-4, atol=0)
    # To second order KL = variance gap^2 / 2: what near members must come to.
    if 0 < (q - p).abs().item() < 1e-2:
        second = Bernoulli(p.double()).variance * (q.double() - p.double()) ** 2 / 2
        assert close(exact, second, rtol=1e-2, atol=0)


def test_kl_of_bits_is_the_sum_over_both_values(rng):
    p, q = member("bernoulli", rng, 100, 3), member("bernoulli", rng, 100, 3)
    zero, one = torch.zeros(100, 3), torch.ones(100, 3)
    expected = sum(p.log_prob(x).exp() * (p.log_prob(x) - q.log_prob(x)) for x in (zero, one))
    assert close(p.kl(q), expected)


@pytest.mark.parametrize("bit", [0.0, 1.0])
def test_a_known_bit(bit, rng):
    """An infinite logit: no entropy, no spread, and the KL from it is a log-probability."""
    value, other = torch.tensor([[bit]]), torch.tensor([[1 - bit]])
    known, p = Bernoulli(torch.tensor([[INF if bit else -INF]])), Bernoulli(torch.tensor([[0.7]]))
    assert known.mean == bit
    assert known.variance == 0
    assert known.entropy() == 0
    assert known.kl(known) == 0
    assert known.kl(p) == -p.log_prob(value)
    assert p.kl(known) == INF
    assert known.kl(Bernoulli(-known.logit)) == INF
    assert known.log_prob(value) == 0
    assert known.log_prob(other) == -INF
    assert known.log_mass(value - 0.5, value + 0.5) == 0
    assert torch.equal(copies(known, 1000).sample(rng), value.expand(1000, 1))
    assert torch.equal(known.tilt(-3 * known.logit.sign(), value).logit, known.logit)


def test_a_point_mass_stays_one_and_samples_itself(rng):
    point = Gaussian(torch.tensor([[0.3, -1.0]]), torch.zeros(1, 2))
    tilted = point.tilt(torch.tensor([[5.0, -2.0]]), torch.tensor([[3.0, 0.0]]))
    assert torch.equal(tilted.loc, point.loc)
    assert torch.equal(tilted.variance, point.variance)
    assert torch.equal(tilted.sample(rng), point.loc)


def test_a_level_that_cannot_be_costs_nothing_to_leave_out():
    values = torch.tensor([0.0, 1.0, 2.0])
    never = Lattice(torch.tensor([[0.4, -INF, 0.1]]), values)
    pair = Lattice(torch.tensor([[0.4, 0.1]]), values[[0, 2]])
    everywhere = Lattice(torch.tensor([[0.2, 0.3, 0.5]]), values)
    assert close(never.entropy(), pair.entropy())
    assert never.kl(never) == 0
    assert everywhere.kl(never) == INF
    by_hand = never.probs * (never.probs.log() - everywhere.probs.log())
    assert close(never.kl(everywhere), by_hand[:, [0, 2]].sum(1))
    assert never.log_prob(torch.tensor([1.0])) == -INF
    assert everywhere.log_prob(torch.tensor([0.5])) == -INF  # between two values


def test_total_sums_every_axis_but_the_batch(rng):
    x = torch.randn(4, 2, 3, 5, generator=rng)
    assert close(total(x), x.sum((1, 2, 3)))


@every_family
def test_another_floating_type_is_the_same_member(family, rng):
    p = member(family, rng, 4, 3)
    q = p.to(torch.float32)
    assert q.mean.dtype == torch.float32
    assert close(q.mean.double(), p.mean, rtol=1e-5, atol=1e-6)
    assert close(q.entropy().double(), p.entropy(), rtol=1e-5, atol=1e-6)
