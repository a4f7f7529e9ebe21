"""Numbers that many rows repeat exactly have probabilities of their own."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from quasistatic import (
    DiffusionClassifier,
    DiffusionDensity,
    DiffusionImputer,
    DiffusionOutliers,
    DiffusionRegressor,
    Table,
)
from quasistatic.distributions.mixtures.fitting import stacking
from quasistatic.spaces.columns import AtomColumn

TYPES = {"spend": "atoms"}


def rows(n: int, seed: int) -> pd.DataFrame:
    """`spend` is exactly 0 with a probability that rises with `age`, 99999 in one of 50 rows where
    it is not known, and else normal about a line in `age`."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    spend = 5 + age + 0.5 * rng.normal(size=n)
    spend[rng.random(n) < 1 / (1 + np.exp(-2 * age))] = 0.0
    spend[rng.random(n) < 0.02] = 99999.0
    return pd.DataFrame({"age": age, "spend": spend})


@pytest.fixture(scope="module")
def fitted() -> DiffusionDensity:
    frame = rows(600, 0)
    frame.loc[:40, "age"] = np.nan
    frame.loc[41:60, "spend"] = np.nan
    return DiffusionDensity(types=TYPES).fit(frame)


def test_it_is_a_model_of_atoms_and_says_which(fitted):
    column = fitted.table_.columns[1]
    assert isinstance(column, AtomColumn)
    assert column.atoms == (0.0, 99999.0)
    assert "exactly 0" in repr(fitted.summary_)


@pytest.mark.parametrize("age", [math.nan, -1.0, 1.5])
def test_masses_and_the_density_add_up_to_one(fitted, age):
    """The probabilities of 0 and of 99999, and the integral of the density of all other numbers,
    with `age` as a hole, and given."""
    grid = np.linspace(-20, 30, 20001)
    spend = np.concatenate([[0.0, 99999.0], grid[grid != 0.0]])
    frame = pd.DataFrame({"age": np.full(len(spend), age), "spend": spend})
    p = np.exp(fitted.score_samples(frame))
    alone = 1.0 if math.isnan(age) else np.exp(fitted.score_samples(blank(age, math.nan)))[0]
    assert p[:2].sum() + p[2:].sum() * (grid[1] - grid[0]) == pytest.approx(alone, rel=2e-3)


def blank(age: float, spend: float) -> pd.DataFrame:
    return pd.DataFrame({"age": [age], "spend": [spend]})


def test_masses_are_those_of_the_law_of_the_rows(fitted):
    """P(spend = 0 | age) rises as the logistic function does, and 99999 has its share."""
    for age in (-1.0, 0.0, 1.0):
        joint, alone = (fitted.score_samples(blank(age, s))[0] for s in (0.0, math.nan))
        assert math.exp(joint - alone) == pytest.approx(0.98 / (1 + math.exp(-2 * age)), abs=0.1)
    assert math.exp(fitted.score_samples(blank(math.nan, 99999.0))[0]) < 0.05


def test_draws_are_atoms_as_often_as_rows_are(fitted):
    drawn, real = fitted.sample(4000, random_state=0), rows(4000, 1)
    assert isinstance(drawn, pd.DataFrame)
    assert (drawn.spend == 0).mean() == pytest.approx((real.spend == 0).mean(), abs=0.04)
    assert ((drawn.spend < 20) | (drawn.spend == 99999.0)).all()
    low, high = (frame[frame.spend.between(0.01, 100)].spend for frame in (drawn, real))
    assert low.mean() == pytest.approx(high.mean(), abs=0.15)
    assert low.std() == pytest.approx(high.std(), abs=0.15)


def test_what_is_given_may_be_an_atom_or_an_interval_with_one_inside(fitted):
    """P(spend <= 1) is nearly that of 0; p(row | spend <= 1) and draws agree with it."""
    inside, exact = (fitted.log_evidence({"spend": given}) for given in ((-1.0, 1.0), 0.0))
    assert 0 <= inside - exact < 0.05
    drawn = fitted.sample(400, given={"spend": (-1.0, 1.0)}, random_state=0)
    assert (drawn.spend == 0).mean() > 0.95
    assert drawn.age.mean() == pytest.approx(0.4, abs=0.25)
    above = fitted.sample(300, given={"spend": (3.0, None)}, random_state=0)
    assert (above.spend == 99999.0).mean() < 0.15
    assert (above.spend >= 3).all()
    frame = pd.DataFrame({"age": [0.3, 0.3, 0.3], "spend": [0.0, 4.0, math.nan]})
    found = fitted.log_prob(frame, given={"spend": (-1.0, 1.0)})
    assert found[0] == pytest.approx(fitted.score_samples(frame)[0] - inside, abs=0.02)
    assert found[1] == -math.inf
    assert found[2] == pytest.approx(found[0], abs=0.1)


