"""The scikit-learn face of tables of mixed columns."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from palmerpenguins import load_penguins
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import quasistatic as qs
from conftest import default_dtype
from quasistatic.distributions.mixtures.fitting import candidates, stacking
from quasistatic.estimators import closed_form, levels, model_selection, network_completion

FACES = [qs.DiffusionDensity(), qs.DiffusionImputer(draws=4), qs.DiffusionOutliers()]
every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: type(face).__name__)


@pytest.fixture(autouse=True)
def small(monkeypatch, float32):
    """Few mixtures and short chains: which are best is not what is tested here."""
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 2)
    monkeypatch.setattr(stacking, "FOLDS", 3)
    for module in (candidates, stacking):
        monkeypatch.setattr(module, "NUS", (math.inf, 0.1))
    monkeypatch.setattr(closed_form, "STEPS", 200)


def shop(n: int, seed: int = 0) -> pd.DataFrame:
    """Rows whose law is known: a kind a with probability 0.4 and size N(0, 1), or b and N(3, 4);
    a count from 0 to 40 that rises with the size; and a bit that is a coin."""
    rng = np.random.default_rng(seed)
    kind = rng.random(n) < 0.6
    size = np.where(kind, 3 + 2 * rng.normal(size=n), rng.normal(size=n))
    count = np.clip(np.round(15 + 2 * size + 2 * rng.normal(size=n)), 0, 40).astype(int)
    coin = rng.random(n) < 0.5
    return pd.DataFrame(
        {"kind": np.where(kind, "b", "a"), "size": size, "count": count, "coin": coin}
    )


def holed(frame: pd.DataFrame, share: float, seed: int = 1) -> pd.DataFrame:
    return frame.astype(object).mask(np.random.default_rng(seed).random(frame.shape) < share)


@pytest.fixture(scope="module")
def penguins():
    """A density of all of them, by all the mixtures that there are."""
    with default_dtype(torch.float32):
        frame = load_penguins()
        return frame, qs.DiffusionDensity().fit(frame)


# which tables are mixed


def test_types_that_say_nothing_change_nothing():
    """An array, a frame of the same numbers, and `types={}` are one model of the same numbers."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=60), rng.integers(0, 40, 60), rng.random(60) < 0.4])
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    plain = qs.DiffusionDensity().fit(x)
    assert [column.kind for column in plain.table_.columns] == ["numeric", "integer", "binary"]
    scores = plain.score_samples(x)
    for other, rows in (
        (qs.DiffusionDensity(types={}), x),
        (qs.DiffusionDensity(), frame),
        (qs.DiffusionDensity(types={}), frame),
    ):
        assert np.array_equal(other.fit(rows).score_samples(rows), scores)
    assert np.isin(plain.sample(50)[:, 2], (0, 1)).all()


def test_small_whole_numbers_alone_are_levels(monkeypatch):
    monkeypatch.setattr(levels, "STEPS", 20)
    digits = pd.DataFrame(
        np.random.default_rng(0).integers(0, [2, 5], (500, 2)), columns=["a", "b"]
    )
    for rows in (digits, digits.to_numpy()):
        plan = qs.DiffusionDensity(steps=1, width=8).fit(rows)
        assert isinstance(plan.fitted_, levels.FittedLevels)
        assert [column.kind for column in plan.table_.columns] == ["integer", "integer"]
        assert type(plan.sample(3)) is type(rows)
    # A level that only another column has seen is possible; one that no column has is not.
    new = pd.DataFrame({"a": [4, 5], "b": [0, 0]})
    assert np.isfinite(plan.score_samples(new.to_numpy())).tolist() == [True, False]
    typed = qs.DiffusionDensity(types={"a": "integer"}).fit(digits)
    assert not isinstance(typed.fitted_, levels.FittedLevels)


