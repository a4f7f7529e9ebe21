"""Laws over many levels: the few-parameter one is the dense one, with its digits and its costs."""

import math
from dataclasses import replace

import pytest
import torch

import quasistatic as qs
from conftest import KERNELS, Silent, assert_mean, close, copies, every_kernel
from quasistatic.distributions import Gaussian, Lattice, LogisticMixture, moments, total
from quasistatic.heads import Levels
from quasistatic.model import Model
from quasistatic.spaces import Binary, Dequantized, Quantized

PARAMETERS = ("logits", "loc", "log_scale", "linear", "precision")


def random_mixture(rng, *shape, components=3, count=256):
    """A mixture on `count` levels from -1 to 1 under a tilt, its parameters ready for gradients."""

    def draw(*extra):
        return torch.randn(*shape, *extra, generator=rng)

    parts = [draw(components), draw(components), draw(components) / 2 - 1, 3 * draw()]
    parts.append((2 * draw()).exp())
    values = torch.linspace(-1, 1, count)
    named = dict(zip(PARAMETERS, (each.requires_grad_() for each in parts), strict=True))
    return LogisticMixture(**named, values=values)


def dense(p):
    """The same law as a table of differences of the CDF, made by autograd's own arithmetic."""
    edges = (p.values[1:] + p.values[:-1]) / 2
    z = (edges - p.loc[..., None]) / p.log_scale.exp()[..., None]
    ends = torch.zeros_like(z[..., :1])
    mass = torch.cat([ends, z.sigmoid(), ends + 1], -1).diff(dim=-1)
    mixed = (p.logits.softmax(-1)[..., None] * mass).sum(-2)
    tilt = p.linear[..., None] * p.values - p.precision[..., None] * p.values**2 / 2
    return (mixed.log() + tilt).log_softmax(-1), (mixed.log() + tilt).logsumexp(-1)


def gradients(value, of, weight):
    return torch.autograd.grad((value * weight).sum(), of, retain_graph=True)


def verbs_agree(p, log_probs, log_Z, of, rng):
    """Every verb of p, and its gradient, is what the table (B, *, L) says."""
    probs, values = log_probs.exp(), p.values
    mean = probs @ values
    index = torch.randint(len(values), mean.shape, generator=rng)
    picked = log_probs.gather(-1, index[..., None])[..., 0]
    lower, upper = torch.full_like(mean, -0.4), torch.full_like(mean, 0.7)
    inside = (values > -0.4) & (values <= 0.7)
    half = (values[1] - values[0]) / 2
    expected = {
        "mean": (p.mean, mean),
        "variance": (p.variance, (probs * (values - mean[..., None]) ** 2).sum(-1)),
        "log_partition": (p.log_partition(), log_Z),
        "log_prob": (p.log_prob(values[index]), picked),
        "one cell": (p.log_mass(values[index] - half, values[index] + half), picked),
        "many cells": (p.log_mass(lower, upper), log_probs[..., inside].logsumexp(-1)),
        "entropy": (p.entropy(), -(probs * log_probs).sum(-1)),
    }
    for name, (ours, by_hand) in expected.items():
        assert close(ours, by_hand, rtol=1e-10), name
        weight = torch.randn(mean.shape, generator=rng)
        pairs = zip(gradients(ours, of, weight), gradients(by_hand, of, weight), strict=True)
        assert all(close(a, b, rtol=1e-8, atol=1e-9) for a, b in pairs), name


@pytest.mark.parametrize("count", [2, 3, 17, 256])
@pytest.mark.parametrize("components", [1, 4])
def test_the_mixture_is_the_table_of_its_cells(components, count, rng):
    p = random_mixture(rng, 3, 2, 5, components=components, count=count)
    of = [getattr(p, name) for name in PARAMETERS]
    if components == 1:
        of = of[1:]  # the share of one is one
    verbs_agree(p, *dense(p), of, rng)


