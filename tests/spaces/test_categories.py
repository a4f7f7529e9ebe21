"""Categories: every formula against sums over classes, and a joint whose reverse step is known."""

import itertools
import math

import pytest
import torch
from torch import nn

from conftest import GROUPED, assert_mean, close, random_data, random_times
from quasistatic.diagnostics.identities import check
from quasistatic.diffusion import Diffusion
from quasistatic.distributions import Categorical, OneHotGroups, total
from quasistatic.heads import Classes, Levels
from quasistatic.kernels import BinomialKernel, CategoricalKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound, importance
from quasistatic.model import Model
from quasistatic.networks import MLP
from quasistatic.sampling import SMC
from quasistatic.sampling.factors import Observed
from quasistatic.spaces import Continuous, OneHot

INF = math.inf
CATEGORIES = {name: k for name, k in GROUPED.items() if isinstance(k, CategoricalKernel)}
every_category = pytest.mark.parametrize("kernel", CATEGORIES.values(), ids=CATEGORIES.keys())
SIZES = (3, 2, 4)


def matrix(kernel, s, t):
    """q(x_t | x_s) as a table, a row for each x_s."""
    eye = torch.eye(3)
    at = torch.ones(3, dtype=torch.long)
    return kernel.step(eye, s * at, t * at).mean


# Groups of one-hot values.


def test_groups_do_to_each_group_what_torch_does_to_it(rng):
    groups, x = OneHotGroups(SIZES), 5 * torch.randn(7, 9, generator=rng)
    parts = x.split(SIZES, -1)
    assert close(groups.sum(x), torch.stack([part.sum(-1) for part in parts], -1))
    assert close(groups.logsumexp(x), torch.stack([part.logsumexp(-1) for part in parts], -1))
    assert torch.equal(groups.amax(x), torch.stack([part.amax(-1) for part in parts], -1))
    assert torch.equal(groups.index(x), torch.stack([part.argmax(-1) for part in parts], -1))
    assert close(groups.log_softmax(x), torch.cat([part.log_softmax(-1) for part in parts], -1))
    index = torch.stack([part.argmax(-1) for part in parts], -1)
    hot = [torch.nn.functional.one_hot(i, n) for i, n in zip(index.unbind(-1), SIZES, strict=True)]
    assert torch.equal(groups.one_hot(index), torch.cat(hot, -1))
    assert torch.equal(groups.index(groups.one_hot(index).double()), index)
    assert close(groups.put_first(groups.sum(x)).sum(-1), x.sum(-1))
    mask = x > -3
    expected = [part.all(-1, keepdim=True).expand_as(part) for part in mask.split(SIZES, -1)]
    assert torch.equal(groups.all_in_group(mask), torch.cat(expected, -1))


def test_the_logsumexp_has_the_gradient_of_the_softmax(rng):
    x = (5 * torch.randn(7, 9, generator=rng)).requires_grad_()
    groups = OneHotGroups(SIZES)
    (slope,) = torch.autograd.grad(groups.logsumexp(x).sum(), x)
    assert close(slope, groups.log_softmax(x).exp())


@pytest.mark.parametrize("sizes", [(), (3, 1), (0, 2)])
def test_a_category_of_one_class_is_refused(sizes):
    with pytest.raises(ValueError, match="two classes or more"):
        OneHotGroups(sizes)


# The family.


def test_a_draw_is_one_class_of_each_column_and_never_one_that_cannot_be(rng):
    """Whatever the number of columns, and at the ends of the quantiles too."""
    groups = OneHotGroups((3, 2) * 500)
    logits = torch.randn(200, groups.width, generator=rng)
    never = groups.one_hot(torch.tensor([2, 0] * 500)) > 0
    p = Categorical(torch.where(never, -INF, logits), groups)
    ends = torch.tensor([0.0, 1e-300, 0.5, 1 - 2**-53])[:, None].expand(4, groups.width)
    at_ends = Categorical(p.logits[:4], groups).icdf(ends)
    for x in (p.sample(rng), at_ends, p.to(torch.float32).sample(rng)):
        assert torch.equal(groups.sum(x), torch.ones(len(x), 1000).to(x))
        assert not x[:, never].any()


def test_quantiles_spread_evenly_are_classes_spread_evenly():
    p = Categorical(torch.tensor([[0.5, 0.2, 0.3]]).log().expand(1000, 3), OneHotGroups((3,)))
    u = ((torch.arange(1000) + 0.5) / 1000)[:, None].expand(1000, 3)
    assert p.icdf(u).sum(0).tolist() == [500, 200, 300]


