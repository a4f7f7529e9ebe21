"""The scikit-learn face of tables."""

import json
import math
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import quasistatic as qs
from quasistatic.distributions.mixtures.fitting import candidates, stacking
from quasistatic.estimators import closed_form, levels, model_selection

FACES = [qs.DiffusionDensity(), qs.DiffusionImputer(draws=2), qs.DiffusionOutliers()]
every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: type(face).__name__)


@pytest.fixture(autouse=True)
def small(monkeypatch, float32):
    """One normal instead of many mixtures, and short chains: what is tested here is neither which
    mixture is best nor what steps cost."""
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 1)
    monkeypatch.setattr(candidates, "SCALES", (1.0,))
    monkeypatch.setattr(closed_form, "STEPS", 200)
    monkeypatch.setattr(levels, "STEPS", 100)


def correlated(n: int, seed: int = 0) -> np.ndarray:
    """Normal rows (n, 3): the first two correlated by 0.8, of other units."""
    z = np.random.default_rng(seed).normal(size=(n, 3))
    return np.stack([z[:, 0], 5 + 10 * (0.8 * z[:, 0] + 0.6 * z[:, 1]), 0.1 * z[:, 2]], 1)


@pytest.mark.filterwarnings("ignore:.* calibration rows without holes call nothing")
@parametrize_with_checks(FACES)
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


# the table


def test_the_density_of_a_normal_is_found():
    x, new = correlated(1500), correlated(3000, 1)
    found = qs.DiffusionDensity().fit(x).score_samples(new)
    covariance = np.array([[1, 8, 0], [8, 100, 0], [0, 0, 0.01]])
    off = new - np.array([0, 5, 0])
    square = (off @ np.linalg.inv(covariance) * off).sum(1)
    truth = -square / 2 - np.linalg.slogdet(2 * math.pi * covariance)[1] / 2
    assert 0 < (truth - found).mean() < 0.05


def test_units_move_a_density_by_their_logarithm():
    x = correlated(200)
    plain, scaled = (qs.DiffusionDensity().fit(c * x).score(c * x) for c in (1.0, 1000.0))
    assert scaled - plain == pytest.approx(-3 * math.log(1000), abs=1e-4)


def test_a_constant_column_carries_no_density_and_comes_back():
    x = correlated(150)
    wide = np.insert(x, 1, 7.5, axis=1)
    with_it, without = qs.DiffusionDensity().fit(wide), qs.DiffusionDensity().fit(x)
    assert np.array_equal(with_it.score_samples(wide), without.score_samples(x))
    assert (with_it.sample(20)[:, 1] == 7.5).all()
    wide[3, 1] = 7.6
    assert np.flatnonzero(np.isinf(with_it.score_samples(wide))).tolist() == [3]
    wide[:2, 1] = np.nan
    filled = qs.DiffusionImputer().fit(np.insert(x, 1, 7.5, axis=1)).transform(wide)
    assert (filled[:2, 1] == 7.5).all()
    assert filled[3, 1] == 7.6


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda x: x * 0 + 3, "all 3 columns are constant"),
        (lambda x: np.where(x == x.max(), np.inf, x), "contains infinity"),
        (lambda x: x[:1], "minimum of 2 is required"),
    ],
)
def test_tables_that_do_not_do_are_refused(spoil, says):
    with pytest.raises(ValueError, match=says):
        qs.DiffusionImputer().fit(spoil(correlated(40)))


def test_parameters_out_of_range_are_refused():
    x = correlated(40)
    for face, parameters in (
        (qs.DiffusionDensity, {"steps": -1}),
        (qs.DiffusionDensity, {"minutes": 0}),
        (qs.DiffusionDensity, {"validation": 1.0}),
        (qs.DiffusionDensity, {"width": 0}),
        (qs.DiffusionDensity, {"evaluations": 0}),
        (qs.DiffusionDensity, {"types": "numeric"}),
        (qs.DiffusionOutliers, {"level": 1}),
        (qs.DiffusionOutliers, {"calibration": 0.0}),
        (qs.DiffusionImputer, {"draws": 0}),
        (qs.DiffusionImputer, {"particles": 0}),
    ):
        (name,) = parameters
        with pytest.raises(ValueError, match=f"'{name}' parameter of {face.__name__} must be"):
            face(**parameters).fit(x)


@pytest.mark.parametrize("shape", [(30, 1), (12, 60)])
def test_one_column_and_more_columns_than_rows(shape):
    x = np.random.default_rng(0).normal(size=shape)
    density = qs.DiffusionDensity().fit(x)
    drawn = density.sample(500)
    assert drawn.shape == (500, shape[1])
    assert np.isfinite(density.score_samples(drawn)).all()
    assert abs(drawn.mean()) < 1
    assert 0.3 < drawn.std() < 3


