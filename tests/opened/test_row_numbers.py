"""Rows of a file are counted from 1 below the header, in every message; those of arrays from 0, and
called an index."""

import pickle

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic._utils.row_errors import RowError, in_file
from quasistatic.opened import fit, table_coding, table_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"n": rng.integers(0, 90, 120), "k": rng.choice(["a", "b", "c"], 120)})
    frame.write_csv(folder / "t.csv")
    fit(folder / "t.csv", out=folder / "r", steps=0)
    return folder, frame


def test_a_row_is_that_of_the_file_and_not_of_a_piece(run, monkeypatch):
    folder, frame = run
    monkeypatch.setattr(table_coding, "PIECE", 25)
    model = qs.open(folder / "r")
    row = pl.int_range(len(frame)) == 76
    for bad, says in (
        ({"n": pl.when(row).then(7777).otherwise("n")}, "column 'n' holds 7777 in row 77, and it"),
        (
            {"k": pl.when(row).then(pl.lit("z")).otherwise("k")},
            "column 'k' holds 'z' in row 77, wh",
        ),
    ):
        frame.with_columns(**bad).write_csv(folder / "bad.csv")
        with pytest.raises(ValueError, match=says):
            model.compress(folder / "bad.csv", out=folder / "bad.qs")


def test_a_verb_that_answers_in_pieces_names_the_row_of_the_file(run, monkeypatch):
    folder, _ = run
    monkeypatch.setattr(table_rows, "PIECE", 25)
    model = qs.open(folder / "r")

    def fails(piece):
        if piece["n"][1] == frame_of_third["n"][1]:
            raise RowError("the log-density is NaN", 3, ": rescale the table")
        return np.zeros(len(piece))

    frame_of_third = run[1][50:75]
    monkeypatch.setattr(type(model.table), "score", lambda self, piece: fails(piece))
    with pytest.raises(ValueError, match="the log-density is NaN in row 54: rescale the table"):
        model.score(folder / "t.csv")


def test_cells_and_infinite_values_of_a_fit_have_the_row_of_the_file(run):
    folder, frame = run
    rows = ["n,k"] + [f"{n},{k}" for n, k in frame.rows()]
    rows[54] = "many,a"
    (folder / "word.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(ValueError, match='n: 1 of 120 cells are no numbers: row 54 "many"'):
        fit(folder / "word.csv", out=folder / "no")
    rows[54] = "inf,a"
    (folder / "inf.csv").write_text("\n".join(rows) + "\n")
    for most in (10**6, 119):  # all rows, or a sample of them
        with pytest.raises(ValueError, match="column 'n' holds inf in row 54: remove the row"):
            fit(folder / "inf.csv", out=folder / "no", rows=most)


def test_an_array_has_an_index():
    table = qs.Table.infer(np.arange(40.0).reshape(-1, 2) // 2)
    with pytest.raises(ValueError, match=r"column '1' holds 0.5 at index 1, and it takes whole"):
        table.check(np.array([[0.0, 0.0], [0.0, 0.5]]))
    error = pickle.loads(pickle.dumps(RowError("x holds 1", 2, ": mend it")))
    assert str(error) == "x holds 1 at index 2: mend it"
    assert str(in_file(error, lambda k: 10_000 + k + 1)) == "x holds 1 in row 10,003: mend it"
