"""Columns of several parts: atoms, lattices and missing values, in a table and under a law."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from quasistatic import Table
from quasistatic.distributions.mixtures import (
    CategoricalBlock,
    GaussianBlock,
    Mixture,
    NoiseLevel,
)
from quasistatic.estimators.closed_form import fitted_from_law
from quasistatic.estimators.fitted_law import FittedLaw
from quasistatic.estimators.table_columns import table_of
from quasistatic.kernels import CategoricalKernel, GaussianKernel
from quasistatic.kernels.schedules import cosine, erase_evenly, linear_log_snr
from quasistatic.spaces.atom_inference import find_repeats
from quasistatic.spaces.columns import AtomColumn, CompoundColumn, HoledColumn
from quasistatic.spaces.columns.lattice import Lattices
from quasistatic.spaces.frames import Frame

DENSE = 4001
"""Points of a quadrature."""


def frame(n: int = 600) -> pd.DataFrame:
    """A column that is often 0 or 99, one of multiples of 5 among whole numbers with an atom at 40,
    classes, and real numbers; some values of the last two are missing."""
    rng = np.random.default_rng(0)
    spend = 5 + rng.normal(size=n)
    spend[rng.random(n) < 0.3] = 0.0
    spend[rng.random(n) < 0.05] = 99.0
    price = np.round(100 + 20 * rng.normal(size=n))
    price = np.where(rng.random(n) < 0.8, 5 * np.round(price / 5), price)
    price[rng.random(n) < 0.2] = 40.0
    grade = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, n)]
    plain = rng.normal(size=n)
    grade[rng.random(n) < 0.1], plain[rng.random(n) < 0.2] = None, np.nan
    return pd.DataFrame({"spend": spend, "price": price, "grade": grade, "plain": plain})


@pytest.fixture(scope="module")
def table() -> Table:
    return table_of(Frame.of(frame()), None, None)


@pytest.fixture(scope="module")
def holed() -> Table:
    return table_of(Frame.of(frame()), None, None, holes=True)


def law_for(table: Table, components: int = 3) -> Mixture:
    """Some mixture of the x_0 of a table."""
    rng = torch.Generator().manual_seed(0)
    blocks = []
    dims = sum(len(block.lattices) for block in table.blocks)
    sizes = tuple(size for block in table.blocks for size in block.sizes)
    root = torch.randn(components, dims, dims, generator=rng, dtype=torch.float64) / 3
    mean = torch.randn(components, dims, generator=rng, dtype=torch.float64) / 2
    eye = 0.7 * torch.eye(dims, dtype=torch.float64)
    blocks.append(GaussianBlock.full(mean, root @ root.mT + eye))
    parts = [torch.randn(components, size, generator=rng, dtype=torch.float64) for size in sizes]
    log_p = torch.cat([part.log_softmax(1) for part in parts], 1)
    blocks.append(CategoricalBlock(log_p, sizes))
    weight = torch.rand(components, generator=rng, dtype=torch.float64)
    return Mixture((weight / weight.sum()).log(), tuple(blocks))


@pytest.fixture(scope="module")
def fitted(table: Table) -> FittedLaw:
    return fitted_from_law(table, law_for(table), 0)


def test_the_columns_have_the_parts_that_they_should(table, holed):
    spend, price = table.columns[:2]
    assert isinstance(spend, AtomColumn)
    assert isinstance(price, AtomColumn)
    assert (spend.atoms, spend.steps) == ((0.0, 99.0), ())
    assert (price.atoms, price.decimals, price.steps) == ((40.0,), 0, (1, 5))
    names = ["spend", "price", "grade", "plain", "spend?", "price?"]
    assert [column.name for column in table.flat.columns] == names
    bits = ["grade missing", "plain missing"]
    assert [column.name for column in holed.flat.columns] == [*names, *bits]


@pytest.mark.parametrize("which", ["table", "holed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_come_back(which, dtype, request):
    """Rows, their parts and their x_0 are the same rows."""
    table = request.getfixturevalue(which)
    rows = table.read(frame()).to(dtype)
    exact = {"rtol": 0.0, "atol": 0.0, "equal_nan": True}
    torch.testing.assert_close(table.join(table.split(rows)), rows, **exact)
    back = table.decode(table.encode(rows))
    torch.testing.assert_close(back, rows, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert table.encode(rows).shape[1:] == table.state


def test_a_value_is_missing_where_an_atom_holds(table):
    rows = table.read(frame())
    parts = table.split(rows)
    assert torch.equal(parts[:, 0].isnan(), (rows[:, 0] == 0) | (rows[:, 0] == 99))
    assert torch.equal(parts[:, 4] == 2, ~parts[:, 0].isnan())


def test_cells_tile_the_line():
    """The cells of the places of each lattice, without atoms and between two ends, have no gap and
    do not overlap."""
    lattices = Lattices(1, (1, 5, 50), (2.0, 3.3), left=0.0, right=40.0)
    w = torch.arange(0, 401, dtype=torch.float64)
    k = lattices.lattice(w)
    for each in range(3):
        own = w[(k == each) & ~torch.isin(w, torch.tensor([20.0, 33.0]))] / 10
        low, high = lattices.cells(own)
        torch.testing.assert_close(low[1:], high[:-1], rtol=0, atol=1e-12)
        assert torch.equal(lattices.place(own, k[(k == each)][: len(own)]), own)
    assert float(lattices.place(torch.tensor([1.9]), torch.tensor([1]))[0]) == 1.5


def other_values(fitted: FittedLaw, column: int) -> list[np.ndarray]:
    """A row for each pattern of holes of the other columns, (C,)."""
    row = fitted.table.read(frame()[frame().notna().all(axis=1)])[3].numpy()
    others = [k for k in range(len(row)) if k != column]
    found = []
    for hidden in itertools.product([False, True], repeat=len(others)):
        each = row.copy()
        each[np.array(others)[list(hidden)]] = np.nan
        found.append(each)
    return found


def values_of(table: Table, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a column, and what a probability or a density of each counts in a sum."""
    own = table.columns[column]
    if isinstance(own, HoledColumn):
        own = own.column
    if not isinstance(own, AtomColumn):
        if own.named:
            return np.arange(3.0), np.ones(3)
        grid = np.linspace(-15, 15, DENSE)
        return grid, np.full(DENSE, grid[1] - grid[0])
    atoms = np.array(own.atoms)
    if own.steps:
        places = np.setdiff1d(np.arange(-200.0, 400.0), atoms)
        return np.r_[atoms, places], np.ones(len(atoms) + len(places))
    grid = np.linspace(0, 40, 20 * DENSE)[1:]
    grid = np.setdiff1d(grid, atoms)
    return np.r_[atoms, grid], np.r_[np.ones(len(atoms)), np.full(len(grid), grid[1] - grid[0])]


