"""The class by Bayes' rule: against a known posterior, and its error bars."""

import pytest
import torch
from test_conditions import MODELS, untrained

import quasistatic as qs
from quasistatic.conditions import ClassLabel, Vector
from quasistatic.diagnostics.oracles import LabelledMixtureOracle

ORACLE = LabelledMixtureOracle(
    (0, 1, 2, 2),
    (0.4, 0.3, 0.2, 0.1),
    ((1.0, 0.0), (-1.0, 0.5), (0.0, -1.5), (4.0, 4.0)),
    (0.4, 0.5, 0.4, 0.3),
)


@pytest.fixture(scope="module")
def oracle():
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(300, 8.0, -7.0))
    return qs.Diffusion(**ORACLE.parts(kernel)).double()


def test_classes_have_their_known_posterior_within_the_error_bars(oracle, float64):
    x, _ = ORACLE.draw(120, 0)
    exact = ORACLE.log_posterior(x)
    found = oracle.classify(x, 24, 12, rng=0, prior=ORACLE.log_prior.exp().tolist())
    likely = exact > -4
    off = (found.log_prob - exact)[likely] / (found.stderr[likely] + 0.05)  # the chain's own gap
    assert (off.abs() < 2).double().mean() > 0.9
    assert off.abs().max() < 6
    assert (found.label == exact.argmax(1)).double().mean() > 0.9
    torch.testing.assert_close(found.prob.sum(1), torch.ones(120))


def test_a_full_sum_over_the_terms_is_what_the_rounds_estimate(model):
    x = model.sample(6, given=[0, 1, 2, 0, 1, 2], rng=0)
    whole = torch.stack([model.score(x, None, given=k, rng=1).nats for k in range(3)], 1)
    exact = whole.log_softmax(1)
    repeats = [model.classify(x, 2, 12, rng=seed) for seed in range(16)]
    gaps = torch.stack([each.log_prob - each.log_prob[:, :1] for each in repeats])
    error = gaps.std(0) / len(repeats) ** 0.5
    # The score is itself at one draw of the noise of each term.
    single = torch.stack([model.score(x, None, given=0, rng=k).nats for k in range(8)]).std(0)
    off = (gaps.mean(0) - (exact - exact[:, :1])).abs()
    assert (off < 5 * error + 3 * single[:, None] + 0.02).all()


@pytest.fixture(params=MODELS)
def model(request, float64):
    return MODELS[request.param]().double()


def test_classes_that_are_behind_get_no_more_evaluations(oracle, float64):
    x = torch.tensor([[4.0, 4.0], [0.0, 0.0]])  # clear, and between all
    found = oracle.classify(x, 10, 8, rng=0)
    assert found.label[0] == 2
    assert found.evaluations[0] < found.evaluations[1] / 2
    assert found.prob[0, 2] > 0.999


def test_alike_classes_share_noise_so_that_their_difference_has_none(float64):
    model = untrained(ClassLabel(3)).double()
    with torch.no_grad():
        model.network.given.mix.weight.zero_()  # the class has no effect
    found = model.classify(torch.randn(5, 2), 3, 4, rng=0)
    assert (found.log_prob + torch.log(torch.tensor(3.0))).abs().max() < 1e-9
    assert found.stderr.max() < 1e-9


def test_a_prior_moves_the_posterior_by_itself(oracle, float64):
    x, _ = ORACLE.draw(10, 3)
    even = oracle.classify(x, 4, 8, rng=0)
    prior = torch.tensor([0.7, 0.2, 0.1])
    other = oracle.classify(x, 4, 8, rng=0, prior=prior.tolist())
    likely = (even.log_prob > -3) & (other.log_prob > -3)
    moved = (even.log_prob + prior.log()).log_softmax(1)
    assert (moved - other.log_prob)[likely].abs().max() < 0.5


def test_the_names_of_classes_are_told():
    model = untrained(ClassLabel(2, ("cat", "dog")))
    found = model.classify(torch.randn(3, 2), 2, 2, rng=0)
    assert set(found.names) <= {"cat", "dog"}
    assert "2 classes" in repr(found)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m, x: m.classify(x, 1), ValueError, "rounds must be a whole number at least 2"),
        (lambda m, x: m.classify(x, each=2.5), TypeError, "each must be a whole number"),
        (lambda m, x: m.classify(x, prior="even"), TypeError, "prior must be"),
        (lambda m, x: m.classify(x, prior=[0.5, 0.5]), ValueError, "each of 3 classes"),
        (lambda m, x: m.classify(x, prior=[0.5, 0.6, -0.1]), ValueError, "summing to 1"),
        (lambda m, x: untrained(Vector(1)).classify(x), TypeError, "ClassLabel"),
    ],
)
def test_what_cannot_be_classified_is_an_error(call, error, says):
    with pytest.raises(error, match=says):
        call(untrained(ClassLabel(3)), torch.randn(2, 2))
