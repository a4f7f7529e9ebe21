"""Commands on tables in files: what they read, fit, answer and write."""

import json

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic import cli
from quasistatic.frames import Frame, read_frame, write_frame
from quasistatic.mixtures import stacking
from quasistatic.mixtures.candidates import Wide

pytestmark = pytest.mark.usefixtures("float32")


def people(n: int, seed: int = 0) -> Frame:
    """Height in metres, weight in whole kilograms, and a column that is always the same."""
    rng = np.random.default_rng(seed)
    height = 1.7 + 0.1 * rng.normal(size=n)
    weight = np.round(70 + 90 * (height - 1.7) + 4 * rng.normal(size=n))
    return Frame.of(["height", "weight", "planet"], np.stack([height, weight, 0 * weight + 3], 1))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    table = people(400)
    table.values[:60, 1] = np.nan
    write_frame(folder / "people.csv", table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "candidates", lambda rows, dims: [Wide(1.0)])
        cli.main(["fit", str(folder / "people.csv"), "-o", str(folder / "run"), "--json"])
    return folder / "run"


@pytest.fixture
def say(capsys):
    def command(*words: object) -> dict:
        capsys.readouterr()
        cli.main([str(word) for word in words] + ["--json"])
        return json.loads(capsys.readouterr().out)

    return command


@pytest.fixture
def refused(capsys):
    def command(*words: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        assert stopped.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return command


# files


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_comes_back_from_a_file_as_it_was(ending, tmp_path):
    table = people(30)
    table.values[4, 0] = table.values[7, 1] = np.nan
    again = read_frame(write_frame(tmp_path / f"people.{ending}", table))
    assert again.names == table.names
    assert again.whole == table.whole == (False, True, True)
    assert np.array_equal(again.values, table.values, equal_nan=True)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_are_tables_whose_columns_are_numbered(ending, tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 3))
    again = read_frame(write_frame(tmp_path / f"x.{ending}", Frame.of(None, values)))
    assert again.names == ("x0", "x1", "x2")
    assert np.array_equal(again.values, values)


def test_a_csv_file_may_do_without_names_and_has_many_words_for_nothing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2.5\nNA,?\n,1e3\nnull,nan\n")
    frame = read_frame(path)
    assert frame.names == ("x0", "x1")
    nan = np.nan
    assert np.array_equal(frame.values, [[1, 2.5], [nan, nan], [nan, 1e3], [nan, nan]], True)
    assert frame.whole == (True, False)


