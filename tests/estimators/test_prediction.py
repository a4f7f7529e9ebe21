"""Classes and numbers from one law of X and y."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

import quasistatic as qs
from quasistatic.distributions.mixtures import Mixture
from quasistatic.distributions.mixtures.fitting import stacking
from quasistatic.estimators import labelled_laws
from quasistatic.estimators.labelled_laws import LabelledLaw, fit_labelled_law


@pytest.fixture
def few_laws(monkeypatch):
    """Few laws are tried: the checks fit tens of small tables, and how good a law is is tested
    elsewhere."""
    monkeypatch.setattr(labelled_laws, "SHRUNK", labelled_laws.SHRUNK[1:3])
    monkeypatch.setattr(labelled_laws, "STRENGTHS", (3.0,))
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 2)


@pytest.mark.usefixtures("few_laws")
@parametrize_with_checks([qs.DiffusionClassifier(), qs.DiffusionRegressor()])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


def two_normals(rows: int = 800, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < 0.3
    x = rng.normal(size=(rows, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) + 1.5 * y[:, None]
    return x, np.where(y, "yes", "no")


def posterior(x: np.ndarray) -> np.ndarray:
    """log-odds of "yes" by the law that made the rows; NaN is integrated out."""
    covariance = np.array([[1.0, 0.6], [0.6, 1.0]])
    found = np.full(len(x), np.log(0.3 / 0.7))
    for k, row in enumerate(x):
        seen = ~np.isnan(row)
        if seen.any():
            inverse, mean = np.linalg.inv(covariance[np.ix_(seen, seen)]), np.full(seen.sum(), 1.5)
            found[k] += (row[seen] - mean / 2) @ inverse @ mean
    return 1 / (1 + np.exp(-found))


def test_the_classifier_is_bayes_rule_for_normal_classes_with_and_without_holes():
    x, y = two_normals()
    made, new = qs.DiffusionClassifier().fit(x, y), two_normals(400, 1)[0]
    assert list(made.classes_) == ["no", "yes"]
    for rows in (new, np.where(np.random.default_rng(2).random(new.shape) < 0.4, np.nan, new)):
        p = made.predict_proba(rows)
        np.testing.assert_allclose(p.sum(1), 1)
        assert np.abs(p[:, 1] - posterior(rows)).mean() < 0.03
    blank = made.predict_proba(np.full((1, 2), np.nan))[0, 1]
    assert abs(blank - (y == "yes").mean()) < 0.03


def test_moving_means_makes_labels_likelier():
    rng = np.random.default_rng(0)
    x = rng.exponential(size=(400, 3)) * [1, 2, 3] - 1  # no normal law
    y = (x.sum(1) + rng.normal(size=400) > 5).astype(int)
    z = torch.from_numpy((x - x.mean(0)) / x.std(0))
    one_hot = torch.eye(2, dtype=torch.float64)[torch.from_numpy(y)]
    law = fit_labelled_law(torch.cat([z, one_hot], 1), (2,), 0)
    logistic = LogisticRegression().fit(x, y)
    ours = -float(law.log_posterior(torch.cat([z, one_hot], 1))[range(400), y].mean())
    assert ours < log_loss(y, logistic.predict_proba(x)) + 0.02
    # The class itself is not used, only its column's width.
    swapped = torch.cat([z, one_hot.flip(1)], 1)
    torch.testing.assert_close(
        law.log_posterior(swapped), law.log_posterior(torch.cat([z, one_hot], 1))
    )


def frame(rows: int = 150):
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], rows)
    size = rng.normal(size=rows) + (kind == "b")
    y = 10 + 2 * size + 3 * (kind == "c") + 0.5 * rng.normal(size=rows)
    return pd.DataFrame({"kind": kind, "size": size}), y


def test_frames_with_names_and_holes_are_taken_in_any_order():
    x, y = frame()
    holed = x.mask(np.random.default_rng(1).random(x.shape) < 0.1)
    made = qs.DiffusionClassifier().fit(holed, y > 12)
    p = made.predict_proba(holed)
    np.testing.assert_allclose(made.predict_proba(holed[["size", "kind"]]), p)
    assert ((p[:, 1] > 0.5) == (y > 12)).mean() > 0.85
    other = qs.DiffusionRegressor().fit(holed, y)
    np.testing.assert_allclose(other.predict(holed[["size", "kind"]]), other.predict(holed))


def test_quantiles_and_draws_of_the_regressor_have_one_law():
    x, y = frame()
    made = qs.DiffusionRegressor().fit(x, y)
    levels = np.arange(1, 20) / 20
    found = made.predict_quantiles(x[:50], levels)
    assert (np.diff(found, axis=1) > 0).all()
    drawn = made.sample_y(x[:50], 4000, random_state=0)
    below = (drawn[:, None] < found[..., None]).mean(2)
    assert np.abs(below - levels).max() < 5 * (0.25 / 4000) ** 0.5
    error = drawn.std(1) / 4000**0.5
    assert (np.abs(drawn.mean(1) - made.predict(x[:50])) < 5 * error + 1e-3).all()


def test_the_regressor_finds_a_linear_law_and_its_noise():
    x, y = frame(400)
    made, (new, truth) = qs.DiffusionRegressor().fit(x, y), frame(700)
    mean = 10 + 2 * new["size"] + 3 * (new["kind"] == "c")
    assert np.sqrt(((made.predict(new) - mean) ** 2).mean()) < 0.2
    low, high = made.predict_quantiles(new, [0.05, 0.95]).T
    covered = ((truth > low) & (truth < high)).mean()
    assert abs(covered - 0.9) < 0.04
    # Without the size of a row, its spread is that of both.
    wide = made.predict_quantiles(new.assign(size=np.nan), [0.05, 0.95])
    assert (np.diff(wide, axis=1).mean()) > 2 * (high - low).mean()


@pytest.mark.parametrize("kind", [qs.DiffusionClassifier, qs.DiffusionRegressor])
def test_a_saved_estimator_predicts_the_same(kind, tmp_path):
    x, y = frame(150)
    target = (y > 12) if kind is qs.DiffusionClassifier else y
    made = kind().fit(x, target)
    made.save(tmp_path)
    again = kind.load(tmp_path)
    np.testing.assert_allclose(again.predict(x), made.predict(x))
    if kind is qs.DiffusionClassifier:
        np.testing.assert_allclose(again.predict_proba(x), made.predict_proba(x))
    (tmp_path / "joint.json").unlink()
    with pytest.raises(ValueError, match=r"joint\.json"):
        kind.load(tmp_path)


def test_labels_keep_their_type():
    x, y = load_iris(return_X_y=True)
    for labels in (y, y.astype(float), np.array(["x", "y", "z"])[y]):
        found = qs.DiffusionClassifier().fit(x, labels).predict(x)
        assert found.dtype == labels.dtype
        assert (found == labels).mean() > 0.95


def labels_with(hole: object, x: pd.DataFrame) -> np.ndarray:
    """Labels of which the fourth is missing."""
    labels = np.array(["a", "b"], object)[np.arange(len(x)) % 2]
    labels[3] = hole
    return labels


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x, y: qs.DiffusionClassifier().fit(x, np.zeros(len(x), int)), "1 class"),
        (lambda x, y: qs.DiffusionClassifier().fit(x, y[:-1] > 12), "inconsistent"),
        (lambda x, y: qs.DiffusionClassifier().fit(x, None), "requires y"),
        (lambda x, y: qs.DiffusionRegressor().fit(x, None), "requires y"),
        (lambda x, y: qs.DiffusionRegressor().fit(x, np.ones(len(x))), "nothing to predict"),
        (lambda x, y: qs.DiffusionRegressor().fit(x, np.where(y > 12, np.nan, y)), "NaN"),
        (lambda x, y: qs.DiffusionRegressor().fit(x, y).predict_quantiles(x, [0.0]), "between"),
        *(
            (lambda x, y, hole=hole: qs.DiffusionClassifier().fit(x, labels_with(hole, x)), says)
            for hole, says in (
                (None, "1 of 60 labels are missing, the first in row 3"),
                (np.nan, "NaN: 1 of 60 labels"),
                (pd.NA, "Drop such rows"),
            )
        ),
        (
            lambda x, y: qs.DiffusionClassifier().fit(
                x, pd.Series([1, 0, None] * 20, dtype="Int64")
            ),
            "20 of 60 labels are missing, the first in row 2",
        ),
    ],
)
def test_wrong_targets_are_errors_that_say_so(call, says):
    x, y = frame(60)
    with pytest.raises(ValueError, match=says):
        call(x, y)


def test_the_posterior_is_the_average_of_the_members():
    x, y = two_normals(200)
    made = qs.DiffusionClassifier().fit(x, y)
    labelled = made._labelled()
    rows = next(iter(made._pieces(x)))
    counts = list(labelled.counts)
    assert len(counts) == len(labelled.powers) > 1
    places = torch.split(torch.arange(labelled.law.components), counts)
    shares, each = [], []
    for k, place in enumerate(places):
        own = labelled.law.picked(place)
        share = own.log_weight.logsumexp(0)
        alone = Mixture(own.log_weight - share, own.blocks)
        each.append(LabelledLaw(alone, (counts[k],), (labelled.powers[k],)).log_posterior(rows))
        shares.append(share.exp())
    assert torch.stack(shares).sum() == pytest.approx(1, abs=1e-6)
    mean = sum(s * member.exp() for s, member in zip(shares, each, strict=True))
    np.testing.assert_allclose(made.predict_proba(x), mean / mean.sum(1, keepdim=True), atol=1e-6)


def test_a_folder_of_one_law_and_its_power_is_still_read(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled_laws, "MEMBERS", 1)
    x, y = frame(60)
    made = qs.DiffusionClassifier().fit(x, y > 12)
    made.save(tmp_path)
    kept = json.loads((tmp_path / "joint.json").read_text())
    (kept["power"],) = kept.pop("powers")
    assert kept.pop("counts") == [made._law.components]
    (tmp_path / "joint.json").write_text(json.dumps(kept))
    again = qs.DiffusionClassifier.load(tmp_path)
    np.testing.assert_allclose(again.predict_proba(x), made.predict_proba(x))
