"""Missing values by a network or by the closed form: which is chosen, intervals, and copies."""

import numpy as np
import pandas as pd
import pytest
import torch

import quasistatic as qs
from quasistatic.distributions.mixtures.fitting import stacking
from quasistatic.estimators import closed_form
from quasistatic.estimators.network_completion import informative_times, network_fills_better

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(stacking, "MOST_COMPONENTS", 1)
    monkeypatch.setattr(closed_form, "STEPS", 60)


def drawn_with(shift: float, deviation: float):
    """Draws about what the rows of a unit normal have, given nothing."""

    def fill(holed: np.ndarray) -> np.ndarray:
        z = np.random.default_rng(1).normal(size=(len(holed), 40, holed.shape[1]))
        return np.where(np.isnan(holed)[:, None], shift + deviation * z, holed[:, None])

    return fill


@pytest.mark.parametrize(
    ("law", "network", "better"),
    [
        ((2.0, 1.0), (0.0, 1.0), (True, True)),
        ((0.0, 1.0), (2.0, 1.0), (False, False)),
        ((0.0, 4.0), (0.0, 1.0), (True, True)),
        ((0.0, 1.0), (0.0, 1.0), (False, False)),
        ((0.0, 0.01), (0.0, 1.0), (True, False)),
    ],
    ids=["right against shifted", "shifted", "right against wide", "equal", "no spread"],
)
def test_the_better_draws_are_told(law, network, better):
    rows = np.random.default_rng(0).normal(size=(400, 3))
    assert network_fills_better(rows, np.ones(3), drawn_with(*law), drawn_with(*network)) == better


def test_times_end_where_nothing_is_left():
    model = qs.DiffusionDensity(steps=0).fit(np.random.default_rng(0).normal(size=(60, 2))).model_
    times = informative_times(model)
    log_snr = model.kernel.parts[0].schedule.log_snr
    assert times == sorted(set(times))
    assert (times[0], times[-1]) == (1, model.steps)
    assert log_snr[times[-2]] == pytest.approx(-3, abs=0.3)


def normal_pairs(n: int, seed: int) -> pd.DataFrame:
    x = np.random.default_rng(seed).normal(size=(n, 2))
    x[:, 1] = x[:, 0] + 0.5 * x[:, 1]
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "whole": np.round(20 * x[:, 0])})


def test_intervals_hold_their_share_and_known_values_have_none():
    imputer = qs.DiffusionImputer(steps=0).fit(normal_pairs(2000, 0))
    new = normal_pairs(1500, 1)
    holed = new.assign(b=np.nan, whole=np.where(np.arange(1500) % 2, np.nan, new["whole"]))
    found = imputer.fill(holed, share=0.9)
    inside = (found.low[:, 1] <= new["b"]) & (new["b"] <= found.high[:, 1])
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    width = (found.high - found.low)[:, 1].mean()
    assert width == pytest.approx(2 * 1.645 * 0.5, rel=0.06)
    assert np.isnan(found.low[:, 0]).all()
    assert (np.isnan(found.high[:, 2]) == (np.arange(1500) % 2 == 0)).all()
    filled = found.low[1::2, 2]
    assert (filled == np.round(filled)).all()
    assert found.table["a"].equals(new["a"])
    with pytest.raises(ValueError, match="share is a number between 0 and 1, got 90"):
        imputer.fill(holed, share=90)


def test_copies_differ_where_values_are_missing_alone_and_have_the_law_s_spread():
    imputer = qs.DiffusionImputer(steps=0).fit(normal_pairs(2000, 0))
    new = normal_pairs(300, 1).assign(b=np.nan)
    copies = imputer.copies(new, 20)
    assert len(copies) == 20
    assert all(isinstance(each, pd.DataFrame) and each["a"].equals(new["a"]) for each in copies)
    drawn = np.stack([each["b"] for each in copies])
    assert drawn.std(0, ddof=1).mean() == pytest.approx(0.5, rel=0.1)
    assert np.corrcoef(drawn[0] - drawn.mean(0), drawn[1] - drawn.mean(0))[0, 1] < 0.1


def test_a_method_that_is_fast_is_the_closed_form_of_a_corrected_model():
    x = np.random.default_rng(0).normal(size=(80, 3))
    imputer = qs.DiffusionImputer(method="fast", draws=4).fit(x)
    holed = np.where(np.arange(3) == 1, np.nan, x)
    exact = imputer.transform(holed)
    with torch.no_grad():
        imputer.model_.network.correction.read_out.bias += 0.5
    assert np.array_equal(imputer.transform(holed), exact)
    by_network = qs.DiffusionImputer.of(imputer, method="network", draws=4)
    assert not np.array_equal(by_network.transform(holed), exact)
    assert 0 < qs.DiffusionImputer.of(imputer, method="fast").seconds(holed) < 10
    done: list[int] = []
    by_network.fill(holed[:40], done=done.append)
    assert sum(done) == 40
