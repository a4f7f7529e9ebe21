"""Rows given some of their columns: values, lists and intervals; densities and evidence."""

import dataclasses
import datetime
import math
import time

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp

import quasistatic as qs
from quasistatic.distributions.mixtures import (
    CategoricalBlock,
    Event,
    GaussianBlock,
    Mixture,
    RestrictedMixture,
)
from quasistatic.estimators.row_events import read_given


def table(rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.choice(["A", "B", "C"], rows, p=[0.6, 0.3, 0.1])
    w = pd.Series(kind).map({"A": 0.0, "B": 2.0, "C": 5.0}).to_numpy() + rng.normal(size=rows)
    h = w / 2 + rng.normal(size=rows) / 2
    age = np.clip(np.round(30 + 8 * w + 5 * rng.normal(size=rows)), 0, 120).astype(int)
    kids = rng.poisson(1 + 1.5 * (kind == "B"), rows).clip(0, 4)
    return pd.DataFrame({"kind": kind, "w": w, "h": h, "age": age, "kids": kids})


@pytest.fixture(scope="module")
def density():
    return qs.DiffusionDensity(random_state=0).fit(table())


@pytest.fixture(scope="module")
def drawn(density):
    """Draws of the whole law, and the CPU seconds that one took."""
    begun = time.process_time()
    rows = density.sample(150_000, 5)
    return rows, (time.process_time() - begun) / len(rows)


GIVEN = {
    "a class": ({"kind": "C"}, lambda x: x.kind == "C"),
    "classes": ({"kind": ["B", "C"]}, lambda x: x.kind.isin(["B", "C"])),
    "an interval": ({"w": (0.5, 0.8)}, lambda x: x.w.between(0.5, 0.8)),
    "a tail": ({"h": (2.5, None)}, lambda x: x.h >= 2.5),
    "two intervals": ({"w": (1, 2), "h": (None, 0)}, lambda x: x.w.between(1, 2) & (x.h <= 0)),
    "whole numbers": ({"age": (18, 30)}, lambda x: x.age.between(18, 30)),
    "an end of whole numbers": ({"age": (None, 12)}, lambda x: x.age <= 12),
    "few numbers": ({"kids": (3, None)}, lambda x: x.kids >= 3),
    "all of it": (
        {"kind": ["B", "C"], "age": (18, 30), "kids": [1, 2]},
        lambda x: x.kind.isin(["B", "C"]) & x.age.between(18, 30) & x.kids.isin([1, 2]),
    ),
}


@pytest.mark.parametrize("what", GIVEN)
def test_draws_are_those_that_rejection_keeps(what, density, drawn):
    given, meets = GIVEN[what]
    found, kept = density.sample(2000, 3, given=given), drawn[0][meets(drawn[0])]
    assert meets(found).all()
    assert len(kept) > 200
    for name in ("w", "h", "age", "kids"):
        assert ks_2samp(found[name], kept[name]).pvalue > 1e-4, name
    share = [each.kind.value_counts(normalize=True) for each in (found, kept)]
    for kind in ("A", "B", "C"):
        a, b = (each.get(kind, 0.0) for each in share)
        error = (b * (1 - b) * (1 / len(found) + 1 / len(kept))) ** 0.5
        assert abs(a - b) < 4.5 * error + 1e-12
    # Pairs of values too, and not each value by itself alone.
    for pair in (("w", "h"), ("w", "age")):
        a, b = (each[pair[0]] * each[pair[1]] for each in (found, kept))
        assert ks_2samp(a, b).pvalue > 1e-4


@pytest.mark.parametrize("what", GIVEN)
def test_the_evidence_is_the_share_that_rejection_keeps(what, density, drawn):
    given, meets = GIVEN[what]
    p, n = np.exp(density.log_evidence(given)), len(drawn[0])
    assert abs(p - meets(drawn[0]).mean()) < 4 * (p * (1 - p) / n) ** 0.5 + 0.02 * p


def test_a_rare_condition_takes_a_fiftieth_of_the_time_of_rejection(density, drawn):
    given = {"kind": ["B", "C"], "age": (18, 30)}
    p = np.exp(density.log_evidence(given))
    assert 0.005 < p < 0.02
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        density.sample(50_000, 0, given=given)
        seconds.append(time.process_time() - begun)
    assert min(seconds) / 50_000 < drawn[1] / p / 50


def test_the_density_given_a_class_is_the_joint_over_its_probability(density):
    x = table(30)
    given = density.log_prob(x, given={"kind": "B"})
    joint = density.score_samples(x.assign(kind="B")) - density.log_evidence({"kind": "B"})
    right = (x.kind == "B").to_numpy()
    np.testing.assert_allclose(given[right], joint[right], atol=1e-6)
    assert np.isneginf(given[~right]).all()
    hidden = density.log_prob(x.assign(kind=None), given={"kind": "B"})
    np.testing.assert_allclose(hidden, joint, atol=1e-6)


def test_the_density_given_a_set_is_a_mixture_of_those_given_each(density):
    x, kinds = table(20).assign(kind=None), ["A", "B", "C"]
    weight = np.array([density.log_evidence({"kind": kind}) for kind in kinds])
    each = np.stack([density.log_prob(x, given={"kind": kind}) for kind in kinds])
    assert abs(np.logaddexp.reduce(weight)) < 1e-6  # the kinds are all there is
    both = np.logaddexp.reduce((each + weight[:, None])[1:], axis=0)
    both -= np.logaddexp.reduce(weight[1:])
    np.testing.assert_allclose(density.log_prob(x, given={"kind": ["B", "C"]}), both, atol=1e-6)


def test_the_density_given_an_interval_integrates_to_one(density):
    grid = np.linspace(0.5, 1.5, 401)
    rows = pd.DataFrame({"kind": None, "w": grid, "h": np.nan, "age": None, "kids": None})
    p = np.exp(density.log_prob(rows, given={"w": (0.5, 1.5), "kind": "B"}))
    assert abs(np.trapezoid(p, grid) - 1) < 1e-4


def test_the_evidence_of_a_number_is_its_density(density):
    rows = pd.DataFrame({"kind": None, "w": [0.7], "h": np.nan, "age": None, "kids": None})
    assert abs(density.log_evidence({"w": 0.7}) - density.score_samples(rows)[0]) < 1e-6
    both = np.logaddexp(density.log_evidence({"w": 0.7}), density.log_evidence({"w": 3.0}))
    assert abs(density.log_evidence({"w": [0.7, 3.0]}) - both) < 1e-9
    drawn = density.sample(4000, 0, given={"w": [0.7, 3.0]})
    p = np.exp(density.log_evidence({"w": 0.7}) - both)
    assert abs((drawn.w == 0.7).mean() - p) < 4 * (p * (1 - p) / 4000) ** 0.5
    assert drawn.w.isin([0.7, 3.0]).all()


def test_several_intervals_of_a_normal_law_have_the_mass_of_a_fine_grid():
    corr = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    block = GaussianBlock.full(torch.zeros(1, 2, dtype=torch.float64), corr[None])
    law = Mixture(torch.zeros(1, dtype=torch.float64), (block,))
    low, high = (torch.tensor(x, dtype=torch.float64) for x in ([0.5, -3.0], [1.0, 0.0]))
    blank = torch.full((1, 2), torch.nan, dtype=torch.float64)
    event = Event(blank, torch.ones(2, dtype=torch.bool), low, high)
    found, error = RestrictedMixture(law, event).log_evidence(torch.Generator().manual_seed(0))
    axes = [
        torch.linspace(float(a), float(b), 801).double() for a, b in zip(low, high, strict=True)
    ]
    grid = torch.cartesian_prod(*axes)
    mass = torch.trapezoid(
        torch.trapezoid(law.log_prob(grid).exp().reshape(801, 801), axes[1]), axes[0]
    )
    assert abs(found.item() - mass.log()) < 4 * error
    assert 0 < error < 0.05


def test_far_tails_keep_their_digits():
    block = GaussianBlock.full(
        torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)
    )
    classes = CategoricalBlock(torch.zeros(1, 2, dtype=torch.float64) - np.log(2), (2,))
    law = Mixture(torch.zeros(1, dtype=torch.float64), (block, classes))
    inf = torch.tensor([torch.inf] * 3, dtype=torch.float64)
    for side in (1.0, -1.0):
        low, high = -inf.clone(), inf.clone()
        (low if side > 0 else high)[0] = 30 * side
        blank = torch.full((1, 3), torch.nan, dtype=torch.float64)
        tail = RestrictedMixture(law, Event(blank, torch.ones(3, dtype=torch.bool), low, high))
        expected = torch.special.log_ndtr(torch.tensor(-30.0, dtype=torch.float64))
        assert abs(tail.log_evidence()[0] - expected) < 1e-9
        x = side * tail.sample(2000, torch.Generator().manual_seed(0))[:, 0]
        assert (x >= 30).all()
        assert abs((x - 30).mean() - 1 / 30) < 0.004  # nearly exponential with rate 30


