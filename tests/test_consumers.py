"""One mixed table goes through everything that reads a model, and numbers of one meaning agree.

The table has real numbers, whole numbers of a wide and of a narrow range, bits and classes, with
missing values among the reals and the classes.
"""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import quasistatic as qs
from conftest import close, default_dtype
from quasistatic.diagnostics.entropy import entropy_budget
from quasistatic.diagnostics.information_rate import information_rate
from quasistatic.diagnostics.mutual_information import information_uniform
from quasistatic.diagnostics.progressive import code_progressively
from quasistatic.diagnostics.snr_bands import band_costs
from quasistatic.distributions import ProductSupport, total
from quasistatic.recipes.tabular import tabular
from quasistatic.reporting import figures
from quasistatic.sampling import timesteps

STEPS = 12
REPEATS = 24
"""Independent repeats of each estimate, whose spread is its standard error."""


def shop(n: int, seed: int) -> pd.DataFrame:
    """Rows that depend on their class; a sixth of the sizes and of the classes are missing."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 3, n)
    size = random.normal(kind, 0.5)
    frame = pd.DataFrame(
        {
            "size": size,
            "weight": np.exp(0.3 * size + random.normal(0, 0.2, n)),
            "count": random.poisson(20 + 5 * kind).clip(8, 45),
            "coin": random.random(n) < 0.3 + 0.2 * kind,
            "rating": random.integers(1, 6, n),
            "kind": np.array(["north", "east", "south"])[kind],
        }
    )
    frame.loc[random.random(n) < 1 / 6, "size"] = np.nan
    frame.loc[random.random(n) < 1 / 6, "kind"] = None
    frame.loc[:1, "count"] = [8, 45]  # the whole range
    return frame


@pytest.fixture(scope="module")
def model():
    with default_dtype(torch.float64):
        torch.manual_seed(0)
        frame = shop(300, 0)
        table = qs.Table.infer(frame)
        model = tabular(table, steps=STEPS, width=16, depth=1)
        qs.fit(model, table.read(frame), steps=80, batch=128, seed=0)
        return model.eval()


@pytest.fixture(scope="module")
def rows(model):
    with default_dtype(torch.float64):
        return model.space.read(shop(48, 1))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def estimate(one, repeats: int = REPEATS) -> tuple[float, float]:
    """The mean of independent repeats of one(rng), and its standard error."""
    values = torch.tensor([float(one(seeded(1000 + k))) for k in range(repeats)])
    return values.mean().item(), (values.std() / repeats**0.5).item()


@pytest.fixture(scope="module")
def k(model, rows):
    """K of the rows in nats an example, every term once: its mean and its standard error."""
    with default_dtype(torch.float64):
        return estimate(lambda rng: model.score(rows, None, rng=rng).nats.mean(), 2 * REPEATS)


def agree(found: tuple[float, float], expected: tuple[float, float]) -> None:
    allowed = 4 * math.hypot(found[1], expected[1])
    assert allowed < 2.5  # so that the comparison can fail
    assert abs(found[0] - expected[0]) < allowed, f"{found} is not {expected}"


# The bound, by whatever reads it.


@pytest.mark.parametrize("evaluations", [2, 6, 11])
def test_a_few_evaluations_have_the_mean_of_all(evaluations, model, rows, k):
    agree(estimate(lambda rng: model.score(rows, evaluations, rng=rng).nats.mean()), k)


def test_an_allotted_budget_has_the_same_mean(model, rows, k):
    agree(estimate(lambda rng: model.score(rows, stderr=0.2, rng=rng).nats.mean()), k)


def test_one_weighted_path_is_a_draw_of_the_bound_and_more_are_above(model, rows, k):
    one = estimate(lambda rng: model.score(rows, method=qs.Importance(1), rng=rng).nats.mean())
    agree(one, k)
    many = estimate(lambda rng: model.score(rows, method=qs.Importance(8), rng=rng).nats.mean(), 6)
    assert many[0] > one[0]


def test_methods_for_other_models_say_what_they_need(model, rows):
    with pytest.raises(TypeError, match="GaussianKernel"):
        model.score(rows, method=qs.Flow())
    with pytest.raises(TypeError, match="ResidualDenoiser"):
        model.score(rows, method=qs.ContinuousTime())


def test_the_sandwich_is_in_order(model):
    found = model.sandwich(200, paths=4, rng=seeded(0))
    assert found.lower.mean() < found.upper.mean()


def test_the_cost_along_a_path_is_what_its_score_says(model, rows, k):
    every = torch.arange(1, STEPS + 1)

    def cost(rng):
        return -timesteps.measure_costs(model, rows, STEPS, rng).nats(every)

    agree(estimate(cost), k)


def test_the_cost_of_the_best_path_is_what_its_score_says(model, rows):
    found = timesteps.measure_costs(model, rows, STEPS, seeded(0))
    assert found.path(5)[-1] == STEPS
    assert (found.between[torch.ones(STEPS, STEPS).triu(1) > 0] > 0).all()


def complete(rows):
    """The rows without a missing value."""
    return rows[~rows.isnan().any(1)]


def test_the_entropy_budget_reaches_k(model, rows):
    whole = complete(rows)
    k = estimate(lambda rng: model.score(whole, None, rng=rng).nats.mean(), 2 * REPEATS)
    agree(estimate(lambda rng: entropy_budget(model, whole, rng=rng).bound.mean.item()), k)
    with pytest.raises(ValueError, match="give complete rows"):
        entropy_budget(model, rows)


def test_the_rate_of_progressive_coding_ends_at_k(model, rows, k):
    def rate(rng):
        bits = code_progressively(model, rows, rng=rng).bits_per_dim[-1]
        return -bits * math.log(2) * model.space.dims

    agree(estimate(rate), k)


def test_the_costs_in_bands_add_up_to_k(model, rows, k):
    """Noise is common to all rows, so that the mean over rows is as noisy as one row."""
    values = [band_costs(model, rows, 4, None, seed=97 * s).total.mean().item() for s in range(40)]
    mean = torch.tensor(values)
    agree((-mean.mean().item(), (mean.std() / 40**0.5).item()), k)


def test_the_information_rate_is_the_sum_of_the_terms_above_it(model, rows):
    """At t = 1 it is all of -K but the last step."""
    scored = estimate(
        lambda rng: sum(
            -model.score(rows, None, rng=rng).terms[name].mean()
            for name in ("prior", "transitions")
        )
    )
    last = estimate(lambda rng: _learned_last_step(model, rows, rng))
    found = estimate(lambda rng: information_rate(model, rows, rng=rng).nats[0])
    agree(found, (scored[0] - last[0], math.hypot(scored[1], last[1])))
    law = information_rate(model, rows, rng=seeded(0))
    assert (law.nats.diff() <= 1e-9).all()
    assert information_uniform(law, 6).steps == 6


def _learned_last_step(model, rows, rng) -> torch.Tensor:
    """-E log p(raw | x_1) of the values whose last step is the network's, in nats an example."""
    x_0 = model.space.encode(rows)
    one = torch.ones(len(rows), dtype=torch.long)
    x_1 = model.kernel.marginal(x_0, one).sample(rng)
    with torch.no_grad():
        p = model.last(x_1, one)
    return -total(model.space.learned_log_prob(p, x_0)).mean()


