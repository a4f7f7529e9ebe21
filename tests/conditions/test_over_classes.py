"""log p(x) as the mixture of p(x | y) over the classes: a bound, and what it takes."""

import math

import pytest
import torch
from test_conditions import MODELS, ORACLE, chain, untrained

import quasistatic as qs
from quasistatic.conditions import ClassLabel, Vector


def prior() -> list[float]:
    return ORACLE.log_prior.exp().tolist()


def test_the_mixture_is_below_log_p_and_closes(float64):
    x, _ = ORACLE.draw(1500, 0)
    gaps = []
    for steps in (6, 300):
        score = chain(steps).score(x, method=qs.OverClasses(qs.Elbo(None), prior=prior()), rng=1)
        gaps.append(ORACLE.log_prob(x) - score.nats)
    means = [gap.mean() for gap in gaps]
    errors = [gap.std() / len(x) ** 0.5 for gap in gaps]
    assert means[0] > 3 * errors[0]
    assert abs(means[1]) < 3 * errors[1] + 0.01  # the chain's own gap
    assert means[1] < means[0]


def test_with_more_paths_the_mixture_is_tighter(float64):
    x, _ = ORACLE.draw(600, 0)
    model, scores = chain(10), []
    for method in (qs.Elbo(None), qs.Importance(16)):
        scores.append(model.score(x, method=qs.OverClasses(method, 12, 10, prior()), rng=1).nats)
    loose, tight = (ORACLE.log_prob(x) - each for each in scores)
    assert tight.mean() < loose.mean()
    assert tight.mean() > -3 * tight.std() / len(x) ** 0.5


@pytest.mark.parametrize("name", MODELS)
def test_for_any_network_it_is_below_the_mixture_of_the_bounds_and_near_it(name, float64):
    model = MODELS[name]().double()
    x = model.sample(12, given=[0, 1, 2] * 4, rng=0)
    copies = x.repeat(24, *[1] * (x.ndim - 1))
    each = [model.score(copies, None, given=k, rng=k).nats.reshape(24, 12) for k in range(3)]
    many = torch.stack(each, 2)
    bounds = many.mean(0)
    mixture = bounds.logsumexp(1) - math.log(3)
    method = qs.OverClasses(qs.Elbo(None), 8, 12)
    repeats = model.score(copies, method=method, rng=0).nats.reshape(24, 12)
    error = (repeats.var(0) / 24 + many.var(0).amax(1) / 24).sqrt()
    off = repeats.mean(0) - mixture
    assert (off < 4 * error + 1e-9).all()
    assert off.mean() > -0.1 - 3 * error.square().sum().sqrt() / len(x)
    # What a label gains is no more than what it costs, on average over its values.
    share = bounds.softmax(1)
    gain = (share * bounds).sum(1) - mixture
    assert (gain <= math.log(3) + 1e-9).all()


def test_it_says_what_it_is_and_counts_all_evaluations(float64):
    model = chain(20)
    x, _ = ORACLE.draw(30, 0)
    score = model.score(x, method=qs.OverClasses(qs.Elbo(None), 2, 2), rng=0)
    assert score.evaluations == model.score(x, None, rng=0).evaluations
    pairs = int((score.posterior > 0).sum())
    found = model.classify(x, 2, 2, rng=0)
    assert score.spent == pairs * score.evaluations + int(found.evaluations.sum())
    assert "lower bound on log p(x), as a mixture over classes" in repr(score)
    assert not score.given
    torch.testing.assert_close(score.posterior.sum(1), torch.ones(30))
    assert (score.terms["classes"] <= 1e-12).all()
    low, high = score.interval()
    assert (low < score.nats).all()
    assert (score.nats < high).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m, x: m.score(x, method=qs.OverClasses(), given=0), ValueError, "y is given"),
        (lambda m, x: m.score(x, method=qs.OverClasses(qs.Flow())), TypeError, "from below"),
        (lambda m, x: qs.OverClasses("flow"), TypeError, "Elbo"),
        (lambda m, x: qs.OverClasses(rounds=1), ValueError, "rounds must be"),
        (
            lambda m, x: m.score(x, method=qs.OverClasses(prior=[1.0, 0.5, -0.5])),
            ValueError,
            "summing to 1",
        ),
        (
            lambda m, x: untrained(Vector(1)).score(x, method=qs.OverClasses()),
            TypeError,
            "ClassLabel",
        ),
        (
            lambda m, x: qs.Diffusion(
                m.space, m.kernel, m.head, qs.networks.MLP(2, width=4, depth=1)
            ).score(x, method=qs.OverClasses()),
            TypeError,
            "no condition",
        ),
    ],
)
def test_what_has_no_mixture_over_classes_is_an_error(call, error, says):
    with pytest.raises(error, match=says):
        call(untrained(ClassLabel(3)), torch.randn(2, 2))
