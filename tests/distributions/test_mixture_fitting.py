"""The fitting of the closed-form law: expectation maximisation, shrinkage and stacking."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import assert_mean, close
from quasistatic.distributions.mixtures import CategoricalBlock, GaussianBlock, Mixture
from quasistatic.distributions.mixtures.fitting import (
    CategoricalFit,
    GaussianFit,
    Trial,
    completed_for_learning,
    shares,
    stacked,
)
from quasistatic.distributions.mixtures.fitting import completing as completing_module
from quasistatic.distributions.mixtures.fitting import learning_rows as learning_rows_module
from quasistatic.distributions.mixtures.fitting.block_fits import at_least, oas
from quasistatic.distributions.mixtures.fitting.candidates import refined
from quasistatic.distributions.mixtures.fitting.clusters import clustered, k_means
from quasistatic.distributions.mixtures.fitting.em import Batch, log_p_each, maximised
from quasistatic.distributions.mixtures.fitting.learning_rows import LearningRows


def truth() -> Mixture:
    """Three components of three real values and one column of three classes."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(3, 3, 3, generator=rng)
    mean = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [-1.0, -1.0, 1.0]])
    share = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    blocks = (
        GaussianBlock.full(mean, 0.3 * root @ root.mT + 0.05 * torch.eye(3)),
        CategoricalBlock(share.log(), (3,)),
    )
    return Mixture(torch.tensor([0.5, 0.3, 0.2]).log(), blocks)


def fits(x: Tensor, nu: float = math.inf) -> list:
    log_pi = (x[:, 3:].nan_to_num().sum(0) + 1).log().log_softmax(0)
    return [GaussianFit(torch.zeros(3), nu), CategoricalFit((3,), log_pi)]


def reals(rows: Tensor) -> list:
    return [GaussianFit(torch.zeros(rows.shape[1]))]


def test_expectation_maximisation_finds_a_law_through_holes():
    """Nearly as likely on new rows as the law itself, with a fifth of all values missing."""
    rng = torch.Generator().manual_seed(1)
    x, new = (truth().sample(3000, rng) for _ in range(2))
    hidden = torch.rand(3000, 4, generator=rng) < 0.2
    x[hidden[:, [0, 1, 2, 3, 3, 3]]] = math.nan
    rows = LearningRows.of(x, fits(x))
    found = maximised(rows, started(rows, 3), fits(x, 4.0)).law
    exact, alone = truth().log_prob(new).mean(), started(rows, 1).law
    assert alone.log_prob(new).mean() < exact - 0.3
    assert exact - 0.05 < found.log_prob(new).mean() < exact + 0.01


def test_each_round_makes_the_rows_likelier():
    """With no shrinkage to speak of, holes included (Dempster, Laird and Rubin)."""
    x = truth().sample(400, torch.Generator().manual_seed(1))
    x[torch.rand(400, generator=torch.Generator().manual_seed(2)) < 0.3, 1] = math.nan
    rows = LearningRows.of(x, fits(x))
    batch, before = started(rows, 3), -math.inf
    for _ in range(6):
        batch = maximised(rows, batch, fits(x, 1e-9), rounds=1)
        now = batch.law.log_prob(x).mean().item()
        assert now > before - 5e-3  # one row's worth of a prior for classes and weights
        before = now


def started(rows: LearningRows, components: int) -> Batch:
    return clustered(rows, components, [False], torch.ones(1, len(rows)), 0)


@pytest.mark.parametrize("nu", [math.inf, 4.0])
@pytest.mark.parametrize("holed", [False, True])
def test_mixtures_that_are_fitted_side_by_side_are_those_that_are_fitted_alone(nu, holed):
    """Three starts of four components, each on rows of its own: the same laws, and the same log p
    of every row, as one at a time, rows of weight 0 left out."""
    x = truth().sample(150, torch.Generator().manual_seed(1))
    if holed:
        x[torch.rand(150, generator=torch.Generator().manual_seed(2)) < 0.3, 1] = math.nan
    rows = LearningRows.of(x, fits(x))
    seen = torch.arange(150) % 3 != torch.arange(3)[:, None]
    start = clustered(rows, 4, [False], seen.double(), 0)
    found = maximised(rows, start, fits(x, nu), seen.double())
    log_p = log_p_each(rows, found)
    for k, (law, first) in enumerate(zip(found.each(), start.each(), strict=True)):
        own = LearningRows.of(x[seen[k]], fits(x))
        alone = maximised(own, Batch.of([first]), fits(x, nu)).law
        assert close(law.log_prob(x), alone.log_prob(x), rtol=1e-6, atol=1e-6)
        assert close(log_p[:, k], law.log_prob(x), rtol=1e-8, atol=1e-8)


