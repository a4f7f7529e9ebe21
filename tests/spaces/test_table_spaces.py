"""Tables of mixed columns: types, units and holes; each part is what it would be by itself."""

import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from pandas.testing import assert_frame_equal as assert_pandas
from polars.testing import assert_frame_equal as assert_polars

import quasistatic as qs
from conftest import GROUPED as GROUPED_KERNELS
from conftest import KERNELS, Silent, assert_mean, close, space_for
from quasistatic._utils import serialization
from quasistatic.diagnostics.identities import check
from quasistatic.diffusion import KNOWN
from quasistatic.distributions import Gaussian
from quasistatic.heads import Levels, Natural, ProductHead, Velocity
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.recipes.tabular import tabular
from quasistatic.spaces import Continuous, Integers, PiecewiseLinear, Quantized, Table

COLUMNS = {
    "number": [0.5, 1.25, None, 7.0, 3.3] * 5,
    "whole": [1, 2, 3, 400, 5] * 5,
    "bit": [True, False, True, True, False] * 5,
    "name": ["u", "v", "w", "u", None] * 5,
    "same": [3] * 25,
    "grade": [1, 2, 4, 2, 1] * 5,
    "class": ["x", "y", None, "z", "x"] * 5,
}
TYPES = ["numeric", "integer", "binary", "categorical", "constant", "integer", "categorical"]


def pandas():
    frame = pd.DataFrame(COLUMNS | {"nothing": [math.nan] * 25})
    return frame.astype({"class": "category", "grade": "int8", "number": "float32"})


def polars():
    types = {"grade": pl.Int8, "number": pl.Float32, "class": pl.Categorical}
    frame = pl.DataFrame(COLUMNS).cast(types)
    return frame.with_columns(nothing=pl.lit(None, dtype=pl.Float64))


def records():
    """Without holes, which names in records cannot have."""
    kinds = [("number", "f4"), ("whole", "i8"), ("bit", "?"), ("name", "U1"), ("grade", "i2")]
    rows = [(0.5, 1, True, "u", 1), (1.25, 2, False, "v", 2), (3.5, 70, True, "w", 4)]
    return np.array(rows, dtype=kinds)


def mixed(n, rng, holes=0.0):
    """Rows of a table of two normal columns, a wide integer and two classes, with holes."""
    line = torch.randn(n, 2, generator=rng) * torch.tensor([2.0, 0.1]) + 5
    whole = (20 * torch.randn(n, 1, generator=rng)).round()
    classes = torch.randint(3, (n, 1), generator=rng), torch.randint(2, (n, 1), generator=rng)
    raw = torch.cat([line[:, :1], classes[0], whole, line[:, 1:], classes[1]], 1).double()
    return torch.where(torch.rand(n, 5, generator=rng) < holes, math.nan, raw)


def space_of(raw):
    return Table.infer(raw.numpy(), types={"1": "categorical"})


# What the columns are.


@pytest.mark.parametrize("make", [pandas, polars], ids=["pandas", "polars"])
def test_types_are_found_and_the_frame_comes_back(make):
    """Names, order, types and holes, of either library; an array of objects has the same."""
    frame, assert_equal = make(), assert_pandas if make is pandas else assert_polars
    table = Table.infer(frame)
    assert [column.kind for column in table.columns] == [*TYPES, "constant"]
    raw = table.read(frame)
    assert_equal(table.write(raw), frame)
    expected = Table.infer(pandas()).read(pandas())
    assert torch.equal(raw.nan_to_num(-1), expected.nan_to_num(-1))
    objects = pandas().to_numpy(dtype=object)
    assert torch.equal(Table.infer(objects).read(objects).nan_to_num(-1), raw.nan_to_num(-1))
    assert table.dims == 6
    assert raw.shape == (25, 8)


def test_rows_go_from_one_library_to_another():
    table = Table.infer(polars())
    raw = table.read(pandas().iloc[:, ::-1].assign(more=1))  # in any order, and with others
    assert_polars(table.write(raw), polars())
    written = table.write(raw, "pandas")
    assert_pandas(written[list(COLUMNS)], pandas()[list(COLUMNS)])


def test_records_and_arrays_come_back_too(rng):
    table = Table.infer(records())
    back = table.write(table.read(records()))
    assert back.dtype == records().dtype
    assert back.tolist() == records().tolist()
    raw = mixed(50, rng)
    assert np.array_equal(space_of(raw).write(raw), raw.numpy())


