"""Completing gives what its Python and its command line give, for images and for a table."""

import numpy as np
import polars as pl
import pytest
from studio_client import ask, asking, client_of, result, run_snippet, shipped
from test_sample import values

from quasistatic.data.table_files import write_table


@pytest.fixture
def holed(ask):
    """A draw of the digits whose right half is hidden, as the page sends it."""
    shown = result(ask("examples", count=2, seed=5))["images"]
    x = values(shown, 17)[0].astype(float)
    hidden = np.tile(np.arange(8) >= 4, 8)
    return x, hidden, [None if h else v for v, h in zip(x.tolist(), hidden, strict=True)]


def test_python_and_command_complete_as_the_page(ask, holed, run_snippet, tmp_path):
    x, hidden, sent = holed
    fields = {"draws": 4, "particles": 8, "repeats": 2, "times": 12, "seed": 2}
    found = result(ask("complete", values=sent, **fields))
    np.save(tmp_path / "x.npy", np.where(hidden, np.nan, x)[None])
    names = run_snippet(found["snippet"])
    drawn = values(found["draws"], 17)
    np.testing.assert_array_equal(drawn, names["found"].draws[0].numpy())
    np.testing.assert_array_equal(drawn, np.load(tmp_path / "completed.npy")[0])
    np.testing.assert_array_equal(drawn[:, ~hidden], np.tile(x[~hidden], (4, 1)))
    assert found["log_evidence"] == pytest.approx(names["found"].log_evidence.item(), rel=1e-6)
    assert 0 < found["effective"] <= 1


def test_noise_on_known_values_is_told_to_python_alone(ask, holed, run_snippet, tmp_path):
    x, hidden, sent = holed
    fields = {"draws": 4, "particles": 8, "repeats": 2, "times": 12, "noise": 2.0}
    found = result(ask("complete", values=sent, **fields))
    np.save(tmp_path / "x.npy", np.where(hidden, np.nan, x)[None])
    assert not found["snippet"]["command"]
    names = run_snippet(found["snippet"])
    drawn = values(found["draws"], 17)
    np.testing.assert_array_equal(drawn, names["found"].draws[0].numpy())
    assert (drawn[:, ~hidden] != x[~hidden]).any(), "noisy values are not kept"


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([1.0] * 63, "values holds 64 numbers"),
        ([None] * 64, "every value is hidden"),
        (["a"] * 64, "values holds numbers"),
        ("text", "values holds 64 numbers"),
        ([99.0] * 32 + [None] * 32, "16"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(ask, sent, says):
    events = ask("complete", values=sent, times=4)
    assert events[-1]["event"] == "error"
    assert says in events[-1]["message"]


def test_test_rows_are_those_of_the_run(ask):
    import quasistatic as qs

    shown = values(result(ask("examples", source="test", count=5))["images"], 17)
    rows = np.asarray(qs.open("digits").run.experiment.data.test)
    assert all((row == rows).all(1).any() for row in shown)


def people(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    height = 1.7 + 0.1 * rng.normal(size=n)
    frame = {
        "height": height.round(3),
        "weight": np.round(70 + 90 * (height - 1.7) + 4 * rng.normal(size=n)).astype(int),
        "town": rng.choice(["Bern", "Lyon", "Rome"], n, p=[0.5, 0.3, 0.2]),
    }
    return pl.DataFrame(frame)


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """The run of a small table, and a studio of it."""
    import torch

    import quasistatic as qs

    folder = tmp_path_factory.mktemp("table")
    write_table(folder / "people.csv", [people(300, 0)])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    qs.opened.fit(folder / "people.csv", out=folder / "run", steps=0, calibration=0.3)
    torch.set_default_dtype(before)
    with client_of(folder / "run") as client:
        yield folder, asking(client, str(folder / "run")), client


def test_a_form_is_filled_as_by_python_and_command(table, run_snippet, tmp_path):
    _, ask, _ = table
    found = result(ask("complete", cells={"height": "1.9", "weight": "", "town": "Rome"}))
    (tmp_path / "row.csv").write_text(found["file"])
    names = run_snippet(found["snippet"])
    [weight] = found["columns"]
    assert weight["name"] == "weight"
    assert float(weight["filled"]) == names["filled"].table["weight"][0]
    written = pl.read_csv(tmp_path / "filled.csv")
    assert written["weight"][0] == float(weight["filled"])
    assert written["weight_low"][0] == pytest.approx(weight["low"])
    assert written["weight_high"][0] == pytest.approx(weight["high"])
    assert sum(weight["heights"]) == pytest.approx(1)
    # The data are 70 + 90 (height - 1.7), with a deviation of 4.
    assert 84 < float(weight["filled"]) < 92
    score = names["model"].table.score(names["row"])[0]
    assert found["log_evidence"] == pytest.approx(score)


def test_classes_have_shares_near_the_truth(table):
    _, ask, _ = table
    found = {each["name"]: each for each in result(ask("complete", cells={}))["columns"]}
    shares = dict(found["town"]["shares"])
    assert shares["Bern"] == pytest.approx(0.5, abs=0.12)
    assert set(found) == {"height", "weight", "town"}


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"height": "tall"}, "height holds a number"),
        ({"weight": "7x"}, "weight holds a whole number"),
        ({"town": "Paris"}, "Paris"),
        ({"age": "7"}, "no column 'age'"),
        ({"height": "1.7", "weight": "70", "town": "Bern"}, "no field is empty"),
        ({"height": 1.7}, "an object of texts"),
    ],
)
def test_a_wrong_cell_is_named(table, cells, says):
    _, ask, _ = table
    events = ask("complete", cells=cells)
    assert events[-1]["event"] == "error"
    assert says in events[-1]["message"]


def test_rows_are_drawn_as_by_python_and_command(table, run_snippet, tmp_path):
    _, ask, _ = table
    fields = {"n": 6, "seed": 4, "given": {"town": "Rome", "height": "1.6..1.8", "weight": ""}}
    found = result(ask("sample", **fields))
    names = run_snippet(found["snippet"])
    written = pl.read_csv(tmp_path / "samples.csv")
    towns = found["header"].index("town")
    assert {row[towns] for row in found["rows"]} == {"Rome"}
    at = found["header"].index("height")
    shown = [float(row[at]) for row in found["rows"]]
    np.testing.assert_allclose(shown, written["height"].to_numpy())
    np.testing.assert_allclose(shown, names["rows"]["height"].to_numpy(), atol=5e-4)
    assert all(1.6 <= each <= 1.8 for each in shown)
    assert found["log_evidence"] < 0


def test_a_table_says_which_columns_it_has(table):
    folder, _, client = table
    facts = client.get("/api/run", params={"name": str(folder / "run")}).json()
    assert facts["kind"] == "table"
    kinds = {each["name"]: each["kind"] for each in facts["columns"]}
    assert kinds == {"height": "number", "weight": "number", "town": "class"}