def test_features_give_what_patterns_of_holes_give(rng):
    """The log p of rows, and the sums of the M-step, of Gaussian and class blocks: by products of
    features, and by the general code for rows with holes."""
    x = truth().sample(60, rng)
    gaussian, classes = fits(x)
    share = torch.rand(3, 60, generator=rng)
    for fit, block, part in zip(
        (gaussian, classes), truth().blocks, (x[:, :3], x[:, 3:]), strict=True
    ):
        evidence, features = block.evidence(part), fit.features(part)
        constant, linear = fit.coefficients(block)
        assert close(constant[:, None] + linear @ features.T, evidence.total)
        general = fit.sums(block, evidence, part, share)
        found = fit.sums_of_features(block, share.sum(1), share @ features)
        assert all(close(a, b) for a, b in zip(general, found, strict=True))


def test_k_means_finds_clusters_far_apart_and_leaves_rows_of_weight_zero_alone(rng):
    """Five clusters at distances of 20 deviations, for two sets of weights at once; a row of weight
    0 at 1000 moves no centre."""
    middle = 20.0 * torch.eye(5)
    points = torch.cat([middle.repeat(20, 1) + torch.randn(100, 5, generator=rng), middle[:1] * 50])
    weight = torch.ones(2, 101)
    weight[:, -1] = 0
    weight[1, :5] = 0
    for label in k_means(points, 5, weight, 0):
        assert len(label[:5].unique()) == 5
        assert torch.equal(label[:100], label[:5].repeat(20))


def test_oas_is_nearer_to_the_covariance_than_what_it_lies_between():
    """Over 300 tables of 20 rows, its squared error is below that of the empirical covariance and
    of the diagonal; variances stay, and many rows leave nothing to shrink."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(8, 8, generator=rng) + 1.5 * torch.eye(8)
    exact = root @ root.T
    deviation = exact.diagonal().sqrt()
    exact = exact / deviation[:, None] / deviation
    error = torch.zeros(3)
    for _ in range(300):
        x = torch.randn(20, 8, generator=rng) @ torch.linalg.cholesky(exact).T
        covariance = x.T @ x / 20
        each = oas(covariance, 20), covariance, torch.diag(covariance.diagonal())
        assert close(each[0].diagonal(), covariance.diagonal())
        error += torch.stack([((one - exact) ** 2).sum() for one in each])
    assert error[0] < error[1]
    assert error[0] < error[2]
    assert close(oas(exact, 1e9), exact, atol=1e-6)


def test_a_few_rows_far_out_do_not_spoil_the_others():
    """Six of 600 rows at 99999 in one column: the other rows are as likely as in a fit without
    them, but for the share of the six."""
    rng = torch.Generator().manual_seed(0)
    x, new = torch.randn(600, 3, generator=rng), torch.randn(2000, 3, generator=rng)
    spoilt = x.clone()
    spoilt[:6, 0] = 99999.0
    clean, found = (stacked(rows, reals(rows)).law.log_prob(new).mean() for rows in (x, spoilt))
    assert clean - found < 0.1


def test_a_component_of_equal_rows_is_no_measure_of_the_others(rng):
    """The pooled covariance is that of the 30 rows of three wide components, though a fourth one,
    whose rows are equal in one column, has the median sum of variances."""
    fit, spread = GaussianFit(torch.zeros(2)), torch.tensor([0.1, 0.03, 0.2])
    scatter = 10 * torch.diag_embed(torch.stack([spread, spread], 1))
    equal = torch.tensor([[[0.0, 0.0], [0.0, 0.9]]])
    count = torch.tensor([10.0, 10.0, 10.0, 3.0])
    found = fit._pooled(count[None], torch.cat([scatter, equal])[None])[0]
    assert close(found.diagonal(), torch.tensor([3.3, 3.3 + 0.9]) / 33)


def test_the_stack_is_likelier_than_a_normal_on_rows_that_it_has_not_seen():
    rng = torch.Generator().manual_seed(0)
    x, new = (truth().sample(n, rng)[:, :3] for n in (300, 4000))
    found = stacked(x, reals(x)).law
    exact = Mixture(truth().log_weight, truth().blocks[:1]).log_prob(new).mean()
    normal = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov()).log_prob(new).mean()
    assert exact - found.log_prob(new).mean() < 0.4 * (exact - normal)


def test_what_is_held_out_tells_the_density_of_new_rows():
    rng = torch.Generator().manual_seed(0)
    x, new = (truth().sample(n, rng) for n in (200, 4000))
    found = stacked(x, fits(x))
    assert sorted(found.rows.tolist()) == list(range(200))
    assert_mean(torch.from_numpy(found.held_out), found.law.log_prob(new).mean())
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.described.values()) == sorted(found.described.values(), reverse=True)


def test_shares_are_those_of_greatest_likelihood(rng):
    """At the maximum every candidate that is used has a mean ratio p_j / p of one, others less."""
    log_p = torch.randn(400, 5, generator=rng)
    log_p[:, 4] -= 8
    share = shares.shares_of(log_p, rounds=3000)
    ratio = (log_p.exp() / (log_p.exp() @ share)[:, None]).mean(0)
    assert share.sum().item() == pytest.approx(1)
    assert close(ratio[share > 1e-3], torch.ones_like(ratio[share > 1e-3]), atol=1e-4)
    assert (ratio < 1 + 1e-3).all()


def test_moving_and_stretching_columns_moves_the_law():
    """Fits are in robust units, so that a column's own scale changes nothing but its volume."""
    x = truth().sample(150, torch.Generator().manual_seed(0))[:, :3]
    shift, scale = torch.tensor([5.0, -2.0, 0.0]), torch.tensor([3.0, 1.0, 0.5])
    plain, moved = stacked(x, reals(x)), stacked(shift + scale * x, reals(x))
    volume = scale.log().sum()
    gap = plain.law.log_prob(x) - moved.law.log_prob(shift + scale * x)
    assert gap.mean().item() == pytest.approx(volume.item(), abs=0.05)