@pytest.mark.parametrize("count", [2, 17, 256])
def test_a_tilted_table_is_the_table_of_its_logits_and_its_tilt(count, rng):
    logits, values = torch.randn(3, 2, 5, count, generator=rng), torch.linspace(-1, 1, count)
    linear, precision = 3 * torch.randn(3, 2, 5, generator=rng), torch.rand(3, 2, 5, generator=rng)
    of = [each.requires_grad_() for each in (logits, linear, precision)]
    joint = logits + linear[..., None] * values - precision[..., None] * values**2 / 2
    p = Lattice(logits, values).tilt(linear, precision)
    verbs_agree(p, joint.log_softmax(-1), joint.logsumexp(-1), of, rng)


def test_one_law_s_divergence_from_another_is_the_sum_over_levels(rng):
    p, q = random_mixture(rng, 4, 5), random_mixture(rng, 4, 5)
    (log_p, _), (log_q, _) = dense(p), dense(q)
    expected = (log_p.exp() * (log_p - log_q)).sum(-1)
    assert close(p.kl(q), expected)
    of = [getattr(each, name) for each in (p, q) for name in PARAMETERS]
    ours, theirs = gradients(p.kl(q), of, 1.0), gradients(expected, of, 1.0)
    assert all(close(a, b, rtol=1e-8, atol=1e-9) for a, b in zip(ours, theirs, strict=True))
    assert close(p.kl(Lattice(log_q, p.values)), expected)  # of whatever kind it is


def test_draws_fall_on_each_level_as_often_as_it_is_probable(rng):
    p = random_mixture(rng, 1, 2, count=9)
    x = copies(p, 50_000).sample(rng)
    assert_mean((x[..., None] == p.values).double(), p.probs.detach()[0], slack=1e-4)


@pytest.mark.parametrize("verb", ["mean", "variance", "log_partition", "entropy", "kl", "log_mass"])
def test_a_few_scalars_at_a_time_are_all_of_them(verb, rng, monkeypatch):
    """Whatever the size of what is worked on at once, to the last bit and in the gradient too."""

    def answer(p, q):
        lower, upper = torch.full(p.shape, -0.4), torch.full(p.shape, 0.7)
        of = [p.logits, *([p.loc] if isinstance(p, LogisticMixture) else [])]
        value = {
            "mean": lambda: p.mean,
            "variance": lambda: p.variance,
            "log_partition": p.log_partition,
            "entropy": p.entropy,
            "kl": lambda: p.kl(q),
            "log_mass": lambda: p.log_mass(lower, upper),
        }[verb]()
        return value, *gradients(value, of, torch.linspace(1, 2, 21).reshape(3, 7))

    mixture, other = random_mixture(rng, 3, 7, count=20), random_mixture(rng, 3, 7, count=20)
    logits = torch.randn(3, 7, 20, generator=rng).requires_grad_()
    table = Lattice(logits, mixture.values)
    whole = answer(mixture, other), answer(table, other)
    monkeypatch.setattr(moments, "_CACHED", 240)  # 4 mixtures or 12 tables of the 21
    parts = answer(replace(mixture), replace(other)), answer(replace(table), replace(other))
    for before, after in zip(whole, parts, strict=True):
        assert all(close(a, b, rtol=1e-13) for a, b in zip(before, after, strict=True))


# What the digits are worth in float32.