# Draws, known values, files.


def test_draws_are_rows_of_the_table(model):
    drawn = model.sample(50, rng=seeded(0))
    assert torch.equal(model.space.check(drawn), drawn)
    frame = model.space.write(drawn)
    assert torch.equal(model.space.read(frame), drawn)


def test_known_values_stay_and_missing_ones_are_filled(model, rows):
    found = model.impute(rows, 8, rng=seeded(0))
    known = ~rows.isnan()
    assert not found.draws.isnan().any()
    same = (found.draws == rows[:, None]) | ~known[:, None]
    assert same.all()
    completed = model.complete(rows, ~known, 8, rng=seeded(0))
    assert torch.equal(completed.draws, found.draws)


def test_the_evidence_of_what_is_known_is_above_its_bound(model, rows):
    """A posterior's log-evidence is an estimate of log p(known values), which K is below."""
    whole = rows[~rows.isnan().any(1)]
    bound = model.score(whole, None, rng=seeded(0))
    found = model.impute(whole, 4, rng=seeded(1))
    gap = found.log_evidence - bound.nats
    assert gap.mean() > -3 * (gap.std() / len(gap) ** 0.5)


def test_a_stream_gives_back_every_row(model, rows):
    read = np.asarray(model.decompress(model.compress(rows)))
    assert np.array_equal(read, rows.numpy(), equal_nan=True)


# Diagnostics.


def test_every_identity_of_a_model_holds(model, rows):
    assert qs.check(model, rows).passed


def test_p_values_of_ordinary_rows_are_spread_evenly(model):
    table = model.space
    detector = qs.AnomalyDetector.fit(
        model, table.read(shop(120, 2)), table.read(shop(99, 3)), below=math.inf, bands=3
    )
    found = detector.score(table.read(shop(200, 4)))
    assert found.scores.isfinite().all()
    share = (found.p_values <= 0.2).double().mean().item()
    # Binomial noise of 200 rows and of the 99 that calibrate.
    assert abs(share - 0.2) < 4 * math.sqrt(0.2 * 0.8 * (1 / 200 + 1 / 99))