# the network


def ring(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * math.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.normal(size=(n, 2))


def test_what_is_learned_is_kept_if_held_out_rows_gain():
    """On a ring one normal is a poor start, and a network begins to mend it."""
    x, new = ring(600), ring(300, 1)
    start = qs.DiffusionDensity(steps=0).fit(x)
    learned = qs.DiffusionDensity(steps=100, width=32).fit(x)
    assert learned.summary_.kept
    assert 0 < learned.summary_.steps <= 100
    assert start.summary_.steps == 0
    gain = learned.score(new) - start.score(new)
    assert gain > 0.02
    assert gain == pytest.approx(learned.summary_.gain, abs=0.1)


def test_what_is_not_sure_to_help_is_dropped(monkeypatch):
    """The model is then the start, and of all rows."""
    monkeypatch.setattr(model_selection, "SURE", math.inf)
    x = correlated(60)
    fitted = qs.DiffusionDensity(steps=3).fit(x)
    assert not fitted.summary_.kept
    assert fitted.summary_.steps == 3
    assert np.array_equal(fitted.score_samples(x), qs.DiffusionDensity().fit(x).score_samples(x))


def test_a_network_that_changes_little_walks_to_the_closed_form():
    """Sampled and completed step by step, by particles, the moments are those of the mixture's own
    exact draws."""
    x = correlated(400)
    fitted = qs.DiffusionDensity().fit(x).fitted_
    exact = (
        fitted.sample(400, 0),
        fitted.complete(np.array([[1.0, np.nan, 0.1]]), 400, 1, 0, True)[0],
    )
    with torch.no_grad():
        fitted.model.network.correction.read_out.bias += 1e-9
    walked = (
        fitted.sample(400, 0),
        fitted.complete(np.array([[1.0, np.nan, 0.1]]), 400, 400, 0, True)[0],
    )
    for a, b in zip(exact, walked, strict=True):
        spread = np.sqrt(np.maximum(a.std(0), b.std(0)) ** 2 / 200) + 1e-12
        assert (np.abs(a.mean(0) - b.mean(0)) < 4 * spread).all()
        assert (np.abs(a.std(0) - b.std(0)) < 4 * spread).all()
    assert (walked[1][:, [0, 2]] == [1.0, 0.1]).all()
    assert np.corrcoef(walked[0].T)[0, 1] == pytest.approx(0.8, abs=0.08)


def test_minutes_bound_the_steps():
    density = qs.DiffusionDensity(steps=10_000, minutes=0.01, width=16)
    assert 1 <= density.fit(ring(300)).summary_.steps < 2000
    density.set_params(steps=40, minutes=1e-9)
    assert density.fit(ring(300)).summary_.steps == 1


def test_small_whole_numbers_have_a_probability():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (500, 3)).astype(float)
    x[:, 2] = x[:, 0]
    density = qs.DiffusionDensity(steps=80, width=16).fit(x)
    assert density.model_.space == qs.Quantized(3, 3, 2.0)
    assert -3 * math.log(3) + 0.04 < density.score(x) < -2 * math.log(3)
    drawn = density.sample(20)
    assert np.isin(drawn, np.arange(3)).all()
    holed = x[:8].copy()
    holed[:, 2] = np.nan
    assert density.score(holed) == pytest.approx(-2 * math.log(3), abs=0.3)
    odd = x[:4].copy()
    odd[0, 0], odd[1, 0], odd[2, 0] = 1.5, 3, -1
    assert np.isinf(density.score_samples(odd)).tolist() == [True, True, True, False]
    assert levels.levels_of(x + 0.5) is None
    assert levels.levels_of(x * 20) is None
    assert levels.levels_of(x[:100]) is None


# holes


def test_what_is_filled_is_the_conditional_mean():
    x, new = correlated(1000), correlated(300, 1)
    holed = new.copy()
    holed[:, 1] = np.nan
    imputer = qs.DiffusionImputer(draws=200).fit(x)
    filled = imputer.transform(holed)
    assert np.array_equal(filled[:, [0, 2]], new[:, [0, 2]])
    assert np.abs(filled[:, 1] - (5 + 8 * new[:, 0])).mean() < 1.0
    draws = imputer.draw(holed[:50], 400)
    assert draws.shape == (50, 400, 3)
    assert draws[:, :, 1].std(1).mean() == pytest.approx(6.0, rel=0.1)


