"""Held-out rows decide which columns have atoms, lattices, and cells by frequency."""

import numpy as np
import pandas as pd
import pytest
import torch

import quasistatic as qs
from quasistatic.estimators.column_choice import with_useful_repeats
from quasistatic.estimators.table_columns import table_of
from quasistatic.spaces import Table
from quasistatic.spaces.columns import AtomColumn, HoledColumn, IntegerColumn
from quasistatic.spaces.columns.numbers import QuantileColumn
from quasistatic.spaces.frames import Frame

HEAPED = np.array([16, 4, 25, 10, 7, 2, 2, 15, 6, 5, 2, 1, 1, 1, 1, 1, 0.5, 0.5])
"""Frequencies of years: heaps at 0, 2 and 7."""


def stones(n: int, noise: float) -> pd.DataFrame:
    """Weights with heaps at round numbers, and a length that is a function of the weight plus
    noise."""
    rng = np.random.default_rng(0)
    weight = np.round(np.exp(rng.normal(0, 0.5, n)), 2)
    heaped = rng.random(n) < 0.4
    weight[heaped] = np.round(weight[heaped], 1) + 0.01
    weight = np.round(weight, 2)
    length = weight ** (1 / 3) + noise * rng.normal(size=n)
    return pd.DataFrame({"weight": weight, "length": length, "other": rng.normal(size=n)})


def years(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    year = rng.choice(len(HEAPED), n, p=HEAPED / HEAPED.sum())
    return pd.DataFrame({"years": year.astype(float), "pay": 3 * year + rng.normal(0, 9, n)})


def chosen(frame: pd.DataFrame, holes: bool = False) -> tuple[Table, Table]:
    """The table as it is inferred, and the one that held-out rows choose."""
    table = table_of(Frame.of(frame), None, None, holes=holes)
    rows = table.read(frame).numpy()
    return table, with_useful_repeats(table, rows, None, 0)


def test_atoms_are_left_out_where_they_hide_a_tight_relation():
    """A value that is missing at an atom costs more than the atom brings, if another column depends
    on it nearly without noise."""
    before, after = chosen(stones(2000, 0.0005))
    assert isinstance(before.columns[0], AtomColumn)
    assert before.columns[0].atoms
    assert not isinstance(after.columns[0], AtomColumn)
    before, after = chosen(stones(2000, 1.0))
    assert after.columns[0] == before.columns[0]


def test_what_the_user_asks_for_is_not_decided():
    frame = stones(2000, 0.0005)
    table = table_of(Frame.of(frame), {"weight": "atoms"}, None)
    rows = table.read(frame).numpy()
    assert with_useful_repeats(table, rows, {"weight": "atoms"}, 0) == table


def test_rough_counts_of_whole_numbers_become_cells_by_frequency():
    table, after = chosen(years())
    assert isinstance(table.columns[0], IntegerColumn)
    column = after.columns[0]
    assert isinstance(column, AtomColumn)
    assert column.by_frequency
    smooth = pd.DataFrame({"age": np.round(np.random.default_rng(0).normal(40, 6, 1500))})
    smooth["other"] = smooth["age"] + 1.0 * np.random.default_rng(1).normal(size=1500)
    assert isinstance(chosen(smooth)[1].columns[0], IntegerColumn)


def test_cells_by_frequency_have_the_frequencies_of_the_data_under_a_standard_normal():
    """Each cell of the latent normal holds the share of its number, exactly."""
    numbers = years()["years"].to_numpy()
    column = QuantileColumn.of_cells("years", numbers, 1.0)
    edges = torch.special.ndtri(torch.tensor(column.u, dtype=torch.float64))
    mass = torch.special.ndtr(edges).diff().numpy()
    count = np.bincount(numbers.astype(int), minlength=len(HEAPED)) + 0.5
    beyond = sum(0.5 for slope in column.slopes if slope > 0)
    assert mass == pytest.approx(count / (count.sum() + beyond))
    assert column.slopes[0] == 0  # many rows are 0, so that nothing is below
    assert column.slopes[1] > 0


@pytest.mark.parametrize("holes", [None, "model"])
def test_draws_have_the_heaps_and_masses_add_up_to_one(holes):
    frame = years()
    frame.loc[::9, "years"] = np.nan
    density = qs.DiffusionDensity(steps=0, holes=holes).fit(frame)
    column = density.table_.columns[0]
    assert (column.column if isinstance(column, HoledColumn) else column).by_frequency
    drawn = density.sample(20_000, random_state=0)["years"].dropna()
    known = frame["years"].dropna()
    for year in (0, 1, 2, 7):
        share = (known == year).mean()
        assert (drawn == year).mean() == pytest.approx(share, abs=0.03)
    every = pd.DataFrame({"years": np.arange(0.0, 40.0)})
    for pay in (-5.0, 3.0, 25.0):
        rows = every.assign(pay=pay)
        open_ = pd.DataFrame({"years": [np.nan], "pay": [pay]})
        mass = np.exp(density.score_samples(rows)).sum()
        if holes is None:
            assert mass == pytest.approx(np.exp(density.score_samples(open_)[0]), rel=0.05)
        else:  # the missing value is one of the possibilities
            mass += np.exp(density.score_samples(open_)[0])
            whole = qs.DiffusionDensity(steps=0).fit(frame).score_samples(open_)[0]
            assert mass == pytest.approx(np.exp(whole), rel=0.2)


def test_what_is_given_meets_a_cell_by_frequency():
    density = qs.DiffusionDensity(steps=0).fit(years())
    assert (density.sample(50, given={"years": 7.0}, random_state=0)["years"] == 7).all()
    drawn = density.sample(200, given={"years": (2, 4)}, random_state=0)["years"]
    assert drawn.between(2, 4).all()
    parts = [density.log_evidence({"years": float(k)}) for k in range(40)]
    assert np.exp(parts).sum() == pytest.approx(1, abs=0.02)
    below = density.log_evidence({"years": (None, 4)})
    assert np.exp(parts[:5]).sum() == pytest.approx(np.exp(below), abs=0.05)


def test_a_number_beyond_an_end_that_is_kept_is_impossible():
    density = qs.DiffusionDensity(steps=0).fit(years())
    rows = pd.DataFrame({"years": [-1.0, 0.5, 19.0], "pay": 3.0})
    scores = density.score_samples(rows)
    assert np.isneginf(scores[:2]).all()
    assert np.isfinite(scores[2])