def test_what_would_be_done_is_said_before_it_is_done():
    frame = shop(200).assign(empty=np.nan)
    density = qs.DiffusionDensity()
    assert density.planned(frame).startswith("4 of 5 columns vary; a mixture in closed form")
    assert "no network" in density.planned(frame)
    assert "corrected by an MLP of width 128, 7 steps" in clone(density).set_params(
        steps=7
    ).planned(frame)
    rows = density.described(frame)
    assert rows[0] == ("kind", "binary", "a, b", "")
    assert [row[1] for row in rows] == ["binary", "numeric", "integer", "binary", "constant"]
    assert rows[4][2:] == ("empty", "100.0%")
    numbers = density.described(frame[["size"]].assign(one=1.0))
    assert [row[:2] for row in numbers] == [("size", "numeric"), ("one", "constant")]


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda f: f.assign(size=math.inf), ValueError, "column 'size' holds inf at index 0"),
        (lambda f: f.assign(id=[f"n{i % 260}" for i in range(300)]), ValueError, "tell rows apart"),
        (lambda f: f.assign(day=pd.Period("2020")), TypeError, "column 'day' holds a Period"),
        (lambda f: f[:1], ValueError, "a minimum of 2 is required|columns are constant"),
        (lambda f: f[["kind"]].assign(kind="a"), ValueError, "all 1 columns are constant"),
    ],
)
def test_frames_that_do_not_do_are_refused(spoil, error, says):
    with pytest.raises(error, match=says):
        qs.DiffusionImputer().fit(spoil(shop(300)))


def test_a_type_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="there is no column 'colour'"):
        qs.DiffusionDensity(types={"colour": "binary"}).fit(shop(50))


@pytest.mark.parametrize("names", [["kind"], ["coin", "kind"], ["kind", "size"], ["kind", "count"]])
def test_tables_of_few_columns(names):
    frame = shop(100)[names]
    density = qs.DiffusionDensity().fit(frame)
    assert np.isfinite(density.score_samples(frame)).all()
    assert list(density.sample(5).columns) == names


# densities


def test_the_density_of_a_known_law_is_found():
    frame, new = shop(1500), shop(1500, 1)
    found = qs.DiffusionDensity().fit(frame).score_samples(new)
    b = new["kind"] == "b"
    mean, deviation = np.where(b, 3.0, 0.0), np.where(b, 2.0, 1.0)
    size = -(((new["size"] - mean) / deviation) ** 2) / 2 - np.log(deviation)
    rest = (new["count"] - 15 - 2 * new["size"]) / 2
    count = -(rest**2) / 2 - math.log(2)
    truth = np.log(np.where(b, 0.6, 0.4)) + size + count + math.log(0.5) - math.log(2 * math.pi)
    assert 0 < (truth - found).mean() < 0.06


def test_probabilities_of_everything_that_can_be_add_up_to_one():
    """Of classes to the digit; of whole numbers to what lies beyond the ends."""
    frame = shop(400)[["kind", "coin", "count"]]
    density = qs.DiffusionDensity().fit(frame)
    count = density.table_.columns[2]  # with room beyond the numbers that were seen
    low, high = count.low, count.high
    every = pd.MultiIndex.from_product([["a", "b"], [False, True], range(low, high + 1)])
    p = np.exp(density.score_samples(every.to_frame(index=False, name=list(frame.columns))))
    assert 0.998 < p.sum() < 1 + 1e-3
    classes = qs.DiffusionDensity().fit(frame[["kind", "coin"]])
    every = every.to_frame(index=False, name=list(frame.columns))[["kind", "coin"]]
    assert np.exp(classes.score_samples(every.drop_duplicates())).sum() == pytest.approx(1)


def test_a_hole_is_the_sum_over_what_may_have_been_there():
    frame = shop(400)
    density = qs.DiffusionDensity().fit(frame)
    row = frame[:1].astype({"kind": object, "coin": object})
    each = [density.score(row.assign(kind=k, coin=c)) for k in "ab" for c in (False, True)]
    hidden = density.score(row.assign(kind=None, coin=None))
    assert hidden == pytest.approx(np.logaddexp.reduce(each), abs=1e-5)
    at = np.linspace(-12, 16, 4001)
    rows = pd.concat([row] * len(at)).assign(size=at)
    levels = np.exp(density.score_samples(rows)).sum() * (at[1] - at[0])
    assert density.score(row.assign(size=np.nan)) == pytest.approx(math.log(levels), abs=1e-3)
    nothing = row.assign(kind=None, coin=None, size=np.nan).astype({"count": float})
    assert density.score(nothing.assign(count=np.nan)) == pytest.approx(0, abs=1e-5)


