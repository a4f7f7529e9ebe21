"""The heart: what must be true of every family, kernel and head."""

import itertools
import math

import pytest
import torch

from conftest import (
    GROUPED,
    KERNELS,
    Silent,
    Wrong,
    assert_mean,
    close,
    copies,
    data_like_noise,
    each_scalar,
    every_family,
    every_kernel,
    every_kernel_at_all,
    member,
    random_data,
    random_times,
    space_for,
)
from quasistatic.diagnostics.oracles import GaussianOracle, MixtureOracle
from quasistatic.distributions import Lattice, total
from quasistatic.heads import (
    Clean,
    Clipped,
    Equilibrium,
    Levels,
    Mean,
    Natural,
    Noise,
    Preconditioned,
    Velocity,
)
from quasistatic.heads.variances import FixedLarge, FixedSmall, LearnedRange, Sigmoid
from quasistatic.kernels import GaussianKernel
from quasistatic.kernels.schedules import custom, erase_evenly, linear, linear_log_snr
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.spaces import Binary, Continuous

# 1. Entropy and KL are expectations.


@every_family
def test_entropy_is_minus_the_mean_log_probability(family, rng):
    p = member(family, rng, 1, 3)
    many = copies(p, 200_000)
    assert_mean(-many.log_prob(many.sample(rng)), p.entropy()[0])


@every_family
def test_kl_is_the_mean_log_ratio(family, rng):
    p, q = member(family, rng, 1, 3), member(family, rng, 1, 3)
    many, other = copies(p, 200_000), copies(q, 200_000)
    x = many.sample(rng)
    log_ratio = many.log_prob(x) - other.log_prob(x)
    assert_mean(each_scalar(family, log_ratio), each_scalar(family, p.kl(q)[0]))


@every_family
def test_kl_of_a_member_to_itself_is_nothing(family, rng):
    p, q = member(family, rng, 50, 3), member(family, rng, 50, 3)
    assert torch.equal(p.kl(p), torch.zeros(50, 3))
    assert (p.kl(q) > 0).all()


# 2. A tilt is a quadratic less the difference of log-partitions.


@every_family
def test_a_tilt_is_its_quadratic_at_every_x(family, rng):
    p = member(family, rng, 50, 3)
    linear, precision = torch.randn(50, 3, generator=rng), torch.rand(50, 3, generator=rng)
    q = p.tilt(linear, precision)
    log_Z = q.log_partition() - p.log_partition()
    for x in (p.sample(rng), q.sample(rng)):
        expected = linear * x - precision * x**2 / 2 - log_Z
        said = q.log_prob(x) - p.log_prob(x)
        assert close(each_scalar(family, said), each_scalar(family, expected))


@every_family
def test_the_log_partition_is_the_mean_of_the_tilt(family, rng):
    p = member(family, rng, 1, 3)
    linear, precision = 0.3 * torch.randn(1, 3, generator=rng), torch.rand(1, 3, generator=rng)
    x = copies(p, 200_000).sample(rng)
    log_Z = p.tilt(linear, precision).log_partition() - p.log_partition()
    tilt = each_scalar(family, linear * x - precision * x**2 / 2)
    assert_mean(tilt.exp(), each_scalar(family, log_Z[0]).exp())


# 3. Bayes, Chapman-Kolmogorov, detailed balance.


@every_kernel_at_all
def test_posterior_obeys_bayes(kernel, rng):
    """q(x_s | x_t, x_0) q(x_t | x_0) = q(x_t | x_s) q(x_s | x_0), at every point."""
    s, t = random_times(kernel, 200, rng)
    x_0 = random_data(kernel, 200, rng)
    x_s = kernel.marginal(x_0, s).sample(rng)
    x_t = kernel.step(x_s, s, t).sample(rng)
    left = kernel.posterior(x_t, x_0, s, t).log_prob(x_s) + kernel.marginal(x_0, t).log_prob(x_t)
    right = kernel.step(x_s, s, t).log_prob(x_t) + kernel.marginal(x_0, s).log_prob(x_s)
    assert close(each_scalar(kernel, left), each_scalar(kernel, right), rtol=1e-7, atol=1e-7)


