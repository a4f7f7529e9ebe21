"""Text files whose numbers have units, whose decimal mark the other columns decide, and which have
lines above and below their rows."""

import numpy as np
import polars as pl
import pytest

from quasistatic.data.table_files import (
    Reading,
    open_table,
    open_with,
    records,
    sources,
    write_table,
)
from quasistatic.opened.total_row import total_row

ROWS = 40


def opened(tmp_path, text, **reading):
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    return open_with(path, Reading(**reading))


def rows_of(file):
    return file.drawn(10**9, 0)


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("{} kg", range(3, 43)),
        ("{}kg", range(3, 43)),
        ("{} ms", range(12, 52)),
        ("{:.1f} km/h", [k / 2 for k in range(41, 81)]),
        ("{:.2f} °C", [k / 4 for k in range(-9, 31)]),
        ("USD {}", range(5, 45)),
        ("CHF {:.2f}", [k / 4 for k in range(9, 49)]),
        ("{} m²", range(20, 60)),
        ("{} apples", range(1, 41)),
    ],
)
def test_numbers_with_one_unit_are_numbers_and_are_written_with_it(form, values, tmp_path):
    cells = [form.format(value) for value in values]
    text = "id;x\n" + "".join(f"{k + 0.5};{cell}\n" for k, cell in enumerate(cells))
    file = opened(tmp_path, text)
    frame = rows_of(file)
    assert frame["x"].to_list() == list(values)
    assert any("numbers with the unit" in note for note in file.remarks)
    write_table(tmp_path / "again.csv", [frame], file.style)
    assert (tmp_path / "again.csv").read_text() == text


@pytest.mark.parametrize(
    "cells",
    [
        ["5 kg", "300 g"] * 20,
        ["3 years", "1 year"] * 20,
        [f"room {k}" for k in range(40)],
        [f"C{k:04}" for k in range(40)],
        ["1st", "2nd", "3rd", "4th"] * 10,
        ["3A", "3B", "4A"] * 13,
    ],
)
def test_words_and_numbers_with_several_units_are_names(cells, tmp_path):
    file = opened(tmp_path, "id;x\n" + "".join(f"{k + 0.5};{c}\n" for k, c in enumerate(cells)))
    assert rows_of(file)["x"].to_list() == cells
    several = cells[0][-1] in "gs" and " " in cells[0]
    assert any("several units" in note for note in file.remarks) == several


def test_a_cell_with_another_unit_is_named(tmp_path):
    lines = [f"{k + 0.5};{k} kg" for k in range(ROWS)]
    lines[7] = "7.5;300 g"
    with pytest.raises(ValueError, match='row 8 "300 g"'):
        opened(tmp_path, "id;x\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("other", "cells", "values"),
    [
        # Thousands or a decimal comma: the other column says it.
        ("1,5", ["1,234", "2,500", "0,567"], [1.234, 2.5, 0.567]),
        ("1,5", ["1,234", "2,500", "7,567"], [1.234, 2.5, 7.567]),
        ("1.5", ["1,234", "2,500", "7,567"], [1234, 2500, 7567]),
        ("1,5", ["1.234", "12.500", "7"], [1234, 12500, 7]),
        ("1.5", ["1.234", "12.500", "7.000"], [1.234, 12.5, 7]),
        ("1", ["0,567", "1,234", "2,500"], [0.567, 1.234, 2.5]),
    ],
)
def test_the_other_columns_decide_what_a_mark_between_three_digits_is(
    other, cells, values, tmp_path
):
    text = "a;b\n" + "".join(f"{other};{cell}\n" for cell in cells * 12)
    assert rows_of(opened(tmp_path, text))["b"].to_list() == values * 12


def test_the_decimal_mark_can_be_given(tmp_path):
    text = "a;b\n" + "x;1,234\ny;2,500\n" * 20
    assert rows_of(opened(tmp_path, text))["b"][0] == 1.234  # semicolons separate the columns
    assert rows_of(opened(tmp_path, text, decimal="."))["b"][0] == 1234
    assert rows_of(opened(tmp_path, text, decimal=","))["b"][0] == 1.234


