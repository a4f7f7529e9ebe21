"""A network that corrects the law of columns with atoms: one distribution, which adds up to one and
is the one that rows are drawn from."""

import json
import warnings

import numpy as np
import pytest
import torch

import quasistatic as qs
from pretend_device import pretending
from quasistatic.distributions.mixtures import SharedDraws
from quasistatic.estimators import closed_form
from quasistatic.estimators.fitted_law import FittedLaw

SHARE = 0.6


def amounts(n: int, seed: int) -> np.ndarray:
    """Amounts (n, 2): the first is exactly 0 in most rows, else it follows the second."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    x = 3 + y + 0.5 * rng.normal(size=n)
    return np.stack([np.where(rng.random(n) < SHARE, 0.0, x), y], 1)


@pytest.fixture(scope="module")
def density() -> qs.DiffusionDensity:
    """A short chain, and a network that is kept whatever it gains."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closed_form, "STEPS", 100)
        patch.setattr(closed_form, "is_kept", lambda won: (float(won.mean()), True))
        found = qs.DiffusionDensity(steps=800, width=16).fit(amounts(600, 0))
    torch.set_default_dtype(before)
    assert found.summary_.kept
    return found


def test_the_atom_and_the_values_add_up_to_one(density):
    """The bound of p(x | y), over the atom and a grid of x, is at most 1 and nearly that. A network
    that sees which value is missing gives the atom a probability near 1 besides."""
    grid = np.linspace(-2.0, 8.0, 81)[1:] + 1e-3
    for y in (-1.0, 0.0, 1.0):
        rows = np.stack([np.append(grid, 0.0), np.full(81, y)], 1)
        p = np.exp(density.score_samples(rows))
        of_y = np.exp(-(y**2) / 2) / np.sqrt(2 * np.pi)
        atom, values = p[-1] / of_y, p[:-1].sum() * (grid[1] - grid[0]) / of_y
        assert 0.85 < atom + values < 1.12
        assert abs(atom - SHARE) < 0.1


def test_rows_are_drawn_with_the_shares_that_are_scored(density):
    drawn = density.sample(2000, random_state=0)
    rows = np.stack([np.zeros(200), np.random.default_rng(1).normal(size=200)], 1)
    of_y = np.exp(-(rows[:, 1] ** 2) / 2) / np.sqrt(2 * np.pi)
    scored = np.mean(np.exp(density.score_samples(rows)) / of_y)
    assert abs((drawn[:, 0] == 0).mean() - scored) < 0.1
    assert abs((drawn[:, 0] == 0).mean() - SHARE) < 0.1


def test_scores_do_not_depend_on_other_rows(density):
    rows = amounts(200, 2)
    every = density.score_samples(rows)
    assert np.array_equal(density.score_samples(rows[:20]), every[:20])
    assert np.array_equal(density.score_samples(rows[7:8]), every[7:8])
    assert np.array_equal(density.score_samples(rows[::-1])[::-1], every)


def test_parts_without_meaning_are_drawn_and_missing_values_stay_missing(density):
    fitted = density.fitted_
    assert isinstance(fitted, FittedLaw)
    rows = torch.tensor([[0.0, 0.5], [3.2, 0.1], [np.nan, 0.3], [0.0, np.nan]])
    raw = fitted.table.split(rows.double())
    hidden = fitted.table.without_meaning(raw)
    whole = fitted.whole_parts(rows.double(), SharedDraws(torch.Generator().manual_seed(0)))
    values = fitted.table.places(0)[0]
    assert hidden.sum(1).tolist() == [1, 0, 0, 1]
    assert hidden[:, values].tolist() == [True, False, False, True]
    assert torch.equal(torch.where(hidden, torch.nan, whole).nan_to_num(), raw.nan_to_num())
    assert whole[hidden].isfinite().all()
    assert fitted.table.join(whole).isnan().tolist() == rows.isnan().tolist()
    assert torch.equal(fitted.table.join(whole)[0], rows[0].double())


def test_drawn_values_beneath_atoms_have_the_law_s_distribution(density):
    """Means over many draws, given the other column."""
    fitted = density.fitted_
    rows = torch.tensor([[0.0, 1.0]], dtype=torch.float64).repeat(4000, 1)
    draws = SharedDraws(torch.Generator().manual_seed(1))
    value = fitted.whole_parts(rows, draws)[:, fitted.table.places(0)[0]]
    again = fitted.table.encode(rows[:1])
    law = fitted.closed_form.to(again).complete(again, 4000, draws)[0]
    other = fitted.table.flat.decode(law)[:, fitted.table.places(0)[0]]
    error = (value.var() / 4000 + other.var() / 4000).sqrt()
    assert abs(value.mean() - other.mean()) < 4 * error


def test_a_network_without_a_law_takes_no_columns_with_atoms():
    table = qs.Table.infer(amounts(200, 3), types={"0": "atoms"})
    with pytest.raises(ValueError, match=r"columns '0' have atoms.* use DiffusionDensity"):
        qs.tabular(table)


def test_a_model_of_an_earlier_version_asks_to_be_fitted_again(density, tmp_path):
    density.save(tmp_path / "new")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = qs.DiffusionDensity.load(tmp_path / "new")
    rows = amounts(5, 4)
    assert np.array_equal(again.score_samples(rows), density.score_samples(rows))
    path = tmp_path / "new" / "estimator.json"
    stored = json.loads(path.read_text())
    assert stored["summary"].pop("whole_parts")
    path.write_text(json.dumps(stored))
    with pytest.warns(UserWarning, match="earlier version.*Fit it again"):
        qs.DiffusionDensity.load(tmp_path / "new")


def test_an_interval_of_one_number_is_its_atom(density):
    drawn = density.sample(20, given={"0": (0, 0)}, random_state=0)
    assert (drawn[:, 0] == 0).all()


def test_a_network_on_a_device_answers_as_on_the_cpu(density):
    """A device that refuses what CUDA refuses: a network that was trained there stays there."""
    rows = amounts(10, 5)
    rows[0, 0] = rows[1, 1] = np.nan
    imputer = qs.DiffusionImputer.of(density, draws=4, method="fast")

    def answers() -> list[np.ndarray]:
        scores, drawn = density.score_samples(rows), density.sample(20, random_state=0)
        return [scores, drawn, imputer.transform(rows)]

    expected = answers()
    with pretending() as device:
        density.model_.to(device.type)
        try:
            found = answers()
        finally:
            density.model_.to("cpu")
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-5)
