"""Dialects of text files: many generated files are read with the right rows, names and values."""

import csv
import io
import itertools
import random

import numpy as np
import polars as pl
import pytest

from quasistatic.data.table_files import open_table, write_table
from quasistatic.data.table_files.structure import survey

WORDS = ["Anna", "Bert", "Carla", "Dora", "Emil", "Franz", "Greta", "Hugo", "Ida", "Jakob"]
ROWS = 40


def real(rng, decimal):
    return f"{rng.gauss(0, 30):.2f}".replace(".", decimal)


def day(rng):
    return f"2021-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


CELLS = {
    "numbers": lambda rng, k, decimal: real(rng, decimal),
    "mixed": lambda rng, k, decimal: [
        real(rng, decimal),
        str(rng.randint(0, 90)),
        rng.choice(WORDS),
        rng.choice(["yes", "no"]),
    ][k % 4],
    "dates": lambda rng, k, decimal: [
        day(rng),
        f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}.2020",
        real(rng, decimal),
    ][k % 3],
    "times": lambda rng, k, decimal: [
        f"{day(rng)} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}",
        real(rng, decimal),
    ][k % 2],
    "texts": lambda rng, k, decimal: [
        " ".join(rng.choices(WORDS, k=4)) + rng.choice(["", ", and", "; or", " | x"]),
        real(rng, decimal),
    ][k % 2],
    "holes": lambda rng, k, decimal: rng.choice(["", "NA", *[real(rng, decimal)] * 8]),
    "broken": lambda rng, k, decimal: [
        rng.choice(["line one\nline two", 'he said "no"', "plain"]),
        real(rng, decimal),
    ][k % 2],
    "money": lambda rng, k, decimal: [
        "$" + real(rng, ".").lstrip("-") if decimal == "." else real(rng, ",") + " €",
        real(rng, decimal),
    ][k % 2],
}
"""Cells of several kinds, by their column."""


def text_of(rows, separator, quoting=csv.QUOTE_MINIMAL, end="\n"):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return out.getvalue()


def made(content, separator, decimal, width, rows, seed):
    rng = random.Random(seed)
    first = [CELLS[content](rng, k, decimal) for k in range(width)]
    return [
        [cell or "0" for cell in first],
        *([CELLS[content](rng, k, decimal) for k in range(width)] for _ in range(rows - 1)),
    ]