@pytest.mark.parametrize("column", range(4))
def test_the_sum_over_a_column_is_the_law_of_the_others(fitted, column):
    """With every pattern of holes in the others: probabilities of atoms, of classes and of the
    places of lattices, and the integral of densities."""
    values, weight = values_of(fitted.table, column)
    for row in other_values(fitted, column):
        rows = np.repeat(row[None], len(values), 0)
        rows[:, column] = values
        total = (np.exp(fitted.log_prob(rows, 1, 0)) * weight).sum()
        row[column] = np.nan
        if np.isnan(row).all():
            assert total == pytest.approx(1.0, rel=4e-3)
            continue
        assert total == pytest.approx(math.exp(fitted.log_prob(row[None], 1, 0)[0]), rel=4e-3)


@pytest.mark.parametrize("column", [2, 3])
def test_with_missing_values_in_the_law_they_are_a_value_more(holed, column):
    """The probability that a value is missing, and the sum over the values, are the law of the
    other columns."""
    law = law_for(holed)
    fitted = fitted_from_law(holed, law, 0)
    values, weight = values_of(holed, column)
    row = holed.read(frame()[frame().notna().all(axis=1)])[3].numpy()
    rows = np.repeat(row[None], len(values) + 1, 0)
    rows[:, column] = np.r_[np.nan, values]
    total = (np.exp(fitted.log_prob(rows, 1, 0)) * np.r_[1.0, weight]).sum()
    x_0 = holed.encode(torch.from_numpy(row[None]))
    owner = holed.expand_to_state(torch.arange(4.0)[None])[0]
    volume = holed.log_volume(torch.where(owner == column, torch.nan, x_0)).sum()
    alone = law.log_prob(torch.where(owner == column, torch.nan, x_0))[0] + volume
    assert total == pytest.approx(math.exp(float(alone)), rel=4e-3)


