"""Text files as people have them: separators, headers, notations of numbers, missing values."""

import numpy as np
import polars as pl
import pytest

from quasistatic.data.table_files import open_table


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding=encoding)
    return path


def column(tmp_path, cells, separator=",", quoted=True, **options):
    """A column of such cells, beside one of plain numbers, as it is read."""
    shown = [f'"{cell}"' if quoted else cell for cell in cells]
    lines = [f"{i / 7:.3f}{separator}{cell}" for i, cell in enumerate(shown)]
    path = written(tmp_path, f"a{separator}b\n" + "\n".join(lines) + "\n")
    return open_table(path, **options).drawn(10**9, 0)["b"]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["+1.5", "-2", "3"], [1.5, -2.0, 3.0]),
        (["1,234", "12", "1,234,567"], [1234, 12, 1234567]),
        (["1,234.5", "12", "-1,000"], [1234.5, 12, -1000]),
        (["$1,236.28", "$5", "-$3.50"], [1236.28, 5, -3.5]),
        (["12 €", "1.5 €", "7€"], [12, 1.5, 7]),
        (["41.2%", "5 %", "100%"], [41.2, 5, 100]),
        ([" 1 ", "2", " 3"], [1, 2, 3]),
        (["+12", "+1130", "+7"], [12, 1130, 7]),
    ],
)
def test_numbers_in_several_notations_are_numbers(cells, values, tmp_path):
    found = column(tmp_path, cells)
    assert found.to_list() == values
    whole = all(value == int(value) for value in values)
    assert found.dtype == (pl.Int64 if whole else pl.Float64)


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "-2,25", "3"], [1.5, -2.25, 3]),
        (["1.234,5", "12,0", "1.234.567,25"], [1234.5, 12, 1234567.25]),
        (["0,1", "NA", "0,3"], [0.1, None, 0.3]),
        (["1,5 €", "2,0 €", "3,25 €"], [1.5, 2, 3.25]),
        (["5,5%", "6,5%", "-7,5%"], [5.5, 6.5, -7.5]),
    ],
)
def test_a_decimal_comma_is_read_where_columns_have_another_separator(
    cells, values, separator, tmp_path
):
    assert column(tmp_path, cells, separator, quoted=False).to_list() == values


@pytest.mark.parametrize("word", ["", "NA", " NA ", "-", ".", "?", "<NA>", "null", "N/A", "None"])
def test_a_word_for_a_missing_value_makes_no_name_of_a_number(word, tmp_path):
    cells = [f"{i}.5" for i in range(8)] + [word]
    found = column(tmp_path, cells)
    assert found.dtype == pl.Float64
    assert found.null_count() == 1
    names = column(tmp_path, ["x", "y", word])
    assert names.to_list() == ["x", "y", None]


def test_cells_that_are_no_numbers_are_named_with_their_rows(tmp_path):
    cells = [f"{i}.5" for i in range(40)]
    cells[16], cells[29] = "unknown", "12x"
    says = r'b: 2 of 40 cells are no numbers: row 17 "unknown", row 30 "12x"\. .*--missing'
    with pytest.raises(ValueError, match=says):
        column(tmp_path, cells)
    found = column(tmp_path, cells, missing=["unknown", "12x"])
    assert found.null_count() == 2
    assert column(tmp_path, cells, types={"b": pl.String()}).to_list() == cells
    # A column that is known to hold numbers is refused however many cells are none.
    with pytest.raises(ValueError, match=r'2 of 3 cells are no numbers: row 1 "u", row 2 "v"'):
        column(tmp_path, ["u", "v", "3"], types={"b": pl.Float64()})


def test_all_columns_with_odd_cells_are_named_at_once(tmp_path):
    rows = "".join(f"{i}.5,{i}\n" for i in range(30))
    path = written(tmp_path, f"a,b\n{rows}one,2\n3,two\n")
    with pytest.raises(
        ValueError, match=r'(?s)2 problems.*row 31 "one".*b: 1 of 32 .* row 32 "two"'
    ):
        open_table(path)


NUMBERS = np.random.default_rng(0).normal(size=(9, 3))
REALS = "".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for x, y, z in NUMBERS)


@pytest.mark.parametrize(
    ("first", "names", "rows"),
    [
        ("0,1,2\n", ("0", "1", "2"), 9),
        ("2019,2020,2021\n", ("2019", "2020", "2021"), 9),
        ("a,b,c\n", ("a", "b", "c"), 9),
        ("", ("x0", "x1", "x2"), 9),
        ("a,2020,2021\n", ("a", "2020", "2021"), 9),
    ],
)
def test_numbers_may_be_names_and_rows_may_have_none(first, names, rows, tmp_path):
    file = open_table(written(tmp_path, first + REALS))
    assert (file.names, file.rows) == (names, rows)
    assert bool(file.remarks) == (first in ("", "0,1,2\n", "2019,2020,2021\n"))


