"""Classifier-free guidance: the guided member, plain walks, and walks with weights."""

import math

import pytest
import torch
from test_conditions import MODELS, untrained

import quasistatic as qs
from quasistatic.conditions import ClassLabel
from quasistatic.diagnostics.oracles import LabelledMixtureOracle
from quasistatic.distributions import (
    Bernoulli,
    Categorical,
    Gaussian,
    Lattice,
    OneHotGroups,
    Product,
    total,
)

ORACLE = LabelledMixtureOracle(
    (0, 1, 1), (0.5, 0.3, 0.2), ((1.2,), (-1.0,), (0.3,)), (0.4, 0.3, 0.5)
)


def members(rng):
    """Two members of each family, and points at which they are compared."""

    def normal(*shape):
        return torch.randn(*shape, generator=rng)

    groups, levels = OneHotGroups((2, 3)), torch.tensor([-1.0, 0.0, 0.5, 2.0])
    two = [Gaussian(normal(5, 3), 0.5 + normal(5, 3).abs()) for _ in range(2)]
    classes = [Categorical(normal(5, 5), groups) for _ in range(2)]
    one_hot = Categorical(normal(40, 5), groups).sample(rng)
    return {
        "gaussian": (two, normal(40, 1, 3)),
        "bits": ([Bernoulli(normal(5, 3)) for _ in range(2)], (normal(40, 1, 3) > 0).double()),
        "classes": (classes, one_hot[:, None]),
        "levels": (
            [Lattice(normal(5, 3, 4), levels) for _ in range(2)],
            levels[torch.randint(4, (40, 1, 3), generator=rng)],
        ),
        "product": (
            [Product((a, b), (3, 5)) for a, b in zip(two, classes, strict=True)],
            torch.cat([normal(40, 1, 3), one_hot[:, None]], -1),
        ),
    }


@pytest.mark.parametrize("family", ["gaussian", "bits", "classes", "levels", "product"])
@pytest.mark.parametrize("w", [-1.0, -0.5, 0.0, 0.3])
def test_the_guided_member_is_the_product_of_powers(family, w, float64, rng):
    (p, q), points = members(rng)[family]
    if family in ("gaussian", "product") and w > 0:  # where the powers can be normalised
        p = p if family == "product" else Gaussian(p.loc, q.variance / 2)
        if family == "product":
            normal = Gaussian(p.parts[0].loc, q.parts[0].variance / 2)
            p = Product((normal, p.parts[1]), p.widths)
    guided = p.extrapolate(q, torch.tensor([w]))
    left = torch.stack(
        [
            total(guided.log_prob(x.expand_as(p.mean)))
            - (1 + w) * total(p.log_prob(x.expand_as(p.mean)))
            + w * total(q.log_prob(x.expand_as(p.mean)))
            for x in points
        ]
    )
    torch.testing.assert_close(left, left[:1].expand_as(left), atol=1e-9, rtol=0)


def test_two_point_masses_have_the_extrapolated_mean(float64):
    p, q = (Gaussian(torch.tensor([x]), torch.zeros(1)) for x in (2.0, 1.0))
    guided = p.extrapolate(q, torch.tensor([3.0]))
    assert guided.mean.item() == 5.0
    assert guided.variance.item() == 0.0


def truth(w):
    """log Z, the mean and the variance of p(x | y)^(1 + w) p(x)^(-w) / Z on a fine grid."""
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    log_p = (1 + w) * ORACLE.given(0).log_prob(grid) - w * ORACLE.log_prob(grid)
    x = grid[:, 0]
    z = torch.trapezoid(log_p.exp(), x)
    p = log_p.exp() / z
    mean = torch.trapezoid(p * x, x)
    return z.log(), mean, torch.trapezoid(p * (x - mean) ** 2, x)


@pytest.fixture(scope="module")
def oracle():
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(400, 8.0, -7.0))
    return qs.Diffusion(**ORACLE.parts(kernel)).double()


@pytest.mark.parametrize("w", [0.5, 1.0, 3.0])
def test_weighted_walks_have_the_law_and_plain_walks_do_not(w, oracle, float64):
    log_z, middle, variance = truth(w)
    found = oracle.guided(50, qs.CorrectedGuidance(w, particles=128, repeats=12), rng=1, given=0)
    mean, mean_error = found.mean()
    spread, spread_error = found.mean(lambda x: (x - mean) ** 2)
    short = 0.02  # what a chain of 400 steps, each of them normal, leaves
    assert abs(found.log_evidence - log_z) < 3 * found.evidence_stderr + short
    assert abs(mean - middle) < 3 * mean_error + short
    assert abs(spread - variance) < 3 * spread_error + short
    assert 0.02 < found.effective <= 1
    plain = oracle.sample(1500, 100, given=0, guidance=qs.Guidance(w), rng=0)
    off, error = plain.mean() - middle, plain.std() / 1500**0.5
    assert off > 3 * error  # it goes too far
    assert off > 1.5 * (mean - middle).abs()


@pytest.fixture(params=MODELS)
def model(request, float64):
    return MODELS[request.param]().double()