@every_kernel_at_all
def test_x_t_is_as_probable_by_way_of_x_u(kernel, rng):
    """Chapman-Kolmogorov at every point: the normaliser of q(x_u | x_s), tilted by what x_t says
    of x_u, is q(x_t | x_s), but for a number that is the same for every x_s."""
    n = 200
    times = torch.stack([torch.randperm(kernel.steps + 1, generator=rng)[:3] for _ in range(n)])
    s, u, t = times.sort(1).values.unbind(1)
    one, other = random_data(kernel, n, rng), random_data(kernel, n, rng)
    one, other = (kernel.marginal(x, s.clamp(min=1)).sample(rng) for x in (one, other))
    x_t = kernel.step(one, s, t).sample(rng)
    linear, precision = kernel.likelihood_tilt(x_t, u, t)
    way, whole = [], []
    for x_s in (one, other):
        p = kernel.step(x_s, s, u)
        gain = p.tilt(linear, precision).log_partition() - p.log_partition()
        way.append(each_scalar(kernel, gain))
        whole.append(each_scalar(kernel, kernel.step(x_s, s, t).log_prob(x_t)))
    reached = whole[1] > -math.inf  # what is absorbed never comes back
    assert torch.equal(way[1] > -math.inf, reached)
    assert reached.double().mean() > 0.3
    gap = (way[1] - way[0]) - (whole[1] - whole[0])
    assert close(gap[reached], torch.zeros_like(gap[reached]), atol=1e-6)


@every_kernel
def test_two_steps_are_one(kernel, rng):
    """Chapman-Kolmogorov: s to u and u to t is s to t, for s = 0 too. A step's mean is affine in
    where it starts, and on the real line its variance does not depend on it."""
    n = 200
    times = torch.stack([torch.randperm(kernel.steps + 1, generator=rng)[:3] for _ in range(n)])
    s, u, t = times.sort(1).values.unbind(1)
    x = random_data(kernel, n, rng)
    first, whole = kernel.step(x, s, u), kernel.step(x, s, t)
    rest = kernel.step(torch.zeros_like(x), u, t)
    slope = kernel.step(torch.ones_like(x), u, t).mean - rest.mean
    assert close(rest.mean + slope * first.mean, whole.mean)
    if not kernel.binary:
        assert close(slope**2 * first.variance + rest.variance, whole.variance)


@every_kernel_at_all
def test_the_kernel_is_reversible(kernel, rng):
    """Detailed balance: pi(x_s) q(x_t | x_s) = pi(x_t) q(x_s | x_t)."""
    s, t = random_times(kernel, 200, rng)
    a, b = random_data(kernel, 200, rng), random_data(kernel, 200, rng)
    there = kernel.prior(a).log_prob(a) + kernel.step(a, s, t).log_prob(b)
    back = kernel.prior(b).log_prob(b) + kernel.step(b, s, t).log_prob(a)
    assert close(each_scalar(kernel, there), each_scalar(kernel, back), rtol=1e-7, atol=1e-7)


# 4. K is tight on data that are noise already.


def silent_chain(kernel) -> Model:
    return Model(space_for(kernel), kernel, Natural(), Silent())


