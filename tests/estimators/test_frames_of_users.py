"""Data frames as people have them, several samples of each kind: what comes back has their types,
index, names and values."""

import numpy as np
import pandas as pd
import pytest

import quasistatic as qs

N = 60
RNG = np.random.default_rng(0)
A = RNG.normal(size=N)
K = np.arange(N) % 3
FAST = {"steps": 0, "random_state": 0}


def holed(values):
    return [pd.NA if k % 7 == 0 else value for k, value in enumerate(values)]


TEXTS = ["xyz"[k] for k in K]
MISSING = {
    "Int64": pd.Series(holed(K * 2), dtype="Int64"),
    "Float64": pd.Series(holed(A), dtype="Float64"),
    "boolean": pd.Series(holed(K > 0), dtype="boolean"),
    "string": pd.Series(holed(TEXTS), dtype="string"),
    "category": pd.Series(pd.Categorical([None if k % 7 == 0 else t for k, t in enumerate(TEXTS)])),
    "dates": pd.Series(
        [
            pd.NaT if k % 7 == 0 else pd.Timestamp("2024-01-01") + pd.Timedelta(days=k % 30)
            for k in range(N)
        ]
    ),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_values_of_pandas_are_filled_and_the_type_comes_back(kind):
    frame = pd.DataFrame({"a": A, "t": MISSING[kind]})
    found = qs.DiffusionImputer(draws=4, **FAST).fit(frame).transform(frame)
    assert found["t"].dtype == frame["t"].dtype
    assert not found.isna().any(axis=None)
    known = frame["t"].notna()
    assert (found["t"][known] == frame["t"][known]).all()


INDICES = {
    "dates": pd.date_range("2024-01-01", periods=N),
    "texts": [f"r{k}" for k in range(N)],
    "two levels": pd.MultiIndex.from_arrays([np.arange(N) // 2, np.arange(N) % 2]),
    "repeated": [1] * N,
    "shuffled": RNG.permutation(N),
}


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("output", [None, "pandas"])
def test_the_index_comes_back(index, output):
    frame = pd.DataFrame({"a": A, "k": TEXTS}, index=INDICES[index])
    frame.iloc[::5, 1] = None
    imputer = qs.DiffusionImputer(draws=4, **FAST)
    imputer = imputer if output is None else imputer.set_output(transform=output)
    found = imputer.fit(frame).transform(frame)
    assert found.index.equals(frame.index)
    assert found.columns.tolist() == ["a", "k"]
    assert found["a"].tolist() == frame["a"].tolist()


CLASSES = {
    "whole numbers": pd.Categorical(np.array([1, 2, 7])[K]),
    "ordered": pd.Categorical(np.array([1, 2, 7])[K], categories=[7, 2, 1], ordered=True),
    "bits": pd.Categorical(K > 0),
    "real numbers": pd.Categorical(np.array([0.5, 1.5, 4])[K]),
    "a class that never occurs": pd.Categorical(K, categories=[0, 1, 2, 3]),
    "a number and a text": pd.Series([[1, "1", "2"][k] for k in K], dtype=object),
    "two of them": pd.Series([[1, "1"][k % 2] for k in K], dtype=object),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_come_back_with_their_type_and_only_they(kind):
    frame = pd.DataFrame({"a": A + K, "c": CLASSES[kind]})
    density = qs.DiffusionDensity(**FAST).fit(frame)
    drawn = density.sample(80, 0)
    assert drawn["c"].dtype == frame["c"].dtype
    own = {(type(value), value) for value in frame["c"]}
    assert {(type(value), value) for value in drawn["c"]} == own
    assert np.isfinite(density.score_samples(frame)).all()


NAMES = {
    "from 0": [0, 1, 2],
    "others": [5, 9, 6],
    "pairs": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]),
    "years": [2019, 2020, 2021],
    "dates": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]),
}


@pytest.mark.parametrize("names", NAMES)
def test_names_that_are_no_texts_come_back(names):
    frame = pd.DataFrame({0: A, 1: A[::-1], 2: TEXTS})
    frame.columns = NAMES[names]
    drawn = qs.DiffusionDensity(**FAST).fit(frame).sample(2, 0)
    assert list(drawn.columns) == list(frame.columns)


ODD = {
    "a constant": (np.c_[A, A[::-1], np.ones(N)], [0, 0, 2]),
    "a bit": (np.c_[A, K > 0], [0, 5]),
    "no values": (np.c_[A, A + K], [np.nan, np.nan]),
    "huge": (np.c_[A, A + K], [1e308, -1e308]),
    "a constant and a hole": (np.c_[A, np.ones(N)], [np.nan, 2]),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_decision_is_a_number_and_agrees_with_the_verdict(kind):
    x, row = ODD[kind]
    detector = qs.DiffusionOutliers(level=0.05, **FAST).fit(x.astype(float))
    rows = np.array([row], dtype=float)
    decision, verdict, p = (
        f(rows)[0] for f in (detector.decision_function, detector.predict, detector.p_values)
    )
    assert np.isfinite(decision)
    assert (decision < 0) == (verdict == -1) == (p <= 0.05)
    assert verdict == (1 if kind == "no values" else -1)


CELLS = {
    "a word": ({"i": "unknown"}, "column 'i' holds 'unknown' at index 2"),
    "a decimal comma": ({"f": "1,5"}, "column 'f' holds '1,5' at index 2"),
    "a truth value": ({"i": True}, "column 'i' holds True at index 2"),
    "a date as text": ({"d": "2024-01-05"}, "column 'd' holds '2024-01-05' at index 2, beside"),
    "a number among dates": ({"d": 5}, "column 'd' holds 5 at index 2, beside"),
    "a date among numbers": ({"f": pd.Timestamp("2024-01-05")}, "column 'f' holds .* at index 0"),
}


@pytest.fixture(scope="module")
def mixed():
    day = pd.to_datetime("2024-01-01") + pd.to_timedelta(RNG.permutation(N), unit="D")
    frame = pd.DataFrame({"i": RNG.integers(20, 90, N), "f": A, "k": TEXTS, "d": day})
    return frame, qs.DiffusionDensity(**FAST).fit(frame)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_of_another_type_is_named(kind, mixed):
    frame, density = mixed
    new, says = CELLS[kind]
    rows = frame.head(4).astype(object)
    for name, value in new.items():
        rows.loc[2, name] = value
    with pytest.raises((ValueError, TypeError), match=says):
        density.score_samples(rows)


LARGE = {
    "millions": 10**6 + RNG.integers(0, 9, N),
    "billions": 10**9 + RNG.integers(0, 2000, N),
    "seconds since 1970": 1.7e9 + RNG.integers(0, 100, N),
    "digits far behind": 1 + 1e-9 * A,
    "negative": -(10**7) - RNG.integers(0, 50, N),
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_numbers_vary_and_their_range_shows_it(kind):
    frame = pd.DataFrame({"a": A, "n": LARGE[kind]})
    density = qs.DiffusionDensity(**FAST)
    what, text = density.surveyed(frame)[0]["n"]
    low, high = text.split(",")[0].split(" to ")
    assert what != "constant"
    assert float(high) - float(low) == pytest.approx(np.ptp(LARGE[kind]), rel=0.02)
    drawn = density.fit(frame).sample(200, 0)["n"]
    assert 0.6 < drawn.std() / np.std(LARGE[kind]) < 1.6
