"""Folders that version 5a09a48 wrote still open, and give the same numbers.

The folders hold a mixture of numbers (with a constant column and rows with holes), a table of mixed
columns, an outlier detector, and one model of each kind with a network that was kept; beside them
stands what that version answered.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from palmerpenguins import load_penguins

import quasistatic as qs
from conftest import default_dtype

ROOM = Path(__file__).parents[1] / "fixtures" / "format_1"
EXPECTED = json.loads((ROOM / "expected.json").read_text())


@pytest.fixture(autouse=True)
def as_it_was(float32):
    """The type in which that version worked."""


def number(rows: list) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


def test_a_mixture_of_numbers():
    density, wanted = qs.DiffusionDensity.load(ROOM / "wine"), EXPECTED["wine"]
    rows = number(wanted["rows"])
    assert density.score_samples(rows) == pytest.approx(number(wanted["log_prob"]), abs=1e-5)
    assert density.get_params()["width"] == 16
    assert density.n_features_in_ == 14
    assert (density.sample(20)[:, 2] == 7.5).all()
    odd = rows[:1].copy()
    odd[0, 2] = 8.0
    assert np.isneginf(density.score_samples(odd)).all()


def test_it_is_written_again_in_the_format_of_today(tmp_path):
    density = qs.DiffusionDensity.load(ROOM / "wine")
    density.save(tmp_path)
    rows = number(EXPECTED["wine"]["rows"])
    again = qs.DiffusionDensity.load(tmp_path)
    assert np.array_equal(again.score_samples(rows), density.score_samples(rows))
    assert json.loads((tmp_path / "estimator.json").read_text())["format"] == 2


def test_a_table_of_mixed_columns():
    imputer, wanted = qs.DiffusionImputer.load(ROOM / "penguins"), EXPECTED["penguins"]
    frame = load_penguins().loc[wanted["index"]]
    density = qs.DiffusionDensity.of(imputer)
    assert density.score_samples(frame) == pytest.approx(number(wanted["log_prob"]), abs=1e-5)
    hidden = frame.assign(species=None)
    without = number(wanted["log_prob_without_species"])
    assert density.score_samples(hidden) == pytest.approx(without, abs=1e-5)
    assert imputer.transform(hidden)["species"].tolist() == wanted["species"]
    mass, error = number(wanted["mass"]), number(wanted["mass_std"]) / 20
    drawn = imputer.draw(frame.assign(body_mass_g=np.nan), 400)[:, :, 5]
    assert (np.abs(drawn.mean(1) - mass) < 5 * error).all()


def test_an_outlier_detector():
    detector, wanted = qs.DiffusionOutliers.load(ROOM / "outliers"), EXPECTED["outliers"]
    names = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
    rows = load_penguins()[names].iloc[:30]
    assert detector.p_values(rows) == pytest.approx(number(wanted["p_values"]))
    assert detector.predict(rows).tolist() == wanted["predict"]
    assert detector.offset_ == pytest.approx(wanted["offset"], abs=1e-5)


@pytest.mark.parametrize("name", ["ring", "sides"])
def test_a_network_that_was_kept(name):
    """Its outputs are those that they were; a score has the noise of 64 evaluations."""
    density, wanted = qs.DiffusionDensity.load(ROOM / name), EXPECTED[name]
    assert density.summary_.kept
    x_t, t = torch.tensor(wanted["x_t"]), torch.tensor(wanted["t"])
    x_t = x_t.masked_fill(x_t == -99, torch.nan)
    with torch.no_grad():
        output = density.model_.output(x_t, t)
    old = torch.tensor(wanted["output"])
    if name == "sides":  # the prior of classes and its correction stand apart now
        output = torch.cat([output[:, :1], (output + output.roll(-2, -1))[:, 1:] * 1.0], 1)
        old[:, 1:, 1:] = output[:, 1:, 1:]
    assert torch.allclose(output, old, atol=2e-5)
    if name == "sides":
        rows = pd.DataFrame({"x": wanted["x"], "bit": wanted["bit"]})
        estimate = density.model_.estimate(x_t[:5], t[:5])
        assert torch.allclose(estimate, torch.tensor(wanted["estimate"]), atol=1e-5)
    else:
        rows = number(wanted["rows"])
    off = density.score_samples(rows) - number(wanted["log_prob"])
    assert abs(off.mean()) < 4 * off.std() / len(off) ** 0.5 + 0.01


def test_draws_with_few_time_steps_are_those_of_the_whole_chain():
    """The energy distance of draws to others of all 1000 steps is that of such draws to each other,
    and far smaller than that of the closed form that the network corrects."""
    density = qs.DiffusionDensity.load(ROOM / "ring")
    draws = [density.model_.sample(1200, rng=seed).double() for seed in (1, 2)]
    few = torch.from_numpy(density.sample(1200, random_state=3)).double()
    law = density.fitted_.closed_form.sample(1200, torch.Generator().manual_seed(4)).double()
    noise = energy(draws[0], draws[1])
    assert energy(draws[0], few) < noise + 0.002
    assert energy(draws[0], law) > noise + 0.01


def energy(a: torch.Tensor, b: torch.Tensor) -> float:
    """The energy distance of two sets of points."""
    pairs = [torch.cdist(x, y).mean() for x, y in ((a, b), (a, a), (b, b))]
    return float(2 * pairs[0] - pairs[1] - pairs[2])


@pytest.mark.parametrize("name", ["wine", "penguins"])
def test_the_model_alone_opens_too(name):
    with default_dtype(torch.float32):
        model = qs.load(ROOM / name)
    assert type(model.network).__name__ == "ResidualDenoiser"
    assert model.network.denoiser.law.log_weight.exp().sum().item() == pytest.approx(1)


ATOMS = ROOM.parent / "atoms"


@pytest.mark.parametrize("name", ["of_dcafeb8", "of_69705b0"])
def test_columns_with_atoms(name, tmp_path):
    """The first folder has one by the name of `FittedAtoms`. The second has a column with an atom
    on a lattice, one of numbers by their frequency, and missing values in the law."""
    wanted = json.loads((ATOMS / "expected.json").read_text())[name]
    density = qs.DiffusionDensity.load(ATOMS / name)
    rows = pd.DataFrame(wanted["rows"])
    assert density.score_samples(rows) == pytest.approx(number(wanted["log_prob"]), abs=1e-5)
    zero = (density.sample(2000, random_state=0)["spend"] == 0).mean()
    assert zero == pytest.approx(wanted["zero"], abs=0.05)
    density.save(tmp_path)
    again = qs.DiffusionDensity.load(tmp_path)
    assert np.array_equal(again.score_samples(rows), density.score_samples(rows))
    assert again.summary_.atoms == density.summary_.atoms