def test_units_move_a_density_by_their_logarithm():
    frame = shop(200)
    large = frame.assign(size=1000 * frame["size"])
    plain, scaled = (qs.DiffusionDensity().fit(each).score(each) for each in (frame, large))
    assert scaled - plain == pytest.approx(-math.log(1000), abs=1e-4)


def test_what_cannot_be_has_no_probability():
    frame = shop(200).assign(shop="north")
    density = qs.DiffusionDensity().fit(frame)
    odd = frame[:7].astype({"count": float, "coin": object})
    odd.loc[0, "kind"], odd.loc[1, "count"], odd.loc[2, "count"] = "c", 1000, 7.5
    odd.loc[3, "size"], odd.loc[4, "shop"] = math.inf, "south"
    found = density.score_samples(odd)
    assert np.isneginf(found).tolist() == [True] * 5 + [False] * 2
    assert np.array_equal(found[5:], density.score_samples(frame)[5:7])
    detector = qs.DiffusionOutliers().fit(frame)
    assert (detector.predict(odd)[:5] == -1).all()
    assert (detector.p_values(odd)[:5] == 1 / (len(detector.calibration_) + 1)).all()
    with pytest.raises(ValueError, match="column 'kind' holds 'c' at index 0, which no row had"):
        qs.DiffusionImputer.of(density).transform(odd)
    with pytest.raises(ValueError, match="have no column 'kind'"):
        density.score_samples(frame.drop(columns="kind"))


def test_columns_are_found_by_name():
    frame = shop(100)
    density = qs.DiffusionDensity().fit(frame)
    turned = frame[frame.columns[::-1]].assign(more=1)
    assert np.array_equal(density.score_samples(turned), density.score_samples(frame))


def test_draws_are_rows_of_the_table():
    frame = shop(1000)
    density = qs.DiffusionDensity().fit(frame)
    drawn, count = density.sample(4000, random_state=1), density.table_.columns[2]
    assert (drawn.dtypes == frame.dtypes).all()
    assert drawn["count"].between(count.low, count.high).all()
    assert (drawn["kind"] == "b").mean() == pytest.approx((frame["kind"] == "b").mean(), abs=0.03)
    for kind in "ab":
        of_data, of_model = (each.loc[each["kind"] == kind] for each in (frame, drawn))
        assert of_model["size"].mean() == pytest.approx(of_data["size"].mean(), abs=0.2)
        assert of_model["size"].std() == pytest.approx(of_data["size"].std(), rel=0.1)
        pair = [each[["size", "count"]].corr().iloc[0, 1] for each in (of_data, of_model)]
        assert pair[0] == pytest.approx(pair[1], abs=0.08)


# holes


def test_what_is_filled_is_typical_and_what_is_known_is_kept():
    frame, new = shop(1000), shop(300, 1)
    imputer = qs.DiffusionImputer(draws=100).fit(frame)
    spoilt = new.assign(count=np.nan, kind=None)
    filled = imputer.transform(spoilt)
    assert filled["size"].equals(new["size"])
    assert filled["coin"].equals(new["coin"])
    assert (filled["count"] == filled["count"].round()).all()
    assert (filled["count"] - (15 + 2 * new["size"])).abs().mean() < 0.8
    sure = (new["size"] > 4) | (new["size"] < -3)
    assert (filled["kind"][sure] == "b").all()
    draws = imputer.draw(spoilt[:50], 200)
    assert draws.shape == (50, 200, 4)
    assert draws[:, :, 2].std(1).mean() == pytest.approx(2.0, rel=0.15)