def test_whole_numbers_are_written_as_such(tmp_path):
    path = write_frame(tmp_path / "people.csv", people(3).like(np.full((3, 3), 2.7)))
    assert path.read_text() == "height,weight,planet\n" + 3 * "2.7,3,3\n"
    path = write_frame(tmp_path / "people.parquet", people(3))
    assert pl.read_parquet(path).dtypes == [pl.Float64, pl.Int64, pl.Int64]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n3,male\n", "column 'b' of .* holds 'male' in row 2: only numbers"),
        ("a,b\n1,2\n3\n", "row 2 of .* has 1 values, and row 1 2"),
        ("a,a\n1,2\n", "two columns of one name"),
        ("", "is empty"),
        ("a,b\n", "a table has rows and columns"),
    ],
)
def test_a_csv_file_that_is_no_table_of_numbers_is_refused(text, says, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_frame(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no ending that is known: use \.csv"):
        read_frame(tmp_path / "x.xls")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_frame(tmp_path / "x.csv")
    (tmp_path / "x.npy").write_bytes(b"1,2")
    with pytest.raises(ValueError, match="is no NumPy file"):
        read_frame(tmp_path / "x.npy")
    pl.DataFrame({"who": ["a", "b"]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"column 'who' of .* holds String: only numbers"):
        read_frame(tmp_path / "x.parquet")


# verbs


def test_a_dry_run_says_what_would_be_fitted_and_writes_nothing(fitted, say, tmp_path):
    made = say("fit", fitted.parent / "people.csv", "-o", tmp_path / "run", "--dry-run")
    assert [row[:2] for row in made["columns"]] == [
        ["height", "numbers"],
        ["weight", "whole numbers"],
        ["planet", "constant"],
    ]
    assert made["columns"][1][4] == "15.0%"
    assert made["plan"].startswith("2 of 3 columns vary; a mixture of normals")
    assert "no network" in made["plan"]
    assert (
        "width 128, 50 steps"
        in say("fit", fitted.parent / "people.csv", "--steps", 50, "--dry-run")["plan"]
    )
    assert list(tmp_path.iterdir()) == []


def test_scores_are_the_estimator_s(fitted, say, tmp_path):
    table = people(50, 1)
    table.values[3, 0] = np.nan
    write_frame(tmp_path / "new.csv", table)
    told = say("score", fitted, "--data", tmp_path / "new.csv", "--out", tmp_path / "scores.csv")
    each = read_frame(tmp_path / "scores.csv")
    assert each.names == ("log_prob",)
    known = np.arange(50) != 3
    exact = qs.DiffusionDensity.load(fitted).score_samples(table.values[known])
    assert np.array_equal(each.values[known, 0], exact)
    assert np.isnan(each.values[3, 0])
    assert told["nats"] == pytest.approx(exact.mean())
    assert told["rows"] == 49


def test_samples_have_the_columns_of_the_table(fitted, say):
    told = say("sample", fitted, "--n", 300)
    drawn = read_frame(told["samples"])
    assert drawn.names == ("height", "weight", "planet")
    assert drawn.whole == (False, True, True)
    assert (drawn.values[:, 2] == 3).all()
    assert np.corrcoef(drawn.values[:, :2].T)[0, 1] == pytest.approx(0.91, abs=0.04)


def test_holes_are_filled_and_the_rest_is_as_it_was(fitted, say, tmp_path):
    table = people(40, 2)
    truth = table.values.copy()
    table.values[:20, 1] = table.values[30, 2] = np.nan
    # The columns may come in another order.
    write_frame(tmp_path / "new.csv", table.ordered(("planet", "weight", "height")))
    told = say("impute", fitted, tmp_path / "new.csv", "-o", tmp_path / "whole.csv")
    filled = read_frame(tmp_path / "whole.csv")
    assert told["filled"] == 21
    known = ~np.isnan(table.values)
    assert np.array_equal(filled.values[known], truth[known])
    assert filled.whole == (False, True, True)
    assert np.abs(filled.values - truth).max() < 16
    assert filled.values[30, 2] == 3
    one = say("impute", fitted, tmp_path / "new.csv", "-o", tmp_path / "one.csv", "--one")
    assert not np.array_equal(read_frame(one["imputed"]).values, filled.values)


def test_strange_rows_are_found(fitted, say, tmp_path):
    table = people(200, 3)
    table.values[0] = 1.5, 110, 3
    table.values[1] = np.nan, 70, 3
    write_frame(tmp_path / "new.csv", table)
    told = say("outliers", fitted, tmp_path / "new.csv", "--out", tmp_path / "found.csv")
    found = read_frame(tmp_path / "found.csv")
    assert found.names == ("log_prob", "p_value", "outlier")
    assert found.values[0, 2] == 1
    assert np.isnan(found.values[1]).all()
    assert told["found"] == np.nansum(found.values[:, 2]) < 40
    assert ((found.values[:, 1] <= 0.05) == (found.values[:, 2] == 1))[2:].all()


def test_mistakes_are_told(fitted, refused, tmp_path):
    write_frame(tmp_path / "other.csv", Frame.of(["hight", "weight", "planet"], np.ones((2, 3))))
    said = refused("impute", fitted, tmp_path / "other.csv")
    assert "there is no column 'height': did you mean hight" in said
    assert "give some by --data" in refused("score", fitted)
    assert "is a share of the rows" in refused("fit", tmp_path / "other.csv", "--calibration", 1)
    assert "`quasistatic fit` writes" in refused("impute", tmp_path, tmp_path / "other.csv")
