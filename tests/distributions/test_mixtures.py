"""Mixtures fitted to tables: stacking, draws, and draws of some values given others."""

import math

import numpy as np
import pytest
import torch

from conftest import assert_mean, close
from quasistatic.distributions.mixtures import completed, drawn, made_whole, stacked
from quasistatic.distributions.mixtures import stacking as module
from quasistatic.distributions.mixtures.candidates import Wide
from quasistatic.distributions.mixtures.components import Part
from quasistatic.networks import MixtureDenoiser


def law(rng: torch.Generator) -> list[Part]:
    """Two parts in three dimensions: one component alone, and two with bases of their own."""
    basis = torch.linalg.qr(torch.randn(3, 3, 3, generator=rng))[0]
    mean = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [-1.0, -1.0, 1.0]])
    variance = torch.tensor([[1.0, 0.2, 0.5], [0.1, 0.4, 0.9], [0.3, 0.6, 0.05]])
    log_weight = torch.tensor([0.5, 0.3, 0.2]).log()
    return [
        Part(log_weight[rows], mean[rows], variance[rows], basis[rows])
        for rows in (slice(0, 1), slice(1, 3))
    ]


def density(parts: list[Part]) -> MixtureDenoiser:
    network = MixtureDenoiser(parts[0].mean.shape[1], [part.sizes for part in parts], 2)
    return network.start_at(parts, torch.zeros(2))


def test_draws_have_the_mixture_s_moments(rng):
    parts = law(rng)
    x = drawn(parts, 50_000, rng)
    weight = torch.cat([part.log_weight for part in parts]).exp()
    mean = torch.cat([part.mean for part in parts])
    covariance = torch.cat([(p.basis * p.variance[:, None]) @ p.basis.mT for p in parts])
    second = (weight[:, None, None] * (covariance + mean[:, :, None] * mean[:, None])).sum(0)
    assert_mean(x, weight @ mean)
    assert_mean(x[:, :, None] * x[:, None], second)


def test_what_is_completed_is_bayes_by_enumeration(rng):
    """Against the joint density on a grid over the values that are hidden."""
    parts = law(rng)
    row = torch.tensor([[math.nan, 0.4, math.nan]])
    draws = completed(parts, row, 20_000, rng)[0]
    assert (draws[:, 1] == 0.4).all()
    grid = torch.cartesian_prod(torch.linspace(-6, 7, 131), torch.linspace(-6, 6, 121))
    at = torch.stack([grid[:, 0], torch.full((len(grid),), 0.4), grid[:, 1]], 1)
    share = density(parts).log_prob(at).softmax(0)
    hidden = draws[:, [0, 2]]
    assert_mean(hidden, share @ grid, slack=1e-3)
    second = (share[:, None, None] * grid[:, :, None] * grid[:, None]).sum(0)
    assert_mean(hidden[:, :, None] * hidden[:, None], second, slack=1e-3)


def test_rows_with_other_holes_do_not_meddle(rng):
    parts = law(rng)
    x = drawn(parts, 40, rng)
    x[torch.rand(x.shape, generator=rng) < 0.4] = math.nan
    x[0], x[1] = 1.0, math.nan
    filled = completed(parts, x, 3, rng)
    known = ~x.isnan()[:, None].expand_as(filled)
    assert torch.equal(filled[known], x[:, None].expand_as(filled)[known])
    assert filled.isfinite().all()
    for column in range(3):  # and each row's draws are about its own known values
        alone = completed(parts, x[7:8], 4000, rng)[0, :, column]
        whole = completed(parts, x[5:9].repeat(1000, 1), 1, rng)[2::4, 0, column]
        assert_mean(whole, alone.mean(), slack=5 * alone.std().item() / 4000**0.5)


def test_the_stack_is_likelier_than_a_normal_on_rows_that_it_has_not_seen(rng):
    parts = law(rng)
    x, new = drawn(parts, 300, rng), drawn(parts, 4000, rng)
    found = density(stacked(x).law)
    truth = density(parts).log_prob(new).mean()
    normal = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov()).log_prob(new).mean()
    assert truth - found.log_prob(new).mean() < 0.4 * (truth - normal)


def test_what_is_held_out_tells_the_density_of_new_rows(rng):
    parts = law(rng)
    x, new = drawn(parts, 200, rng), drawn(parts, 4000, rng)
    found = stacked(x)
    assert sorted(found.rows.tolist()) == list(range(200))
    assert_mean(torch.from_numpy(found.held_out), density(found.law).log_prob(new).mean())
    assert sum(found.shares.values()) == pytest.approx(1)


def test_units_and_turns_of_the_rows_change_nothing(rng):
    """Rows that are moved, stretched and turned have the same stack, moved along with them."""
    x = drawn(law(rng), 100, rng)
    turn = 3 * torch.randn(3, 3, generator=rng)
    shift = torch.tensor([100.0, -5.0, 0.0])
    plain, moved = stacked(x), stacked(shift + x @ turn.T)
    volume = torch.linalg.slogdet(turn)[1].item()
    assert np.allclose(moved.held_out, plain.held_out - volume, atol=0.05)
    at = x[:50]
    gap = density(plain.law).log_prob(at) - density(moved.law).log_prob(shift + at @ turn.T)
    assert close(gap, torch.full((50,), volume), atol=0.05)


def test_shares_are_those_of_greatest_likelihood(rng):
    """At the maximum every candidate that is used has a mean ratio p_j / p of one, others less."""
    log_p = torch.randn(400, 5, generator=rng).numpy()
    log_p[:, 4] -= 8
    share = module.shares_of(log_p, 3000)
    ratio = (np.exp(log_p) / (np.exp(log_p) @ share)[:, None]).mean(0)
    assert share.sum() == pytest.approx(1)
    assert np.allclose(ratio[share > 1e-3], 1, atol=1e-4)
    assert (ratio < 1 + 1e-3).all()


@pytest.mark.parametrize(("rows", "dims"), [(3, 2), (20, 30), (50, 1)])
def test_few_rows_and_many_columns_have_a_mixture_too(rows, dims, rng):
    found = stacked(torch.randn(rows, dims, generator=rng))
    assert density(found.law).log_prob(torch.randn(9, dims, generator=rng)).isfinite().all()


def test_rows_with_holes_are_made_whole_as_their_law_has_it(rng, monkeypatch):
    """The regression of one column on another, of which one half has holes, is that of the rows as
    they were, and the spread about it too; rows without holes are left alone."""
    monkeypatch.setattr(module, "candidates", lambda rows, dims: [Wide(1.0)])
    z = torch.randn(1200, 2, generator=rng).numpy()
    x = np.stack([z[:, 0], 10 + 5 * (0.8 * z[:, 0] + 0.6 * z[:, 1])], 1)
    holed = x.copy()
    holed[600:, 1] = np.nan
    whole = made_whole(holed)
    assert np.array_equal(whole[:600], x[:600])
    assert np.array_equal(whole[:, 0], x[:, 0])
    slope, at_zero = np.polyfit(*whole[600:].T, 1)
    assert slope == pytest.approx(4, abs=0.5)
    assert at_zero == pytest.approx(10, abs=0.5)
    assert np.std(whole[600:, 1] - slope * whole[600:, 0]) == pytest.approx(3, abs=0.4)
    assert made_whole(x) is x