def test_rows_with_holes_are_learned_from():
    frame = shop(2000)
    fitted = qs.DiffusionDensity(steps=0).fit(holed(frame, 0.3).infer_objects())
    new = shop(1000, 1)
    levels = qs.DiffusionDensity(steps=0).fit(frame).score(new)
    assert levels - 0.1 < fitted.score(new) < levels + 0.02


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_of_every_library_come_back_as_they_were(library):
    pytest.importorskip(library)
    pandas = shop(120)
    pandas.loc[3, "size"] = np.nan
    frames = {
        "pandas": lambda: pandas,
        "polars": lambda: pl.from_dict(pandas.to_dict("list"), strict=False),
        "pyarrow": lambda: pytest.importorskip("pyarrow").Table.from_pandas(pandas),
    }
    frame = frames[library]()
    imputer = qs.DiffusionImputer(draws=4).fit(frame)
    assert imputer.feature_names_in_.tolist() == list(pandas.columns)
    drawn = qs.DiffusionDensity.of(imputer).sample(3)
    filled = imputer.transform(frame)
    assert type(drawn) is type(filled) is type(frame)
    assert imputer.table_.source == library


# the network


def test_what_is_learned_is_kept_if_held_out_rows_gain(monkeypatch):
    """A bit that says on which side a number is, from a start of one class, which knows of no such
    thing: a network wins most of the log 2 that there is to win."""
    rng = np.random.default_rng(0)
    how = {"validations": 2, "batch": 64, "lr": 5e-3, "ema": 0.95}
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 1)
    monkeypatch.setattr(closed_form, "STEPS", 30)
    monkeypatch.setattr(closed_form, "TRAINED", replace(closed_form.TRAINED, **how))

    def sides(n):
        bit = rng.random(n) < 0.5
        return pd.DataFrame({"x": np.where(bit, 1.0, -1.0) + 0.3 * rng.normal(size=n), "bit": bit})

    frame, new = sides(300), sides(200)
    learned = qs.DiffusionDensity(steps=60, width=32).fit(frame)
    assert learned.summary_.kept
    assert 0 < learned.summary_.steps <= 60
    scores = learned.score_samples(new)
    learned.model_.network.correction.zero_output()
    gain = (scores - learned.score_samples(new)).mean()
    assert 0.3 < gain == pytest.approx(learned.summary_.gain, abs=0.2)


def test_a_network_that_is_kept_samples_and_completes(monkeypatch):
    """Its word is hardly one: the answers are those of the closed form, step by step."""
    monkeypatch.setattr(closed_form, "STEPS", 30)
    monkeypatch.setattr(network_completion, "STEPS", 15)
    frame, new = shop(120), shop(20, 1)
    learned = qs.DiffusionDensity().fit(frame)
    exact = learned.score(frame)
    with torch.no_grad():
        learned.model_.network.correction.read_out.bias += 1e-9
    assert learned.score(frame) == pytest.approx(exact, abs=1e-3)
    drawn = learned.sample(400, 0)
    assert (drawn.dtypes == frame.dtypes).all()
    assert (drawn["kind"] == "b").mean() == pytest.approx(0.6, abs=0.15)
    spoilt = new.assign(kind=None)
    filled = qs.DiffusionImputer.of(learned, draws=8, method="network").transform(spoilt)["kind"]
    assert (filled == new["kind"]).mean() >= 0.6


def test_what_is_not_sure_to_help_is_dropped(monkeypatch):
    monkeypatch.setattr(model_selection, "SURE", math.inf)
    monkeypatch.setattr(closed_form, "STEPS", 20)
    frame = shop(60)
    fitted = qs.DiffusionDensity(steps=3).fit(frame)
    assert not fitted.summary_.kept
    assert fitted.summary_.steps == 3
    assert np.array_equal(
        fitted.score_samples(frame), qs.DiffusionDensity().fit(frame).score_samples(frame)
    )


def test_a_silent_network_s_chain_is_the_closed_form(float64, monkeypatch):
    """Its bound and its evidence are those of the mixture, holes included."""
    monkeypatch.setattr(closed_form, "STEPS", 100)
    frame = holed(shop(400), 0.1).infer_objects()
    fitted = qs.DiffusionDensity().fit(frame).fitted_
    rows = fitted.table.read(frame[:40])
    exact = fitted.log_prob(rows.numpy(), 64, 0)
    rng = torch.Generator().manual_seed(0)
    off = fitted.model.score(rows, None, rng=rng).nats.numpy() - exact
    assert abs(off.mean()) < 4 * off.std() / 40**0.5 + 0.02
    found = fitted.model.impute(rows[:12], 4, 30, rng, method=qs.SMC(32))
    error = np.sqrt((found.evidence_stderr.numpy() ** 2).mean() / 12)
    assert abs((found.log_evidence.numpy() - exact[:12]).mean()) < 5 * error + 0.03