def test_a_table_is_printed_for_a_person():
    text = str(Table.infer(pandas()))
    for word in ("number", "numeric", "0.5 to 7", "20.0%", "u, v, w", "empty", "1 to 400"):
        assert word in text


def test_a_class_with_a_comma_is_printed_in_quotes():
    names = pd.DataFrame({"town": ["York, NY", "Oslo"] * 20})
    assert Table.infer(names).columns[0].range == 'Oslo, "York, NY"'


@pytest.mark.parametrize("dtype", ["string", "boolean", "object"])
def test_the_missing_value_of_pandas_is_a_hole(dtype):
    """`convert_dtypes` makes such columns. NA has no truth value, so that comparing it fails."""
    some = [True, False] if dtype == "boolean" else ["a", "b"]
    frame = pd.DataFrame({"t": pd.Series([pd.NA, *some * 3], dtype=dtype)})
    table = Table.infer(frame)
    assert table.read(frame).isnan()[:, 0].tolist() == [True, *[False] * 6]
    assert table.columns[0].missing == pytest.approx(1 / 7)


def test_categories_of_numbers_are_classes():
    frame = pd.DataFrame({"c": pd.Categorical([1, 2, 40] * 20)})
    table = Table.infer(frame)
    assert table.columns[0].kind == "categorical"
    assert_pandas(table.write(table.read(frame)), frame)


def test_names_that_are_numbers_stay_numbers_in_every_column():
    frame = pd.DataFrame({0: [0.5, 1.25, 7.0] * 20, 1: list("xyz") * 20})
    table = Table.infer(frame)
    assert table.write(table.read(frame)).columns.tolist() == [0, 1]


def test_a_string_in_a_column_of_numbers_is_named_with_its_row():
    table = Table.infer(pd.DataFrame({"i": range(20, 90)}))
    with pytest.raises(ValueError, match="column 'i' holds 'unknown' at index 2, and it takes"):
        table.read(pd.DataFrame({"i": [30, 31, "unknown"]}))


def test_types_can_be_asked_for():
    names = {
        "grade": "categorical",
        "whole": "quantiles",
        "bit": "categorical",
        "number": "integer",
    }
    table = Table.infer(pandas().fillna({"number": 2.0}).round(0), types=names)
    kinds = {column.name: column.kind for column in table.columns}
    assert [kinds[name] for name in names] == ["categorical", "numeric", "categorical", "integer"]
    assert table.columns[5].classes == (1, 2, 4)  # a class is what occurs; an integer has a range


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(40), "integer"),
        (np.arange(40) / 8, "numeric"),
        (np.tile([0.25, 0.5, 1.5], 20), "categorical"),  # a density of three points has no bound
        (np.tile([0.25, 1.5], 20), "binary"),
        (np.arange(40) * 2.0**20, "numeric"),  # no longer exact in float32
        (np.full(40, 2.5), "constant"),
        (np.full(40, np.nan), "constant"),
    ],
)
def test_numbers_have_the_type_that_their_values_say(values, kind):
    frame = pd.DataFrame({"x": values, "y": np.arange(len(values))})
    assert Table.infer(frame).columns[0].kind == kind


def test_heavy_tails_are_mapped_by_quantiles(rng):
    x = np.exp(2 * torch.randn(2000, generator=rng).numpy())
    table = Table.infer(x[:, None])
    x_0 = table.encode(table.read(x[:, None]))
    assert x_0.abs().max() < 5
    assert abs(x_0.std().item() - 1) < 0.05
    assert abs((x_0**3).mean().item()) < 0.2
    assert close(table.decode(x_0)[:, 0], torch.from_numpy(x))


def test_a_table_and_its_model_come_back_from_json(tmp_path, rng):
    table = Table.infer(pandas())
    again = serialization.build(json.loads(json.dumps(serialization.describe(table))), KNOWN)
    assert again == table
    assert_pandas(again.write(again.read(pandas())), pandas())
    model = tabular(table, steps=10, width=8, depth=1)
    model.save(tmp_path)
    raw = table.read(pandas())
    before, after = (
        each.score(raw, rng=torch.Generator().manual_seed(0)).nats
        for each in (model, qs.load(tmp_path))
    )
    assert torch.equal(before, after)
    assert before.isfinite().all()