def test_rows_with_holes_are_learned_from():
    """With 30 % of all values missing, the regression of the second column on the first is found
    as from whole rows."""
    x = correlated(1500)
    holed = np.where(np.random.default_rng(1).random(x.shape) < 0.3, np.nan, x)
    probe = np.array([[-1.5, np.nan, np.nan], [1.5, np.nan, np.nan]])
    filled = qs.DiffusionImputer(draws=2000).fit(holed).transform(probe)
    assert (filled[1, 1] - filled[0, 1]) / 3 == pytest.approx(8, rel=0.12)
    assert filled[:, 2] == pytest.approx(0, abs=0.02)


def test_a_row_with_holes_has_the_marginal_density_in_its_own_units():
    """Of a normal it is a closed form; a power's volume is that of the columns that are there."""
    x, new = correlated(1500), correlated(500, 1)
    density = qs.DiffusionDensity(space=qs.Continuous(3, 0.0, (1.0, 10.0, 0.1))).fit(x)
    for hidden in ([1], [0, 2], [0]):
        holed = new.copy()
        holed[:, hidden] = np.nan
        there = [k for k in range(3) if k not in hidden]
        mean, covariance = (
            x.mean(0)[there],
            np.cov(x[:, there].T, bias=True).reshape(2 * (len(there),)),
        )
        off = holed[:, there] - mean
        square = (off @ np.linalg.inv(covariance) * off).sum(1)
        truth = -square / 2 - np.linalg.slogdet(2 * math.pi * covariance)[1] / 2
        assert density.score_samples(holed) == pytest.approx(truth, abs=5e-3)  # shrunk a little
    space = qs.YeoJohnson(3, (0.5, 1.0, 1.5))
    bent = qs.DiffusionDensity(space=space).fit(x)
    at = np.linspace(-60, 90, 6001)
    rows = np.stack([np.full_like(at, 0.5), at, np.full_like(at, 0.02)], 1)
    levels = np.exp(bent.score_samples(rows)).sum() * (at[1] - at[0])
    hole = bent.score_samples([[0.5, np.nan, 0.02]])
    assert hole[0] == pytest.approx(math.log(levels), abs=1e-4)
    assert density.score_samples([[np.nan] * 3])[0] == 0


def test_the_evidence_of_a_row_with_holes_is_its_marginal():
    """By the bound in continuous time, where a network hardly corrects a thing."""
    fitted = qs.DiffusionDensity().fit(correlated(400)).fitted_
    holed = np.where(np.arange(3) == 1, np.nan, correlated(12, 1))
    exact = fitted.log_prob(holed, 64, 0)
    with torch.no_grad():
        fitted.model.network.correction.read_out.bias += 1e-9
    assert fitted.log_prob(holed, 64, 0).mean() == pytest.approx(exact.mean(), abs=0.1)


def test_a_density_learns_from_rows_with_holes():
    x, new = correlated(1500), correlated(1000, 1)
    holed = np.where(np.random.default_rng(1).random(x.shape) < 0.3, np.nan, x)
    found, levels = (qs.DiffusionDensity().fit(each).score(new) for each in (holed, x))
    assert levels - 0.05 < found < levels + 0.02


# outliers


def test_of_ordinary_rows_a_share_of_the_level_is_called_out():
    detector = qs.DiffusionOutliers(level=0.1, conformal="split").fit(correlated(800))
    n = len(detector.calibration_)
    ordinary = correlated(4000, 1)
    rate = (detector.predict(ordinary) == -1).mean()
    exact = math.floor(0.1 * (n + 1)) / (n + 1)
    error = math.sqrt(exact * (1 - exact) * (1 / n + 1 / 4000))  # of the threshold, and of the rate
    assert abs(rate - exact) < 4 * error
    p = detector.p_values(ordinary)
    assert ((p <= 0.1) == (detector.predict(ordinary) == -1)).all()
    assert p.mean() == pytest.approx(0.5, abs=0.06)


def test_rows_that_break_a_correlation_are_outliers():
    detector = qs.DiffusionOutliers().fit(correlated(800))
    strange = np.array([[2.0, -11.0, 0.0], [0.0, 5.0, 2.0]])
    assert detector.predict(strange).tolist() == [-1, -1]
    assert (detector.decision_function(strange) < 0).all()
    assert detector.predict([[2.0, 21.0, 0.0]]).tolist() == [1]


def test_rows_with_holes_are_compared_by_what_is_there():
    """Without a column of small values, rows have a lower density and are not stranger for it."""
    scale = np.array([1.0, 1.0, 1e-3])
    detector = qs.DiffusionOutliers(level=0.1).fit(scale * correlated(800))
    ordinary = scale * correlated(2000, 1)
    ordinary[:1000, 2] = ordinary[1500:, 0] = np.nan
    assert detector.score_samples(ordinary)[:1000].max() < detector.offset_
    found = detector.judged(ordinary)
    for rows in (slice(1000), slice(1000, 1500), slice(1500, None)):
        assert found.outlier[rows].mean() == pytest.approx(0.1, abs=0.05)
        assert found.p_value[rows].mean() == pytest.approx(0.5, abs=0.08)
    assert np.array_equal(found.outlier, found.p_value <= 0.1)
    assert np.array_equal(detector.decision_function(ordinary) < 0, found.outlier)
    assert detector.predict([[2.0, -11.0, np.nan]]) == [-1]
    assert detector.predict([[np.nan, -11.0, 0.0]]) == [1]


