"""Run folders that version 0.1.0 wrote (commit 5a09a48) open, and give the numbers that it gave.

Scores are full sums over the chain, whose numbers do not depend on how evaluations are spread.
Draws of a seed have changed since. So means over many draws are compared, by the standard errors
that `expected.json` holds beside them.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quasistatic as qs

pytestmark = pytest.mark.usefixtures("float32")

EARLIER = Path(__file__).parent.parent / "fixtures" / "runs_of_5a09a48"
EXPECTED = json.loads((EARLIER / "expected.json").read_text())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with copies of the runs, and the images that one of them was fitted to."""
    for name in ("digits", "images"):
        shutil.copytree(EARLIER / name, tmp_path / name)
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(np.load(EARLIER / "photos.npy")):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number:03}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same(facts, expected):
    for name, value in expected.items():
        assert facts[name] == pytest.approx(value, rel=1e-5), name


def same_mean(values, expected):
    """The mean of independent values is the expected one, to 4.5 standard errors of the two."""
    found = np.asarray(values, float)
    error = np.hypot(found.std(ddof=1) / len(found) ** 0.5, expected["stderr"])
    assert abs(found.mean() - expected["mean"]) < 4.5 * error


def test_a_run_of_digits(place):
    expected = EXPECTED["digits"]
    model = qs.open("digits")
    assert (model.kind, model.run.recipe.width) == ("arrays", 12)
    drawn = model.sample(500, times=5, rng=3).values
    same_mean(drawn.mean(1), expected["drawn"])
    np.save("x.npy", expected["sample"])
    same(model.score("x.npy", evaluations="all").facts, expected["score"])


def test_a_run_of_images_in_a_folder(place):
    expected = EXPECTED["images"]
    model = qs.open("images")
    assert model.kind == "images"
    drawn = model.sample(500, times=5, rng=3, out="drawn.npy").values
    same_mean(drawn.reshape(500, -1).mean(1), expected["drawn"])
    same(model.score("photos", evaluations="all").facts, expected["score"])
    same(model.score(evaluations="all").facts, expected["own_rows"])
    holed = np.load(EARLIER / "holed.npy")
    holes, means = np.isnan(holed), []
    for seed in range(12):
        filled = model.impute(
            EARLIER / "holed.npy", times=8, particles=4, rng=seed, out="w.npy"
        ).values
        assert np.array_equal(filled[~holes], holed[~holes])
        means.append(filled[holes].mean())
    same_mean(means, expected["imputed"])
    model.outliers("photos", out="o.csv")
    with open("o.csv", newline="") as file:
        rows = list(csv.reader(file))[1:6]
    for row, written in zip(rows, expected["outliers"], strict=True):
        name, excess, p_value, odd = written.split(",")
        assert (row[0], row[3]) == (name, odd)
        assert [float(row[1]), float(row[2])] == pytest.approx(
            [float(excess), float(p_value)], rel=1e-4
        )
