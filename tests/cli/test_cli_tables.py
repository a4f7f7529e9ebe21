"""Commands on tables in files: what they fit, answer and write."""

import re

import numpy as np
import polars as pl
import pytest

import quasistatic as qs
from quasistatic import cli
from quasistatic.data.table_files import open_table, write_table
from quasistatic.distributions.mixtures.fitting import stacking

pytestmark = pytest.mark.usefixtures("float32")


def people(n: int, seed: int = 0) -> pl.DataFrame:
    """Height in metres, weight in whole kilograms, and a column that is always the same."""
    rng = np.random.default_rng(seed)
    height = 1.7 + 0.1 * rng.normal(size=n)
    weight = np.round(70 + 90 * (height - 1.7) + 4 * rng.normal(size=n)).astype(int)
    return pl.DataFrame({"height": height, "weight": weight, "planet": np.full(n, 3)})


def without(frame: pl.DataFrame, column: str, rows: range | list[int]) -> pl.DataFrame:
    """The frame with holes."""
    hidden = pl.Series(np.isin(np.arange(len(frame)), rows))
    return frame.with_columns(pl.when(~hidden).then(pl.col(column)).alias(column))


def read(path) -> pl.DataFrame:
    return open_table(path).drawn(10**9, 0)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_table(folder / "people.csv", [without(people(400), "weight", range(60))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "MOST_COMPONENTS", 1)
        cli.main(["fit", str(folder / "people.csv"), "-o", str(folder / "run"), "--json"])
    return folder / "run"


def test_a_dry_run_says_what_would_be_fitted_and_writes_nothing(fitted, say, tmp_path):
    made = say("fit", fitted.parent / "people.csv", "-o", tmp_path / "run", "--dry-run")
    assert [row[:2] for row in made["columns"]] == [
        ["height", "numeric"],
        ["weight", "integer"],
        ["planet", "constant"],
    ]
    assert made["columns"][2][2] == "3"
    assert made["columns"][1][3] == "15.0%"
    assert made["plan"].startswith("2 of 3 columns vary; a mixture in closed form")
    assert "no network" in made["plan"]
    assert (
        "width 128, 50 steps"
        in say("fit", fitted.parent / "people.csv", "--steps", 50, "--dry-run")["plan"]
    )
    assert list(tmp_path.iterdir()) == []


def test_scores_are_the_estimator_s_holes_and_all(fitted, say, tmp_path):
    table = without(people(50, 1), "weight", [3, 7])
    write_table(tmp_path / "new.csv", [table])
    told = say("score", fitted, "--data", tmp_path / "new.csv", "--out", tmp_path / "scores.csv")
    each = read(tmp_path / "scores.csv")
    assert each.columns == ["row", "log_prob"]
    exact = qs.DiffusionDensity.load(fitted).score_samples(table)
    assert np.isfinite(exact).all()
    assert np.array_equal(each["log_prob"].to_numpy(), exact)
    assert told["nats"] == pytest.approx(exact.mean())
    assert told["stderr"] == pytest.approx(exact.std(ddof=1) / 50**0.5)
    assert told["rows"] == 50


def test_samples_have_the_columns_of_the_table(fitted, say, tmp_path):
    drawn = read(say("sample", fitted, "--n", 300)["samples"])
    assert drawn.schema == people(1).schema
    assert (drawn["planet"] == 3).all()
    assert np.corrcoef(drawn["height"], drawn["weight"])[0, 1] == pytest.approx(0.91, abs=0.04)


def test_holes_are_filled_and_the_rest_is_as_it_was(fitted, say, tmp_path):
    truth = people(40, 2)
    table = without(without(truth, "weight", range(20)), "planet", [30])
    # The columns may come in another order.
    write_table(tmp_path / "new.csv", [table.select("planet", "weight", "height")])
    told = say("impute", fitted, tmp_path / "new.csv", "-o", tmp_path / "whole.csv")
    filled = read(tmp_path / "whole.csv")
    assert told["filled"] == 21
    assert filled.columns == ["planet", "weight", "height"]
    assert filled.select(truth.columns).schema == truth.schema
    assert filled["height"].equals(truth["height"])
    assert filled["planet"].equals(truth["planet"])
    assert filled["weight"][20:].equals(truth["weight"][20:])
    assert (filled["weight"] - truth["weight"]).abs().max() < 16
    one = say("impute", fitted, tmp_path / "new.csv", "-o", tmp_path / "one.csv", "--one")
    assert not read(one["imputed"]).equals(filled)


def test_strange_rows_are_found(fitted, say, tmp_path):
    table = people(200, 3)
    strange = pl.DataFrame({"height": [1.5], "weight": [110], "planet": [3]})
    write_table(tmp_path / "new.csv", [strange, without(table, "height", [1])])
    told = say("outliers", fitted, tmp_path / "new.csv", "--out", tmp_path / "found.csv")
    found = read(tmp_path / "found.csv")
    assert found.columns == ["row", "log_prob", "p_value", "outlier", "why"]
    assert found["why"][0].startswith(("height 1.5: expected ", "weight 110: expected "))
    assert (found["why"].is_not_null() == (found["outlier"] == 1)).all()
    plain = say("outliers", fitted, tmp_path / "new.csv", "--no-why", "-o", tmp_path / "found.npy")
    assert np.load(plain["outliers"]).shape == (201, 4)
    assert found["outlier"][0] == 1
    assert found["outlier"][2] == 0
    assert told["found"] == found["outlier"].sum() < 40
    assert told["rows"] == 201
    assert ((found["p_value"] <= 0.05) == (found["outlier"] == 1)).all()


def test_columns_are_scored_given_the_others(fitted, say, tmp_path):
    table = without(people(60, 5), "weight", [2])
    write_table(tmp_path / "new.csv", [table])
    told = say(
        "score", fitted, "--data", tmp_path / "new.csv", "--by-column", "-o", tmp_path / "s.csv"
    )
    found = read(tmp_path / "s.csv")
    names = [f"{name}_nats" for name in table.columns]
    assert found.columns == ["row", "log_prob", *names]
    exact = qs.DiffusionDensity.load(fitted).column_costs(table)
    assert found.select(names).to_numpy() == pytest.approx(exact, abs=1e-9)
    assert told["columns"]["height"] == pytest.approx(exact[:, 0].mean())


def test_intervals_and_copies_are_written_beside_what_is_filled(fitted, say, refused, tmp_path):
    truth = people(300, 6)
    write_table(tmp_path / "new.csv", [without(truth, "weight", range(0, 300, 2))])
    target = tmp_path / "whole.csv"
    told = say(
        "impute", fitted, tmp_path / "new.csv", "-o", target, "--intervals", 0.8, "--draws", 5
    )
    found = read(target)
    assert found.columns == [*truth.columns, "weight_low", "weight_high"]
    known = found["weight_low"].is_null()
    assert known.to_list() == [row % 2 == 1 for row in range(300)]
    holed = found.filter(~known)
    inside = truth["weight"].gather_every(2).is_between(holed["weight_low"], holed["weight_high"])
    assert inside.mean() == pytest.approx(0.87, abs=0.08)  # ends are whole kilograms
    copies = [read(path) for path in told["copies"]]
    assert [path.split("/")[-1] for path in told["copies"]][::4] == ["whole.1.csv", "whole.5.csv"]
    for each in copies:
        assert each.schema == truth.schema
        assert each["weight"].gather_every(2, 1).equals(truth["weight"].gather_every(2, 1))
    drawn = np.stack([each["weight"].to_numpy()[::2] for each in copies])
    assert drawn.std(0, ddof=1).mean() == pytest.approx(4, rel=0.2)
    said = refused("impute", fitted, tmp_path / "new.csv", "--one", "--intervals", 0.9)
    assert "give --one or --intervals, not both" in said


def test_intervals_and_reasons_of_dates_are_dates(say, tmp_path):
    rng = np.random.default_rng(0)
    day = np.datetime64("2020-01-01") + rng.integers(0, 300, 200)
    age = (day - np.datetime64("2020-01-01")).astype(int) + rng.normal(0, 5, 200).round(1)
    table = pl.DataFrame({"day": day, "age": age}).with_columns(pl.col("day").cast(pl.Date))
    write_table(tmp_path / "t.csv", [table])
    say("fit", tmp_path / "t.csv", "-o", tmp_path / "run", "--steps", 0, "--calibration", 0.4)
    write_table(tmp_path / "h.parquet", [without(table, "day", range(0, 200, 2))])
    target = tmp_path / "w.parquet"
    say("impute", tmp_path / "run", tmp_path / "h.parquet", "-o", target, "--intervals", 0.9)
    found = pl.read_parquet(target)[::2]
    inside = table["day"][::2].is_between(found["day_low"], found["day_high"])
    assert inside.mean() == pytest.approx(0.9, abs=0.09)
    strange = table.head(1).with_columns(age=pl.lit(-90.0))
    write_table(tmp_path / "s.parquet", [strange])
    say("outliers", tmp_path / "run", tmp_path / "s.parquet", "-o", tmp_path / "o.csv")
    why = read(tmp_path / "o.csv")["why"][0]
    assert re.match(r"(day 2020-\d\d-\d\d: expected 20\d\d-|age -90: expected )", why)


def test_a_table_is_compressed_and_comes_back(fitted, say, tmp_path):
    table = people(120, 4).with_columns(pl.col("height").round(2))
    write_table(tmp_path / "new.csv", [table])
    told = say("compress", fitted, tmp_path / "new.csv", "-o", tmp_path / "new.qs", "--times", 20)
    assert told["bytes"] < (tmp_path / "new.csv").stat().st_size * 0.6
    say("decompress", fitted, tmp_path / "new.qs", "-o", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "new.csv").read_bytes()


def test_types_of_parquet_are_kept(say, tmp_path):
    """Decimals, enumerations, small and short numbers, with holes, drawn, filled and compressed."""
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "price": pl.Series(rng.normal(size=60).round(2)).cast(pl.Decimal(10, 2)),
            "size": pl.Series(rng.choice(["s", "m", "l"], 60)).cast(pl.Enum(["s", "m", "l"])),
            "kind": pl.Series(rng.choice(["x", "y"], 60)).cast(pl.Categorical),
            "age": pl.Series(rng.integers(0, 200, 60)).cast(pl.UInt8),
            "weight": pl.Series(rng.normal(size=60)).cast(pl.Float32),
            "paid": rng.random(60) < 0.5,
        }
    )
    table = without(without(without(table, "price", [3]), "size", [4, 5]), "weight", [3, 8])
    path, run = tmp_path / "table.parquet", tmp_path / "run"
    write_table(path, [table])
    say("fit", path, "-o", run)
    for verb in (["sample", run, "--n", 9], ["impute", run, path]):
        made = read(next(iter(say(*verb, "-o", tmp_path / "made.parquet").values())))
        assert made.schema == table.schema
        assert made.null_count().sum_horizontal().item() == 0
    say("compress", run, path, "-o", tmp_path / "t.qs", "--times", 4, "--workers", 1)
    say("decompress", run, tmp_path / "t.qs", "-o", tmp_path / "again.parquet")
    assert read(tmp_path / "again.parquet").equals(table)
    assert read(tmp_path / "again.parquet").schema == table.schema


