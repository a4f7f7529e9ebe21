"""Tables in files: what is read, what is written, and what is refused."""

import numpy as np
import polars as pl
import pytest

from quasistatic.data.table_files import open_table, write_table


def whole(path, most=10**9, seed=0) -> pl.DataFrame:
    return open_table(path).drawn(most, seed)


@pytest.fixture
def mixed() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "name": ["a", "b, c", None, 'say "d"', "e\nf"],
            "count": [1, None, 3, -4, 2**53 + 1],
            "size": [0.1, None, 1e-30, -1 / 3, 2.0],
            "is": [True, False, None, True, True],
            "code": ["007", "12", None, "1", "0"],
        }
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_comes_back_as_it_was(ending, mixed, tmp_path):
    """Names, types and values, whether written and read at once or in pieces."""
    path = tmp_path / f"x.{ending}"
    assert write_table(path, [mixed[:2], mixed[2:3], mixed[3:]]) == 5
    again = whole(path)
    assert again.schema == mixed.schema
    assert again.equals(mixed)
    assert pl.concat(list(open_table(path).pieces(2))).equals(mixed)
    assert open_table(path).rows == 5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_are_tables_whose_columns_are_numbered(ending, tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 3))
    values[1, 2] = np.nan
    frame = pl.DataFrame(values, schema=["a", "b", "c"], orient="row").fill_nan(None)
    write_table(tmp_path / f"x.{ending}", [frame[:3], frame[3:]])
    found = np.load(tmp_path / f"x.{ending}")
    array = found if ending == "npy" else found["values"]
    assert np.array_equal(array, values, equal_nan=True)
    again = whole(tmp_path / f"x.{ending}")
    assert again.columns == ["x0", "x1", "x2"]
    assert again[1, 2] is None
    assert np.array_equal(again.to_numpy(), values, equal_nan=True)


def test_rows_of_an_array_of_more_axes_are_laid_flat(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", values)
    assert np.array_equal(whole(tmp_path / "x.npy").to_numpy(), values.reshape(2, 12))
    np.save(tmp_path / "x.npy", values[0, 0])
    assert whole(tmp_path / "x.npy")["x0"].to_list() == [0, 1, 2, 3]


def test_a_text_file_may_do_without_names_and_has_many_words_for_nothing(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2.5\nNA,?\n,1e3\nnull,nan\n\n\n")
    assert whole(path).to_dict(as_series=False) == {
        "x0": [1, None, None, None],
        "x1": [2.5, None, 1000.0, None],
    }


@pytest.mark.parametrize("separator", ";\t|")
def test_columns_are_parted_by_what_parts_the_first_line(separator, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"\ufeffa{separator}b\r\n1{separator}x\r\n")
    assert whole(path).rows(named=True) == [{"a": 1, "b": "x"}]


def test_the_only_column_may_have_empty_lines(tmp_path):
    frame = pl.DataFrame({"a": [1, None, 3, None]})
    write_table(tmp_path / "x.csv", [frame])
    assert whole(tmp_path / "x.csv").equals(frame)


def test_names_that_look_like_numbers_stay_names_where_they_are_known_to_be(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    found = open_table(path, {"a": pl.String(), "other": pl.String()}).drawn(9, 0)
    assert found.rows() == [("1", 2)]


def test_some_rows_are_drawn_in_their_order(tmp_path):
    write_table(tmp_path / "x.csv", [pl.DataFrame({"a": range(1000)})])
    file = open_table(tmp_path / "x.csv")
    drawn = [file.drawn(100, seed, rows=64)["a"].to_list() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(each)) == 100 and each == sorted(each) for each in drawn)
    assert abs(np.mean(drawn) - 499.5) < 60


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n3\n", "line 3 of .* has 1 values, and line 1 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 of .* has 3 values, and line 1 2"),
        ("a,b\n1,2\n\n3,4\n", "line 3 of .* has 0 values, and line 1 2"),
        ("a,a\n1,2\n", "2 columns of one name, 'a'"),
        ("", "is empty"),
        ("a,b\n", "is empty"),
    ],
)
def test_a_text_file_that_is_no_table_is_refused(text, says, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        open_table(path)


def test_a_file_of_too_many_columns_is_refused_at_once(tmp_path):
    """By its first line, however many rows follow."""
    path = tmp_path / "x.csv"
    for separator in ",;\t|":
        path.write_text(separator.join(f"c{i}" for i in range(2001)) + "\n")
        with pytest.raises(ValueError, match=r"has 2,001 columns, and 2,000 are modelled at most"):
            open_table(path)
    np.save(tmp_path / "x.npy", np.zeros((2, 2001)))
    with pytest.raises(ValueError, match=r"has 2,001 columns"):
        open_table(tmp_path / "x.npy")
    assert len(open_table(tmp_path / "x.npy", left_out=1).names) == 2001
    path.write_text('"' + "," * 6000 + '",b\n1,2\n')
    assert len(open_table(path).names) == 2
    path.write_bytes(b"x" * (2**24 + 1))
    with pytest.raises(ValueError, match=r"line 1 of .* has more than 16,777,216 bytes"):
        open_table(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no ending that is known: use \.csv"):
        open_table(tmp_path / "x.xls")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        open_table(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(ValueError, match="no text table in UTF-8"):
        open_table(tmp_path / "x.csv")
    for ending, says in (("npy", "is no NumPy array"), ("parquet", "is no Parquet file")):
        (tmp_path / f"x.{ending}").write_bytes(b"1,2")
        with pytest.raises(ValueError, match=says):
            open_table(tmp_path / f"x.{ending}")
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"arrays|single array"):
        open_table(tmp_path / "two.npz")


def test_nothing_is_half_written(mixed, tmp_path):
    """Neither where a column does not fit the file, nor where the rows end in an error."""
    before = pl.DataFrame({"a": [1.0]})
    path = tmp_path / "x.npy"
    write_table(path, [before])
    with pytest.raises(ValueError, match=r"column 'name' holds String.*write \.csv"):
        write_table(path, [mixed])

    def broken():
        yield before
        raise RuntimeError("no more")

    for ending in ("npy", "csv", "parquet"):
        with pytest.raises(RuntimeError, match="no more"):
            write_table(tmp_path / f"x.{ending}", broken())
    assert list(tmp_path.iterdir()) == [path]
    assert whole(path)["x0"].to_list() == [1.0]
    with pytest.raises(ValueError, match="no ending that is known"):
        write_table(tmp_path / "x.doc", [before])