def test_a_saved_index_gets_a_name(tmp_path):
    rows = "".join(f"{i},{row}\n" for i, row in enumerate(REALS.split()))
    file = open_table(written(tmp_path, ",0,1,2\n" + rows))
    assert (file.names, file.rows) == (("index", "0", "1", "2"), 9)
    assert file.drawn(99, 0)["index"].to_list() == list(range(9))


def test_a_first_row_whose_word_recurs_is_data(tmp_path):
    path = written(tmp_path, "4.1,3.3,Iris-y\n4.1,3.5,Iris-y\n4.6,3.4,Iris-z\n")
    file = open_table(path)
    assert (file.names, file.rows) == (("x0", "x1", "x2"), 3)
    assert "recur below" in file.remarks[0]
    assert open_table(path, header=True).names == ("4.1", "3.3", "Iris-y")
    named = written(tmp_path, "0,1,2\n" + REALS)
    assert open_table(named, header=False).rows == 10


def test_a_separator_within_a_quoted_name_separates_nothing(tmp_path):
    path = written(tmp_path, 'a;"note, long"\n1;"x, y"\n2;"z\nw"\n')
    assert open_table(path).drawn(9, 0).rows() == [(1, "x, y"), (2, "z\nw")]


def test_a_file_of_another_encoding_is_named_with_its_line(tmp_path):
    path = written(tmp_path, "a,b\n1,x\n2,é\n", "latin-1")
    with pytest.raises(ValueError, match="no text table in UTF-8, as line 3 shows"):
        open_table(path)


VALUES = [1234.5, -0.25, 98765.0, -1000.0, 7.125, 43210.75] * 7


def spelled(value, decimal, group, minus):
    body = f"{abs(value):,.3f}".translate(str.maketrans({",": group, ".": decimal}))
    if value >= 0:
        return body
    return f"({body})" if minus == "(" else minus + body


@pytest.mark.parametrize("minus", ["-", "−", "("])
@pytest.mark.parametrize("group", ["", ".", ",", "'", "’", " ", "\u00a0", "\u2009", "\u202f"])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_number_is_read_in_every_spelling(separator, decimal, group, minus, tmp_path):
    if decimal == group:
        pytest.skip("one mark cannot be both")
    cells = [spelled(value, decimal, group, minus) for value in VALUES]
    path = tmp_path / "x.csv"
    lines = [f'"{cell}"{separator}a' for cell in cells]
    path.write_text(f"n{separator}k\n" + "\n".join(lines) + "\n", "utf-8")
    assert open_table(path).drawn(100, 0)["n"].to_list() == VALUES


def test_an_exponent_belongs_to_a_number_without_groups(tmp_path):
    cells = ["5,123e+00", "1,5E-3", "-2,25e2"] * 5
    (tmp_path / "x.csv").write_text("n;k\n" + "".join(f"{cell};a\n" for cell in cells))
    found = open_table(tmp_path / "x.csv").drawn(100, 0)["n"].to_list()
    assert found == [5.123, 0.0015, -225.0] * 5


@pytest.mark.parametrize("line", ["sep=;", "SEP=;"])
def test_a_line_that_names_the_separator_is_no_row(line, tmp_path):
    (tmp_path / "x.csv").write_text(f"{line}\na;b\n1,5;x\n2,5;y\n")
    file = open_table(tmp_path / "x.csv")
    assert file.names == ("a", "b")
    assert file.drawn(9, 0)["a"].to_list() == [1.5, 2.5]


def test_lines_that_end_in_a_carriage_return_are_lines(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"a,b\r1.5,x\r2.5,y\r")
    assert open_table(tmp_path / "x.csv").drawn(9, 0).rows() == [(1.5, "x"), (2.5, "y")]


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (["0", "1", "2"], True),
        (["", "0", "1"], True),
        (["1", "2", "3"], True),
        (["2019", "2020", "2021"], True),
        (["country", "1990", "1991"], True),
        (["10.5", "3.25", "7.75"], False),
        (["400.0", "3.0", "7.0"], False),
    ],
)
def test_numbers_as_names_are_a_header_where_they_are_counted(names, header, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 2, (40, 3)).round(2).astype(str)
    if names[0] in ("", "country"):
        rows[:, 0] = [f"r{k}" for k in range(40)] if names[0] else np.arange(40)
    lines = [",".join(row) for row in [names, *rows]]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    file = open_table(tmp_path / "x.csv")
    assert (file.rows, file.style.header) == ((40, True) if header else (41, False))
    assert file.remarks or names[0] == "country"