FRAME = pandas()


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (
            lambda t: t.read(FRAME.replace({"name": {"v": "q"}})),
            ValueError,
            "'name' holds 'q' at index 1",
        ),
        (lambda t: t.read(FRAME.drop(columns="whole")), ValueError, "no column 'whole'"),
        (
            lambda t: t.read(FRAME.assign(whole=500)),
            ValueError,
            "'whole' holds 500 at index 0.* 1 to 400",
        ),
        (lambda t: t.read(FRAME.assign(whole=1.5)), ValueError, "'whole' holds 1.5 at index 0"),
        (
            lambda t: t.read(FRAME.assign(whole=None)),
            ValueError,
            "'whole' has a missing value at index 0",
        ),
        (
            lambda t: t.read(FRAME.assign(same=4)),
            ValueError,
            "'same' holds 4 at index 0, .* 3 only",
        ),
        (lambda t: t.read(FRAME.assign(number="no")), ValueError, "'number' holds 'no' at index 0"),
        (
            lambda t: t.read(FRAME.assign(number=math.inf)),
            ValueError,
            "'number' holds inf at index 0",
        ),
        (lambda t: t.check(torch.zeros(3, 2)), ValueError, r"shape \(rows, 8\)"),
        (lambda t: t.check(torch.full((2, 8), 9.0)), ValueError, "'bit' holds 9 at index 0"),
        (
            lambda t: Table.infer(FRAME.assign(whole=math.inf)),
            ValueError,
            "'whole' holds inf at index 0",
        ),
        (lambda t: Table.infer(FRAME[["same"]]), ValueError, "all 1 columns are constant"),
        (lambda t: Table.infer(FRAME[:0]), ValueError, "the table is empty"),
        (lambda t: Table.infer(np.zeros(3)), TypeError, "a data frame, a structured array"),
        (
            lambda t: Table.infer(FRAME.assign(when=pd.Period("2020-01"))),
            TypeError,
            "'when' holds a Period",
        ),
        (
            lambda t: Table.infer(pd.DataFrame({"id": [f"row {k}" for k in range(300)]})),
            ValueError,
            "'id' has 300 different values in 300 rows",
        ),
        (
            lambda t: Table.infer(FRAME, {"nmae": "integer"}),
            ValueError,
            "no column 'nmae': did you",
        ),
        (
            lambda t: Table.infer(FRAME, {"name": "numeric"}),
            ValueError,
            "holds strings, and cannot",
        ),
        (lambda t: Table.infer(FRAME, {"name": "text"}), ValueError, "cannot be of type 'text'"),
        (lambda t: Table.infer(FRAME, {"name": "binary"}), ValueError, "has 3 values"),
        (
            lambda t: Model(t, KERNELS["gaussian"], Velocity(), Silent()),
            TypeError,
            "this Table needs a ProductKernel with widths",
        ),
        (
            lambda t: Model(t, tabular(t).kernel, Velocity(), Silent(2)),
            TypeError,
            "Velocity needs a kernel with signal and noise",
        ),
        (
            lambda t: Model(
                t, tabular(t).kernel, tabular(t).head, qs.networks.MLP(t.state, outputs=2)
            ),
            TypeError,
            "returns NaN or infinity where a value of x is missing",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_column_and_row(act, error, says):
    with pytest.raises(error, match=says):
        act(Table.infer(FRAME))


# Its parts.


def test_two_knots_are_a_shift_and_a_scale(rng):
    warped = PiecewiseLinear(2, ((3.0, 5.0), (-1.0, 0.0)), ((-1.0, 1.0), (0.0, 4.0)))
    plain = Continuous(2, shift=(4.0, -1.0), scale=(1.0, 0.25))
    raw = 5 * torch.randn(50, 2, generator=rng)
    p = Gaussian(torch.full((50, 2), 0.3), torch.full((50, 2), 0.7))
    assert close(warped.encode(raw), plain.encode(raw))
    x_0 = plain.encode(raw)
    assert close(warped.log_prob(p, x_0), plain.log_prob(p, x_0))
    assert all(close(a, b) for a, b in zip(warped.affine(x_0), plain.affine(x_0), strict=True))


def test_a_density_through_many_knots_integrates_to_one_over_raw_values():
    space = PiecewiseLinear(1, ((0.0, 1.0, 1.5, 40.0),), ((-2.0, -0.5, 0.5, 2.0),))
    x_0 = torch.linspace(-9, 9, 200_001)[:, None]
    raw = space.decode(x_0)
    assert close(space.encode(raw), x_0)
    assert (raw.diff(dim=0) > 0).all()
    p = Gaussian(torch.full_like(x_0, 0.4), torch.full_like(x_0, 1.2))
    density = space.log_prob(p, space.encode(raw)).exp()
    assert torch.trapezoid(density, raw, dim=0).item() == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="by a shift and a scale"):
        space.affine(x_0)