@pytest.fixture(scope="module")
def corrected(density):
    """The same law with a network that corrects it, whose weights are drawn."""
    made = qs.DiffusionDensity.of(density, evaluations=64)
    model = qs.Diffusion.build(density.model_.describe())
    model.load_state_dict(density.model_.state_dict())
    torch.manual_seed(1)
    with torch.no_grad():
        model.network.correction.read_out.weight += 0.05 * torch.randn_like(
            model.network.correction.read_out.weight
        )
    made.fitted_ = dataclasses.replace(density.fitted_, model=model.eval())
    assert made.fitted_.network.corrects
    return made


@pytest.mark.parametrize(
    "given", [{"kind": "B"}, {"kind": ["B", "C"], "w": (1.0, 3.0), "kids": (1, None)}]
)
def test_weighted_walks_of_a_network_draw_what_rejection_keeps(given, corrected):
    event = read_given(corrected.table_, given)
    found = corrected.sample(300, 3, given=given)
    assert event.holds(corrected.table_.read(found).numpy()).all()
    rows = corrected.model_.sample(3000, times=100, rng=4)
    right = event.holds(rows.double().numpy())
    kept = corrected.table_.write(rows[torch.from_numpy(right)])
    for name in ("w", "h"):
        a, b = found[name], kept[name]
        # Particles that were drawn anew are alike: their number is about a third of the draws.
        error = (a.var() / (len(a) / 3) + b.var() / len(b)) ** 0.5
        assert abs(a.mean() - b.mean()) < 4 * error, name
    value, error = corrected.fitted_.log_evidence(event, 0)
    assert abs(value - np.log(right.mean())) < 4 * (error + (1 / right.sum()) ** 0.5)


