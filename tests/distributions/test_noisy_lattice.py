"""The exact mixture step: a lattice variable seen through Gaussian noise."""

import math

import pytest
import torch

from conftest import KERNELS, Silent, Wrong, assert_mean, close
from quasistatic.distributions import Gaussian, Lattice, NoisyLattice
from quasistatic.heads import Clean, Exact, Levels, Spread, Velocity
from quasistatic.heads.variances import Analytic, FixedLarge, FixedSmall, Interpolated
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.sampling import sample
from quasistatic.spaces import Binary, Quantized

VALUES = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=torch.float64)


def some(rng, *shape: int, noise: float = 0.3) -> NoisyLattice:
    hidden = Lattice(torch.randn(*shape, 4, generator=rng), VALUES)
    loc = torch.randn(*shape, generator=rng)
    return NoisyLattice(hidden, loc, torch.full(shape, 0.8), torch.full(shape, noise))


def components(p: NoisyLattice) -> tuple[torch.Tensor, list[Gaussian]]:
    return p.hidden.log_probs, [p.given(v.expand_as(p.loc)) for v in VALUES]


def log_sum(p: NoisyLattice, x: torch.Tensor) -> torch.Tensor:
    """log p(x) summed over the components one by one."""
    log_p, each = components(p)
    return torch.stack([log_p[..., k] + q.log_prob(x) for k, q in enumerate(each)]).logsumexp(0)


def test_its_density_is_the_mixture_s(rng):
    p = some(rng, 5, 3)
    x = p.mean + 2 * torch.randn(5, 3, generator=rng)
    assert close(p.log_prob(x), log_sum(p, x))


def test_a_tilt_is_its_quadratic_at_every_x(rng):
    p = some(rng, 4)
    linear, precision = torch.randn(4, generator=rng), torch.rand(4, generator=rng)
    q = p.tilt(linear, precision)
    for x in torch.linspace(-4, 4, 9):
        x = x.expand(4)
        quadratic = linear * x - precision * x**2 / 2
        change = q.log_partition() - p.log_partition()
        assert close(q.log_prob(x) - p.log_prob(x), quadratic - change)


def test_a_point_of_noise_stays_one_under_a_tilt(rng):
    p = some(rng, 3, noise=1e-300)
    q = p.tilt(torch.ones(3), torch.ones(3))
    assert close(q.mean.isfinite().double(), torch.ones(3))
    assert (q.noise < 1e-299).all()


def test_draws_have_its_mean_variance_and_mass(rng):
    p = some(rng, 1, 2)
    big = NoisyLattice(
        Lattice(p.hidden.logits.expand(40_000, -1, -1), VALUES),
        *(each.expand(40_000, -1) for each in (p.loc, p.slope, p.noise)),
    )
    x = big.sample(rng)
    for k in range(2):
        assert_mean(x[:, k], p.mean[0, k].item())
        assert_mean((x[:, k] - p.mean[0, k]) ** 2, p.variance[0, k].item())
        low, high = torch.tensor(-0.4), torch.tensor(0.7)
        mass = p.log_mass(low.expand(1, 2), high.expand(1, 2)).exp()[0, k].item()
        assert_mean(((x[:, k] > low) & (x[:, k] <= high)).double(), mass)


def test_quantiles_have_their_share_below(rng):
    p = some(rng, 7)
    u = torch.rand(7, generator=rng)
    below = p.log_mass(torch.full((7,), -math.inf), p.icdf(u)).exp()
    assert close(below, u, 1e-9, 1e-9)


def test_entropy_and_kl_are_their_expectations(rng):
    p, q = some(rng, 1), some(rng, 1)
    n = 40_000
    many = NoisyLattice(
        Lattice(p.hidden.logits.expand(n, -1), VALUES),
        *(each.expand(n) for each in (p.loc, p.slope, p.noise)),
    )
    x = many.sample(rng)
    assert_mean(-log_sum(p, x), p.entropy().item())
    assert_mean(log_sum(p, x) - log_sum(q, x), p.kl(q).item())
    assert close(p.kl(p), torch.zeros(1))


@pytest.mark.parametrize("noise", [3.0, 0.3, 0.03])
def test_the_divergence_from_a_component_is_an_integral(noise, rng):
    p = some(rng, 6, noise=noise)
    v = VALUES[torch.randint(4, (6,), generator=rng)]
    q = p.given(v)
    z = torch.linspace(-10, 10, 4001)[:, None]
    x = q.loc + q.variance.sqrt() * z
    ratio = q.log_prob(x) - log_sum(p, x)
    exact = (Gaussian(torch.zeros(1), torch.ones(1)).log_prob(z).exp() * ratio).sum(0) * 20 / 4000
    assert close(p.kl_from(v), exact, 2e-3, 1e-5)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("inner", [Levels(), Levels(1)])