def test_numbers_in_the_notation_of_india_come_back(tmp_path):
    cells = ["1,23,456.50", "12,34,567.00", "1,234.25", "99.75"]
    text = "a;b\n" + "".join(f"x{k};{cell}\n" for k, cell in enumerate(cells * 10))
    file = opened(tmp_path, text)
    frame = rows_of(file)
    assert frame["b"].to_list() == [123456.5, 1234567, 1234.25, 99.75] * 10
    write_table(tmp_path / "again.csv", [frame], file.style)
    assert (tmp_path / "again.csv").read_text() == text


TABLE = "name,age,size\n" + "".join(f"n{k % 7},{20 + k},{k / 4}\n" for k in range(ROWS))


@pytest.mark.parametrize(
    "above",
    [
        "Report of March\n",
        "Report of March,,\n",
        "Report\n\nby the office\n",
        '"A title, with a comma"\n',
        "\n\n",
        "Source: shop; all amounts net\n\n\n",
    ],
)
def test_a_title_above_the_names_is_passed_over_and_said(above, tmp_path):
    file = opened(tmp_path, above + TABLE)
    frame = rows_of(file)
    assert frame.columns == ["name", "age", "size"]
    assert (len(frame), frame["age"][0]) == (ROWS, 20)
    line = above.count("\n") + 1
    said = any(f"the rows begin in line {line}" in note for note in file.remarks)
    assert said == bool(above.strip())


def test_lines_at_both_ends_can_be_named(tmp_path):
    below = "Total,1580,195\nSource: the shop\n"
    with pytest.raises(ValueError, match="--skip-end 1"):
        opened(tmp_path, TABLE + below)
    frame = rows_of(opened(tmp_path, "a note,1,2\n" + TABLE + below, skip=1, skip_end=2))
    assert frame.columns == ["name", "age", "size"]
    assert frame["age"].to_list() == list(range(20, 60))


@pytest.mark.parametrize(
    "text",
    [
        "a\n1.5\n2.5\n",
        "a,b\n1,2\n3,4\n",
        "x\n" + "".join(f"r{k},{k}\n" for k in range(9)),
        "a,b,c\n5,,\n1,2,3\n4,5,6\n",
    ],
)
def test_names_are_no_title(text, tmp_path):
    file = opened(tmp_path, text)
    assert not any("no row of the table" in note for note in file.remarks)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ('a,b\n5" pipe,1\n6" pipe,2\n', ['5" pipe', '6" pipe']),
        ('a,b\n"x, y", 1\n"z", 2\n', ["x, y", "z"]),
        ('a,b\nx,1\n"y ""z""",2\n', ["x", 'y "z"']),
        ('n,a\n1, "x, y"\n2, "z"\n', ["x, y", "z"]),
        ('a,b\n"say \\"hi\\"",1\n"x, y",2\n', ['say "hi"', "x, y"]),
        ('a,b\n"C:\\dir\\",1\n"D:\\",2\n', ["C:\\dir\\", "D:\\"]),
    ],
)
def test_quotes_are_read_as_they_were_meant(text, cells, tmp_path):
    frame = rows_of(opened(tmp_path, text))
    assert frame["a"].to_list() == cells
    assert frame.select(pl.exclude("a")).to_series().to_list() == [1, 2]