def test_the_parts_of_a_table_have_their_own_supports(model):
    support = model.kernel.support
    assert isinstance(support, ProductSupport)
    assert support.widths == model.space.widths
    parts = model.space.independent_parts(model.kernel)
    assert [type(each) for each in support.parts] == [type(p.kernel.support) for p in parts]


def test_the_volume_of_a_table_is_that_of_each_value(model, rows):
    """A density in raw units over the density of x_0, and nothing for what is missing."""
    table, x_0 = model.space, model.space.encode(rows)
    volume = table.log_volume(x_0)
    assert volume.shape == x_0.shape
    assert (volume[x_0.isnan()] == 0).all()
    pieces = table.independent_parts(model.kernel)
    filled = torch.where(x_0.isnan(), 0.0, x_0)
    expected = [each.space.log_volume(filled[:, each.values]) for each in pieces]
    expected = torch.cat(expected, 1)
    assert close(volume, torch.where(x_0.isnan(), 0.0, expected))
    raw = rows[:, 1]  # one numeric column by itself
    step = 1e-6
    moved = rows.clone()
    moved[:, 1] = raw + step
    slope = ((table.encode(moved) - x_0) / step).nan_to_num(0.0).sum(1)
    own = table.expand_to_state(torch.eye(6))[1] > 0
    assert torch.allclose(volume[:, own].sum(1), slope.log(), atol=1e-6)


# Figures.


def test_figures_that_apply_are_drawn_and_others_say_what_they_draw(model, rows):
    drawn = [
        figures.bits_by_time(model, rows, rng=seeded(0)),
        figures.score_histogram(model.score(rows, rng=seeded(0))),
        figures.entropy_budget(entropy_budget(model, complete(rows), rng=seeded(0))),
        figures.rate_distortion(code_progressively(model, rows, rng=seeded(0))),
        figures.marginals(model.space, rows, model.sample(48, rng=seeded(0))),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.canvas.draw()
    with pytest.raises(TypeError, match="draws bits"):
        figures.bit_trajectories(model, rows)


def test_bits_are_drawn_as_bits_and_classes_are_refused():
    schedule = qs.schedules.erase_evenly(8)
    classes = qs.Diffusion(
        qs.OneHot((3,)),
        qs.CategoricalKernel(schedule, (3,)),
        qs.Classes(),
        qs.networks.MLP(3, width=8, depth=1),
    )
    with pytest.raises(TypeError, match="bit_trajectories draws bits, got CategoricalKernel"):
        figures.bit_trajectories(classes, torch.zeros(4, 1))
    bits = qs.Diffusion(
        qs.Binary(5), qs.BinomialKernel(schedule), qs.Clean(), qs.networks.MLP(5, width=8, depth=1)
    )
    data = (torch.rand(6, 5, generator=seeded(0)) < 0.5).double()
    assert isinstance(figures.bit_trajectories(bits, data, seeded(0)), Figure)


# Estimators, which start from the same table.


@pytest.fixture(scope="module")
def density():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return qs.DiffusionDensity(random_state=0).fit(shop(300, 0))


def test_probabilities_of_the_classes_of_a_row_add_up_to_that_of_the_row_without(density):
    """The sum over all classes is the marginal of the other columns, for bits and classes alike."""
    frame = shop(12, 5)
    for column, values in (("kind", ["north", "east", "south"]), ("rating", [1, 2, 3, 4, 5])):
        each = np.stack([density.score_samples(frame.assign(**{column: v})) for v in values])
        without = density.score_samples(frame.assign(**{column: None}))
        assert np.allclose(np.logaddexp.reduce(each, 0), without, atol=1e-5), column


def test_the_density_of_a_column_integrates_to_that_of_the_row_without(density):
    """The same for a real column, by the trapezoidal rule."""
    frame = shop(4, 6)
    places = np.linspace(-6, 8, 1401)
    for row in range(4):
        many = pd.concat([frame[row : row + 1]] * len(places)).assign(size=places)
        without = density.score_samples(frame[row : row + 1].assign(size=np.nan))
        found = np.trapezoid(np.exp(density.score_samples(many)), places)
        assert math.isclose(math.log(found), without[0], abs_tol=2e-3)


def test_estimators_take_the_table_and_give_it_back(density):
    frame = shop(40, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imputer = qs.DiffusionImputer(random_state=0).fit(shop(300, 0))
        detector = qs.DiffusionOutliers(random_state=0).fit(shop(300, 0))
    filled = imputer.transform(frame)
    assert list(filled.columns) == list(frame.columns)
    assert not filled.isna().any().any()
    known = frame.notna()
    assert (filled.where(known) == frame.where(known)).to_numpy()[known.to_numpy()].all()
    p_values = detector.p_values(frame)
    assert ((p_values > 0) & (p_values <= 1)).all()
    assert detector.p_values(frame.assign(size=40.0)).max() < 0.05