# the real thing, scikit-learn's company, and files


def test_penguins(penguins):
    """The rows that it was fitted to; those that were held out are in benchmarks/mixed.py."""
    frame, density = penguins
    assert density.score(frame) > -17.0
    assert set(density.table_.columns[0].classes) == {"Adelie", "Chinstrap", "Gentoo"}
    hidden = frame.assign(species=None)
    filled = qs.DiffusionImputer.of(density, draws=32).transform(hidden)
    assert (filled["species"] == frame["species"]).mean() > 0.97
    assert not filled.isna().any().any()


def test_held_out_penguins(monkeypatch):
    """Four nats above columns by themselves, or so."""
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 8)
    frame = load_penguins().sample(frac=1, random_state=0)
    density = qs.DiffusionDensity().fit(frame[:258])
    found, rows = density.score_samples(frame[258:]), density.table_.read(frame[258:])
    null = density.model_.score(rows, 1).null.numpy()
    assert (found - null).mean() > 3.5


@every_face
def test_a_folder_holds_all_of_it(face, tmp_path):
    frame = shop(120).assign(same="x")
    fitted = clone(face).set_params(types={"count": "numeric"}).fit(frame)
    fitted.save(tmp_path)
    again = type(face).load(tmp_path)
    assert again.get_params() == fitted.get_params() == clone(again).get_params()
    assert again.summary_ == fitted.summary_
    assert again.table_ == fitted.table_
    assert again.n_features_in_ == 5
    assert again.feature_names_in_.tolist() == list(frame.columns)
    rows = holed(frame, 0.2)
    for answer in ("transform", "score_samples", "predict", "p_values"):
        if answer in dir(face):
            one, other = getattr(again, answer)(rows), getattr(fitted, answer)(rows)
            assert pd.DataFrame(one).equals(pd.DataFrame(other))


def test_searches_and_pickles():
    frame = shop(100)
    search = GridSearchCV(qs.DiffusionDensity(), {"types": [{}, {"count": "numeric"}]}, cv=2)
    search.fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    assert np.array_equal(again.score_samples(frame), best.score_samples(frame))


def test_the_same_seed_gives_the_same_answers():
    frame = shop(100)
    a, b = (qs.DiffusionDensity(random_state=3).fit(frame) for _ in range(2))
    before = torch.get_rng_state()
    assert a.sample(10, 5).equals(b.sample(10, 5))
    assert not a.sample(10, 5).equals(a.sample(10, 6))
    assert torch.equal(torch.get_rng_state(), before)


def test_whole_numbers_have_room_where_hardly_a_row_is_at_the_end():
    """A new extreme is no surprise; one beyond an end where many rows are cannot be."""
    frame = shop(300).assign(capped=np.minimum(np.arange(300), 200))
    density = qs.DiffusionDensity().fit(frame)
    high, low = frame["count"].max(), frame["count"].min()
    beyond = frame[:4].assign(count=[high + 1, low - 1, 10 * high, 15], capped=[50, 50, 50, 201])
    assert np.isneginf(density.score_samples(beyond)).tolist() == [False, low == 0, True, True]
    assert density.described(frame)[2][2] == f"{low} to {high}"


@pytest.mark.parametrize(("low", "ends"), [(-90, (-180, 180)), (5, (0, 133)), (0, (0, 135))])
def test_that_room_goes_below_zero_only_where_numbers_do(low, ends):
    """A column of degrees may get colder; one of counts has no number below 0."""
    numbers = np.linspace(low, 90, 50).round()
    column = qs.Table.infer(pd.DataFrame({"x": numbers})).columns[0].with_margin(numbers)
    assert (column.low, column.high) == ends
