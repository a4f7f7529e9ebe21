"""Judges of drawn rows, by known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import quasistatic as qs
from quasistatic.diagnostics import judge
from quasistatic.diagnostics.judging.classifiers import auc_of
from quasistatic.diagnostics.judging.giveaways import binned


def rows(n: int, seed: int) -> pd.DataFrame:
    """Two numbers that depend on a class, an amount that is often exactly 0, and holes."""
    rng = np.random.default_rng(seed)
    kind = rng.random(n) < 0.3
    age = rng.normal(size=n) + 2 * kind
    return pd.DataFrame(
        {
            "age": age,
            "height": age + rng.normal(size=n),
            "kind": np.where(kind, "x", "y"),
            "spend": np.where(rng.random(n) < 0.4, 0.0, rng.normal(size=n)),
            "rare": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        }
    )


def test_rows_of_one_law_are_not_told_apart():
    """The AUC is 0.5 within its error, which is calibrated, over 12 pairs of samples."""
    found = [judge(rows(500, 2 * k), rows(500, 2 * k + 1)) for k in range(12)]
    for kind in ("boosted", "linear"):
        z = [(getattr(f, kind).value - 0.5) / getattr(f, kind).error for f in found]
        assert abs(np.mean(z)) < 4 / 12**0.5
        assert 0.4 < np.std(z) < 2
    assert np.mean([len(f.telling) for f in found]) < 0.5
    closer = [(f.copying.closer - 0.5) / f.copying.error for f in found]
    assert abs(np.mean(closer)) < 4 / 12**0.5


def test_a_shift_has_the_auc_of_two_normals_and_its_column_is_named():
    real = np.random.default_rng(0).normal(size=(3000, 3))
    drawn = np.random.default_rng(1).normal((0.0, 1.0, 0.0), size=(3000, 3))
    found = judge(real, drawn)
    exact = norm.cdf(1 / 2**0.5)
    assert found.linear.value == pytest.approx(exact, abs=4 * found.linear.error)
    assert found.boosted.value == pytest.approx(exact, abs=0.02)
    assert [c.columns for c in found.telling] == [("1",)]
    largest = norm.cdf(0.5) - norm.cdf(-0.5)  # of the distribution functions, half way
    assert found.columns[0].distance == pytest.approx(largest, abs=0.03)
    assert found.pairs[0].columns in (("0", "1"), ("1", "2"))


def test_a_dependence_that_is_lost_is_seen_in_the_pair_alone():
    real, drawn = rows(2000, 0), rows(2000, 1)
    drawn["height"] = drawn["height"].sample(frac=1, random_state=0).to_numpy()
    found = judge(real, drawn)
    assert found.boosted.value > 0.6
    assert not found.telling
    assert found.pairs[0].columns == ("age", "height")
    worst = found.dependences[0]
    assert worst.columns == ("age", "height")
    assert worst.real > 0.6
    assert abs(worst.drawn) < 0.06
    assert found.useful[0].target in ("age", "height")
    assert found.useful[0].real > found.useful[0].drawn + 0.3


def test_heaps_and_missing_values_give_draws_away():
    real, drawn = rows(2000, 0), rows(2000, 1)
    drawn["spend"] += 1e-4 * np.random.default_rng(2).normal(size=2000)
    assert judge(real, drawn).telling[0].columns == ("spend",)
    # 40 % of the real rows are exactly 0, and 40 % of the drawn ones beside it: only where neither
    # is, nothing is told.
    exact = 1 - 0.6**2 / 2
    assert judge(real, drawn).columns[0].auc.value == pytest.approx(exact, abs=0.03)
    full = rows(2000, 1).fillna({"rare": 0.3})
    found = judge(real, full).telling[0]
    assert found.columns == ("rare",)
    assert found.distance == pytest.approx(0.1, abs=0.03)


def test_copies_with_noise_are_closer_than_rows_are_to_each_other():
    real = rows(1000, 0)
    copies = real.sample(1000, replace=True, random_state=0)
    noise = 1e-3 * np.random.default_rng(0).normal(size=1000)
    near = judge(real, copies.assign(age=copies["age"] + noise)).copying
    assert near.closer > 0.95
    assert near.same == 0
    assert judge(real, copies).copying.same == 1


def test_the_auc_and_its_error_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    score, drawn = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    a, b = score[drawn][:, None], score[~drawn][None]
    assert auc_of(score, drawn).value == pytest.approx(((a > b) + (a == b) / 2).mean())
    each = [
        auc_of(rng.normal(size=300) + 0.7 * (np.arange(300) < 150), np.arange(300) < 150)
        for _ in range(200)
    ]
    spread = np.std([one.value for one in each])
    assert np.mean([one.error for one in each]) == pytest.approx(spread, rel=0.15)


def test_cells_are_classes_heaps_and_quantiles():
    column = np.r_[np.zeros(300), np.linspace(1, 2, 699), np.nan]
    cell = binned(column, False, 8)
    assert len(np.unique(cell[:300])) == 1
    assert not np.isin(cell[300:], cell[0]).any()
    assert cell[-1] == 0
    assert (np.diff(cell[300:-1]) >= 0).all()


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="20 real rows or more, got 5"):
        judge(rows(5, 0), rows(50, 1))
    with pytest.raises(ValueError, match="the drawn rows have no column 'age'"):
        judge(rows(50, 0), rows(50, 1).drop(columns="age"))
    with pytest.raises(ValueError, match="no column 'hight': did you mean height"):
        judge(rows(50, 0), rows(50, 1), targets=["hight"])


def test_the_repr_says_it_in_five_lines():
    text = repr(judge(rows(300, 0), rows(300, 1)))
    assert len(text.splitlines()) == 5
    assert text.startswith(
        "a boosted judge tells 300 drawn rows from as many real ones with AUC 0."
    )
    assert "±" in text
    assert qs.diagnostics.judge is judge
