"""Dates, times, durations, percentages and currencies: read as values, written as they were."""

import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quasistatic.data.table_files import Amount, Length, Style, moment, open_table, write_table
from quasistatic.data.table_files.notation import Quotes


def round_trip(tmp_path, cells, separator=",", **options):
    """A column of such cells as it is read, and the cells that are written for it."""
    quoted = [f'"{cell}"' if separator in cell else cell for cell in cells]
    text = f"a{separator}b\n" + "".join(f"w{k}{separator}{c}\n" for k, c in enumerate(quoted))
    (tmp_path / "x.csv").write_text(text)
    file = open_table(tmp_path / "x.csv", **options)
    frame = file.drawn(10**6, 0)
    write_table(tmp_path / "y.csv", [frame[:2], frame[2:]], file.style)
    written = open_table(tmp_path / "y.csv", dict.fromkeys("ab", pl.String()), header=True)
    return frame["b"], written.drawn(10**6, 0)["b"].to_list()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["2021-03-04", "2020-12-31", "1999-01-01"], pl.Date),
        (["04.03.2021", "31.12.2020", "01.01.1999"], pl.Date),
        (["4.3.2021", "31.12.2020", "1.1.1999"], pl.Date),
        (["03/14/2021", "12/31/2020", "01/01/1999"], pl.Date),
        (["14/03/2021", "31/12/2020", "01/01/1999"], pl.Date),
        (["2021/03/04", "2020/12/31", "1999/01/01"], pl.Date),
        (["14 Mar 2021", "31 Dec 2020", "01 Jan 1999"], pl.Date),
        (["14-Mar-2021", "31-Dec-2020", "01-Jan-1999"], pl.Date),
        (["14.03.21", "31.12.20", "01.01.99"], pl.Date),
        (["Mar 14, 2021", "Dec 31, 2020", "Jan 01, 1999"], pl.Date),
        (["2021-03", "2020-12", "1999-01"], pl.Date),
        (["2021-03-04 05:06", "2020-12-31 23:59", "1999-01-01 00:00"], pl.Datetime("us")),
        (["2021-03-04T05:06:07", "2020-12-31T23:59:59", "1999-01-01T00:00:00"], pl.Datetime("us")),
        (["2021-03-04 05:06:07.125", "2020-12-31 23:59:59.000"], pl.Datetime("us")),
        (["2021-03-04T05:06:07Z", "2020-12-31T23:59:59Z"], pl.Datetime("us", "UTC")),
        (["2021-03-04T05:06:07+00:00", "2020-12-31T23:59:59+00:00"], pl.Datetime("us", "UTC")),
        (["04.03.2021 05:06", "31.12.2020 23:59"], pl.Datetime("us")),
        (["03/14/2021 5:06 PM", "12/31/2020 11:59 AM"], pl.Datetime("us")),
        (["05:06", "23:59", "00:00"], pl.Time),
        (["05:06:07", "23:59:59", "00:00:00"], pl.Time),
        (["05:06 PM", "11:59 AM", "12:00 AM"], pl.Time),
        (["25:00:00", "03:04:05", "100:00:01"], pl.Duration("us")),
        (["0 days 01:02:03", "12 days 00:00:00", "-1 days +23:00:00"], pl.Duration("us")),
    ],
)
def test_dates_times_and_durations_come_back_in_their_format(cells, kind, tmp_path):
    found, written = round_trip(tmp_path, cells)
    assert found.dtype == kind
    assert written == cells


@pytest.mark.parametrize(
    ("cells", "separator", "values"),
    [
        (["12%", "5%", "100%"], ",", [12, 5, 100]),
        (["12.50 %", "5.00 %", "100.25 %"], ",", [12.5, 5, 100.25]),
        (["$1,236.28", "$5.00", "-$3.50"], ",", [1236.28, 5, -3.5]),
        (["12 €", "15 €", "7 €"], ",", [12, 15, 7]),
        (["1.234,50 €", "12,00 €", "7,25 €"], ";", [1234.5, 12, 7.25]),
        (["1,234", "12", "1,234,567"], ",", [1234, 12, 1234567]),
        (["1.234,5", "12,5", "1.234.567,5"], ";", [1234.5, 12.5, 1234567.5]),
        (["1,5", "-2,25", "3"], ";", [1.5, -2.25, 3]),
        (["£3", "£14", "£2"], ",", [3, 14, 2]),
    ],
)
def test_percentages_and_currencies_come_back_in_their_notation(cells, separator, values, tmp_path):
    found, written = round_trip(tmp_path, cells, separator)
    assert found.to_list() == values
    # The sign of a negative amount is written before the currency, however it was written.
    assert written == cells


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["03/04/2021", "05/06/2020"], "read as %d/%m/%Y"),
        (["03-04-2021", "05-06-2020"], "read as %d-%m-%Y"),
    ],
)
def test_days_that_could_be_months_are_said_and_can_be_set(cells, note, tmp_path):
    text = "a,b\n" + "".join(f"w{k},{cell}\n" for k, cell in enumerate(cells))
    (tmp_path / "x.csv").write_text(text)
    file = open_table(tmp_path / "x.csv")
    assert note in file.remarks[0]
    assert file.drawn(9, 0)["b"][0] == datetime.date(2021, 4, 3)
    other = file.style.notations["b"].format.replace("%d", "%").replace("%m", "%d")
    other = other.replace("%/", "%m/").replace("%-", "%m-")
    file = open_table(tmp_path / "x.csv", notations={"b": moment(other)})
    assert file.drawn(9, 0)["b"][0] == datetime.date(2021, 3, 4)