def test_an_array_has_columns_by_number():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    made = qs.DiffusionDensity().fit(x)
    drawn = made.sample(500, 0, given={0: 1.5, 1: (0.0, 3.0)})
    assert (drawn[:, 0] == 1.5).all()
    assert ((drawn[:, 1] >= 0) & (drawn[:, 1] <= 3)).all()


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"kind": "Z"}, ValueError, "'Z' never occurs in column 'kind'"),
        ({"kids": 9}, ValueError, "9 never occurs in column 'kids'"),
        ({"w": (1e3, 2e3)}, ValueError, "w = .1000.0, 2000.0. never occurs"),
        ({"kind": "C", "w": (900.0, None)}, ValueError, "w = .900.0, None. never occurs"),
        ({"w": (3, 1)}, ValueError, "no value of column 'w' meets"),
        ({"age": (18.2, 18.7)}, ValueError, "no value of column 'age' meets"),
        ({"w": (1, 2, 3)}, ValueError, "an interval is .low, high."),
        ({"kind": ("A", "B")}, TypeError, "give a list"),
        ({"knd": "A"}, ValueError, "did you mean kind"),
        ({"w": float("nan")}, ValueError, "missing value"),
        ({"w": "wide"}, ValueError, "'wide'"),
        ({"kind": []}, ValueError, "empty"),
        ({}, ValueError, "dictionary"),
        ("kind", ValueError, "dictionary"),
    ],
)
def test_what_cannot_be_given_is_an_error_that_names_it(given, error, says, density):
    with pytest.raises(error, match=says):
        density.sample(1, given=given)


