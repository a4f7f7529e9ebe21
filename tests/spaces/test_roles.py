"""The roles of columns: identities are recognised, left out of the model, and kept in outputs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from quasistatic import DiffusionDensity, DiffusionImputer, DiffusionOutliers
from quasistatic.spaces.frames import Frame
from quasistatic.spaces.roles import Roles

N = 60
RNG = np.random.default_rng(0)
VALUE = RNG.normal(size=N)


def role(name, values):
    frame = pl.DataFrame({"value": VALUE[: len(values)], name: values})
    roles = Roles.infer(frame)
    return "identity" if name in roles.identity else "left" if name in roles.left_out else None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("who", [f"person {i}" for i in range(N)]),
        ("uuid", [f"{i * 7919:08x}-aa" for i in range(N)]),
        ("code", [f"{i:05}" for i in range(N)]),
        ("index", list(range(N))),
        ("anything", list(range(1, N + 1))),
        ("customer_id", RNG.permutation(10**6)[:N].tolist()),
        ("CustomerID", RNG.permutation(10**6)[:N].tolist()),
        ("order key", (10**15 + RNG.permutation(10**6)[:N]).tolist()),
    ],
)
def test_identities_are_recognised_by_their_values(name, values):
    assert role(name, values) == "identity"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("town", [f"t{i % 9}" for i in range(N)]),
        ("weight", VALUE[::-1].tolist()),
        ("count", RNG.permutation(10**6)[:N].tolist()),  # distinct, but no name of an identity
        ("rank", RNG.permutation(N).tolist()),
        ("year", list(range(1950, 1950 + N))),
        ("grid", RNG.permutation(N).tolist()),  # ends in "id", and is no such word
        ("i", [None, *range(1, N)]),
        ("is", [i % 2 == 0 for i in range(N)]),
        ("few", [f"t{i}" for i in range(6)]),
    ],
)
def test_columns_that_describe_rows_are_modelled(name, values):
    assert role(name, values) is None


def test_values_that_are_nearly_distinct_are_left_out():
    assert role("id", [1, 1, *range(2, N)]) == "left"
    assert role("id", [None, *range(1, N)]) == "left"
    assert role("name", ["twin", *(f"p{i}" for i in range(N - 2)), "twin"]) == "left"
    assert role("name", [None, None, *(f"p{i}" for i in range(N - 2))]) == "left"


def test_the_user_decides_and_an_array_has_no_identities():
    frame = pl.DataFrame({"value": VALUE, "who": [f"p{i}" for i in range(N)], "k": range(N)})
    assert Roles.infer(frame) == Roles(("value",), ("who", "k"))
    assert Roles.infer(frame, modelled=["k"]) == Roles(("value", "k"), ("who",))
    assert Roles.infer(frame, ["value"], ["who"], ["k"]) == Roles(("k",), ("value",), ("who",))
    assert Roles.infer(np.stack([VALUE, np.arange(N)], 1)).modelled == ("0", "1")
    with pytest.raises(ValueError, match="there is no column 'whom': did you mean who"):
        Roles.infer(frame, ["whom"])
    with pytest.raises(ValueError, match="both an identity and left out"):
        Roles.infer(frame, ["who"], ["who"])
    with pytest.raises(ValueError, match="no column is left to model"):
        Roles.infer(frame.select("who", "k"))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "records"])
def test_estimators_carry_identities_beside_their_rows(library):
    if library == "pyarrow":
        pytest.importorskip("pyarrow")
    who = [f"p{i}" for i in range(N)]
    known = pd.DataFrame({"a": VALUE, "who": who, "b": VALUE**2 + 1})
    holed = known.assign(b=known["b"].where(np.arange(N) % 7 > 0))
    made = {
        "pandas": lambda f: f.set_index(np.arange(N) + 500),
        "polars": lambda f: pl.DataFrame(f.to_dict("list")).with_columns(
            pl.col("b").fill_nan(None)
        ),
        "pyarrow": lambda f: __import__("pyarrow").Table.from_pandas(f),
        "records": lambda f: f.astype({"who": "O"}).to_records(index=False),
    }[library]
    frame = made(holed)
    filled = DiffusionImputer(draws=2, steps=0).fit(frame).transform(frame)
    assert type(filled) in (type(frame), np.ndarray)
    columns = {each.name: each for each in Frame.of(filled).columns}
    assert list(columns) == ["a", "who", "b"]
    assert columns["who"].names == who
    assert not columns["b"].missing.any()
    if library == "pandas":
        assert filled.index.equals(frame.index)
    density = DiffusionDensity(steps=0).fit(frame)
    drawn = Frame.of(density.sample(3, random_state=0))
    assert [each.name for each in drawn.columns] == ["a", "b"]
    without = Frame.of(frame).take(np.arange(N))
    assert np.array_equal(
        density.score_samples(Roles(("a", "b")).select(without)), density.score_samples(frame)
    )
    shuffled = made(holed.assign(who=who[::-1]))
    assert np.array_equal(density.score_samples(shuffled), density.score_samples(frame))


def test_a_saved_estimator_knows_what_it_carries(tmp_path):
    frame = pl.DataFrame({"a": VALUE, "who": [f"p{i}" for i in range(N)], "b": VALUE**2})
    detector = DiffusionOutliers(steps=0).fit(frame)
    detector.save(tmp_path / "d")
    again = DiffusionOutliers.load(tmp_path / "d")
    assert again.n_features_in_ == 3
    assert np.array_equal(again.p_values(frame), detector.p_values(frame))
