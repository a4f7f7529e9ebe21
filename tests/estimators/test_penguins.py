"""A real table end to end: categories, integers, real numbers and holes in one model."""

import json
import math

import pytest
import torch
from palmerpenguins import load_penguins

import quasistatic as qs
from quasistatic.reporting import figures


@pytest.fixture(scope="module")
def trained():
    """The penguins, a model of three quarters of them, and the rest."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    frame = load_penguins()
    table = qs.Table.infer(frame)
    rows = table.read(frame)[torch.randperm(len(frame))]
    model = qs.tabular(table, steps=40, width=64, depth=1)
    qs.fit(model, rows[:260], steps=160, batch=96, lr=4e-3)
    torch.set_default_dtype(before)
    return frame, model, rows[260:]


def test_the_columns_are_what_a_person_would_say(trained):
    _, model, _ = trained
    kinds = {column.name: column.kind for column in model.space.columns}
    assert kinds == {
        "species": "categorical",
        "island": "categorical",
        "bill_length_mm": "numeric",
        "bill_depth_mm": "numeric",
        "flipper_length_mm": "integer",
        "body_mass_g": "integer",
        "sex": "binary",
        "year": "integer",
    }
    assert model.space.holes


def test_what_was_learned_holds_for_rows_that_were_not_seen(trained, rng):
    """Better than each column by itself: the shares of classes, and real values as normal."""
    _, model, held_out = trained
    score = model.score(held_out, rng=rng)
    above = score.above_null
    assert above.mean() > 1.5
    assert above.mean() > 5 * score.stderr(above)


def test_draws_are_penguins(trained, rng):
    """Classes that occur, integers within their range, species on the islands where they live."""
    frame, model, _ = trained
    drawn = model.space.write(model.sample(2000, times=30, rng=rng))
    assert list(drawn.columns) == list(frame.columns)
    assert (drawn.dtypes == frame.dtypes).all()
    for name in ("species", "island", "sex", "year"):
        assert set(drawn[name]) == set(frame[name].dropna())
    for name in ("flipper_length_mm", "body_mass_g"):
        assert (drawn[name] == drawn[name].round()).all()
        assert drawn[name].between(frame[name].min(), frame[name].max()).all()
    gentoo = drawn[drawn["species"] == "Gentoo"]
    assert (gentoo["island"] == "Biscoe").mean() > 0.8  # in the data it is all of them
    heavier = frame.groupby("species")["body_mass_g"].mean()
    made = drawn.groupby("species")["body_mass_g"].mean()
    assert (made - heavier).abs().max() < 300
    assert abs(drawn["sex"].eq("male").mean() - frame["sex"].dropna().eq("male").mean()) < 0.1


def test_what_is_missing_is_filled_and_what_is_known_is_kept(trained, rng):
    """The species of birds of which all else is known."""
    _, model, held_out = trained
    table, whole = model.space, held_out[~held_out.isnan().any(1)][:40]
    hidden = whole.clone()
    hidden[:, 0] = math.nan
    found = model.impute(hidden, draws=16, method=qs.SMC(16), times=20, rng=rng)
    filled = table.typical(found.draws)
    assert torch.equal(filled[:, 1:], whole[:, 1:])
    assert (filled[:, 0] == whole[:, 0]).double().mean() > 0.85
    written = table.write(filled)
    assert set(written["species"]) <= {"Adelie", "Chinstrap", "Gentoo"}


def test_a_row_with_holes_is_scored_by_what_is_there(trained, rng):
    """Four measurements fewer are some twenty nats less: the density of two and the mass of two."""
    _, model, held_out = trained
    whole = held_out[~held_out.isnan().any(1)]
    part = whole.clone()
    part[:, 2:6] = math.nan
    found, all_of_it = model.score(part, rng=rng), model.score(whole, rng=rng)
    assert found.nats.mean() > all_of_it.nats.mean() + 10
    assert (found.null > all_of_it.null).all()


def test_a_trained_table_comes_back_from_two_files(trained, float32, tmp_path):
    _, model, held_out = trained
    model.save(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model"]["space"]["columns"][0]["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    again = qs.load(tmp_path)
    assert str(again.space) == str(model.space)
    before, after = (
        each.score(held_out, rng=torch.Generator().manual_seed(0)).nats for each in (model, again)
    )
    assert torch.equal(before, after)


def test_a_figure_shows_each_column_and_how_they_hang_together(trained, rng):
    frame, model, _ = trained
    drawn = model.sample(1000, times=30, rng=rng)
    figure = figures.marginals(model.space, model.space.read(frame), drawn)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [*frame.columns, "correlations of pairs"]
    points = figure.axes[-1].collections[0].get_offsets().data
    assert len(points) == 95  # pairs of 15 values that belong to two columns
    assert abs(points[:, 0] - points[:, 1]).mean() < 0.1
    bars = figure.axes[0].patches
    shares = frame["species"].value_counts(normalize=True).sort_index().to_numpy()
    assert [bar.get_height() for bar in bars[:3]] == pytest.approx(shares.tolist())