@pytest.mark.parametrize("log_scale", [-8.0, -4.0, 0.0, 4.0])
@pytest.mark.parametrize("log_precision", [-8.0, 0.0, 8.0, 16.0])
def test_float32_keeps_its_digits(log_scale, log_precision, rng):
    """From a prior of one level to a flat one, from noise to the data themselves: the mean and
    the width in terms of what can be told of x_0 at that SNR, log p relative to its size."""
    n, precision = 500, math.exp(log_precision)
    p = random_mixture(rng, n).to(torch.float32)
    level = p.values[torch.randint(256, (n,), generator=rng)]
    seen = level + torch.randn(n, generator=rng).float() / precision**0.5
    p = replace(
        p,
        log_scale=log_scale + p.log_scale / 3,
        precision=torch.full((n,), precision, dtype=torch.float32),
        linear=precision * seen,
    )
    exact = p.to(torch.float64)
    width = min(1.0, precision**-0.5)
    assert ((p.mean - exact.mean).abs() < 3e-3 * width + 1e-6).all()
    assert ((p.variance - exact.variance).abs() < 3e-2 * width**2).all()
    assert close(p.log_prob(level).double(), exact.log_prob(level.double()), rtol=1e-4, atol=1e-4)
    parts = [p.logits, p.loc, p.log_scale]
    for value in (p.mean, p.variance, p.log_prob(level)):
        assert all(each.isfinite().all() for each in gradients(value, parts, 1.0))


def test_a_level_that_the_prior_all_but_excludes_costs_what_it_costs(float32):
    """A logistic as sharp as the head allows sits on level 0, and x_t says level 200 beyond doubt:
    thousands of nats, in float32, with the slope 1 / scale."""
    space = Quantized(1, 256)
    values, width = space.levels.float(), 2 / 256
    scale = width / 16
    loc = torch.full((1, 1), -1 + width / 2, requires_grad=True)
    log_scale = torch.full((1, 1), math.log(scale), requires_grad=True)
    precision = torch.full((1,), 1e7)
    p = LogisticMixture(torch.zeros(1, 1), loc, log_scale, values)
    p = p.tilt(precision * values[200], precision)
    # u(b) - u(a) of a logistic that has fallen to exp(-a) here, the cell being 16 scales wide.
    expected = -199.5 * 16 + math.log1p(-math.exp(-16))
    assert expected < -3000
    log_weight = p.log_weight(torch.tensor([200]))
    assert log_weight.item() == pytest.approx(expected, rel=1e-6)
    at_pivot = 1e7 * values[200].double() ** 2 / 2
    assert p.mean.item() == pytest.approx(values[200].item(), rel=1e-6)
    assert p.log_prob(values[200:201]).item() == pytest.approx(0, abs=1e-3)
    prior = (p.log_partition() - at_pivot).item()
    assert prior == pytest.approx(expected, abs=1)  # log Z of a certainty, at 10^6 nats of tilt
    slope = torch.autograd.grad(log_weight.sum(), loc)[0].item()
    assert slope == pytest.approx(1 / scale, rel=1e-4)
    for name, by_moments in (("loc", loc), ("log_scale", log_scale)):
        ours = torch.autograd.grad(p.log_partition().sum(), by_moments, retain_graph=True)[0]
        one = torch.autograd.grad(p.log_weight(torch.tensor([200])).sum(), by_moments)[0]
        assert close(ours.double(), one.double(), rtol=1e-4), name