def test_a_hole_is_filled_by_atoms_and_by_values():
    imputer = DiffusionImputer(types=TYPES).fit(rows(600, 0))
    drawn = imputer.draw(pd.DataFrame({"age": [2.5, -2.5], "spend": [np.nan, np.nan]}), 400)[..., 1]
    assert (drawn[0] == 0).mean() > 0.85
    assert (drawn[1] == 0).mean() < 0.15
    value = drawn[1][(drawn[1] != 0) & (drawn[1] < 100)]
    assert value.mean() == pytest.approx(2.5, abs=0.3)
    frame = pd.DataFrame({"age": [np.nan], "spend": [0.0]})
    assert imputer.transform(frame).age[0] > 0


def test_outliers_are_judged_by_masses():
    """The false alarms of new rows are near the level, and a number between atoms is odd."""
    outliers = DiffusionOutliers(types=TYPES).fit(rows(800, 0))
    assert (outliers.predict(rows(1000, 3)) == -1).mean() == pytest.approx(0.05, abs=0.03)
    assert outliers.predict(blank(0.0, 50.0))[0] == -1


def test_the_cost_of_a_column_is_that_of_the_row_less_that_of_the_others(fitted):
    """-log p(spend | age) of an atom and of another number."""
    frame = pd.DataFrame({"age": [0.3, 0.3, 1.0], "spend": [0.0, 4.0, 99999.0]})
    costs = fitted.column_costs(frame)
    alone = fitted.score_samples(frame.assign(spend=np.nan))
    np.testing.assert_allclose(costs[:, 1], alone - fitted.score_samples(frame), atol=1e-6)


def test_reasons_name_the_atoms_that_were_expected():
    """A table with atoms has reasons for outliers, for all of its columns."""
    outliers = DiffusionOutliers().fit(rows(600, 0))
    odd = pd.DataFrame({"age": [2.5, 9.0], "spend": [50.0, 0.0]})
    first, second = outliers.explain(odd)
    assert str(first).startswith("spend 50: expected 0 (")
    assert second.reasons[0].column == "age"


@pytest.mark.parametrize("types", [None, TYPES])
def test_what_is_predicted_takes_atoms(monkeypatch, types):
    """A class that is known where `spend` is 0, and a number that depends on it."""
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 4)
    frame = rows(600, 0)
    zero = frame.spend == 0
    label = np.where(zero, "yes", "no")
    classifier = DiffusionClassifier(types=types).fit(frame, label)
    assert isinstance(classifier.table_.columns[1], AtomColumn)
    new = rows(200, 1)
    assert (classifier.predict(new) == np.where(new.spend == 0, "yes", "no")).mean() > 0.98
    y = np.where(zero, 3.0, frame.age) + 0.1 * np.random.default_rng(0).normal(size=600)
    regressor = DiffusionRegressor(types=types).fit(frame, y)
    there = rows(200, 1).query("spend < 20")
    expected = np.where(there.spend == 0, 3.0, there.age)
    assert np.abs(regressor.predict(there) - expected).mean() < 0.2


def test_a_saved_classifier_gives_the_same_numbers(tmp_path):
    frame = rows(300, 0).assign(place=["a", "b", "c"] * 100)
    classifier = DiffusionClassifier().fit(frame, np.arange(300) % 2)
    classifier.save(tmp_path)
    again = DiffusionClassifier.load(tmp_path)
    assert np.array_equal(again.predict_proba(frame), classifier.predict_proba(frame))


def test_a_saved_estimator_gives_the_same_numbers(fitted, tmp_path):
    fitted.save(tmp_path)
    again = DiffusionDensity.load(tmp_path)
    new = rows(50, 2)
    assert np.array_equal(again.score_samples(new), fitted.score_samples(new))
    assert again.sample(20, random_state=1).equals(fitted.sample(20, random_state=1))
    assert again.summary_.atoms == fitted.summary_.atoms
    numbers = fitted.numbers(new)
    assert numbers.shape == (50, 3)
    pd.testing.assert_frame_equal(again.rows(numbers), new)