def test_too_few_calibration_rows_are_told():
    with pytest.warns(
        UserWarning, match="10 calibration rows .* call nothing .* it takes 19 of them"
    ):
        detector = qs.DiffusionOutliers(conformal="split").fit(correlated(40))
    assert (detector.predict(1e6 * correlated(5)) == 1).all()


# scikit-learn's company, and files


def test_pipelines_clones_and_searches():
    x = correlated(120)
    pipeline = make_pipeline(StandardScaler(), qs.DiffusionDensity()).fit(x)
    direct = qs.DiffusionDensity().fit(StandardScaler().fit_transform(x))
    assert pipeline.score(x) == direct.score(StandardScaler().fit_transform(x))
    spaces = [qs.Continuous(3), qs.Continuous(3, 0.0, (1.0, 10.0, 0.1))]
    search = GridSearchCV(qs.DiffusionDensity(), {"space": spaces}, cv=3).fit(x)
    assert search.best_params_["space"] in spaces
    assert clone(search.best_estimator_).space == search.best_params_["space"]
    filled = make_pipeline(qs.DiffusionImputer(), qs.DiffusionDensity()).fit(x)
    assert np.isfinite(filled.score(np.where(np.arange(3) == 1, np.nan, x)))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@every_face
def test_frames_are_tables_with_names(face, frame):
    x = correlated(100)
    table = frame(dict(zip("abc", x.T, strict=True)))
    ours, its = clone(face).fit(table), clone(face).fit(x)
    assert ours.feature_names_in_.tolist() == ["a", "b", "c"]
    answer = "transform" if face is FACES[1] else "score_samples"
    assert np.array_equal(getattr(ours, answer)(table), getattr(its, answer)(x))
    if face is FACES[1]:
        library = "pandas" if frame is pd.DataFrame else "polars"
        named = ours.set_output(transform=library).transform(table)
        assert list(named.columns) == ["a", "b", "c"]


@every_face
def test_a_folder_holds_all_of_it(face, tmp_path):
    x = np.insert(correlated(120), 2, -1.0, axis=1)
    table = pd.DataFrame(x, columns=list("abcd"))
    fitted = clone(face).set_params(space=qs.YeoJohnson(3, (0.5, 1.0, 1.5))).fit(table)
    fitted.save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    again = type(face).load(tmp_path)
    assert again.get_params() == fitted.get_params()
    assert again.summary_ == fitted.summary_
    assert again.feature_names_in_.tolist() == list("abcd")
    holed = table.mask(np.random.default_rng(0).random(table.shape) < 0.2)
    for answer, rows in (
        ("transform", holed),
        ("score_samples", table),
        ("predict", table),
        ("p_values", table),
    ):
        if answer in dir(face):
            assert np.array_equal(getattr(again, answer)(rows), getattr(fitted, answer)(rows))
    for other in FACES:
        if type(other) is not type(face):
            with pytest.raises(ValueError, match=f"holds a {type(face).__name__}, and not a"):
                type(other).load(tmp_path)


def test_pickles_are_whole_too():
    x = correlated(100)
    fitted = qs.DiffusionDensity().fit(x)
    assert np.array_equal(
        pickle.loads(pickle.dumps(fitted)).score_samples(x), fitted.score_samples(x)
    )


def test_a_damaged_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not an estimator's folder"):
        qs.DiffusionDensity.load(tmp_path)
    qs.DiffusionDensity().fit(correlated(50)).save(tmp_path)
    path = tmp_path / "estimator.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"format": 99}))
    with pytest.raises(ValueError, match="has format 99"):
        qs.DiffusionDensity.load(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        qs.DiffusionDensity.load(tmp_path)


def test_the_same_seed_gives_the_same_answers():
    x = correlated(100)
    a, b = (qs.DiffusionDensity(random_state=3).fit(x) for _ in range(2))
    before = torch.get_rng_state()
    assert np.array_equal(a.sample(10, 5), b.sample(10, 5))
    assert not np.array_equal(a.sample(10, 5), a.sample(10, 6))
    qs.DiffusionDensity(steps=2).fit(x)
    assert torch.equal(torch.get_rng_state(), before)