@pytest.mark.parametrize(
    "cells",
    [
        ["1.2.3", "1.2.4", "2.0.1"],  # versions
        ["10-20", "20-30", "30-40"],  # ranges
        ["3/4", "1/2", "5/8"],  # fractions
        ["12-345", "13-456", "14-567"],  # codes
        ["A 12:30 B", "x", "y"],
    ],
)
def test_texts_that_look_like_dates_are_texts(cells, tmp_path):
    found, written = round_trip(tmp_path, cells)
    assert found.dtype == pl.String
    assert written == cells


def test_a_wrong_date_is_named_with_its_row(tmp_path):
    cells = [f"{k % 28 + 1:02}.03.2021" for k in range(40)]
    cells[16], cells[30] = "31.02.2021", "soon"
    with pytest.raises(ValueError, match=r'2 of 40 cells are no dates \(%d.%m.%Y\): row 17 "31.02'):
        round_trip(tmp_path, cells)
    found, _ = round_trip(tmp_path, cells, missing=["soon", "31.02.2021"])
    assert found.null_count() == 2


def test_cells_in_another_notation_are_read_and_said(tmp_path):
    lines = [f"{k}.5" for k in range(40)]
    lines[16], lines[20], lines[30] = '"52,300.00"', "$7", "12%"
    (tmp_path / "x.csv").write_text(
        "a,b\n" + "".join(f"w{k % 3},{c}\n" for k, c in enumerate(lines))
    )
    file = open_table(tmp_path / "x.csv")
    found = file.drawn(99, 0)["b"].to_list()
    assert [found[16], found[20], found[30]] == [52300, 7, 12]
    assert 'row 17 "52,300.00", row 21 "$7", row 31 "12%"' in file.remarks[0]


@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 3, 6]),
)
def test_a_duration_comes_back_from_its_text(numbers, days, seconds, places):
    step = 60_000_000 if not seconds else 10 ** (6 - places)
    values = pl.Series("b", [n // step * step for n in numbers]).cast(pl.Duration("us"))
    notation = Length(days, seconds, places if seconds else 0)
    again = pl.select(notation.read(pl.lit(notation.write(values)))).to_series()
    assert again.to_list() == values.to_list()


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1),
    st.sampled_from([".", ","]),
    st.sampled_from(["", "$", "€"]),
    st.sampled_from(["", "%", " €"]),
    st.booleans(),
    st.integers(0, 4),
)
def test_an_amount_comes_back_from_its_text(numbers, decimal, before, after, grouped, places):
    values = pl.Series("b", [n / 10**places for n in numbers])
    thousands = ("." if decimal == "," else ",") if grouped else ""
    notation = Amount(decimal, thousands, before, after, places)
    again = pl.select(notation.read(pl.lit(notation.write(values)))).to_series()
    assert again.to_list() == values.to_list()


def test_a_style_comes_back_from_its_facts():
    notations = {"a": Amount(",", ".", "", "%", 2), "b": moment("%d.%m.%Y"), "c": Length(True)}
    quotes = Quotes(True, ("a",))
    style = Style(";", ",", "cp1252", False, notations, quotes, "\r\n")
    assert Style.of(style.facts()) == style
    with pytest.raises(ValueError, match="is no format of dates"):
        moment("%m")


ROWS = [
    ("1.50", "x y", "2024-01-05", ""),
    ("-0.5", 'say "no"', "2024-01-06", "NA"),
    ("12", "a;b,c", "2024-01-07", "-"),
    ("+3", " padded ", "2024-01-08", "NA"),
    ("4", "two\nlines", "2024-02-08", "3.0"),
] * 8


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoted", ["needed", "all", "names"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_written_as_it_came(end, separator, quoted, encoding, tmp_path):
    """Known cells, quotes, ends of lines, encoding: byte for byte."""

    def cell(text, column):
        needs = any(mark in text for mark in (separator, '"', "\n"))
        if needs or quoted == "all" or (quoted == "names" and column == 1):
            return '"' + text.replace('"', '""') + '"'
        return text

    # A file in UTF-16 is converted first, which leaves out the quotes of empty cells.
    rows = [r for r in ROWS if encoding != "utf-16" or "" not in r]
    rows.insert(0, ("a", "note", "when", "b"))
    lines = [separator.join(cell(text, k) for k, text in enumerate(row)) for row in rows]
    if quoted == "names":
        lines[0] = separator.join(rows[0])
    path = tmp_path / "in.csv"
    path.write_bytes((end.join(lines) + end).encode(encoding))
    file = open_table(path)
    write_table(tmp_path / "out.csv", file.texts(7), file.style)
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()
