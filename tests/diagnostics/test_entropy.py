"""The entropy budget against laws whose entropies are known, and the identities of its parts."""

import math

import pytest
import torch

from conftest import (
    GROUPED,
    KERNELS,
    Silent,
    Wrong,
    close,
    mixed_model,
    mixed_rows,
    random_data,
)
from quasistatic.diagnostics.entropy import EntropyBudget, entropy_budget
from quasistatic.diagnostics.oracles import GaussianOracle, HeartbeatOracle, MixtureOracle
from quasistatic.distributions import total
from quasistatic.heads import Clean, Levels, Natural
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.reporting import figures
from quasistatic.spaces import Binary, Continuous, Quantized

FULL = 0.5 * math.log(2 * math.pi * math.e)
"""The entropy of N(0, 1)."""

EXAMPLES = 2000

PLANE = GaussianKernel(schedules.linear_log_snr(12, 4, -5))
CASES = {
    "variance 0.3": (GaussianOracle((0.0, 0.0), 0.3), PLANE),
    "variance 1": (GaussianOracle((0.0, 0.0), 1.0), PLANE),
    "variance 3": (GaussianOracle((0.0, 0.0), 3.0), PLANE),
    "off centre": (GaussianOracle((2.0, 0.0), (0.3, 3.0)), PLANE),
    "mixture": (MixtureOracle((0.3, 0.7), (-1.5, 1.0), (0.05, 0.2)), PLANE),
    "bits, mean 0.2": (HeartbeatOracle(), BinomialKernel(schedules.erase_evenly(12), 0.2)),
    "bits, mean 0.5": (HeartbeatOracle(), BinomialKernel(schedules.cosine(12), 0.5)),
    "bits, of another mean": (HeartbeatOracle(9, 3), BinomialKernel(schedules.cosine(12), 0.8)),
}
every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def budgets() -> dict[str, EntropyBudget]:
    """Each case measured once: the chain with an oracle in the network's place."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return {name: _measured(*case) for name, case in CASES.items()}
    finally:
        torch.set_default_dtype(before)


def _measured(oracle, kernel) -> EntropyBudget:
    rng = torch.Generator().manual_seed(0)
    x = oracle.sample(EXAMPLES, rng)
    return entropy_budget(Model(**oracle.parts(kernel)), x, rng=rng, oracle=oracle)


def assert_not_above(low, high, error) -> None:
    """low <= high at every step, within four standard errors."""
    slack = 4 * torch.as_tensor(error) + 1e-9
    assert (low <= high + slack).all(), f"above by {(low - high - slack).max():.3g}"


@every_case
def test_the_truth_lies_between_the_bounds_at_every_step(name, budgets):
    budget = budgets[name]
    assert_not_above(budget.lower, budget.truth.mean, budget.truth.stderr)
    assert_not_above(budget.truth.mean, budget.upper.mean, budget.truth.stderr)
    assert_not_above(budget.lower, budget.upper.mean, budget.upper.stderr)
    assert (budget.truth.stderr < 0.05).all()


@every_case
def test_no_model_spends_less_than_the_truth(name, budgets):
    budget = budgets[name]
    assert (budget.spent >= 0).all()
    assert_not_above(0.0, budget.lost.mean, budget.lost.stderr)
    assert close(budget.lost.mean, budget.cross_entropy.mean - budget.truth.mean)


def test_the_paper_s_upper_bound_needs_data_of_at_most_unit_variance(budgets):
    """SD15 Eq. 30 says H_q(X_s | X_t) <= H_q(X_t | X_s): false for every step of wider data, whose
    entropy falls. The bound that follows from the fall of KL(q(x_t) || pi) holds (above)."""
    wide, unit, narrow = (budgets[f"variance {v}"] for v in (3, 1, 0.3))
    assert (wide.truth.mean > wide.forward + 10 * wide.truth.stderr)[:-3].all()
    assert (wide.truth.mean > wide.forward).all()
    assert_not_above(narrow.truth.mean, narrow.forward, narrow.truth.stderr)
    # For unit variance the two bounds are one, up to the variance of the sample.
    assert close(unit.upper.mean, unit.forward, atol=0.05)


@pytest.mark.parametrize("variance", [0.3, 1, 3])
def test_gaussian_data_have_the_closed_forms(variance, budgets):
    """x_t is normal, of variance alpha_bar variance + 1 - alpha_bar, for each of two values."""
    budget, a = budgets[f"variance {variance}"], PLANE.schedule.alpha_bar[1:]
    width = a * variance + 1 - a
    entropy = 2 * FULL + width.log()
    step = 1 - a[1:] / a[:-1]
    forward = 2 * FULL + step.log()
    assert close(budget.forward, forward)
    assert close(budget.noise, 2 * FULL + (1 - a).log())
    assert close(budget.lower, forward + ((1 - a[:-1]) / (1 - a[1:])).log())
    truth = forward - entropy.diff()
    for found in (budget.truth, budget.cross_entropy):  # exact steps lose nothing
        assert ((found.mean - truth).abs() < 5 * found.stderr).all()
    info = width.log() - (1 - a).log()
    assert ((budget.information.mean - info).abs() < 5 * budget.information.stderr).all()
    # -E log pi falls by half the fall of the second moments.
    upper = forward - width.diff()
    assert close(budget.upper.mean, upper, atol=0.05 * variance)
    assert (budget.upper.stderr == 0).all()


@every_case
def test_the_rate_is_at_least_the_information(name, budgets):
    """With exact Gaussian steps it is the information, and what the prior gets wrong."""
    budget = budgets[name]
    error = (budget.rate.stderr**2 + budget.information.stderr**2).sqrt()
    assert_not_above(budget.information.mean, budget.rate.mean, error)
    assert (budget.rate.mean.diff() <= 0).all()
    assert close(-budget.rate.mean.diff(), budget.spent)


@every_case
def test_the_sums_telescope_to_what_they_say_of_the_likelihood(name, budgets):
    """ceiling, reached and floor, as sums over the steps and as what is left of them."""
    budget = budgets[name]
    last = -budget.noise[-1].item(), -(budget.noise[-1] + budget.rate.mean[-1]).item()
    ceiling = last[0] - (budget.lower - budget.forward).sum().item()
    reached = last[1] - (budget.cross_entropy.mean - budget.forward).sum().item()
    assert budget.ceiling == pytest.approx(ceiling, abs=1e-9)
    assert budget.reached == pytest.approx(reached, abs=1e-9)
    truth = -(budget.noise[0] + budget.information.mean[0]).item()  # E log q(x) at the first time
    slack = 4 * budget.information.stderr[0].item() + 1e-9
    assert budget.floor - slack <= truth <= budget.ceiling + slack
    assert budget.reached <= truth + slack


@pytest.mark.parametrize("name", ["variance 3", "mixture"])
def test_the_floor_is_what_pi_alone_scores_at_the_first_time(name, budgets):
    oracle, kernel = CASES[name]
    rng = torch.Generator().manual_seed(0)
    x = oracle.sample(EXAMPLES, rng)
    law = kernel.marginal(x, torch.ones(len(x), dtype=torch.long))
    second = law.mean**2 + law.variance
    scored = total(-0.5 * (second + math.log(2 * math.pi))).mean().item()
    assert budgets[name].floor == pytest.approx(scored, abs=1e-9)


@pytest.mark.parametrize("mean", [0.2, 0.5])
def test_bits_end_with_the_entropy_of_the_data(mean, budgets):
    """At t = 0: I(x_0; x_0) = H(X_0) = log 5, no noise, nothing that has to be spent."""
    budget = budgets[f"bits, mean {mean}"]
    assert budget.times[0] == 0
    assert budget.noise[0] == 0
    assert budget.information.mean[0].item() == pytest.approx(math.log(5))
    assert budget.lower[0].item() == pytest.approx(0, abs=1e-12)
    assert budget.ceiling == 0
    # pi alone scores 4 ones and 16 zeros; the upper bound of the last step is over draws of x_1.
    null = 4 * math.log(mean) + 16 * math.log(1 - mean)
    assert abs(budget.floor - null) < 5 * budget.upper.stderr[0]


@pytest.mark.parametrize("name", ["gaussian", "gaussian-erase", "bits", "bits-rare", "bits-each"])
def test_a_model_that_says_nothing_spends_the_upper_bound(name, rng):
    """Natural with no tilt is the forward step in reverse. On any data, at every step."""
    kernel = KERNELS[name]
    space = Binary(3) if kernel.binary else Continuous(3)
    budget = entropy_budget(
        Model(space, kernel, Natural(), Silent()), random_data(kernel, 1000, rng), rng=rng
    )
    error = budget.cross_entropy.stderr + budget.upper.stderr
    gap = budget.cross_entropy.mean - budget.upper.mean
    assert (gap.abs() < 5 * error + 1e-9).all()


@pytest.mark.parametrize("name", ["gaussian-log-snr", "bits-each"])
def test_the_parts_are_expectations(name, rng):
    """forward, lower and cross_entropy against draws of (x_s, x_t), by the definitions."""
    kernel, n = KERNELS[name], 20_000
    space = Binary(3) if kernel.binary else Continuous(3)
    model, x_0 = Model(space, kernel, Clean(), Wrong()), random_data(kernel, n, rng)
    budget = entropy_budget(model, x_0, [7, 9, 40], rng=rng)
    k = len(budget.lower) - 2  # the step from 9 to 7
    s, t = (torch.full((n,), int(budget.times[k + j])) for j in (0, 1))
    x_s = kernel.marginal(x_0, s).sample(rng)
    x_t = kernel.step(x_s, s, t).sample(rng)
    for found, log_prob in [
        (budget.forward[k], total(kernel.step(x_s, s, t).log_prob(x_t))),
        (budget.lower[k], total(kernel.posterior(x_t, x_0, s, t).log_prob(x_s))),
        (budget.cross_entropy.mean[k], total(model.reverse(x_t, s, t).log_prob(x_s))),
    ]:
        error = log_prob.std() / n**0.5 + budget.cross_entropy.stderr[k]
        assert abs(found + log_prob.mean()) < 5 * error


@pytest.mark.parametrize("kind", ["levels", "bits on the line", "bits"])
def test_with_levels_what_is_reached_is_k(kind, rng):
    """The first step leads to the data themselves; K is what the rate leaves."""
    line = GaussianKernel(schedules.linear_log_snr(10, 6, -6))
    bits = BinomialKernel(schedules.cosine(10), 0.3)
    model = {
        "levels": Model(Quantized(3, 5), line, Levels(), Wrong(5)),
        "bits on the line": Model(Binary(3), line, Levels(), Wrong(2)),
        "bits": Model(Binary(3), bits, Levels(), Wrong(2)),
    }[kind]
    x = torch.randint(len(model.space.levels), (2000, 3), generator=rng).double()
    budget = entropy_budget(model, x, draws=2, rng=rng)
    score = bound(model, x, rng=rng)
    assert budget.times.tolist() == list(range(11))
    assert abs(budget.reached - score.nats.mean()) < 5 * score.stderr()
    entropy = 3 * math.log(len(model.space.levels))
    assert budget.floor < -entropy + 0.05 < budget.ceiling == 0
    assert budget.lower[0].item() == pytest.approx(0, abs=1e-12)
    assert 0 < budget.upper.mean[0] < math.inf
    assert budget.upper.stderr[0] > 0
    assert (budget.lower <= budget.upper.mean).all()


def test_a_thinned_chain_adds_its_steps_up():
    """What a long step loses of the information is what the steps that it skips lose."""
    oracle, kernel = CASES["mixture"]
    model, x = Model(**oracle.parts(kernel)), oracle.sample(500)
    fine, coarse = (
        entropy_budget(model, x, times, rng=torch.Generator().manual_seed(1), oracle=oracle)
        for times in (None, [1, 4, 9, 12])
    )
    kept = [0, 3, 8, 11]
    assert coarse.times.tolist() == [1, 4, 9, 12]
    assert close(coarse.noise, fine.noise[kept])
    assert close(coarse.log_snr, fine.log_snr[kept])
    assert close(coarse.information.mean, fine.information.mean[kept])
    assert close(coarse.allowed, torch.stack([s.sum() for s in fine.allowed.split([3, 5, 3])]))


def test_more_draws_are_the_same_budget_with_less_noise(rng):
    oracle, kernel = CASES["bits, mean 0.2"]
    model, x = Model(**oracle.parts(kernel)), oracle.sample(200, rng)
    one, many = (entropy_budget(model, x, draws=n, rng=rng) for n in (1, 16))
    assert close(one.lower, many.lower)
    assert (many.rate.stderr[0] < 0.5 * one.rate.stderr[0]).all()
    assert abs(one.reached - many.reached) < 5 * one.rate.stderr[0]
    assert (one.truth, one.lost, one.information) == (None, None, None)


def test_a_batch_at_a_time_and_a_model_left_as_it_was(monkeypatch, rng):
    model = Model(Continuous(3), KERNELS["gaussian"], Clean(), Wrong())
    x = random_data(model.kernel, 50, rng)
    whole = entropy_budget(model, x, [1, 20, 40], rng=rng)
    monkeypatch.setattr(Model, "chunk_size", 7)
    model.train()
    parts = entropy_budget(model, x, [1, 20, 40], draws=3, rng=rng)
    assert model.network.training
    assert close(parts.upper.mean, whole.upper.mean)
    assert parts.examples == whole.examples == 50


@pytest.mark.parametrize(("name", "steps"), [("bits, mean 0.2", 5), ("mixture", 120)])
def test_areas_of_the_figure_are_bits(name, steps, budgets, monkeypatch):
    """Of a long chain, too, whose steps are shown in groups."""
    monkeypatch.setattr("quasistatic.reporting.figures.entropy.STEPS", steps)
    budget = budgets[name]
    above, below = figures.entropy_budget(budget).axes
    unit = math.log(2) * budget.dims
    area = {}
    for patch in above.patches:
        drawn = patch.get_data()
        low = drawn.baseline if drawn.baseline is not None else 0.0
        area[patch.get_label()] = (
            (drawn.values - low) * (drawn.edges[1:] - drawn.edges[:-1])
        ).sum()
        assert len(drawn.values) == min(steps, len(budget.lower))
    told = budget.truth.mean - budget.lower
    for label, nats in [
        ("between the two bounds", budget.allowed),
        ("used by the model", budget.spent),
        ("the truth", told),
        ("lost by the model", budget.lost.mean),
    ]:
        assert area[label] == pytest.approx(nats.sum().item() / unit)
    rate, information = (line.get_ydata() for line in below.lines)
    assert torch.allclose(torch.as_tensor(rate) * unit, budget.rate.mean)
    assert torch.allclose(torch.as_tensor(information) * unit, budget.information.mean)


def spaces() -> dict:
    gaussian, bits = KERNELS["gaussian"], KERNELS["bits-each"]
    levels = Quantized(3, 8, 1.5)
    return {
        "continuous": (Model(Continuous(3, scale=2.0), gaussian, Clean(), Wrong()), None),
        "bits": (Model(Binary(3), bits, Clean(), Wrong()), (0.0, 2)),
        "levels": (Model(levels, gaussian, Levels(), Wrong(8)), (0.0, 8)),
        "table": (mixed_model(), None),
    }


@pytest.mark.parametrize("name", ["continuous", "bits", "levels", "table"])
def test_the_budget_s_bound_is_k_for_every_space(name, rng):
    """The entropies of the chain and the last step's term: the same K as the score's, on the scale
    of the raw data, and where the chain ends it is `reached` less the entropy of x_1."""
    model, drawn = spaces()[name]
    if name == "table":
        x = mixed_rows(4000, rng)
    else:
        x = torch.randn(4000, 3, generator=rng)
        x = torch.randint(drawn[1], (4000, 3), generator=rng) if drawn else x
    budget = entropy_budget(model, x, [1, 3, 10, 25, 40], rng=rng)
    score = bound(model, x, times=[1, 3, 10, 25, 40], rng=rng)
    error = math.hypot(budget.bound.stderr.item(), score.stderr())
    assert abs(budget.bound.mean.item() - score.nats.double().mean().item()) < 4 * error
    if name in ("bits", "levels"):
        assert budget.reached == pytest.approx(budget.bound.mean.item())
    assert budget.ceiling >= budget.reached - 4 * error
    assert (budget.spent >= 0).all()


def test_a_table_of_one_kind_has_the_budget_of_its_columns(rng):
    """The step to 0 leaves real values as they are: all that it has is the classes'."""
    model, x = mixed_model(), mixed_rows(500, rng)
    budget = entropy_budget(model, x, [1, 10, 40], rng=rng)
    line = GROUPED["mixed"].parts[0]
    x_0 = model.space.encode(x)[:, :1]
    entropy = line.marginal(x_0, torch.ones(500, dtype=torch.long)).entropy().mean()
    assert budget.noise[0].item() == pytest.approx(entropy.item())  # of x_1: a class has none at 0
    kind = GROUPED["mixed"].parts[1]
    classes = model.space.encode(x)[:, 1:]
    at = torch.ones(500, dtype=torch.long)
    lost = total(kind.step(classes, 0 * at, at).entropy()).mean()
    assert budget.forward[0].item() == pytest.approx(lost.item())


def test_what_cannot_be_is_refused():
    model = Model(Continuous(2, scale=2.0), PLANE, Clean(), Silent())
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="draws must be 1 or more, got 0"):
        entropy_budget(model, x, draws=0)
    message = r"the oracle is of data of .* the model of data of .*scale=2"
    with pytest.raises(ValueError, match=message):
        entropy_budget(model, x, oracle=GaussianOracle((0.0, 0.0)))
    with pytest.raises(ValueError, match="times must end at T = 12"):
        entropy_budget(model, x, [1, 5])
