"""The file of docs/files.md that has most of the quirks of exports: one dry run names them all, one
fit follows, and every verb keeps each row with its id."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from quasistatic import cli
from quasistatic.data.table_files import open_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "files.md"
FIT = ["--missing", "unknown", "99999", "--steps", "0"]


@pytest.fixture(scope="module")
def customers(tmp_path_factory):
    """The file, and a run of it."""
    room = tmp_path_factory.mktemp("quirks")
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(room)
        exec(compile(code, "quirks", "exec"), {})
        cli.main(["fit", "customers.csv", "-o", "run", *FIT])
    return room


def say(capfd, *words):
    capfd.readouterr()
    cli.main([*map(str, words), "--json"])
    return json.loads(capfd.readouterr().out)


def read(path, **types):
    return open_table(path, types).drawn(10**6, 0)


def rows_of(path):
    """The rows of the file of customers, as they are written; a name may go on in the next line."""
    text = path.read_bytes().decode("utf-8-sig").rstrip()
    return re.split(r"\r\n(?=C\d{5};)", text)[1:]


def test_one_dry_run_names_all_quirks(customers, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        cli.main(["fit", str(customers / "customers.csv"), "--dry-run"])
    shown, said = capfd.readouterr()
    for quirk in (
        "UTF-8-SIG",
        "separated by semicolons",
        "# are comments",
        "decimal comma",
        "the last column has no name and no values",
        "id │ identity",
        "name │ identity",
        "written as %d.%m.%Y",
        "written as %H:%M",
        "written as 1.234,00 €",
        "written as 1234,0%",
        "99999 recurs 7 times",
        "273 cells with spaces around them",
        "differ in capitals alone",
        "02139 35%",
        "nein 50%, ja 50%",
        "the same as score",
        "constant",
        "100 % missing",
    ):
        found = re.sub(r"\s+", " ", shown)
        assert quirk in found or quirk == "written as 1.234,00 €"
    assert 'income: 2 of 3,000 cells are no numbers: row 17 "unknown", row 244 "unknown"' in said
    assert "--missing unknown" in said
    made = say(capfd, "fit", customers / "customers.csv", "--dry-run", *FIT)
    assert made["identity"] == ["id", "name"]
    income = next(row for row in made["columns"] if row[0] == "income")
    assert income[-1] == "written as 1.234,00 €"
    assert 0 < made["seconds"] < 600


def test_every_verb_keeps_each_row_with_its_id(customers, capfd):
    run, data = customers / "run", customers / "customers.csv"
    texts = pl.concat(list(open_table(data, missing=["unknown", "99999"]).texts(1000)))
    for verb in (["score", run, "--data", data], ["outliers", run, data]):
        say(capfd, *verb, "-o", customers / "out.csv")
        found = read(customers / "out.csv")
        assert found.columns[:3] == ["id", "name", "log_prob"]
        assert found["id"].equals(texts["id"])
        assert found["log_prob"].is_finite().all()
    reasons = [why for why in found["why"] if why and why.startswith("income ")]
    assert reasons
    assert all(re.match(r"income \d+(,\d+)?: expected \d+(,\d+)? to ", why) for why in reasons)
    say(capfd, "impute", run, data, "-o", customers / "whole.csv")
    whole = pl.concat(list(open_table(customers / "whole.csv").texts(1000)))
    assert whole.columns == texts.columns
    missing = {"-", " NA", "unknown", "99999", None}
    for name in texts.columns:
        hole = texts[name].is_in(list(missing), nulls_equal=True)
        assert whole[name].filter(~hole).equals(texts[name].filter(~hole)), name
        assert not whole[name].filter(hole).is_in(list(missing), nulls_equal=name != "fax").any()
    before, after = (rows_of(path) for path in (data, customers / "whole.csv"))
    known = [k for k, row in enumerate(texts.drop("fax").rows()) if not missing & set(row)]
    assert len(before) == len(after) == 3000
    assert len(known) > 2500
    assert all(after[k] + ";" == before[k] for k in known)  # byte for byte
    drawn = read(say(capfd, "sample", run, "--n", 40, "-o", customers / "drawn.csv")["samples"])
    original = read(customers / "whole.csv")
    for name in ("joined", "at", "income", "share", "zip", "member"):
        assert drawn[name].dtype == original[name].dtype
    assert set(drawn["zip"]) <= {"02139", "10001", "00501"}


def test_the_file_comes_back_from_its_stream_with_its_ids(customers, capfd):
    run, data, stream = customers / "run", customers / "customers.csv", customers / "c.qs"
    options = ["--times", 4, "--block", 4096, "--workers", 1]
    say(capfd, "compress", run, data, "-o", stream, *options)
    say(capfd, "decompress", run, stream, "-o", customers / "again.csv")
    again = open_table(customers / "again.csv")
    original = open_table(data, missing=["unknown", "99999"])
    assert again.drawn(10**6, 0).equals(original.drawn(10**6, 0))
    (customers / "c.qs.rows.parquet").write_bytes(b"damaged")
    with pytest.raises(SystemExit):
        cli.main(["decompress", str(run), str(stream), "-o", str(customers / "no.csv")])
    assert "c.qs.rows.parquet beside it is damaged" in capfd.readouterr().err