@pytest.mark.parametrize("gap", [1e-7, 1e-4, 1e-2, 0.3, 5.0])
def test_kl_of_near_categories_keeps_its_digits(gap, rng):
    """The shares are positive, and their sum is sum p log p/q in twice the digits."""
    logits, off = torch.randn(2, 50, 9, generator=rng)
    groups = OneHotGroups(SIZES)
    p, q = Categorical(logits, groups), Categorical(logits + gap * off, groups)
    assert (p.kl(q) >= 0).all()
    if gap >= 1e-2:
        expected = (p.mean * (p.log_p - q.log_p)).sum(-1)
        assert close(p.kl(q).sum(-1), expected)
    else:  # to second order it is the variance of the gap, halved
        mean = groups.expand(groups.sum(p.mean * gap * off))
        second = (p.mean * (gap * off - mean) ** 2).sum(-1) / 2
        assert close(p.kl(q).sum(-1), second, rtol=10 * gap, atol=0)
    single = p.to(torch.float32).kl(q.to(torch.float32)).double()
    assert close(single.sum(), p.kl(q).sum(), rtol=max(1e-4, 1e-6 / gap), atol=0)


def test_a_class_that_cannot_be_costs_what_it_should():
    groups = OneHotGroups((3,))
    never = Categorical(torch.tensor([[0.4, -INF, 0.1]]), groups)
    everywhere = Categorical(torch.tensor([[0.2, 0.3, 0.5]]), groups)
    assert torch.equal(never.kl(never), torch.zeros(1, 3))
    assert everywhere.kl(never).sum() == INF
    by_hand = never.mean * (never.log_p - everywhere.log_p)
    assert close(never.kl(everywhere).sum(), by_hand[:, [0, 2]].sum())
    assert never.entropy().isfinite().all()
    assert never.log_prob(torch.tensor([[0.0, 1.0, 0.0]])).sum() == -INF


# The kernel.


@every_category
def test_steps_are_matrices_that_multiply(kernel):
    """Chapman-Kolmogorov and the fixed point, as products of tables."""
    for s, u, t in [(0, 1, 2), (3, 17, 40), (0, 20, 39), (38, 39, 40)]:
        assert close(matrix(kernel, s, u) @ matrix(kernel, u, t), matrix(kernel, s, t))
    pi = kernel.prior(torch.zeros(1, 3)).mean
    assert close(pi @ matrix(kernel, 3, 17), pi)
    a = schedules_share(kernel, 3, 17)
    assert close(matrix(kernel, 3, 17), a * torch.eye(3) + (1 - a) * pi)


def schedules_share(kernel, s, t):
    return kernel.schedule.alpha_bar[t] / kernel.schedule.alpha_bar[s]


@every_category
def test_the_bridge_is_the_mixture_by_enumeration(kernel, rng):
    """sum over x_0 of b(x_0) q(x_s | x_t, x_0), with every posterior by Bayes from tables."""
    for s, t in [(1, 2), (5, 30), (39, 40), (2, 40)]:
        x_t = kernel.marginal(random_data(kernel, 64, rng), torch.full((64,), t)).sample(rng)
        logits = torch.randn(64, 3, generator=rng)
        seen = matrix(kernel, 0, t) @ x_t.T  # q(x_t | x_0), a row for each x_0
        b = Categorical(torch.where(seen.T > 0, logits, -INF), OneHotGroups((3,)))
        early, late = matrix(kernel, 0, s), matrix(kernel, s, t) @ x_t.T
        expected = torch.zeros(64, 3)
        for j in range(3):
            posterior = early[j][None] * late.T / seen[j][:, None]
            expected += b.mean[:, j : j + 1] * posterior.nan_to_num(posinf=0.0)
        at = torch.ones(64, dtype=torch.long)
        bridge = kernel.bridge(x_t, b, s * at, t * at)
        assert close(bridge.mean, expected)