@pytest.mark.parametrize("scale", [0.01, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("loc", [0.0, 0.9, -8.0])
def test_the_masses_of_all_integers_sum_to_one(loc, scale):
    space = Integers(2, (3, -40), (9, 25), (5.0, 0.0), (1.5, 20.0))
    p = Gaussian(torch.full((1, 2), loc), torch.full((1, 2), scale**2))
    assert close(space.log_total_mass(p, torch.zeros(1, 2)), torch.zeros(1, 2))


def test_integers_from_zero_are_quantized_data(rng):
    """The same cells by another name: 16 of them on [-1, 1]."""
    cells, other = Quantized(3, 16), Integers(3, (0,) * 3, (15,) * 3, (7.5,) * 3, (8.0,) * 3)
    raw = torch.randint(16, (60, 3), generator=rng).double()
    p = Gaussian(torch.randn(60, 3, generator=rng), torch.rand(60, 3, generator=rng))
    x_0 = cells.encode(raw)
    assert close(other.encode(raw), x_0)
    assert close(other.log_prob(p, x_0), cells.log_prob(p, x_0))
    assert torch.equal(other.decode(x_0 + 0.06), raw)


def test_a_product_s_head_is_its_parts_side_by_side(rng):
    """Belief, step, last step and divergence, to the last bit."""
    table = space_of(mixed(60, rng))
    model = tabular(table, steps=20, width=8, depth=1)
    kernel, head = model.kernel, model.head
    x_0 = table.encode(mixed(60, rng).nan_to_num(0))
    t = torch.randint(2, 21, (60,), generator=rng)
    x_t = kernel.marginal(x_0, t).sample(rng)
    output = torch.randn(60, table.state[0], head.outputs, generator=rng)
    kl = head.divergence(kernel, output, x_t, x_0, t - 1, t)
    step, start = head.reverse(kernel, output, x_t, t - 1, t), 0
    for piece, part, width in zip(
        table.independent_parts(kernel), head.parts, kernel.widths, strict=True
    ):
        own = slice(start, start + width)
        told = output[:, own, : part.outputs]
        mine = part.divergence(piece.kernel, told, x_t[:, own], x_0[:, own], t - 1, t)
        assert torch.equal(kl[:, own], mine)
        p = part.reverse(piece.kernel, told, x_t[:, own], t - 1, t)
        assert torch.equal(step.mean[:, own], p.mean)
        q = kernel.posterior(x_t, x_0, t - 1, t)
        alone = piece.kernel.posterior(x_t[:, own], x_0[:, own], t - 1, t)
        assert torch.equal(q.kl(step)[:, own], alone.kl(p))
        start += width


def test_what_a_column_has_adds_up_to_the_row(rng):
    table = space_of(mixed(60, rng))
    each = torch.randn(7, table.state[0], generator=rng)
    assert close(table.per_column(each).sum(1), each.sum(1))
    hot = table.expand_to_state(torch.eye(5))
    assert torch.equal((hot @ hot.T).diagonal(), torch.tensor([1.0, 3.0, 1.0, 1.0, 2.0]))
    assert torch.equal(hot.sum(0), torch.ones(table.state[0]))


@pytest.mark.parametrize("c", [0.01, 60.0])
def test_each_column_has_a_unit_of_its_own(c, rng):
    """A numeric column in units c times as small: -log c in each row that has a value there."""
    raw = mixed(80, rng, holes=0.2)
    other = raw.clone()
    other[:, 0] *= c

    def score(data):
        table = space_of(data)
        model = tabular(table, steps=20, width=8, depth=1)
        for k, parameter in enumerate(model.parameters()):
            torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(k))
        return bound(model, data, rng=torch.Generator().manual_seed(1)).nats

    assert close(score(other), score(raw) - math.log(c) * ~raw[:, 0].isnan(), rtol=1e-7)


def test_integers_stay_integers_and_classes_stay_classes(rng):
    raw = mixed(200, rng)
    model = tabular(space_of(raw), steps=10, width=8, depth=1)
    drawn = model.sample(300, rng=rng)
    assert torch.equal(drawn[:, 2], drawn[:, 2].round())
    assert set(drawn[:, 1].tolist()) <= {0.0, 1.0, 2.0}
    assert set(drawn[:, 4].tolist()) <= {0.0, 1.0}
    model.space.check(drawn)


def test_what_is_known_of_a_row_comes_back_bit_equal(rng):
    raw = mixed(6, rng, holes=0.4).float()
    model = tabular(space_of(mixed(200, rng)), steps=10, width=8, depth=1)
    found = model.impute(raw, draws=3, method=qs.SMC(8), rng=rng)
    known = ~raw.isnan()[:, None].expand(-1, 3, -1)
    assert torch.equal(found.draws[known].float(), raw[:, None].expand(-1, 3, -1)[known])
    assert not found.draws.isnan().any()
    model.space.check(found.draws.flatten(0, 1))
    typical = model.space.typical(found.draws)
    assert torch.equal(typical[~raw.isnan()].float(), raw[~raw.isnan()])
    model.space.check(typical)


def test_only_what_is_known_exactly_can_be_observed_of_a_table(rng):
    model = tabular(space_of(mixed(200, rng)), steps=10, width=8, depth=1)
    with pytest.raises(ValueError, match="observation with noise cannot be used"):
        model.posterior(qs.Observed(mixed(2, rng), 0.1))


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_a_model_of_a_table_keeps_every_identity(holes, rng):
    raw = mixed(60, rng, holes)
    model = tabular(space_of(raw), steps=12, width=8, depth=1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=rng)
    report = check(model, raw)
    assert report.passed, str(report)
    assert not any(row.skipped for row in report.rows)


@pytest.mark.parametrize("columns", [1, 1000])
def test_one_column_and_a_thousand(columns, rng):
    n = 40
    raw = torch.randn(n, columns, generator=rng)
    raw[:, 1::4] = raw[:, 1::4].round()
    raw[:, 2::4] = (raw[:, 2::4] > 0).double()
    raw[:, 3::4] = math.nan
    table = Table.infer(raw.numpy())
    assert table.dims == columns - columns // 4
    model = tabular(table, steps=5, width=8, depth=1)
    qs.fit(model, raw, steps=2, batch=20)
    assert model.score(raw, rng=rng).nats.isfinite().all()
    drawn = model.sample(3, rng=rng)
    assert torch.equal(drawn.isnan(), raw[:3].isnan())  # an empty column stays empty


# Holes: the likelihood of what is observed.


def test_on_noise_a_row_with_holes_has_the_probability_of_what_is_there(rng):
    """K = log pi of the values that are there, each for itself, and nothing for a hole."""
    kernel = GROUPED_KERNELS["mixed"]
    whole = space_for(kernel)
    columns = tuple(type(c)(**vars(c) | {"missing": 0.3}) for c in whole.columns)
    table = Table(columns)

    class Blind(Silent):
        def forward(self, x, time):
            return super().forward(x.nan_to_num(0), time)

    raw = table.decode(kernel.prior(torch.zeros(3000, 3)).sample(rng))
    raw = torch.where(torch.rand(3000, 2, generator=rng) < 0.3, math.nan, raw)
    score = bound(Model(table, kernel, Natural(), Blind()), raw, rng=rng)
    line = Gaussian(torch.zeros(3000), torch.ones(3000)).log_prob(raw[:, 0].nan_to_num(0))
    classes = torch.tensor([0.3, 0.7]).log()[raw[:, 1].nan_to_num(0).long()]
    there = ~raw.isnan()
    truth = torch.where(there[:, 0], line, 0.0) + torch.where(there[:, 1], classes, 0.0)
    assert_mean(score.nats - truth, 0.0)
    assert close(score.null, truth)
    nothing = ~there.any(1)
    assert nothing.sum() > 100
    assert torch.equal(score.nats[nothing], torch.zeros(int(nothing.sum())))


class Conditional(torch.nn.Module):
    """E and Var of each value of correlated normal data, given the x_t of those that are there:
    what training on rows with holes would make of a network that had no limits."""

    def __init__(self, kernel, covariance):
        super().__init__()
        self.kernel, self.covariance = kernel, covariance

    def forward(self, x, time):
        t = (time.double() * self.kernel.steps).round().long()
        there = ~x.isnan()
        signal, noise = self.kernel.signal(t, x), self.kernel.noise(t, x)
        seen = signal[:, None] ** 2 * self.covariance + (noise**2)[:, None] * torch.eye(x.shape[1])
        both = there[:, :, None] & there[:, None]
        seen = torch.where(both, seen, torch.eye(x.shape[1]))
        cross = signal[:, None] * self.covariance * there[:, None]
        gain = torch.linalg.solve(seen, cross.mT).mT
        mean = (gain * x.nan_to_num(0)[:, None]).sum(-1)
        left = self.covariance.diagonal() - (gain * cross).sum(-1)
        return torch.stack([mean, left], -1)


def correlated(n, dims, correlation, rng):
    covariance = torch.full((dims, dims), correlation).fill_diagonal_(1.0)
    law = torch.distributions.MultivariateNormal(torch.zeros(dims), covariance)
    raw = torch.randn(n, dims, generator=rng) @ torch.linalg.cholesky(covariance).T
    return raw, covariance, law


def test_with_holes_k_is_a_bound_on_the_marginal_and_closes(rng):
    """log p(what is there) of correlated normal data, in closed form for every pattern of holes."""
    raw, covariance, _ = correlated(3000, 3, 0.8, rng)
    raw = torch.where(torch.rand(3000, 3, generator=rng) < 0.4, math.nan, raw)
    there = ~raw.isnan()
    both = there[:, :, None] & there[:, None]
    seen = torch.where(both, covariance, torch.eye(3))
    x = raw.nan_to_num(0)
    square = (x * torch.linalg.solve(seen, x[..., None])[..., 0]).sum(1)
    truth = -0.5 * (square + torch.logdet(seen) + there.sum(1) * math.log(2 * math.pi))

    line = {"at": (-1.0, 1.0), "to": (-1.0, 1.0), "low": -9.0, "high": 9.0, "dtype": ""}
    columns = [qs.spaces.columns.NumericColumn(name=n, missing=0.4, **line) for n in "abc"]
    gaps = []
    for steps in (6, 64):
        kernel = qs.GaussianKernel(qs.schedules.linear_log_snr(steps, 9, -9))
        parts = qs.ProductKernel((kernel,), (3,))
        head = ProductHead((qs.diagnostics.oracles.Moments(),))
        model = Model(Table(tuple(columns)), parts, head, Conditional(kernel, covariance))
        gap = truth - bound(model, raw, rng=rng).nats
        gaps.append(gap.mean().item())
    error = gap.std().item() / math.sqrt(len(gap))
    assert gaps[0] > 5 * error
    assert -4 * error < gaps[1] < gaps[0] / 4


def test_rows_with_holes_teach_more_than_the_complete_ones_alone(float32):
    """Held-out complete rows of eight correlated columns, 30 % missing at random, where 17 of 300
    rows are complete: nats short of the truth, which over seeds are 1.6 to 1.9 and 2.9 to 4.6.
    Where many rows are complete there is less to win, or nothing: docs/design.md, point 21."""
    rng = torch.Generator().manual_seed(0)
    raw, _, law = correlated(300, 8, 0.8, rng)
    test, *_ = correlated(500, 8, 0.8, rng)
    raw = torch.where(torch.rand(300, 8, generator=rng) < 0.3, math.nan, raw)
    truth, gaps = law.log_prob(test), []
    for rows in (raw, raw[~raw.isnan().any(1)]):
        torch.manual_seed(0)
        table = Table.infer(rows.numpy(), types={str(k): "standardized" for k in range(8)})
        model = tabular(table, steps=40, width=32, depth=1)
        qs.fit(model, rows, steps=250, batch=64, lr=3e-3)
        gaps.append((truth - model.score(test, rng=rng).nats).mean().item())
    assert gaps[0] < 2.2
    assert gaps[1] > gaps[0] + 0.5


def test_a_part_takes_a_head_that_serves_it():
    with pytest.raises(TypeError, match="Levels needs a space with levels"):
        ProductHead((Levels(),)).bind(
            Table.infer(pandas()[["number"]]), qs.ProductKernel((KERNELS["gaussian"],), (1,))
        )
    with pytest.raises(TypeError, match="states no law"):
        ProductHead((Natural(),)).bind(
            Table.infer(pandas()[["number"]]), qs.ProductKernel((KERNELS["gaussian"],), (1,))
        )