def found_in(values: np.ndarray) -> tuple[float, ...]:
    frame = pd.DataFrame({"x": values, "y": np.arange(len(values)) + 0.5})
    column = Table.infer(frame, {"x": "atoms"}).columns[0]
    return column.atoms if isinstance(column, AtomColumn) else ()


def test_atoms_are_numbers_far_more_frequent_than_those_near_them(rng):
    """Zeros, a censored end and two sentinels are found; rounding makes no atoms."""
    x = torch.randn(1000, generator=rng).numpy()
    assert found_in(x) == ()
    assert found_in(np.round(x, 1)) == ()
    assert found_in(np.where(np.arange(1000) < 100, 0.0, x)) == (0.0,)
    assert found_in(np.minimum(x, 1.0)) == (1.0,)
    spoilt = x.copy()
    spoilt[:40], spoilt[40:47] = -1.0, 999.0
    assert found_in(spoilt) == (-1.0, 999.0)
    assert found_in(np.where(np.arange(1000) < 995, 0.0, x)) == (0.0,)


def test_columns_that_have_none_are_refused_or_stay_as_they_are():
    frame = rows(80, 0).assign(place=["a", "b"] * 40)
    with pytest.raises(ValueError, match="there is no column 'spent'"):
        DiffusionDensity(types={"spent": "atoms"}).fit(frame)
    with pytest.raises(ValueError, match="'place' holds names, which have no atoms"):
        DiffusionDensity(types={"place": "atoms"}).fit(frame)
    with pytest.raises(ValueError, match="atoms"):
        DiffusionDensity(types={"age": "atom"}).fit(frame)
    plain, asked = (DiffusionDensity(types=t).fit(frame) for t in (None, {"age": "atoms"}))
    assert np.array_equal(plain.score_samples(frame), asked.score_samples(frame))
    assert "age: no number is repeated" in repr(asked.summary_)


@pytest.mark.parametrize(("count", "columns"), [(1, 5), (2, 5), (5, 5), (6, 1)])
def test_a_few_sentinels_cost_little(count, columns):
    """-999 in some rows of each column, where a value is not known: other rows are nearly as likely
    as by the rows without sentinels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 5)) @ rng.normal(size=(5, 5))
    clean, new = x[:600], x[600:]
    spoilt = clean.copy()
    for column in range(columns):
        spoilt[rng.choice(600, count, replace=False), column] = -999.0
    before, after = (DiffusionDensity().fit(rows).score(new) for rows in (clean, spoilt))
    assert after > before - 0.2


def dependent_holes() -> pd.DataFrame:
    """`income` is missing the more often the higher it and `age` are, and `job` at random."""
    rng = np.random.default_rng(0)
    age = rng.normal(size=800)
    income = age + 0.5 * rng.normal(size=800)
    income[rng.random(800) < 1 / (1 + np.exp(-3 * age))] = np.nan
    job = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, 800)]
    job[rng.random(800) < 0.1] = None
    return pd.DataFrame({"age": age, "income": income, "job": job})


def test_missing_values_that_depend_on_others_are_drawn_and_scored(tmp_path):
    frame = dependent_holes()
    fitted = DiffusionDensity(holes="model").fit(frame)
    drawn = fitted.sample(4000, random_state=0)
    assert (drawn.isna().mean() - frame.isna().mean()).abs().max() < 0.04
    gone, there = (drawn.age[drawn.income.isna() == is_gone].mean() for is_gone in (True, False))
    assert gone == pytest.approx(frame.age[frame.income.isna()].mean(), abs=0.15)
    assert there == pytest.approx(frame.age[frame.income.notna()].mean(), abs=0.15)
    new = pd.DataFrame({"age": [2.0, -2.0], "income": [np.nan, np.nan], "job": ["a", "a"]})
    plain = DiffusionDensity().fit(frame)
    more = fitted.score_samples(new) - plain.score_samples(new)
    assert more[0] == pytest.approx(math.log(0.9), abs=0.3)  # and log of P(job is there) = 0.9
    assert more[1] < -3
    fitted.save(tmp_path)
    again = DiffusionDensity.load(tmp_path)
    assert np.array_equal(again.score_samples(frame), fitted.score_samples(frame))


def test_rows_are_drawn_whole_unless_missing_values_are_modelled():
    frame = dependent_holes()
    assert DiffusionDensity().fit(frame).sample(500, random_state=0).notna().all(axis=None)
    filled = DiffusionImputer.of(DiffusionDensity(holes="model").fit(frame)).transform(frame)
    assert filled.notna().all(axis=None)
