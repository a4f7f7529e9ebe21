"""Rows that lie far closer together than all others get a normal of their own."""

import math

import pytest
import torch
from torch import Tensor

from conftest import close
from quasistatic.distributions.mixtures import Mixture
from quasistatic.distributions.mixtures.fitting import (
    CategoricalFit,
    GaussianFit,
    fitted_again,
    stacked,
)
from quasistatic.distributions.mixtures.fitting.dense_core import dense_core, law_of_rows
from quasistatic.distributions.mixtures.fitting.learning_rows import LearningRows

SHARE, WIDTH = 0.05, 1e-3


def planted(rows: int, seed: int, dims: int = 4) -> tuple[Tensor, Tensor]:
    """Rows of a normal, some of which are of a flat core: narrow in all values but one."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dims, generator=rng)
    core = torch.rand(rows, generator=rng) < SHARE
    near = WIDTH * torch.randn(rows, dims, generator=rng)
    near[:, 0] *= 100
    return torch.where(core[:, None], near, x), core


def exact(x: Tensor) -> Tensor:
    """log p of rows by the law that they are drawn from."""
    scale = torch.full((x.shape[1],), WIDTH)
    scale[0] *= 100
    wide = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1) + math.log(1 - SHARE)
    narrow = torch.distributions.Normal(0.0, scale).log_prob(x).sum(1) + math.log(SHARE)
    return torch.logaddexp(wide, narrow)


def fit_of(x: Tensor) -> list[GaussianFit]:
    return [GaussianFit(torch.zeros(x.shape[1]))]


def rows_of(law: Mixture, x: Tensor) -> Tensor:
    """Which rows are likelier by a core's law than by a standard normal."""
    wide = torch.distributions.Normal(0.0, 1.0).log_prob(x[:, :4]).sum(1)
    return law.log_prob(x) + math.log(SHARE) > wide


def test_the_rows_of_a_planted_core_are_found():
    x, core = planted(1200, 0)
    law = dense_core(LearningRows.of(x, fit_of(x)))
    assert law is not None
    hit = rows_of(law, x)
    assert (hit & core).sum() >= 0.95 * core.sum()
    assert (hit & ~core).sum() <= 0.02 * core.sum()
    close(law.blocks[0].mean[0], x[core].mean(0), 0.02)
    close(law.blocks[0].covariance[0].diagonal().sqrt(), x[core].std(0), 0.02)


@pytest.mark.parametrize("what", ["normal", "heavy tails", "clusters", "one value", "few rows"])
def test_other_rows_have_no_core(what):
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(1000, 3, generator=rng)
    if what == "heavy tails":
        x = x / torch.rand(1000, 1, generator=rng).sqrt()
    if what == "clusters":
        x = 0.5 * x + 4 * torch.randint(0, 3, (1000, 1), generator=rng)
    if what == "one value":
        x = x[:, :1]
    if what == "few rows":
        x = planted(16, 0)[0]
    assert dense_core(LearningRows.of(x, fit_of(x))) is None


def test_a_core_moves_with_its_rows():
    """Shifts and scales of columns, and the order of rows, change nothing."""
    x, _ = planted(800, 2)
    order = torch.randperm(800, generator=torch.Generator().manual_seed(3))
    scale, shift = torch.tensor([2.0, 0.5, 3.0, 1.0]), -1.0
    moved = (x * scale + shift)[order]
    found, again = (dense_core(LearningRows.of(each, fit_of(x))) for each in (x, moved))
    assert found is not None
    assert again is not None
    close(again.log_prob(moved) + scale.log().sum(), found.log_prob(x)[order], 1e-6)


def test_the_law_of_rows_has_their_moments():
    x, core = planted(800, 4)
    x = torch.cat([x, torch.eye(2)[core.long()]], 1)
    fits = [GaussianFit(torch.zeros(4)), CategoricalFit((2,), torch.tensor([0.5, 0.5]).log())]
    law = law_of_rows(LearningRows.of(x, fits), core.nonzero()[:, 0])
    numbers, classes = law.blocks
    close(numbers.mean[0], x[core, :4].mean(0), 1e-9)
    close(numbers.matrix[0], torch.cov(x[core, :4].T, correction=0), 1e-9)
    # One pseudo-row has the shares of the whole table.
    assert math.isclose(classes.log_p[0, 1].exp(), (core.sum() + 0.5) / (core.sum() + 1))


def test_a_core_has_the_share_of_classes_of_its_rows_without_values():
    """Half of the rows have a class that leaves them without their last value, also in the core."""
    x, core = planted(1200, 8)
    absent = torch.rand(1200, generator=torch.Generator().manual_seed(9)) < 0.5
    x[absent, 3] = math.nan
    x = torch.cat([x, torch.eye(2)[absent.long()]], 1)
    fits = [GaussianFit(torch.zeros(4)), CategoricalFit((2,), torch.tensor([0.5, 0.5]).log())]
    law = dense_core(LearningRows.of(x, fits))
    assert law is not None
    assert abs(law.blocks[1].log_p[0, 1].exp() - absent[core].double().mean()) < 0.03


@pytest.mark.parametrize("rows", [800, 1200, 3000])
def test_a_stacked_law_is_nearly_as_likely_as_the_true_one(rows):
    """Of small tables, which are fitted in several parts, and of larger ones; and fitted again."""
    x, _ = planted(rows, 5)
    new, _ = planted(4000, 6)
    found = stacked(x, fit_of(x))
    share = sum(share for name, share in found.shares.items() if name.core)
    assert abs(share - SHARE) < 0.025
    lost = exact(new) - found.law.log_prob(new)
    assert lost.mean() < 0.2
    again = fitted_again(x, fit_of(x), found.shares, 0)
    assert (exact(new) - again.log_prob(new)).mean() < 0.2
    without = {name: share for name, share in found.shares.items() if not name.core}
    total = sum(without.values())
    plain = fitted_again(x, fit_of(x), {n: s / total for n, s in without.items()}, 0)
    assert (exact(new) - plain.log_prob(new)).mean() > 0.4


def test_a_core_that_few_rows_have_is_fitted_to_them_all():
    """A law is refitted to other rows, which may be too few to find their core."""
    x, _ = planted(1200, 7)
    shares = stacked(x, fit_of(x)).shares
    few = x[:12]
    law = fitted_again(few, fit_of(x), shares, 0)
    assert law.log_prob(few).isfinite().all()
    close(law.log_weight.exp().sum(), torch.tensor(1.0), 1e-12)
