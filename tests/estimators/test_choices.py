"""What an estimator decides by held-out rows and calibration rows, by known answers."""

import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import quasistatic as qs
from quasistatic.estimators import closed_form
from quasistatic.estimators.fitted import FitPlan
from quasistatic.estimators.model_selection import is_kept
from quasistatic.estimators.outliers import Judged
from quasistatic.spaces import Table
from quasistatic.spaces.columns import NumericColumn, QuantileColumn
from quasistatic.training.config import Fit


def test_ties_with_calibration_rows_count_as_just_as_unlikely():
    """p = (1 + #{calibration <= score}) / (n + 1), by a table of nine different rows."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (400, 2)).astype(float)
    detector = qs.DiffusionOutliers(level=0.1, conformal="split", steps=0, random_state=0).fit(x)
    ordinary, scores = detector.calibration_, detector.score_samples(x)
    assert len(np.unique(ordinary)) <= 9
    below = (ordinary[None] <= scores[:, None]).sum(1)
    expected = (1 + below) / (len(ordinary) + 1)
    assert np.allclose(detector.p_values(x), expected)
    # A row is called exactly where its p-value is at most the level.
    assert np.array_equal(detector.predict(x) == -1, expected <= 0.1)


def test_a_row_at_the_offset_is_no_outlier():
    at = np.array([-3.0, -2.0, -1.0])
    judged = Judged(at, np.array([0.01, 0.2, 0.5]), np.full(3, -2.0), np.full(3, -9.0))
    assert judged.outlier.tolist() == [True, False, False]
    assert judged.decision.tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_spaces_are_compared_by_densities_of_raw_values(scale):
    """The held-out density of a space counts its Jacobian: in units a thousand times smaller, a
    column has a density that is lower by log 1000, whatever its standardised law."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    table = Table.infer(frame * scale)
    rows = table.read(frame * scale)
    x_0, held = table.encode(rows), np.arange(0, 300, 3)
    law = torch.distributions.Normal(0.0, 1.0)
    log_p = law.log_prob(x_0[held]).sum(1).double()
    found = closed_form._judged(table, x_0, SimpleNamespace(held_out=log_p.numpy(), rows=held))
    spread = [float((rows[1, k] - rows[0, k]) / (x_0[1, k] - x_0[0, k])) for k in range(2)]
    assert found == pytest.approx(log_p.mean().item() - np.log(spread).sum(), rel=1e-5)


def test_quantiles_are_chosen_where_numbers_end_abruptly_and_not_for_normal_ones():
    """The entropy of steps is reached, which a mixture of a few normal distributions does not
    reach. The model with quantiles integrates to one."""
    rng = np.random.default_rng(0)

    def steps(n: int) -> np.ndarray:
        """Half of the numbers evenly from 0 to 0.05, half evenly from 0.05 to 1."""
        left = rng.random(n) < 0.5
        return np.where(left, 0.05 * rng.random(n), 0.05 + 0.95 * rng.random(n))[:, None]

    fitted = qs.DiffusionDensity(steps=0, random_state=0).fit(steps(1500))
    assert isinstance(fitted.table_.columns[0], QuantileColumn)
    expected = -np.log(2) - (np.log(0.05) + np.log(0.95)) / 2
    assert fitted.score(steps(2000)) == pytest.approx(expected, abs=0.06)
    x = np.linspace(-1, 2, 300001)[:, None]
    total = np.trapezoid(np.exp(fitted.score_samples(x)), x[:, 0])
    assert total == pytest.approx(1, abs=1e-3)
    normal = qs.DiffusionDensity(steps=0, random_state=0).fit(rng.normal(size=(1500, 1)))
    assert not isinstance(normal.table_.columns[0], QuantileColumn)


def test_numbers_beyond_close_ones_at_an_end_are_possible():
    """Two numbers that are nearly equal at an end do not decide how steep x_0 is beyond it."""
    numbers = np.r_[np.linspace(0, 1, 50), 1 + 1e-9]
    column = NumericColumn("a", 0.0, "<f8", (0.0, 1.0), (-1.0, 1.0), 0.0, 1.0)
    found = QuantileColumn.of(column, numbers, (-np.inf, np.inf))
    assert max(found.slopes) < 10


def test_quantiles_of_rounded_numbers_are_no_closer_than_the_rounding():
    numbers = np.round(np.random.default_rng(0).normal(size=2000), 1)
    column = NumericColumn("a", 0.0, "<f8", (0.0, 1.0), (-1.0, 1.0), -4.0, 4.0)
    found = QuantileColumn.of(column, numbers, (-np.inf, np.inf))
    assert np.diff(found.at).min() >= 0.1 - 1e-9


def test_a_network_is_kept_if_it_is_sure_to_win():
    """By two standard errors of the mean gain; one row shows no error, and is not enough."""
    gain, sure = is_kept(np.array([0.0, 2.0]))  # 1 +- 1
    assert (gain, sure) == (1.0, False)
    assert is_kept(np.array([0.7, 1.3])) == (pytest.approx(1.0), True)  # 1 +- 0.3
    assert not is_kept(np.array([-0.7, -1.3]))[1]
    assert not is_kept(np.array([5.0]))[1]


def test_measuring_the_pace_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(20, 4.0, -6.0))
    model = qs.Diffusion(qs.Continuous(2), kernel, qs.Velocity(), qs.networks.MLP(2, 8, 1))
    before = copy.deepcopy(model.state_dict())
    x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    assert FitPlan().steps_in(1.0, model, x, Fit(steps=100, batch=16)) >= 1
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("name", ["estimator.json", "config.json"])
@pytest.mark.parametrize("change", ["name", "value", "deep"])
def test_a_damaged_folder_of_an_estimator_is_named(name, change, tmp_path):
    x = np.random.default_rng(0).integers(0, 3, (60, 2)).astype(float)
    qs.DiffusionDensity(steps=0).fit(x).save(tmp_path)
    path = tmp_path / name
    text = path.read_text()
    for part in ('"summary"', '"FittedLaw"', '"parameters"', '"model"', '"space"'):
        if part not in text:
            continue
        altered = {
            "name": text.replace(part, part[:-2] + '?"'),
            "value": text.replace(part + ": ", part + ": 3, " + part[:-1] + '2": '),
            "deep": "[" * 100_000,
        }[change]
        if altered == text:
            continue
        path.write_text(altered)
        with pytest.raises((ValueError, TypeError), match=r"damaged|lacks"):
            qs.DiffusionDensity.load(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [qs.DiffusionDensity, qs.DiffusionImputer, qs.DiffusionOutliers],
    ids=lambda k: k.__name__,
)
def test_the_device_that_trains(kind, monkeypatch):
    """It is passed on to the training, and one that is not there is an error before that."""
    x = np.random.default_rng(0).standard_normal((80, 2))
    with pytest.raises(ValueError, match="there is no device 'nowhere': this machine has"):
        kind(device="nowhere").fit(x)
    asked = []

    def recorded(model, *args, device, **how):
        asked.append(device)
        return SimpleNamespace(step=1, speed={"examples_per_second": 1.0})

    monkeypatch.setattr("quasistatic.estimators.fitted.fit", recorded)
    kind(steps=3, width=8, device="cpu").fit(x)
    assert asked
    assert set(asked) == {"cpu"}
