"""Atoms that few rows have, rows that are equal, and rows far out: what tables of users have."""

import numpy as np
import pytest

import quasistatic as qs

pytestmark = pytest.mark.usefixtures("float32")


def test_equal_rows_stay_together():
    """Five percent of the rows are equal: all of their columns are at an atom, together."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    x[:30] = x[0]
    density = qs.DiffusionDensity(steps=0).fit(x)
    drawn = density.sample(4000, random_state=0)
    equal = drawn == x[0]
    assert abs(equal.all(1).mean() - 0.05) < 0.015
    assert equal.any(1).mean() < 0.08
    assert abs(density.score_samples(x[:1])[0] - np.log(0.05)) < 0.4


@pytest.mark.parametrize("rows", [400, 1200])
def test_a_dense_core_keeps_its_atoms(rows):
    """A tenth of the rows lie close together in two columns; half of all rows are 0 in a third."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 3))
    core = rng.random(rows) < 0.1
    x[core, :2] = 1 + 1e-3 * rng.normal(size=(core.sum(), 2))
    x[rng.random(rows) < 0.5, 2] = 0.0
    drawn = qs.DiffusionDensity(steps=0).fit(x).sample(10_000, random_state=0)
    at_zero, near = drawn[:, 2] == 0, (np.abs(drawn[:, :2] - 1) < 0.01).all(1)
    assert abs(at_zero.mean() - (x[:, 2] == 0).mean()) < 0.03
    if rows == 400:  # too few to show that a normal of its own pays
        return
    assert abs(near.mean() - core.mean()) < 0.03
    assert abs(at_zero[near].mean() - (x[core, 2] == 0).mean()) < 0.15


@pytest.mark.parametrize("value", [1e6, 3e8, 1e10])
@pytest.mark.parametrize("shape", [(60, 2), (600, 2), (600, 8)])
def test_one_row_far_out_in_all_columns_ends_no_fit(value, shape):
    """The other rows keep nearly the log-density that they have without it."""
    rng = np.random.default_rng(2)
    x, new = rng.normal(size=shape), rng.normal(size=(200, shape[1]))
    x[-1] = value
    found = qs.DiffusionDensity(steps=0).fit(x).score_samples(new).mean()
    plain = qs.DiffusionDensity(steps=0).fit(x[:-1]).score_samples(new).mean()
    assert abs(found - plain) < 0.5
