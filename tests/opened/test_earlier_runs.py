"""Run folders that version 0.1.0 wrote (commit 5a09a48) open, and give the numbers that it gave."""

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


def test_a_run_of_digits(place):
    expected = EXPECTED["digits"]
    model = qs.open("digits")
    assert (model.kind, model.run.recipe.width) == ("arrays", 12)
    drawn = model.sample(4, times=5, rng=3).values
    assert np.array_equal(drawn, expected["sample"])
    same(model.score(drawn, evaluations=4).facts, expected["score"])


def test_a_run_of_images_in_a_folder(place):
    expected = EXPECTED["images"]
    model = qs.open("images")
    assert model.kind == "images"
    assert np.array_equal(model.sample(3, times=5, rng=3).values, expected["sample"])
    same(model.score("photos", evaluations=4).facts, expected["score"])
    same(model.score(evaluations=4).facts, expected["own_rows"])
    filled = model.impute(EARLIER / "holed.npy", times=8, particles=4, rng=2, out="w.npy")
    assert np.array_equal(filled.values, expected["imputed"])
    model.outliers("photos", out="o.csv")
    with open("o.csv", newline="") as file:
        rows = list(csv.reader(file))[1:6]
    for row, written in zip(rows, expected["outliers"], strict=True):
        name, excess, p_value, odd = written.split(",")
        assert (row[0], row[3]) == (name, odd)
        assert [float(row[1]), float(row[2])] == pytest.approx(
            [float(excess), float(p_value)], rel=1e-4
        )