@pytest.mark.parametrize(("rows", "dims"), [(3, 2), (20, 30), (50, 1)])
def test_few_rows_and_many_columns_are_better_than_independent_ones(rows, dims, rng):
    """Nearly as likely as the law of the rows, independent columns of one normal each."""
    x, new = torch.randn(rows, dims, generator=rng), torch.randn(2000, dims, generator=rng)
    exact = -dims * (1 + math.log(2 * math.pi)) / 2
    found = stacked(x, reals(x)).law.log_prob(new).mean().item()
    assert exact - (3.0 if rows == 3 else 0.1 * dims) * 1.5 < found < exact + 0.2


def test_a_covariance_is_raised_to_a_floor_and_no_further(rng):
    """Every direction has the variance that it had or the floor's, and a wide matrix stays."""
    root = torch.randn(4, 3, 3, generator=rng)
    wide, floor = root @ root.mT + 0.2 * torch.eye(3), torch.tensor([0.1, 0.05, 0.02])
    assert at_least(wide, floor) is wide
    narrow = wide - 0.2 * torch.eye(3) + 1e-6 * torch.eye(3)
    narrow[0] = 1.0  # of rank one
    found = at_least(narrow, floor)
    scale = floor.sqrt()
    before, after = (
        torch.linalg.eigvalsh(each / scale[:, None] / scale) for each in (narrow, found)
    )
    assert close(after, before.clamp(min=1.0), rtol=1e-6)
    given = 1 / torch.linalg.inv(found).diagonal(dim1=1, dim2=2)
    assert (given > floor * (1 - 1e-9)).all()


def test_no_component_is_narrower_than_rounding(rng):
    """Numbers rounded to tenths have a density that is bounded by their cells."""
    x = (torch.randn(300, 1, generator=rng) * 10).round() / 10
    law = stacked(x, [GaussianFit(torch.tensor([0.1**2 / 12]))]).law
    assert law.log_prob(x).exp().max() < 1.4 / 0.1


def test_rows_with_many_kinds_of_holes_are_completed_as_their_law_has_it(rng, monkeypatch):
    """The regression of one column on another, of which one half has holes, is that of the rows as
    they were, and the spread about it too; rows with few kinds of holes come back as they are."""
    z = torch.randn(1200, 2, generator=rng)
    x = torch.stack([z[:, 0], 10 + 5 * (0.8 * z[:, 0] + 0.6 * z[:, 1])], 1)
    holed = x.clone()
    holed[600:, 1] = math.nan
    assert completed_for_learning(holed, reals(x), 0) is holed
    monkeypatch.setattr(completing_module, "WORK", 0)
    whole = completed_for_learning(holed, reals(x), 0)
    assert torch.equal(whole[:600], x[:600])
    assert torch.equal(whole[:, 0], x[:, 0])
    slope, at_zero = np.polyfit(*whole[600:].T.numpy(), 1)
    assert slope == pytest.approx(4, abs=0.5)
    assert at_zero == pytest.approx(10, abs=0.5)
    assert (whole[600:, 1] - slope * whole[600:, 0]).std().item() == pytest.approx(3, abs=0.4)
    assert completed_for_learning(x, reals(x), 0) is x


