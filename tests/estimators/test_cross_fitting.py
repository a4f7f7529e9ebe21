"""Calibration by all rows: each is scored by a law that has not seen it."""

import numpy as np
import pandas as pd
import pytest

import quasistatic as qs
from quasistatic.distributions.mixtures.fitting import candidates, stacking
from quasistatic.estimators.cross_fitting import FOLDS, fold_of

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 1)
    monkeypatch.setattr(candidates, "SCALES", (1.0,))


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    kind = rng.choice(["p", "q", "r"], n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame({"x": x, "y": x + 0.5 * rng.normal(size=n), "kind": kind})


def test_all_rows_calibrate_and_few_suffice():
    """40 rows call nothing at level 0.05 by a quarter of them, and do by all."""
    table = rows(40, 0)
    detector = qs.DiffusionOutliers().fit(table)
    assert len(detector.calibration_) == 40
    strange = pd.DataFrame({"x": [3.0], "y": [-3.0], "kind": ["p"]})
    assert detector.predict(strange).tolist() == [-1]
    assert detector.p_values(strange)[0] == pytest.approx(1 / 41)
    with pytest.warns(UserWarning, match="10 calibration rows"):
        assert qs.DiffusionOutliers(conformal="split").fit(table).predict(strange).tolist() == [1]


def test_each_row_is_scored_by_a_law_of_the_other_parts():
    """The score of a row in calibration is that of a model fitted without its part."""
    table = rows(200, 0)
    detector = qs.DiffusionOutliers(space=qs.Continuous(2)).fit(table)
    fold = fold_of(200, 0)
    scores = []
    for k in range(FOLDS):
        density = qs.DiffusionDensity(space=qs.Continuous(2)).fit(table[fold != k])
        scores.append(density.score_samples(table[fold == k]))
    exact = np.sort(np.concatenate(scores))
    # The weights of the mixtures are those of the law of all rows, and so differ a little.
    assert detector.calibration_ == pytest.approx(exact, abs=0.15)


def test_a_value_that_one_part_alone_holds_is_not_impossible():
    """The law of the four parts without it excludes it: the score is the log of the mean p of the
    five laws. For other rows it is the mean of log p, and a value beyond all is impossible."""
    rng = np.random.default_rng(0)
    table = rows(100, 0).assign(count=rng.integers(0, 4, 100))
    table.loc[17, "count"] = 4
    detector = qs.DiffusionOutliers().fit(table)
    new = rows(3, 1).assign(count=[1, 4, 40])
    each = []
    for fold in detector._folds:
        part = fold.law.table.read_with_unknowns(detector._named(new)).numpy()
        each.append(detector._fold_scores(fold, part))
    assert np.isinf(each).sum(0).tolist() == [0, 1, FOLDS]
    exact = [np.mean(each, 0)[0], np.log(np.exp(each).mean(0)[1]), -np.inf]
    assert detector.score_samples(new) == pytest.approx(exact, abs=1e-5)


def test_p_values_of_new_rows_are_uniform_and_decisions_agree():
    found = []
    for seed in range(8):
        detector = qs.DiffusionOutliers(level=0.1, random_state=seed).fit(rows(150, seed))
        new = rows(300, 100 + seed)
        new.loc[::3, "y"] = np.nan
        judged = detector.judged(new)
        assert np.array_equal(judged.p_value <= 0.1, judged.outlier)
        whole = new["y"].notna().to_numpy()
        off = detector.score_samples(new) - detector.offset_
        assert detector.decision_function(new)[whole] == pytest.approx(off[whole])
        found.append(judged.p_value)
    each = np.mean(found, 1)
    assert abs(each.mean() - 0.5) < 3 * each.std() / 8**0.5 + 0.02


def test_a_folder_holds_the_parts(tmp_path):
    detector = qs.DiffusionOutliers().fit(rows(100, 0))
    detector.save(tmp_path)
    again = qs.DiffusionOutliers.load(tmp_path)
    new = rows(30, 1)
    new.loc[::4, "x"] = np.nan
    assert np.array_equal(again.p_values(new), detector.p_values(new))
    assert str(again.explain(new)[1]) == str(detector.explain(new)[1])
    # Other calibration rows take the place of the parts.
    replaced = again.calibrate(rows(60, 2))
    assert len(replaced.calibration_) == 60
    exact = qs.DiffusionDensity.of(again).score_samples(new)
    assert np.array_equal(replaced.score_samples(new), exact)


def test_columns_that_identify_rows_do_not_keep_it_from_all_rows():
    table = rows(100, 0).assign(key=[f"K{k:03}" for k in range(100)])
    detector = qs.DiffusionOutliers().fit(table)
    assert len(detector.calibration_) == 100
    plain = qs.DiffusionOutliers().fit(table.drop(columns="key"))
    assert np.array_equal(detector.p_values(table), plain.p_values(table))


def test_where_a_network_is_tried_rows_are_set_aside():
    detector = qs.DiffusionOutliers(steps=1, width=4).fit(rows(100, 0))
    assert len(detector.calibration_) == 25