@pytest.mark.parametrize("rows", [7, 64, 1000])
def test_pieces_are_the_file_whatever_its_blocks(rows, tmp_path, monkeypatch):
    rng = np.random.default_rng(rows)
    made = pl.DataFrame(
        {
            "x": rng.normal(size=500).round(3),
            "name": [f'n "{k}",\n{k % 7}' for k in range(500)],
            "day": np.datetime64("2024-01-01") + rng.integers(0, 99, 500),
        }
    )
    made.write_csv(tmp_path / "x.csv")
    made.write_parquet(tmp_path / "x.parquet")
    monkeypatch.setattr(records, "CHUNK", 300)
    monkeypatch.setattr(sources, "SLICE", 130)
    for name in ("x.csv", "x.parquet"):
        pieces = list(open_table(tmp_path / name).pieces(rows))
        assert [len(piece) for piece in pieces[:-1]] == [rows] * (len(pieces) - 1)
        assert pl.concat(pieces).equals(made)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["5.5%" if k % 2 else f"0.{k + 10}" for k in range(ROWS)], 'row 1 "0.10"'),
        ([f"{'$' if k % 2 else '€'}{k}.50" for k in range(ROWS)], "cells are no numbers"),
    ],
)
def test_numbers_with_different_signs_are_not_mixed(cells, says, tmp_path):
    text = "id;x\n" + "".join(f"{k + 0.5};{cell}\n" for k, cell in enumerate(cells))
    with pytest.raises(ValueError, match=says):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        (["yes", "no", "1", "0"] * 10, "several spellings of yes and no"),
        (["True", "FALSE", "true", "false"] * 10, "several spellings of yes and no"),
        (
            [
                f"2024-01-{k % 28 + 1:02}" if k % 4 else f"{k % 28 + 1:02}.01.2024"
                for k in range(40)
            ],
            "several notations",
        ),
        (
            [f"<0.{k + 1}" if k % 3 == 0 else f"{k}.5" for k in range(40)],
            "26 of 40 cells are numbers",
        ),
    ],
)
def test_what_is_read_as_names_although_it_is_nearly_something_else_is_said(cells, part, tmp_path):
    file = opened(tmp_path, "id;x\n" + "".join(f"{k + 0.5};{c}\n" for k, c in enumerate(cells)))
    assert rows_of(file)["x"].to_list() == cells
    assert any(part in note for note in file.remarks)


def test_a_minus_after_the_number_is_one(tmp_path):
    text = "id;x\n" + "".join(f"x{k};{k}.5-\n" for k in range(ROWS))
    assert rows_of(opened(tmp_path, text))["x"].to_list() == [-k - 0.5 for k in range(ROWS)]


def test_days_in_eight_digits_are_days(tmp_path):
    text = "id,day\n" + "".join(f"{k}.5,202401{k % 28 + 1:02}\n" for k in range(ROWS))
    file = opened(tmp_path, text)
    frame = rows_of(file)
    assert frame["day"][3].isoformat() == "2024-01-04"
    write_table(tmp_path / "again.csv", [frame], file.style)
    assert (tmp_path / "again.csv").read_text() == text
    assert rows_of(opened(tmp_path, text, types={"day": pl.Float64()}))["day"][3] == 20240104


def test_single_quotes_enclose_cells_where_they_do(tmp_path):
    text = "a,b\n" + "".join(f"'x, {k}',{k}.5\n" for k in range(ROWS))
    assert rows_of(opened(tmp_path, text)).row(3) == ("x, 3", 3.5)
    own = "a,b\n" + "".join(f"it's {k},{k}.5\n" for k in range(ROWS))
    assert rows_of(opened(tmp_path, own)).row(3) == ("it's 3", 3.5)


def test_names_that_recur_several_times_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"3 columns of one name, 'a'[\s\S]*2 columns of one name"):
        opened(tmp_path, "a,b,a,b,a\n" + "1,2,3,4,5\n" * 9)


def test_a_second_row_of_names_is_named(tmp_path):
    text = "size,weight\ncm,kg\n" + "".join(f"{k}.5,{k}\n" for k in range(ROWS))
    with pytest.raises(ValueError, match="row 1 seems to be a second row of names or units"):
        opened(tmp_path, text)


def test_a_row_of_totals_is_found():
    frame = pl.DataFrame({"n": [*"abcdef", "Total"], "x": [1, 2, 3, 4, 5, 6, 21]})
    assert total_row(frame) == ["x"]
    assert total_row(frame[:-1]) is None
    assert total_row(frame.with_columns(n=pl.lit("a"))) is None  # one sum may be chance
    both = frame.with_columns(n=pl.lit("a"), y=pl.Series([0.5, 1.5, 0, 0, 0, 0, 2.0]))
    assert total_row(both) == ["x", "y"]