def test_a_table_of_numbers_with_holes_is_compressed_too(fitted, say, tmp_path):
    table = without(people(9, 4), "weight", [3])
    write_table(tmp_path / "new.csv", [table])
    stream, back = tmp_path / "new.qs", tmp_path / "again.csv"
    say("compress", fitted, tmp_path / "new.csv", "-o", stream, "--times", 4, "--workers", 1)
    say("decompress", fitted, stream, "-o", back)
    assert read(back).equals(read(tmp_path / "new.csv"))


def test_a_table_with_atoms_lattices_and_holes_is_compressed(say, tmp_path):
    """Amounts that are often 0, on multiples of 5 and of 50, heaped years, and holes in all."""
    rng = np.random.default_rng(0)
    heaps = np.array([16, 4, 25, 10, 7, 2, 2, 15, 6, 5, 2, 1, 1, 1, 1, 1, 0.5, 0.5])
    coarse = np.where(rng.random(700) < 0.5, 50.0, 5.0)
    debt = coarse * np.round(rng.gamma(3.0, 100.0, 700) / coarse)
    debt[rng.random(700) < 0.4] = 0.0
    table = pl.DataFrame(
        {
            "debt": debt,
            "years": rng.choice(18, 700, p=heaps / heaps.sum()),
            "home": rng.choice(["rent", "owner"], 700),
            "size": (rng.normal(size=700) + debt / 300).round(3),
        }
    )
    for k, name in enumerate(table.columns):
        table = without(table, name, range(k, 700, 19))
    write_table(tmp_path / "all.csv", [table])
    write_table(tmp_path / "new.csv", [table.head(40)])
    told = say("fit", tmp_path / "all.csv", "-o", tmp_path / "run", "--steps", 0)
    assert "exactly 0" in told["atoms"]["debt"]
    assert "own frequency" in told["atoms"]["years"]
    stream, back = tmp_path / "new.qs", tmp_path / "again.csv"
    say("compress", tmp_path / "run", tmp_path / "new.csv", "-o", stream, "--times", 4)
    say("decompress", tmp_path / "run", stream, "-o", back)
    assert back.read_bytes() == (tmp_path / "new.csv").read_bytes()


