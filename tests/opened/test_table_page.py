"""The page of a fitted table: each section's figures, by known answers."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

import quasistatic as qs
from quasistatic.data.table_files import write_table
from quasistatic.distributions.mixtures.fitting import stacking
from quasistatic.estimators.simple_models import simple_scores
from quasistatic.opened.fitted_table import FittedTable
from quasistatic.opened.table_page import filled_section, known_section, rows_section
from quasistatic.opened.table_page.data import data_section, values_text
from quasistatic.opened.table_report import table_sections

pytestmark = pytest.mark.usefixtures("float32")


def people(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    height = 1.7 + 0.1 * rng.normal(size=n)
    frame = {
        "id": [f"P{k:04}" for k in range(n)],
        "height": height.round(3),
        "weight": np.round(70 + 90 * (height - 1.7) + 4 * rng.normal(size=n)).astype(int),
        "town": rng.choice(["Bern", "Lyon", "Rome"], n, p=[0.5, 0.3, 0.2]),
    }
    hidden = pl.Series(rng.random(n) < 0.1)
    return pl.DataFrame(frame).with_columns(height=pl.when(~hidden).then("height"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_table(folder / "people.csv", [people(500, 0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacking, "MOST_COMPONENTS", 1)
        qs.opened.fit(folder / "people.csv", out=folder / "run", steps=0, calibration=0.3)
    return FittedTable.open(folder / "run")


def test_ranges_are_those_of_the_data(table):
    rows = people(300, 1)
    section = data_section(table, table.fitted(rows), 1000, "new.csv")
    cells = {row[0]: row[1:] for row in section.table.rows}
    assert cells["weight"][0] == f"{rows['weight'].min()} to {rows['weight'].max()}"
    assert cells["weight"][1] == f"{rows['weight'].median():g}"
    assert cells["height"][2] == f"{rows['height'].null_count() / 300:.1%}"
    share = (rows["town"] == "Bern").mean()
    assert cells["town"][0].startswith(f"Bern {share:.0%}, Lyon ")
    assert "kept beside each row: id" in section.paragraphs[1]
    assert "1,000 rows, of which the first 300" in section.paragraphs[0]
    # A column of 1 % draws beyond the data: the page says nothing of it.
    assert values_text(pl.Series([2.5, None, 3.25, 10.0])) == ("2.5 to 10", "3.25")


def test_columns_alone_are_normals_and_shares():
    train = np.random.default_rng(0).normal(2, 3, size=(400, 2))
    density = qs.DiffusionDensity(steps=0, space=qs.Continuous(2)).fit(train)
    test = np.random.default_rng(1).normal(2, 3, size=(50, 2))
    test[3, 1] = np.nan
    found, possible = simple_scores(density, train, test)["each column alone"]
    exact = norm.logpdf(test, train.mean(0), train.std(0))
    assert found == pytest.approx(np.nansum(exact, 1), abs=1e-6)
    assert possible.all()
    # One normal distribution knows the correlation, and is never worse here than columns alone.
    turned = train @ np.array([[1.0, 0.9], [0.0, 0.3]])
    density = qs.DiffusionDensity(steps=0, space=qs.Continuous(2)).fit(turned)
    scores = simple_scores(density, turned, turned)
    gain = scores["one normal distribution"][0].mean() - scores["each column alone"][0].mean()
    correlation = np.corrcoef(turned.T)[0, 1]
    assert gain == pytest.approx(-np.log(1 - correlation**2) / 2, abs=0.03)


def test_rows_that_were_held_back_are_scored_beside_simple_models(table):
    rows, held_back = table.fitted(people(500, 0)), table.held_back()
    section = known_section(table, rows, held_back)
    cells = {row[0]: row[1:] for row in section.table.rows}
    ours = table.score(table.fitted(held_back))
    assert cells["this model"][0].startswith(f"{ours.mean():.2f}"[:5])
    alone = float(cells["each column alone"][1].split(" ±")[0])
    # Height and weight have the correlation 0.914: that is what columns alone do not know.
    assert alone == pytest.approx(-np.log(1 - 0.914**2) / 2 * 0.9, abs=0.25)
    assert "150 rows were held back" in section.paragraphs[0]
    others = int(section.paragraphs[1].split(" other rows")[0].split()[-1])
    assert 330 < others <= 350  # rows that equal one that was held back are not used
    assert "one normal distribution" in section.result
    assert "too few" in known_section(table, rows, held_back[:3]).paragraphs[0]


def test_a_strange_row_is_first_and_says_why(table):
    rows = people(100, 2)
    rows[17, "weight"] = 140
    names = [f"id {name}" for name in rows["id"]]
    section = rows_section(table, table.fitted(rows), names, 150)
    row, p_value, why = section.table.rows[0]
    assert row == "id P0017"
    assert float(p_value) == pytest.approx(1 / 151, abs=1e-3)
    assert why.startswith("weight 140: expected ")
    assert "first id P0017: weight 140" in section.result


def test_hidden_values_are_filled_and_intervals_hold_them(table):
    section = filled_section(table, table.held_back(), 0)
    inside, numbers = (int(word) for word in section.result.split()[:3:2])
    assert inside / numbers == pytest.approx(0.93, abs=0.07)  # ends of weights are whole numbers
    column, _, filled, interval = section.table.rows[0]
    assert column in table.types
    if interval:
        low, high = (float(end) for end in interval.split(" to "))
        assert low <= float(filled) <= high


def test_a_page_without_data_shows_the_rows_that_were_held_back(table, tmp_path):
    sections = table_sections(table, None, 0)
    assert [each.heading for each in sections] == [
        "The data",
        "How well the model knows rows that it has not seen",
        "Draws beside data",
        "Can draws be distinguished from data?",
        "Unusual rows, and why",
        "Filling missing values: an example",
    ]
    assert all(each.result for k, each in enumerate(sections) if k != 2)
    assert sections[0].result.startswith("150 rows, 3 columns")