KERNELS = {
    "linear log-SNR": GaussianKernel(linear_log_snr(20, 6.0, -6.0)),
    "cosine": GaussianKernel(cosine(20)),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("t", [1, 10, 20])
@pytest.mark.parametrize("hidden", [(), (0,), (4,), (0, 4)])
def test_noisy_rows_have_a_law_that_sums_to_one(table, name, t, hidden):
    """Under every kernel: x_t of `plain` is integrated and the classes of `spend` are summed, with
    holes in the other values, and with atoms as holes of values."""
    law, width = law_for(table), table.state[0]
    signal, noise = _level(KERNELS[name], t)
    erase = CategoricalKernel(erase_evenly(20), table.blocks[-1].sizes, table.blocks[-1].shares)
    keep = erase.schedule.alpha_bar[t].reshape(1, 1).double()
    start = law.blocks[0].width
    x = torch.full((1, width), math.nan, dtype=torch.float64)
    x[:, :start] = 0.3
    owner = table.flat.expand_to_state(torch.arange(6.0)[None])[0]
    x[:, torch.isin(owner, torch.tensor([float(h) for h in hidden]))] = math.nan
    plain = int((owner == 3).nonzero()[0, 0])
    classes = (owner == 4).nonzero()[:, 0]
    grid = torch.linspace(-12, 12, DENSE, dtype=torch.float64)
    total, alone = 0.0, x.clone()
    alone[:, plain] = math.nan
    for k in range(len(classes)):
        rows = x.repeat(DENSE, 1)
        rows[:, plain], rows[:, classes] = grid, 0.0
        rows[:, classes[k]] = 1.0
        log_p = _noisy(law, rows, signal, noise, keep, table)
        total += float(log_p.exp().sum() * (grid[1] - grid[0]))
    assert total == pytest.approx(float(_noisy(law, alone, signal, noise, keep, table).exp()))


def _level(kernel: GaussianKernel, t: int) -> tuple[Tensor, Tensor]:
    log_snr = kernel.schedule.log_snr[t].double()
    return log_snr.sigmoid().sqrt().reshape(1, 1), (-log_snr).sigmoid().sqrt().reshape(1, 1)


def _noisy(
    law: Mixture, x: Tensor, signal: Tensor, noise: Tensor, keep: Tensor, table: Table
) -> Tensor:
    share = torch.tensor([p for block in table.blocks for p in block.shares]).double().log()
    level = NoiseLevel(*(each.expand(len(x), 1) for each in (signal, noise, keep)), share)
    parts = torch.split(x, law.widths, 1)
    joint = law.log_weight[:, None]
    for block, part in zip(law.blocks, parts, strict=True):
        joint = joint + block.evidence(part, level).total
    return joint.logsumexp(0)


def test_draws_are_what_the_columns_can_hold(fitted):
    """Atoms as often as the law has them, numbers on their lattice, none beyond an end."""
    table, rows = fitted.table, fitted.sample(4000, 0)
    for k, column in enumerate(table.columns):
        assert not column.invalid(rows[:, k]).any()
    zero = float(np.exp(fitted.log_prob(np.array([[0.0, np.nan, np.nan, np.nan]]), 1, 0))[0])
    assert (rows[:, 0] == 0).mean() == pytest.approx(zero, abs=0.03)


def test_a_table_is_stored_and_read(holed, tmp_path):
    from quasistatic._utils import serialization
    from quasistatic.diffusion import KNOWN

    assert serialization.build(serialization.describe(holed), KNOWN) == holed


def test_lattices_within_lattices_are_found():
    rng = np.random.default_rng(0)
    v = rng.uniform(0, 10, 5000)
    cents, quarters = np.round(v, 2), np.round(4 * v) / 4
    assert find_repeats(v).steps == ()
    assert find_repeats(cents).steps == (1,)
    assert find_repeats(np.where(rng.random(5000) < 0.5, cents, quarters)).steps == (1, 25)
    assert not find_repeats(cents).found
    ages = rng.choice([1.0, 3, 7, 14, 28, 56, 90], 500)
    assert find_repeats(ages).whole


def test_a_number_of_a_row_or_two_is_no_atom_unless_it_stands_apart():
    rng = np.random.default_rng(0)
    v = rng.normal(size=600)
    v[:2] = v[2]
    assert find_repeats(v).atoms == ()
    v[:2] = -999.0
    assert find_repeats(v).atoms == (-999.0,)
    v[:2] = v[2:4]
    v[0] = 512.0  # alone, and a number like others
    assert find_repeats(v).atoms == ()
    v[0] = 9999.0  # alone, and written with nines
    assert find_repeats(v).atoms == (9999.0,)


def test_other_rows_give_a_column_the_same_atoms(table):
    """Parts stay as they are where a part of the rows is fitted."""
    column = table.columns[0]
    assert isinstance(column, CompoundColumn)
    half = column.refitted(frame()["spend"].to_numpy()[::2])
    assert isinstance(half, AtomColumn)
    assert half.atoms == (0.0, 99.0)
    assert half.shares != replace(half, shares=column.shares).shares