@pytest.mark.parametrize("deviation", [3.0, 0.1, 1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("place", [-1.0, 0.003, 5.0, -50.0])
def test_the_discretised_decoder_holds_at_256_levels_in_float32(deviation, place, float32):
    """DDPM Eq. 13 with no clamp, up to 10^15 nats away: finite, falling with the distance, and
    with the gradient that float64 finds."""
    space = Quantized((1,), 256)
    answers = []
    for kind in (torch.float32, torch.float64):
        loc = torch.full((256, 1), place, dtype=kind, requires_grad=True)
        variance = torch.full((256, 1), deviation**2, dtype=kind, requires_grad=True)
        x_0 = space.encode(torch.arange(256, dtype=kind)[:, None])
        log_prob = space.log_prob(Gaussian(loc, variance), x_0)
        answers.append([log_prob, *torch.autograd.grad(log_prob.sum(), (loc, variance))])
    for ours, exact in zip(*answers, strict=True):
        assert ours.isfinite().all()
        slack = 1e-4 * exact.abs().max().item() if exact is not answers[1][0] else 1e-4
        assert close(ours.double(), exact, rtol=1e-3, atol=slack)
    far = (x_0[1:-1, 0] - place).abs() > 6 * deviation
    order = (x_0[1:-1, 0] - place).abs()[far].argsort()
    assert (answers[0][0][1:-1, 0][far][order].diff() <= 0).all()


# The head.


@every_kernel
def test_a_mixture_s_belief_is_bayes_by_enumeration(kernel, rng):
    """P(level | x_t) is the network's prior times q(x_t | x_0 = level), for every kernel."""
    count = 2 if kernel.binary else 9
    values = torch.linspace(0, 1, 2) if kernel.binary else torch.linspace(-1, 1, 9)
    head = Levels(2, values=values)
    t = torch.randint(1, kernel.steps + 1, (50,), generator=rng)
    x_t = kernel.marginal(values[torch.randint(count, (50, 3), generator=rng)], t).sample(rng)
    output = torch.randn(50, 3, 6, generator=rng)
    belief = head.denoise(kernel, output, x_t, t)
    seen = torch.stack([kernel.marginal(v.expand_as(x_t), t).log_prob(x_t) for v in values], -1)
    nothing = torch.zeros_like(x_t)
    prior = replace(belief, linear=nothing, precision=nothing)
    assert close(belief.probs, (prior.log_probs + seen).softmax(-1))
    assert close(belief.mean, (prior.log_probs + seen).softmax(-1) @ values)


@pytest.mark.parametrize("mixtures", [1, 3, 10])
def test_a_network_that_says_nothing_gives_a_broad_prior_whose_parts_differ(mixtures, rng):
    """Nearly all of the 8 bits, and a gradient that tells the logistics apart: a network whose
    last layer starts at zero would else keep them alike for ever."""
    space, kernel = Quantized((2, 3), 256), KERNELS["gaussian-erase"]
    head = Levels(mixtures).bind(space, kernel)
    output = torch.zeros(4, 2, 3, head.outputs, requires_grad=True)
    t = torch.full((4,), kernel.steps)  # where x_t says nothing
    belief = head.denoise(kernel, output, torch.randn(4, 2, 3, generator=rng), t)
    assert (belief.entropy() > 0.85 * math.log(256)).all()
    assert close(belief.mean, torch.zeros(4, 2, 3), atol=1e-9)  # it leans to no side
    belief.log_prob(space.levels[torch.full((4, 2, 3), 77)]).sum().backward()
    by_part = output.grad[0, 0, 0].reshape(3, mixtures)
    assert mixtures == 1 or (by_part.std(1) > 1e-3).all()


def test_the_head_s_scale_stays_within_bounds_whatever_the_network_says(float32):
    space, kernel = Quantized((2,), 256), KERNELS["gaussian"]
    head = Levels(1).bind(space, kernel)
    output = torch.tensor([0.0, 0.3, -1e6, 0.0, 0.3, 1e6]).reshape(1, 2, 3).requires_grad_()
    belief = head.denoise(kernel, output, torch.zeros(1, 2), torch.ones(1).long())
    assert belief.log_scale[0, 0, 0].exp().item() == pytest.approx(2 / 256 / 16)
    assert belief.log_scale[0, 1, 0] < 7
    (
        belief.mean + belief.variance + belief.log_prob(space.levels.float()[[0, 255]])
    ).sum().backward()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("head", [Levels(), Levels(1), Levels(3)], ids=["table", "one", "three"])
def test_training_holds_no_axis_of_levels(head, float32, rng):
    """What backward keeps of a batch: the network's output and a few numbers for each value, on
    images of any number of axes."""
    space, kernel = Quantized((2, 5, 7), 256), KERNELS["gaussian"]
    head = head.bind(space, kernel)
    output = torch.randn(6, 2, 5, 7, head.outputs, generator=rng).requires_grad_()
    x_0 = space.encode(torch.randint(256, (6, 2, 5, 7), generator=rng).float())
    t = torch.randint(2, 41, (6,), generator=rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kl = head.divergence(kernel, output, x_t, x_0, t - 1, t)
        edge = space.log_prob(head.last(kernel, output, x_t, torch.ones_like(t)), x_0)
    kept.pop(output.untyped_storage().data_ptr(), None)
    assert sum(kept.values()) / x_0.numel() < 60 + 50 * head.mixtures
    (total(kl) - total(edge)).mean().backward()
    assert kl.shape == edge.shape == x_0.shape
    assert output.grad.isfinite().all()
    assert (output.grad != 0).any()


def test_a_network_in_bfloat16_is_read_in_the_precision_of_the_data(float32):
    space, kernel = Quantized((3,), 256), KERNELS["gaussian"]
    for head in (Levels().bind(space, kernel), Levels(2).bind(space, kernel)):
        output = torch.linspace(-1, 1, 2 * 3 * head.outputs).reshape(2, 3, -1).bfloat16()
        t, x_t = torch.tensor([3, 9]), torch.linspace(-1, 1, 6).reshape(2, 3)
        coarse = head.estimate(kernel, output, x_t, t)
        assert coarse.dtype == torch.float32
        assert torch.equal(coarse, head.estimate(kernel, output.float(), x_t, t))


@pytest.mark.parametrize("mixtures", [0, 2])
def test_the_bound_closes_on_data_that_the_prior_knows(mixtures, rng):
    """Pixels of two images' shape, drawn level by level from what the network says: −K is their
    entropy, in bits of the raw data, and nothing less."""
    space = Quantized((2, 3), 8)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(60, 9.0, -9.0))
    head = Levels(mixtures).bind(space, kernel)
    model = Model(space, kernel, Levels(mixtures), Silent(head.outputs))
    nothing = torch.zeros(400, 2, 3)
    silent = head._prior.law(torch.zeros(400, 2, 3, head.outputs))
    raw = space.decode(silent.sample(rng))
    score = qs.likelihood.bound(model, raw, rng=rng)
    entropy = total(silent.entropy())[0]
    assert nothing.shape[1:] == space.shape
    gap = score.nats + entropy
    assert gap.mean() < 5 * gap.std() / math.sqrt(len(gap))
    assert gap.mean() > -0.08 * entropy  # 60 steps lose little


def test_three_ways_to_say_the_same_of_a_byte_cost_the_same(rng):
    """A law much wider than a cell: the mass of a cell (Eq. 13), the density over it, and the
    level of a table that holds those masses, in the units of the raw data."""
    decoder, spread = Quantized((2, 3), 256), Dequantized((2, 3), 256)
    raw = torch.randint(40, 216, (200, 2, 3), generator=rng).double()
    p = Gaussian(torch.full((200, 2, 3), 0.1), torch.full((200, 2, 3), 0.3**2))
    by_mass = decoder.log_prob(p, decoder.encode(raw))
    by_density = torch.stack([spread.log_prob(p, spread.encode(raw, rng)) for _ in range(50)])
    assert close(by_density.mean((0, 1)), by_mass.mean(0), atol=2e-3)
    every = torch.arange(256.0)[:, None, None].expand(256, 2, 3)
    wide = Gaussian(p.loc[:1].expand(256, 2, 3), p.variance[:1].expand(256, 2, 3))
    table = decoder.log_prob(wide, decoder.encode(every)).movedim(0, -1)
    q = Lattice(table.expand(200, 2, 3, 256), decoder.levels)
    assert close(decoder.log_prob(q, decoder.encode(raw)), by_mass)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Levels(-1), ValueError, "mixtures .0 for one logit a level. must .* got -1"),
        (
            lambda: Levels(6).bind(Quantized(3, 17), KERNELS["gaussian"]),
            TypeError,
            r"6 logistics take 18 outputs a value, and Quantized has 17 levels only: use Levels",
        ),
        (lambda: Levels(1).bind(Binary(3), KERNELS["bits"]), TypeError, "Binary has 2 levels only"),
        (lambda: Levels(2).outputs, TypeError, "build a Model with it first"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()