def test_a_trial_judges_by_its_first_part():
    x = truth().sample(100, torch.Generator().manual_seed(0))[:, :3]
    trial = Trial.of(x, reals(x))
    assert len(trial.rows) == len(trial.held_out) == 20
    assert trial.log_p.shape == (20, len(trial.names))


def test_nested_shares_do_not_see_the_rows_that_they_judge():
    """Each fifth of the rows is judged by the shares that the other four give. A candidate that
    one fifth alone prefers has no share there."""
    rows = torch.arange(60)
    log_p = torch.zeros(60, 2, dtype=torch.float64)
    log_p[:, 1] = torch.where(rows % shares.PARTS == 0, 4.0, -4.0)
    found = torch.from_numpy(shares.nested(log_p))
    first = rows % shares.PARTS == 0
    for k in range(shares.PARTS):
        part = rows % shares.PARTS == k
        share = shares.shares_of(log_p[~part])
        assert close(found[part], (log_p[part] + share.log()).logsumexp(1))
    # Without those rows the other candidate has all of the weight, and they gain nothing.
    assert found[first].max() < 0.1
    own = (log_p + shares.shares_of(log_p).log()).logsumexp(1)
    assert own[first].min() > 2


def test_a_row_that_one_candidate_alone_explains_has_a_score():
    """Other rows leave that candidate no share at all, so that the row is divided by nothing."""
    log_p = torch.zeros(60, 2, dtype=torch.float64)
    log_p[:, 1] = -20.0
    log_p[0] = torch.tensor([-2000.0, 0.0])
    found = shares.nested(log_p)
    assert np.isfinite(found).all()
    assert found[0] < -100
    assert (np.abs(found[5::5]) < 0.1).all()


def test_a_wide_copy_may_be_kept_without_the_law_that_it_is_a_copy_of():
    x = truth().sample(100, torch.Generator().manual_seed(0))[:, :3]
    trial = Trial.of(x, reals(x))
    wide = next(name for name in trial.names if name.scale == 4.0)
    laws = trial._unspoilt(trial.laws, [wide])
    found = refined(LearningRows.of(x, reals(x)), laws, {wide: 1.0}, 0)
    assert close(found.log_prob(x), trial.laws[wide].log_prob(x))


@pytest.mark.parametrize("name", ["WIDE", "KEPT"])
def test_rows_of_many_columns_are_fitted_alike_without_features(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Products of all pairs of values are a shortcut: covariances alone give the same law."""
    x = truth().sample(200, torch.Generator().manual_seed(3))
    x[::7, 0] = math.nan
    rows = LearningRows.of(x, fits(x))
    start = started(rows, 3)
    expected = maximised(rows, start, fits(x, 4.0)).law.log_prob(x)
    monkeypatch.setattr(learning_rows_module, name, 1)
    few = LearningRows.of(x, fits(x))
    assert len(few._groups) == 1 < len(rows._groups)
    close(maximised(few, start, fits(x, 4.0)).law.log_prob(x), expected, 1e-9)


def test_first_rounds_of_completion_draw_by_few_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round draws the holes again, and keeps the observed values."""
    x = truth().sample(300, torch.Generator().manual_seed(4))
    holes = torch.rand(300, 3, generator=torch.Generator().manual_seed(5)) < 0.3
    x[:, :3][holes] = math.nan
    monkeypatch.setattr(completing_module, "WORK", 0)
    whole = [completed_for_learning(x, fits(x), 0, rounds=k) for k in range(3)]
    for each in whole:
        assert not each.isnan().any()
        close(torch.where(x.isnan(), torch.nan, each).nan_to_num(), x.nan_to_num())
    hidden = torch.cat([holes, torch.zeros_like(holes)], 1)
    exact = truth().log_prob(whole[0]), truth().log_prob(whole[1])
    assert exact[1].mean() > exact[0].mean()  # a mixture completes rows of a mixture better
    assert (whole[1] - whole[2])[hidden].abs().min() > 0