def test_odd_tables_work_or_are_refused_by_name(say, refused, tmp_path):
    """One row above the other: what is said of it by a dry run, and by a run."""
    x, path = people(30), tmp_path / "odd.csv"
    for frame, says in (
        (x.select("planet"), "all 1 columns are constant"),
        (x.with_columns(height=1 / pl.lit(0.0)), "column 'height' holds inf in row 1"),
    ):
        write_table(path, [frame])
        for dry in ([], ["--dry-run"]):
            assert re.search(says, refused("fit", path, "-o", tmp_path / "run", "--json", *dry))
    assert not (tmp_path / "run").exists()
    write_table(path, [x.select("height")])
    say("fit", path, "-o", tmp_path / "run")
    assert say("score", tmp_path / "run", "--data", path)["rows"] == 30


def test_mistakes_are_told(fitted, refused, tmp_path):
    other = tmp_path / "other.csv"
    write_table(other, [people(2).rename({"height": "hight"})])
    said = refused("impute", fitted, other)
    assert "there is no column 'height': did you mean hight" in said
    assert "name a file with --data" in refused("score", fitted)
    assert "is a share of the rows" in refused("fit", other, "--calibration", 1)
    assert "`quasistatic fit` writes" in refused("impute", tmp_path, other)
    assert "words like sex=binary" in refused("fit", other, "--types", "sex")
    assert "there is no column 'wait': did you mean weight" in refused(
        "fit", other, "--types", "wait=binary"
    )
    said = refused("fit", other, "--leave-out", "wait")
    assert "there is no column 'wait': did you mean weight" in said
    write_table(tmp_path / "odd.csv", [people(3).with_columns(planet=pl.Series([3, 3, 4]))])
    assert "planet" in refused("compress", fitted, tmp_path / "odd.csv", "-o", tmp_path / "o.qs")
    assert not (tmp_path / "o.qs").exists()


