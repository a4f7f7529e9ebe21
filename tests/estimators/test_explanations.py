"""What columns cost given the others, and why a row is unusual."""

import numpy as np
import pandas as pd
import pytest
import torch

import quasistatic as qs
from quasistatic.distributions.mixtures import GaussianBlock, Mixture
from quasistatic.distributions.mixtures.fitting import stacking
from quasistatic.estimators.explanation import explain_rows

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 2)


def people(n: int, seed: int = 0) -> pd.DataFrame:
    """Height and weight that depend on each other and on the sex, a number of children that depends
    on nothing, and a town that decides the language."""
    rng = np.random.default_rng(seed)
    man = rng.random(n) < 0.5
    height = 1.66 + 0.13 * man + 0.06 * rng.normal(size=n)
    town = rng.choice(["Bern", "Lyon", "Rome"], n)
    return pd.DataFrame(
        {
            "height": height,
            "weight": np.round(70 + 90 * (height - 1.7) + 4 * rng.normal(size=n)),
            "sex": np.where(man, "m", "f"),
            "children": rng.integers(0, 4, n),
            "town": town,
            "language": np.array(["de", "fr", "it"])[pd.Categorical(town).codes],
        }
    )


@pytest.fixture(scope="module")
def detector():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "MOST_COMPONENTS", 4)
        return qs.DiffusionOutliers(steps=0).fit(people(600))


def test_a_cost_is_what_hiding_the_column_saves(detector):
    """Also of rows with holes, and of a class that is new."""
    table = people(30, 1)
    table.loc[3, "height"], table.loc[4, "sex"], table.loc[5, "town"] = np.nan, None, "Oslo"
    costs, density = detector.column_costs(table), qs.DiffusionDensity.of(detector)
    for k, name in enumerate(table.columns):
        hidden = table.copy()
        hidden[name] = None if table[name].dtype == object else np.nan
        with np.errstate(invalid="ignore"):
            saved = density.score_samples(hidden) - density.score_samples(table)
        fine = np.isfinite(saved)
        assert costs[fine, k] == pytest.approx(saved[fine], abs=1e-7)
    assert (costs[3, 0], costs[4, 2]) == (0, 0)
    assert np.isinf(costs[5, 4])


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [("height", 1.2, "1.2"), ("weight", 120, "120"), ("sex", "x", "x"), ("children", 9, "9")],
)
def test_the_column_that_was_changed_is_named_first(detector, column, value, text):
    table = people(40, 2)
    table[column] = value
    for found in detector.explain(table):
        first = found.reasons[0]
        assert (first.column, first.value) == (column, value)
        assert first.excess > 3
        assert str(found).startswith(f"{column} {text}: expected ")


def test_what_was_expected_is_the_regression_s_interval():
    """One normal: the interval is the conditional mean and 1.96 deviations on either side."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    x[:, 1] = 2 * x[:, 0] + 0.5 * x[:, 1]
    frame = pd.DataFrame(x, columns=["a", "b"])
    detector = qs.DiffusionOutliers(steps=0, space=qs.Continuous(2)).fit(frame)
    reason = detector.explain(pd.DataFrame({"a": [1.0], "b": [9.0]}))[0].reasons[0]
    # Both values are as strange given the other.
    middle, deviation = (
        (2.0, 0.5) if reason.column == "b" else (2 / 4.25 * 9, (1 - 4 / 4.25) ** 0.5)
    )
    (low, high), *more = reason.expected.intervals
    assert not more
    assert (low, high) == pytest.approx(
        (middle - 1.96 * deviation, middle + 1.96 * deviation), abs=0.1 * deviation
    )


def test_for_a_value_between_two_modes_both_are_expected():
    """Two normals of known law, in the column's own unit."""
    side = np.array([-5.0, 5.0])
    table = qs.Table.infer(
        pd.DataFrame({"side": side, "other": [0.5, 1.5]}),
        dict.fromkeys(["side", "other"], "standardized"),
    )
    mean = table.encode(torch.tensor([[-5.0, 1.0], [5.0, 1.0]], dtype=torch.float64))
    scale = (table.encode(torch.tensor([[1.0, 1.0]])) - table.encode(torch.tensor([[0.0, 0.0]])))[0]
    variance = (torch.tensor([0.3, 1.0], dtype=torch.float64) * scale) ** 2
    block = GaussianBlock.full(mean, torch.diag(variance)[None])
    law = Mixture(torch.full((2,), 0.5, dtype=torch.float64).log(), (block,))
    found = explain_rows(table, law, np.array([[0.0, 1.0]]), np.zeros(2))[0]
    intervals = found.reasons[0].expected.intervals
    half = 0.3 * 1.959964
    assert found.reasons[0].column == "side"
    assert np.ravel(intervals) == pytest.approx(
        [-5 - half, -5 + half, 5 - half, 5 + half], abs=0.02
    )
    assert str(found).startswith("side 0: expected -5.5")


def test_two_wrong_columns_are_both_named_and_a_right_one_is_not(detector):
    table = people(40, 3)
    table["children"], table["height"] = 7, 2.6
    each = [{reason.column for reason in found.reasons} for found in detector.explain(table)]
    assert all({"children", "height"} <= names for names in each)
    assert sum(len(names) > 2 for names in each) <= 2
    named = [len(found.reasons) for found in detector.explain(people(200, 4))]
    assert np.mean(np.array(named) > 1) < 0.05


def test_a_model_of_small_whole_numbers_says_that_it_has_no_reasons():
    rows = np.random.default_rng(0).integers(0, 4, (800, 3))
    detector = qs.DiffusionOutliers(steps=0).fit(rows)
    with pytest.raises(ValueError, match=r"has no closed form.*types="):
        detector.explain(rows[:2])