@pytest.mark.parametrize("content", CELLS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_header_and_rows_of_many_dialects_are_found(content, separator, tmp_path):
    path = tmp_path / "x.csv"
    ways = itertools.product(".,", [True, False], [2, 4], [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    for seed, (decimal, header, width, quoting) in enumerate(ways):
        rows = made(content, separator, decimal, width, ROWS, seed)
        names = [[f"col{k}" for k in range(width)]] if header else []
        end, encoding = random.Random(seed).choice([("\n", "utf-8"), ("\r\n", "utf-8-sig")])
        path.write_text(text_of(names + rows, separator, quoting, end), encoding, newline="")
        file = open_table(path)
        way = (decimal, header, width, quoting)
        assert file.style.separator == separator, way
        assert file.style.header == header, way
        assert (file.rows, len(file.names)) == (ROWS, width), way
        texts = pl.concat(list(file.texts(7)))
        assert [[cell or "" for cell in row] for row in texts.rows()] == rows, way


@pytest.mark.parametrize("content", ["numbers", "mixed"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("lead", [0, 3])
@pytest.mark.parametrize("width", [2, 4])
def test_runs_of_spaces_part_columns(content, header, lead, width, tmp_path):
    rows = made(content, " ", ".", width, ROWS, 1)
    names = [[f"col{k}" for k in range(width)]] if header else []
    lines = [" " * lead + "  ".join(f"{cell:>9}" for cell in row) for row in names + rows]
    (tmp_path / "x.txt").write_text("\n".join(lines) + "\n")
    file = open_table(tmp_path / "x.txt")
    assert (file.rows, len(file.names), file.style.header) == (ROWS, width, header)
    assert "runs of spaces" in file.layout
    found = file.drawn(10**6, 0).to_series(0)
    assert found.to_list() == pytest.approx([float(row[0]) for row in rows])


def test_one_column_of_texts_is_not_parted_by_its_spaces(tmp_path):
    (tmp_path / "x.csv").write_text("name\nAnna Maria\nBert Otto\nCarla Ida\n")
    assert open_table(tmp_path / "x.csv").names == ("name",)


@pytest.mark.parametrize("mark", ["#", "%", "//"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_comment_lines_are_no_rows(mark, separator, tmp_path):
    rows = made("mixed", separator, ".", 3, ROWS, 3)
    lines = text_of([["a", "b", "c"], *rows], separator).splitlines(keepends=True)
    lines.insert(20, f"{mark} restarted{separator}\n")
    text = f"{mark} made by a logger\n{mark} units: m{separator} s\n" + "".join(lines)
    (tmp_path / "x.csv").write_text(text)
    file = open_table(tmp_path / "x.csv")
    assert (file.names, file.rows) == (("a", "b", "c"), ROWS)
    assert file.drawn(99, 0)["a"].to_list() == [float(row[0]) for row in rows]


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "cp1251", "gb18030"]
)
def test_encodings_are_read_and_written(encoding, tmp_path):
    words = {"cp1251": ["Москва", "Омск"], "gb18030": ["北京", "上海"]}.get(
        encoding, ["Köln", "Łódź"]
    )
    if encoding in ("latin-1", "cp1252"):
        words = ["Köln", "Zürich"]
    text = "wert;ort\n" + "".join(f"{k / 4};{words[k % 2]}\n" for k in range(30))
    (tmp_path / "x.csv").write_text(text, encoding)
    marked = encoding in ("utf-16", "utf-8-sig")
    file = open_table(tmp_path / "x.csv", encoding=None if marked else encoding)
    assert file.drawn(99, 0)["ort"].to_list() == [words[k % 2] for k in range(30)]
    write_table(tmp_path / "y.csv", file.pieces(7), file.style)
    again = open_table(tmp_path / "y.csv", encoding=None if marked else encoding)
    assert again.drawn(99, 0).equals(file.drawn(99, 0))


@pytest.mark.parametrize("line", [1, 2, 17, 40_000])
def test_a_wrong_encoding_is_named_with_the_line_of_its_byte(line, tmp_path):
    lines = [b"a,b", *(f"{k},word {k}".encode() for k in range(50_000))]
    lines[line - 1] += "é".encode("latin-1")
    (tmp_path / "x.csv").write_bytes(b"\n".join(lines))
    with pytest.raises(ValueError, match=rf"line {line} shows: the byte 0xE9 .*--encoding cp1252"):
        open_table(tmp_path / "x.csv")
    with pytest.raises(ValueError, match="--encoding klingon is not known"):
        open_table(tmp_path / "x.csv", encoding="klingon")


def test_other_headers(tmp_path):
    def names(text):
        (tmp_path / "x.csv").write_text(text)
        file = open_table(tmp_path / "x.csv")
        return file.names, file.rows

    rows = "".join(f"{k}.5,{k % 3}.25,w{k % 2}\n" for k in range(12))
    assert names("a,b\n" + "".join(f"r{k},{k}.5,{k}.25\n" for k in range(12))) == (
        ("index", "a", "b"),
        12,  # R writes no name for the names of rows
    )
    trailing = "a,b,c,\n" + rows.replace("\n", ",\n")
    assert names(trailing) == (("a", "b", "c"), 12)
    assert names("a,b,c\n" + rows.replace("\n", ",\n")) == (("a", "b", "c"), 12)
    assert names(",a,b\n" + "".join(f"{k},{k}.5,{k}.25\n" for k in range(12)))[0][0] == "index"
    assert names("country,2019,2020\n" + "".join(f"c{k},{k}.5,{k}.2\n" for k in range(12))) == (
        ("country", "2019", "2020"),
        12,
    )
    assert names("NA,,NA\n" + rows) == (("x0", "x1", "x2"), 13)
    assert names("day,x\n" + "".join(f"2021-01-{k:02},{k}\n" for k in range(1, 12)))[1] == 11
    assert names("".join(f"2021-01-{k:02},{k}\n" for k in range(1, 12)))[1] == 11


def test_all_problems_of_a_file_are_named_at_once(tmp_path):
    lines = ["a,b,c,a"] + [f"{k}.5,{k}.25,{k}.125,{k}" for k in range(60)]
    lines[5] = "1.5,2"
    lines[9] += ",9"
    lines[20] = "x,2.5,3.5,1"
    lines[30] = "2.5,y,3.5,1"
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="5 problems") as caught:
        open_table(tmp_path / "x.csv")
    said = str(caught.value)
    for part in (
        "2 columns of one name, 'a'",
        "line 6 of",
        "line 10 of",
        'row 20 "x"',
        'row 30 "y"',
    ):
        assert part in said
    lenient = open_table(tmp_path / "x.csv", lenient=True)
    assert len(lenient.problems) == 5
    assert lenient.drawn(99, 0)["b"][29] is None


def test_the_first_twenty_wrong_rows_are_named_and_how_many_more(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 50 + "1\n" * 45)
    with pytest.raises(ValueError, match="problems") as caught:
        open_table(tmp_path / "x.csv")
    assert "line 52 of" in str(caught.value)
    assert "25 more such rows" in str(caught.value)


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 20])
def test_rows_are_counted_as_the_reader_of_python_counts_them(chunk, tmp_path, monkeypatch):
    from quasistatic.data.table_files import records

    monkeypatch.setattr(records, "CHUNK", chunk)
    rng = np.random.default_rng(chunk)
    cells = ["1", '"a,b"', '"x\ny"', '"say ""hi"""', "", "é"]
    for _ in range(20):
        widths = rng.choice([2, 3, 3, 3, 3, 3, 4], 30)
        rows = [",".join(rng.choice(cells, width)) for width in widths]
        text = "\n".join(row or '""' for row in rows) + "\n" * int(rng.integers(1, 4))
        (tmp_path / "x.csv").write_text(text)
        found = survey(tmp_path / "x.csv", ",", "", {3})
        read = [row for row in csv.reader(io.StringIO(text)) if row]
        assert found.rows == len(read)
        assert found.count == sum(len(row) != 3 for row in read)


def test_a_quote_within_a_cell_is_no_quote(tmp_path):
    (tmp_path / "x.csv").write_text('size,n\n5" pipe,1\n6 pipe,2\n7" pipe,3\n8" x,4\n9 pipe,5\n')
    assert survey(tmp_path / "x.csv", ",", "", {2}).rows == 6