def test_what_is_left_out_of_the_model_is_kept_beside_its_row(say, tmp_path):
    names = pl.Series("who", [f"p{i}" for i in range(90)])
    table = without(people(90), "weight", [3]).insert_column(1, names)
    write_table(tmp_path / "t.csv", [table])
    run = tmp_path / "run"
    say("fit", tmp_path / "t.csv", "-o", run, "--leave-out", "who", "--steps", 0)
    filled = read(say("impute", run, tmp_path / "t.csv", "-o", tmp_path / "w.csv")["imputed"])
    assert filled.columns == table.columns
    assert filled["who"].equals(names)
    for verb in (
        ["outliers", run, tmp_path / "t.csv"],
        ["score", run, "--data", tmp_path / "t.csv"],
    ):
        say(*verb, "-o", tmp_path / "found.csv")
        found = read(tmp_path / "found.csv")
        assert found.columns[:2] == ["who", "log_prob"]
        assert found["who"].equals(names)
    assert read(say("sample", run, "--n", 3)["samples"]).columns == ["height", "weight", "planet"]


def test_how_a_file_was_read_is_kept_and_said(say, tmp_path, refused):
    rng = np.random.default_rng(0)
    rows = "".join(f"{x:.2f};{y:.1f}\n".replace(".", ",") for x, y in rng.normal(size=(40, 2)))
    (tmp_path / "t.csv").write_text(rows + "fehlt;1,0\n")
    said = refused("fit", tmp_path / "t.csv", "-o", tmp_path / "run")
    assert 'x0: 1 of 41 cells are no numbers: row 41 "fehlt"' in said
    more = ["--missing", "fehlt", "--steps", 0]
    made = say("fit", tmp_path / "t.csv", *more, "--dry-run", "-o", tmp_path / "run")
    assert "there is no header" in made["remarks"][0]
    assert "numbers with a decimal comma" in made["remarks"][1]
    say("fit", tmp_path / "t.csv", *more, "-o", tmp_path / "run")
    filled = say("impute", tmp_path / "run", tmp_path / "t.csv", "-o", tmp_path / "w.csv")
    assert (filled["filled"], filled["rows"]) == (1, 41)