@every_kernel_at_all
def test_a_silent_chain_is_the_forward_chain_in_reverse(kernel, rng):
    """log p(x_0 .. x_T) - log q(x_1 .. x_T | x_0) = log pi(x_0) along every single path."""
    model, n = silent_chain(kernel), 20
    x_0 = random_data(kernel, n, rng)
    x, ratio = x_0, torch.zeros(n)
    for t in range(1, kernel.steps + 1):
        at = torch.full((n,), t)
        step = kernel.step(x, at - 1, at)
        x_t = step.sample(rng)
        p = model.last(x_t, at) if t == 1 else model.reverse(x_t, at - 1, at)
        ratio += total(p.log_prob(x) - step.log_prob(x_t))
        x = x_t
    ratio += total(kernel.prior(x).log_prob(x))
    assert close(ratio, total(kernel.prior(x_0).log_prob(x_0)), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", [*KERNELS, "classes", "classes-rare", "mixed"])
def test_the_bound_is_tight_on_noise(name, rng):
    """K = log pi(x_0) for each example, up to the noise of the x_t that were drawn."""
    kernel = (KERNELS | GROUPED)[name]
    x_0, model = data_like_noise(kernel, 4000, rng), silent_chain(kernel)
    score = bound(model, model.space.decode(x_0), rng=rng)
    assert_mean(score.nats - total(kernel.prior(x_0).log_prob(x_0)), 0.0)
    assert_mean(score.nats, -total(kernel.prior(x_0).entropy())[0])
    assert score.stderr(score.nats - score.null) < 0.05  # it is sharp enough to tell


# 6. K is a lower bound, whatever the data and whatever the network.

DATA = {
    "narrow": GaussianOracle((0.0, 0.0), 0.1),
    "wide": GaussianOracle((0.0, 0.0), 9.0),
    "shifted": GaussianOracle((3.0, -2.0), 1.0),
    "clusters": MixtureOracle((0.3, 0.7), ((-2.0, 2.0), (1.0, -1.0)), (0.05, 0.5)),
}
REVERSES = {
    "silent": (Natural(), Silent(1)),
    "silent-learned-width": (Natural(Sigmoid()), Silent(2)),
    "wrong": (Natural(), Wrong(1)),
    "wrong-noise": (Noise(FixedLarge()), Wrong(1)),
    "wrong-clean": (Clean(FixedLarge()), Wrong(1)),
    "wrong-velocity": (Velocity(), Wrong(1)),
    "wrong-equilibrium": (Equilibrium(), Wrong(2)),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize("reverse", [None, *REVERSES.values()], ids=["exact", *REVERSES.keys()])
def test_the_bound_is_a_bound_for_any_data(data, reverse, rng):
    """E[K] <= E[log p] for data of any variance, by any network, the exact one included."""
    kernel = GaussianKernel(linear(10, 0.05, 0.6))
    head, network = (data.head, data.network(kernel)) if reverse is None else reverse
    x = data.sample(4000, rng)
    gap = data.log_prob(x) - bound(Model(data.space, kernel, head, network), x, rng=rng).nats
    assert gap.mean() > 5 * gap.std() / math.sqrt(len(gap))
    if reverse is None:
        assert gap.mean() < 3.0  # the exact steps leave the two ends only


@pytest.mark.parametrize("variance", [4.0, 16.0])
def test_without_the_boundary_term_it_would_not_be_one(variance, rng):
    """SD15 B.2 takes E[log pi(x_0)] and E[log pi(x_1)] for equal: on data wider than 1 what is
    left of K then exceeds log p, and on narrower data the bound is looser than it need be."""
    oracle = GaussianOracle((0.0, 0.0), variance)
    kernel = GaussianKernel(custom([0.7, 0.4, 0.1, 0.001, 0.0]))
    x = oracle.sample(40_000, rng)
    score = bound(Model(**oracle.parts(kernel)), x, rng=rng)
    dropped = score.nats - score.boundary
    excess, gap = dropped - oracle.log_prob(x), oracle.log_prob(x) - score.nats
    assert excess.mean() > 5 * excess.std() / math.sqrt(len(x))
    assert gap.mean() > 5 * gap.std() / math.sqrt(len(x))
    # It is E log pi(x_0) - E log pi(x_1) = -(1 - alpha_bar_1) (variance - 1) / 2 for each value.
    assert_mean(score.boundary, -2 * 0.3 * (variance - 1) / 2)


def test_the_boundary_vanishes_on_data_of_unit_variance(rng):
    oracle = GaussianOracle((0.0, 0.0), 1.0)
    x = oracle.sample(40_000, rng)
    score = bound(Model(**oracle.parts(KERNELS["gaussian"])), x, evaluations=4, rng=rng)
    assert_mean(score.boundary, 0.0)
    assert score.boundary.std() > 0.001  # on average, not for each example


# 7. Heads are reweightings of one KL, and say the same thing in different words.

REGRESSIONS = [Noise(), Clean(), Velocity(), Mean(), Preconditioned(deviation=0.7)]
every_regression = pytest.mark.parametrize("head", REGRESSIONS, ids=lambda h: type(h).__name__)


def scene(kernel, rng, n=200):
    """Data, a later time t >= 2 with x_t, and some output of a network."""
    x_0 = random_data(kernel, n, rng)
    t = torch.randint(2, kernel.steps + 1, (n,), generator=rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    return x_0, t, x_t, torch.randn(n, 3, 1, generator=rng)


def right_output(head, kernel, x_t, x_0, t):
    """The output for which the estimate is x_0."""
    return (x_0 if isinstance(head, Clean) else head.target(kernel, x_t, x_0, t))[..., None]


@every_regression
def test_the_bound_s_loss_is_the_simple_loss_reweighted(head, rng):
    """KL = w_t error: for the noise beta^2 / (2 sigma^2 (1 - beta) (1 - alpha_bar)), DDPM Eq. 12,
    with sigma^2 = beta_tilde; for the others what follows from x_0 = (x_t - noise eps) / signal."""
    table = linear(40, 1e-3, 0.2)
    kernel = GaussianKernel(table)
    x_0, t, x_t, output = scene(kernel, rng)
    beta, a = table.beta[t - 1][:, None], table.alpha_bar[t][:, None]
    beta_tilde = beta * (1 - table.alpha_bar[t - 1][:, None]) / (1 - a)
    noise_weight = beta**2 / (2 * beta_tilde * (1 - beta) * (1 - a))
    weight = {
        "Noise": noise_weight,
        "Clean": 2 * noise_weight * a / (1 - a),
        "Velocity": noise_weight * a,
        "Preconditioned": noise_weight * a * 0.7**2 / (1 - a + a * 0.7**2),
        "Mean": 1 / (2 * beta_tilde),
    }[type(head).__name__]
    error = head.error(kernel, output, x_t, x_0, t)
    if isinstance(head, Clean):
        error = error - 0.5 * math.log(2 * math.pi)  # half the square, and a constant
    kl = head.divergence(kernel, output, x_t, x_0, t - 1, t)
    assert close(kl, weight * error, rtol=1e-7, atol=1e-8)


@every_regression
def test_the_right_output_leaves_no_error_and_no_kl(head, rng):
    kernel = KERNELS["gaussian"]
    x_0, t, x_t, _ = scene(kernel, rng)
    right = right_output(head, kernel, x_t, x_0, t)
    kl = head.divergence(kernel, right, x_t, x_0, t - 1, t)
    assert close(kl, torch.zeros_like(kl), atol=1e-9)
    least = 0.5 * math.log(2 * math.pi) if isinstance(head, Clean) else 0.0
    assert close(head.error(kernel, right, x_t, x_0, t), torch.full_like(x_0, least))


@pytest.mark.parametrize(
    ("a", "b"),
    list(itertools.product(REGRESSIONS, REGRESSIONS)),
    ids=lambda head: type(head).__name__,
)
@pytest.mark.parametrize("name", ["gaussian", "gaussian-log-snr"])
def test_a_round_trip_through_two_heads_is_the_identity(a, b, name, rng):
    """What a says of x_0, told to b and asked again: the same estimate, and the same step."""
    kernel = KERNELS[name]
    _, t, x_t, output = scene(kernel, rng)
    said = a.estimate(kernel, output, x_t, t)
    told = right_output(b, kernel, x_t, said, t)
    assert close(b.estimate(kernel, told, x_t, t), said, rtol=1e-6, atol=1e-7)
    one, other = (
        head.reverse(kernel, each, x_t, t - 1, t) for head, each in ((a, output), (b, told))
    )
    assert close(one.mean, other.mean, rtol=1e-7, atol=1e-7)
    assert close(one.variance, other.variance)


@pytest.mark.parametrize("name", ["bits", "bits-rare", "bits-each"])
@pytest.mark.parametrize("head", [Natural(), Mean()], ids=["Natural", "Mean"])
def test_heads_on_bits_say_the_same_of_x_0(head, name, rng):
    """A belief's step from t to t - 1, stated as a step, has the belief's own estimate; and the
    Levels head says what Clean says once what x_t tells is put in."""
    kernel, space = KERNELS[name], Binary(3)
    _, t, x_t, output = scene(kernel, rng)
    clean = Clean().bind(space, kernel)
    step = clean.reverse(kernel, output, x_t, t - 1, t)
    base = kernel.prior(x_t) if isinstance(head, Mean) else kernel.step(x_t, t - 1, t)
    stated = (step.logit - base.logit)[..., None]
    assert close(head.reverse(kernel, stated, x_t, t - 1, t).logit, step.logit)
    estimate = clean.estimate(kernel, output, x_t, t)
    assert close(head.estimate(kernel, stated, x_t, t), estimate, rtol=1e-6, atol=1e-7)

    zero, one = torch.zeros_like(x_t), torch.ones_like(x_t)
    seen = kernel.marginal(one, t).log_prob(x_t) - kernel.marginal(zero, t).log_prob(x_t)
    before = kernel.prior(x_t).logit + output[..., 0] - seen
    levels = Levels().bind(space, kernel)
    told = torch.stack([zero, before], -1)
    assert close(levels.estimate(kernel, told, x_t, t), estimate)


EVERY_HEAD = {
    "gaussian": [
        *(head(v) for head in (Noise, Clean, Velocity, Mean, Natural) for v in (FixedLarge(),)),
        *(head(v) for head in (Noise, Clean, Velocity, Mean, Natural) for v in (FixedSmall(),)),
        *(head(v) for head in (Noise, Clean, Velocity, Mean, Natural) for v in (Sigmoid(),)),
        *(Equilibrium(v) for v in (FixedLarge(), FixedSmall(), Sigmoid())),
        *(Noise(v) for v in (LearnedRange(),)),
        *(Preconditioned(v) for v in (FixedSmall(), LearnedRange())),
        *(Clipped(head(FixedLarge()), 0.5) for head in (Noise, Clean, Velocity)),
        Levels(values=torch.tensor([-1.0, 0.0, 0.5, 2.0])),
    ],
    "bits-each": [Clean(), Mean(), Natural(), Levels(values=torch.tensor([0.0, 1.0]))],
}


@pytest.mark.parametrize(
    ("name", "head"),
    [(name, head) for name, heads in EVERY_HEAD.items() for head in heads],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_head_s_divergence_is_the_kl_to_its_own_step(name, head, rng):
    kernel = KERNELS[name]
    x_0, t, x_t, _ = scene(kernel, rng)
    output = torch.randn(200, 3, head.outputs, generator=rng)
    step = head.reverse(kernel, output, x_t, t - 1, t)
    naive = kernel.posterior(x_t, x_0, t - 1, t).kl(step)
    kl = head.divergence(kernel, output, x_t, x_0, t - 1, t)
    assert close(kl, naive, rtol=1e-6, atol=1e-8)


# 12. Units are the raw data's own.


@pytest.mark.parametrize("c", [0.01, 3.0, 255.0])
def test_rescaling_the_data_moves_the_bound_by_minus_log_c_a_dimension(c, rng):
    kernel = KERNELS["gaussian"]
    raw = 1 + 2 * torch.randn(100, 3, generator=rng)

    def score(data):
        space = Continuous.standardize(data)
        model = Model(space, kernel, Noise(FixedLarge()), Wrong())
        return bound(model, data, rng=torch.Generator().manual_seed(1))

    before, after = score(raw), score(c * raw)
    assert close(after.nats, before.nats - 3 * math.log(c))
    assert close(after.bits_per_dim, before.bits_per_dim + math.log2(c))
    assert close(after.above_null, before.above_null)


def test_each_value_has_a_unit_of_its_own(rng):
    """Rescaling value i by c_i moves K by -sum log c_i; shifting moves nothing."""
    kernel = KERNELS["gaussian-erase"]
    raw = torch.randn(100, 3, generator=rng)
    c = torch.tensor([0.1, 5.0, 30.0])

    def score(data):
        model = Model(Continuous.standardize(data), kernel, Clean(FixedLarge()), Wrong())
        return bound(model, data, rng=torch.Generator().manual_seed(1)).nats

    assert close(score(c * raw + 100), score(raw) - c.log().sum(), rtol=1e-7)


# The levels of one coordinate, by Bayes.


@every_kernel
def test_the_belief_over_levels_is_bayes_by_enumeration(kernel, rng):
    """P(level | x_t) is the network's prior over levels times q(x_t | x_0 = level), normalised."""
    values = torch.tensor([0.0, 1.0]) if kernel.binary else torch.tensor([-1.0, 0.0, 0.5, 2.0])
    head = Levels(values=values)
    _, t, x_t, _ = scene(kernel, rng)
    output = torch.randn(200, 3, len(values), generator=rng)
    seen = [kernel.marginal(v.expand_as(x_t), t).log_prob(x_t) for v in values]
    largest = torch.stack(seen).amax(0)  # so that nothing underflows
    joint = output.softmax(-1) * torch.stack([(each - largest).exp() for each in seen], -1)
    belief = head.denoise(kernel, output, x_t, t)
    assert isinstance(belief, Lattice)
    assert close(belief.probs, joint / joint.sum(-1, keepdim=True))


def test_the_schedules_used_here_reach_what_they_should():
    """The tests above lean on it: one chain ends in pure noise, and one begins next to the data."""
    assert erase_evenly(40).alpha_bar[-1] == 0
    assert linear_log_snr(40, 9, -9).log_noise[1] < -8.9