@every_category
def test_the_divergence_is_the_kl_to_the_bridge_by_enumeration(kernel, rng):
    s, t = random_times(kernel, 200, rng)
    x_0 = random_data(kernel, 200, rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    logits = torch.randn(200, 3, generator=rng)
    belief = Categorical(logits, OneHotGroups((3,))).tilt(*kernel.likelihood_tilt(x_t, 0 * t, t))
    p, q = kernel.posterior(x_t, x_0, s, t), kernel.bridge(x_t, belief, s, t)
    terms = torch.where(p.mean > 0, p.mean * (p.log_p - q.log_p), 0.0)
    assert close(total(kernel.divergence(x_t, x_0, belief, s, t)), total(terms), atol=1e-9)


@pytest.mark.parametrize("name", ["classes", "classes-rare", "absorbing-nearly"])
@pytest.mark.parametrize("variance", [0.0, 0.3, INF])
def test_a_factor_on_a_class_lifts_to_its_mean_over_all(name, variance, rng):
    """log E[r(x_0) | x_t = k] for every k, if the data were pi: a known class, noise on each
    one-hot value, and nothing."""
    kernel = CATEGORIES[name]
    t = torch.randint(1, 41, (20,), generator=rng)
    y = random_data(kernel, 20, rng) + (torch.randn(20, 3, generator=rng) if variance == 0.3 else 0)
    linear, precision, constant = kernel.propagate_likelihood(y, torch.full_like(y, variance), t)
    log_r = torch.zeros(20, 3)
    if variance == 0.0:
        log_r = torch.where(y == 1, 0.0, -INF)
    elif variance < INF:
        gaps = y[:, None] - torch.eye(3)
        each = -(gaps**2) / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)
        log_r = each.sum(-1)
    for k in range(3):
        x_t = torch.eye(3)[k].expand(20, 3)
        law = kernel.step(x_t, 0 * t, t)  # q(x_0 | x_t) under pi, by detailed balance
        said = total(linear * x_t - precision * x_t**2 / 2 + constant)
        assert close(said, (law.log_p + log_r).logsumexp(-1))


def test_two_classes_are_a_bit(rng):
    """With two classes it is the binomial kernel, to the last formula."""
    schedule = schedules.erase_evenly(40)
    two, bit = CategoricalKernel(schedule, (2,), (0.8, 0.2)), BinomialKernel(schedule, 0.2)
    s, t = random_times(bit, 100, rng)
    raw = torch.randint(2, (100, 2), generator=rng).double()
    x_0, x_t = (torch.stack([1 - x, x], 1) for x in raw.unbind(1))
    prior = torch.randn(100, 2, generator=rng)
    belief = Categorical(prior, OneHotGroups((2,))).tilt(*two.likelihood_tilt(x_t, 0 * t, t))
    same = Levels(values=torch.tensor([0.0, 1.0])).denoise(bit, prior[:, None], x_t[:, 1:], t)
    assert close(belief.mean[:, 1:], same.mean)
    pairs = [
        (two.marginal(x_0, t), bit.marginal(x_0[:, 1:], t)),
        (two.posterior(x_t, x_0, s, t), bit.posterior(x_t[:, 1:], x_0[:, 1:], s, t)),
        (two.bridge(x_t, belief, s, t), bit.bridge(x_t[:, 1:], same, s, t)),
    ]
    assert all(close(a.mean[:, 1:], b.mean) for a, b in pairs)
    one = two.divergence(x_t, x_0, belief, s, t).sum(1)
    assert close(one, bit.divergence(x_t[:, 1:], x_0[:, 1:], same, s, t)[:, 0], atol=1e-9)


@pytest.mark.parametrize("steps", [10, 1000, 10_000])
def test_the_divergence_keeps_its_digits_in_float32(steps, rng):
    kernel = CategoricalKernel(schedules.erase_evenly(steps), SIZES)
    t = torch.linspace(2, steps, 200).long()
    index = torch.stack([torch.randint(n, (200,), generator=rng) for n in SIZES], 1)
    x_0 = kernel.groups.one_hot(index).double()
    x_t = kernel.marginal(x_0, t).sample(rng)
    belief = Categorical((2 * torch.randn(200, 9, generator=rng)).float().double(), kernel.groups)
    exact = kernel.divergence(x_t, x_0, belief, t - 1, t)
    single = kernel.divergence(x_t.float(), x_0.float(), belief.to(torch.float32), t - 1, t)
    assert single.dtype == torch.float32
    assert single.double().sum().item() == pytest.approx(exact.sum().item(), rel=1e-3)