@pytest.mark.parametrize(
    ("other", "parameters", "says"),
    [
        (None, {"method": "x"}, "'method' parameter"),
        (None, {"draws": 0}, "'draws' parameter"),
        (3, {}, "other must be a TableEstimator"),
    ],
)
def test_an_estimator_of_another_checks_its_parameters(other, parameters, says, density):
    with pytest.raises((TypeError, ValueError), match=says):
        qs.DiffusionImputer.of(density if other is None else other, **parameters)


@pytest.fixture(scope="module")
def dated():
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 3, 500)
    day = np.datetime64("2024-01-01") + 90 * kind + rng.integers(0, 60, 500)
    hour = pd.to_timedelta(rng.integers(0, 24 * 60, 500), unit="min")
    frame = pd.DataFrame(
        {
            "day": pd.Series(day.astype("M8[ns]")).dt.date,
            "stamp": pd.Series(day.astype("M8[ns]")) + hour,
            "at": [(pd.Timestamp("2024-01-01") + each).time() for each in hour],
            "took": hour * 2,
            "kind": np.array(list("abc"))[kind],
        }
    )
    return qs.DiffusionDensity(steps=0, random_state=0).fit(frame)


@pytest.mark.parametrize(
    ("name", "whole", "parts"),
    [
        ("day", "2024-02", [(f"2024-02-{day:02}",) * 2 for day in range(1, 30)]),
        ("day", ("2024-01-05", "2024-01-06"), [(datetime.date(2024, 1, d),) * 2 for d in (5, 6)]),
        ("day", "2024-01", [("2024-01-01", "2024-01-15"), ("2024-01-16", "2024-01-31")]),
        (
            "stamp",
            "2024-04-01",
            [(f"2024-04-01 {h:02}:00", f"2024-04-01 {h:02}:59") for h in range(24)],
        ),
        ("at", ("07:00", "07:04"), [(f"07:0{minute}",) * 2 for minute in range(5)]),
        (
            "took",
            ("20:00", "20:21:00"),
            [("20:00", "20:05"), (datetime.timedelta(hours=20, minutes=6), "20:21")],
        ),
    ],
)
def test_the_probabilities_of_parts_of_a_time_sum_to_that_of_the_whole(dated, name, whole, parts):
    each = [math.exp(dated.log_evidence({name: part})) for part in parts]
    assert math.log(sum(each)) == pytest.approx(dated.log_evidence({name: whole}), abs=1e-6)


def test_draws_of_dates_are_as_given(dated):
    drawn = dated.sample(300, 0, given={"day": ("2024-04-01", "2024-04-20"), "at": (None, "12:00")})
    assert drawn["day"].between(datetime.date(2024, 4, 1), datetime.date(2024, 4, 20)).all()
    assert (drawn["at"] <= datetime.time(12)).all()
    assert (drawn["kind"] == "b").mean() > 0.9
    two = [datetime.date(2024, 1, 5), "2024-01-09"]
    days = set(dated.sample(50, 0, given={"day": two})["day"])
    assert days == {datetime.date(2024, 1, 5), datetime.date(2024, 1, 9)}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"day": "2033"}, r"no value of column 'day' meets day = 2033: it holds 2023-"),
        ({"day": "2033-01-01"}, r"2033-01-01 never occurs, .* column 'day' holds 2023-"),
        ({"day": "soon"}, "values of the type date, and is given soon: write 2024-01-05"),
        ({"day": (1, 2)}, "is given 1: write"),
        ({"day": ("2024-01-01", "2024-01-02", None)}, r"an interval is \(low, high\)"),
        ({"at": "12:30:30"}, "whole minutes, and 12:30:30 is between two of them: give 12:30"),
    ],
)
def test_times_that_are_none_are_refused(dated, given, says):
    with pytest.raises(ValueError, match=says):
        dated.sample(1, 0, given=given)