def test_the_exact_step_is_the_mixture_of_posteriors_over_the_belief(name, inner, rng):
    """Enumerated, density by density; for bits it is the step that there was."""
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Quantized(3, 8, 1.5)
    if kernel.binary and inner.mixtures:
        pytest.skip("two levels are a free table")
    head = Exact(inner).bind(space, kernel)
    t, s = torch.full((6,), 30), torch.tensor([2, 5, 10, 15, 20, 29])
    levels = space.levels
    x_0 = levels[torch.randint(len(levels), (6, 3), generator=rng)]
    x_t = kernel.marginal(x_0, t).sample(rng)
    output = Wrong(head.outputs)(x_t, t)
    p = head.reverse(kernel, output, x_t, s, t)
    belief = head.denoise(kernel, output, x_t, t)
    x_s = kernel.posterior(x_t, x_0, s, t).sample(rng)
    each = [
        belief.log_prob(v.expand_as(x_t))
        + kernel.posterior(x_t, v.expand_as(x_t), s, t).log_prob(x_s)
        for v in levels
    ]
    assert close(p.log_prob(x_s), torch.stack(each).logsumexp(0), 1e-8, 1e-8)


@pytest.mark.parametrize("times", [5, 12])
def test_the_exact_step_costs_less_where_steps_are_long(times, rng):
    """The head's own step is a Gaussian with the mixture's two moments; in the mean over draws
    from the mixture itself the mixture is the better code."""
    space, kernel = Quantized(4, 5, 2.0), KERNELS["gaussian-log-snr"]
    own = Model(space, kernel, Levels(), Wrong(5))
    exact = Model(space, kernel, Exact(Levels()), Wrong(5))
    x = sample(exact, 1500, times, rng)
    seeds = (torch.Generator().manual_seed(1) for _ in range(2))
    gain = [bound(m, x, times=times, rng=g).nats for m, g in zip((exact, own), seeds, strict=True)]
    difference = gain[0] - gain[1]
    assert difference.mean() > 3 * difference.std() / len(x) ** 0.5


def test_with_an_exact_belief_the_exact_chain_loses_nothing_however_few_its_steps(rng):
    """Uniform levels, of which a silent network has the true belief: K is log p, where Gaussian
    steps with the same moments lose some of it."""
    space, kernel = Quantized(2, 2, 2.0), KERNELS["gaussian-log-snr"]
    raw = torch.randint(2, (4000, 2), generator=rng)
    exact = bound(Model(space, kernel, Exact(Levels()), Silent(2)), raw, times=4, rng=rng).nats
    own = bound(Model(space, kernel, Levels(), Silent(2)), raw, times=4, rng=rng).nats
    assert_mean(exact, -2 * math.log(2), slack=1e-3)
    assert own.mean() < -2 * math.log(2) - 0.05


def test_analytic_variances_are_read_at_and_between_their_times():
    kernel = KERNELS["gaussian"]
    variance = Analytic((1, 11, 40), ((0.1, 0.2), (0.5, 1.0), (1.0, 3.0)))
    t = torch.tensor([1, 6, 11, 40])
    read = variance(kernel, torch.zeros(4, 2, 0), t, torch.zeros(4, 2))
    assert close(read, torch.tensor([[0.1, 0.2], [0.3, 0.6], [0.5, 1.0], [1.0, 3.0]]))


@pytest.mark.parametrize("rule", [FixedSmall(), FixedLarge()])
def test_a_spread_head_is_the_head_with_that_variance(rule, rng):
    """An estimate's own head and the same spread put about it are one chain."""
    space, kernel = Quantized(3, 8, 1.5), KERNELS["gaussian"]
    with_it = Model(space, kernel, Velocity(rule), Wrong())
    about_it = Model(space, kernel, Spread(Velocity(FixedLarge()), rule), Wrong())
    x_t, s, t = torch.randn(5, 3, generator=rng), torch.full((5,), 4), torch.full((5,), 20)
    a, b = with_it.reverse(x_t, s, t), about_it.reverse(x_t, s, t)
    assert close(a.mean, b.mean)
    assert close(a.variance, b.variance)


def test_wrappers_say_what_they_do_not_fit():
    space, kernel = Quantized(3, 8, 1.5), KERNELS["gaussian"]
    with pytest.raises(TypeError, match="mixes over levels, and Clean has none"):
        Model(space, kernel, Exact(Clean()), Wrong())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Interpolated needs outputs of the network"):
        Model(space, kernel, Spread(Levels(), Interpolated()), Wrong(8))
    with pytest.raises(TypeError, match="needs a kernel with signal and noise"):
        Model(Binary(3), KERNELS["bits"], Spread(Levels(), FixedSmall()), Wrong(2))