def test_weight_zero_is_the_condition_and_minus_one_is_none(model):
    for weight, given in ((0.0, 1), (-1.0, None)):
        guided = model.sample(6, given=1, guidance=qs.Guidance(weight), rng=0)
        torch.testing.assert_close(guided, model.sample(6, given=given, rng=0))
        exact = model.guided(
            4, qs.CorrectedGuidance(weight, particles=8, repeats=2), rng=0, given=1
        )
        assert exact.log_weight.abs().max() < 1e-9  # Z = 1, and each path has weight 1
        assert exact.effective == pytest.approx(1.0)


def test_each_row_is_guided_by_its_own_condition(model):
    rows = model.sample(3, given=[0, 1, 2], guidance=qs.Guidance(1.0), rng=0)
    each = [model.sample(3, given=k, guidance=qs.Guidance(1.0), rng=0)[k] for k in range(3)]
    torch.testing.assert_close(rows, torch.stack(each))
    plain = model.sample(200, given=1, rng=0)
    guided = model.sample(200, given=1, guidance=qs.Guidance(4.0), rng=0)
    assert (plain != guided).any()


def test_guidance_raises_the_probability_of_the_class(oracle, float64):
    shares = []
    for w in (0.0, 1.0, 3.0):
        x = oracle.sample(500, 60, given=0, guidance=qs.Guidance(w), rng=0)
        shares.append(float(ORACLE.log_posterior(x)[:, 0].exp().mean()))
    assert shares[0] + 0.03 < shares[1]
    assert shares[1] + 0.01 < shares[2]


def test_an_interval_acts_within_it_only(float64):
    model = untrained(ClassLabel(3)).double()
    plain = model.sample(4, given=1, rng=0)
    whole = model.sample(4, given=1, guidance=qs.Guidance(2.0), rng=0)
    never = qs.Guidance(2.0, (90.0, 99.0))
    torch.testing.assert_close(model.sample(4, given=1, guidance=never, rng=0), plain)
    always = qs.Guidance(2.0, (-99.0, 99.0))
    torch.testing.assert_close(model.sample(4, given=1, guidance=always, rng=0), whole)
    some = model.sample(4, given=1, guidance=qs.Guidance(2.0, (-1.0, 1.0)), rng=0)
    assert (some - plain).abs().max() > 1e-6
    assert (some - whole).abs().max() > 1e-6


def test_a_weaker_model_takes_the_place_of_p_of_x(float64):
    model = untrained(ClassLabel(3)).double()
    weak = qs.Diffusion.build(model.describe()).double()
    itself = model.sample(4, given=1, guidance=qs.Guidance(2.0, by=model), rng=0)
    torch.testing.assert_close(itself, model.sample(4, given=1, rng=0))
    by = model.sample(4, given=1, guidance=qs.Guidance(2.0, by=weak), rng=0)
    assert (by - itself).abs().max() > 1e-6
    other = qs.networks.MLP(2, width=8, depth=1)
    free = qs.Diffusion(model.space, model.kernel, qs.Velocity(), other).double()
    led = free.sample(4, guidance=qs.Guidance(1.0, by=free), rng=0)  # no condition at all
    torch.testing.assert_close(led, free.sample(4, rng=0))


@pytest.mark.parametrize("stepper", [qs.sampling.DDIM(), qs.sampling.DPMSolver(2)])
def test_steppers_of_the_flow_are_guided(stepper, oracle, float64):
    plain = oracle.sample(200, 20, given=0, stepper=stepper, rng=0)
    same = oracle.sample(200, 20, given=0, stepper=stepper, guidance=qs.Guidance(0.0), rng=0)
    torch.testing.assert_close(same, plain)
    guided = oracle.sample(200, 20, given=0, stepper=stepper, guidance=qs.Guidance(2.0), rng=0)
    assert guided.mean() > plain.mean() + 0.1


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda m: qs.Guidance(-1.5), ValueError, "-1 or more, got -1.5"),
        (lambda m: qs.Guidance(math.nan), ValueError, "-1 or more"),
        (lambda m: qs.CorrectedGuidance(-2.0), ValueError, "-1 or more"),
        (lambda m: qs.CorrectedGuidance(1.0, particles=0), ValueError, "particles"),
        (lambda m: qs.Guidance(1.0, (2.0, 1.0)), ValueError, "interval"),
        (lambda m: qs.Guidance(1.0, 3.0), ValueError, "pair of numbers"),
        (lambda m: qs.Guidance("much"), TypeError, "2.0 for example, got 'much'"),
        (lambda m: qs.Guidance(1.0, by=3), TypeError, "by must be a Model"),
        (lambda m: qs.CorrectedGuidance(1.0, particles=2.5), TypeError, "particles"),
        (lambda m: m.sample(2, given=1, guidance=1.5), TypeError, r"such as Guidance\(1.5\)"),
        (lambda m: m.sample(2, given=1, guidance="2"), TypeError, r"such as Guidance\(2.0\)"),
        (lambda m: m.sample(2, guidance=qs.Guidance(1.0)), TypeError, "pass given=y"),
        (
            lambda m: m.sample(2, given=[0, 1], guidance=qs.CorrectedGuidance(1.0)),
            ValueError,
            "one value|take one",
        ),
        (
            lambda m: m.sample(2, given=1, guidance=qs.Guidance(1.0, by=MODELS["bits"]())),
            TypeError,
            "same data",
        ),
        (lambda m: m.guided(2, qs.Guidance(1.0), given=1), TypeError, "CorrectedGuidance"),
    ],
)
def test_wrong_guidance_is_an_error_that_says_what_to_give(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong(untrained(ClassLabel(3)))