def test_training_through_an_absorbing_kernel_has_finite_gradients(rng):
    """Most classes are impossible given x_t, and none of them may poison the slope."""
    kernel, space = CATEGORIES["absorbing"], OneHot((2,), masked=True)
    head = Classes().bind(space, kernel)
    output = torch.randn(100, 3, 1, generator=rng).requires_grad_()
    x_0 = random_data(kernel, 100, rng)
    s, t = random_times(kernel, 100, rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    kl = total(head.divergence(kernel, output, x_t, x_0, s, t))
    masked = x_t[:, 2] == 1
    assert (kl[~masked] == 0).all()  # a class that is still there is the data's own
    assert (kl[masked] > 0).all()
    last = total(space.log_prob(head.last(kernel, output, x_t, t), x_0))
    (kl.sum() - last.sum()).backward()
    assert output.grad.isfinite().all()
    assert (output.grad[masked][:, :2] != 0).all()
    # A masked class that is unmasked on the way from t to s costs what the prior gives it:
    # P(unmasked) = (ab_s - ab_t) / (1 - ab_t).
    ab = kernel.schedule.alpha_bar
    share = ((ab[s] - ab[t]) / (1 - ab[t]))[masked]
    log_p = output[masked][:, :2, 0].log_softmax(-1)
    assert close(kl[masked], -share * (x_0[masked][:, :2] * log_p).sum(-1))


# The head, and a joint whose reverse step is known.

JOINT = torch.tensor([[0.30, 0.02], [0.03, 0.25], [0.35, 0.05]], dtype=torch.float64)
"""P(first, second) of two columns with three and two classes."""


class ExactPrior(nn.Module):
    """For the Classes head: the log-probability of each class by what x_t says of the other
    column; what it says of its own, the head multiplies in."""

    def __init__(self, kernel, masked=False):
        super().__init__()
        self.kernel, self.masked = kernel, masked

    def forward(self, x, time):
        t = (time.double() * self.kernel.steps).round().long()
        seen = self.kernel.likelihood_tilt(x.double(), torch.zeros_like(t), t)[
            0
        ]  # log q(x_t | class)
        first, second = seen.split(self.kernel.sizes, 1)
        first, second = first[:, :3], second[:, :2]
        by_second = (JOINT.log() + second[:, None]).logsumexp(2)
        by_first = (JOINT.log() + first[:, :, None]).logsumexp(1)
        nothing = x.new_zeros(len(x), 1)
        parts = [by_second, *[nothing] * self.masked, by_first, *[nothing] * self.masked]
        return torch.cat(parts, 1)[..., None].to(x.dtype)


CHAINS = {
    "uniform": (CategoricalKernel(schedules.erase_evenly(60), (3, 2)), False),
    "marginal": (
        CategoricalKernel(schedules.erase_evenly(60), (3, 2), (0.32, 0.28, 0.4, 0.68, 0.32)),
        False,
    ),
    "absorbing": (CategoricalKernel.absorbing(schedules.erase_evenly(60), (4, 3)), True),
}
every_chain = pytest.mark.parametrize(("kernel", "masked"), CHAINS.values(), ids=CHAINS.keys())


def exact(kernel, masked):
    return Diffusion(OneHot((3, 2), masked=masked), kernel, Classes(), ExactPrior(kernel, masked))


def rows():
    return torch.tensor(list(itertools.product(range(3), range(2))), dtype=torch.float64)


@every_chain
def test_the_belief_over_classes_is_bayes_by_enumeration(kernel, masked, rng):
    """P(class | x_t) from the joint of both columns, and all that x_t says."""
    model, t = exact(kernel, masked), torch.randint(1, 61, (50,), generator=rng)
    raw = rows()[torch.randint(6, (50,), generator=rng)]
    x_t = kernel.marginal(model.space.encode(raw), t).sample(rng)
    joint = torch.stack(
        [
            total(kernel.marginal(model.space.encode(r[None]).expand_as(x_t), t).log_prob(x_t))
            + JOINT[int(r[0]), int(r[1])].log()
            for r in rows()
        ],
        1,
    ).softmax(1)
    hot = model.space.encode(rows())
    assert close(model.estimate(x_t, t), joint @ hot)


@every_chain
def test_the_bound_closes_on_the_truth_from_below(kernel, masked, rng):
    """E[K] <= E[importance-weighted] <= E[log p] on rows from the joint. The beliefs are exact and
    the steps are not, as the columns draw by themselves: K closes as the chain grows."""
    model = exact(kernel, masked)
    which = torch.multinomial(JOINT.flatten(), 4_000, True, generator=rng)
    raw, truth = rows()[which], JOINT.flatten().log()[which]
    short = truth - bound(model, raw, times=4, rng=rng).nats
    weighted = truth[:1500] - importance(model, raw[:1500], 16, times=4, rng=rng).nats
    long = truth[:1500] - bound(model, raw[:1500], times=40, rng=rng).nats
    error = [gap.std() / len(gap) ** 0.5 for gap in (short, weighted, long)]
    assert short.mean() > 5 * error[0]
    for better, noise in ((weighted, error[1]), (long, error[2])):
        assert -5 * noise < better.mean()
        assert better.mean() < short.mean() - 3 * (noise**2 + error[0] ** 2) ** 0.5


@every_chain
def test_draws_have_the_joint_s_probabilities(kernel, masked, rng):
    raw = exact(kernel, masked).sample(4_000, rng=rng)
    count = (raw[:, None] == rows()).all(-1).double()
    assert_mean(count, JOINT.flatten(), slack=0.006)  # 60 steps: the columns draw by themselves


@every_chain
def test_a_class_that_is_known_comes_back_and_the_evidence_is_its_probability(kernel, masked, rng):
    """P(second | first) and log P(first), against the joint."""
    model = exact(kernel, masked)
    x = torch.tensor([[0.0, math.nan], [1.0, math.nan], [math.nan, 1.0]])
    found = model.impute(x, draws=400, method=SMC(200, 4), times=30, rng=rng)
    known = ~x.isnan()
    assert torch.equal(found.draws[known[:, None].expand_as(found.draws)],
                       x[known][:, None].expand(-1, 400).flatten())  # fmt: skip
    log_p = [JOINT[0].sum().log(), JOINT[1].sum().log(), JOINT[:, 1].sum().log()]
    error = (found.log_evidence - torch.stack(log_p)).abs()
    assert (error < 5 * found.evidence_stderr + 0.05).all()
    second = found.draws[:2, :, 1].mean(1)
    assert close(second, JOINT[:2, 1] / JOINT[:2].sum(1), rtol=0, atol=0.06)


def test_a_factor_that_knows_all_has_the_row_s_evidence(rng):
    model = exact(*CHAINS["uniform"])
    found = model.posterior(Observed(rows()), draws=1, method=SMC(100, 2), rng=rng)
    assert torch.equal(found.draws[:, 0], rows())
    truth = importance(model, rows(), 200, rng=rng)  # log p of the chain itself, of 60 steps
    error = (found.log_evidence - truth.nats).abs()
    assert (error < 5 * (found.evidence_stderr + truth.noise)).all()
    assert (error < 0.15).all()


@every_chain
def test_a_model_of_categories_keeps_every_identity(kernel, masked, rng):
    torch.manual_seed(0)
    space = OneHot((3, 2), masked=masked)
    model = Diffusion(space, kernel, Classes(), MLP(space.state, width=8, depth=1))
    report = check(model, rows().repeat(5, 1))
    assert report.passed, str(report)
    # Where all data become MASK, no data are noise: there is nothing to compare.
    assert {row.name for row in report.rows if row.skipped} == ({"noise"} if masked else set())


# Errors.


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            lambda: CategoricalKernel(schedules.cosine(9), (3,), (0.5, 0.5)),
            ValueError,
            "takes 3 probabilities, .* got shape .2,.",
        ),
        (
            lambda: CategoricalKernel(schedules.cosine(9), (2, 2), (0.5, 0.5, 0.5, 0.6)),
            ValueError,
            "must sum to 1, got",
        ),
        (
            lambda: CategoricalKernel.absorbing(schedules.cosine(9), (3,)),
            ValueError,
            "use erase_evenly",
        ),
        (
            lambda: Model(OneHot((3, 3)), CATEGORIES["classes"], Classes(), nn.Identity()),
            TypeError,
            r"\(3, 3\) values needs a CategoricalKernel",
        ),
        (
            lambda: Model(Continuous(3), CATEGORIES["classes"], Classes(), nn.Identity()),
            TypeError,
            "CategoricalKernel diffuses bits, but Continuous holds other values",
        ),
        (
            lambda: Model(
                OneHot((3,)), GaussianKernel(schedules.cosine(9)), Classes(), nn.Identity()
            ),
            TypeError,
            "needs a CategoricalKernel of these sizes",
        ),
        (
            lambda: Classes().bind(Continuous(3), CATEGORIES["classes"]),
            TypeError,
            "Classes needs a space of classes",
        ),
        (
            lambda: OneHot((3, 2)).check([[0, 1], [1, 2]]),
            ValueError,
            "from 0 to 1 in column 1, got 2 at index 1",
        ),
        (lambda: OneHot((3,), lowest=4).check([[3]]), ValueError, "from 4 to 6"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
