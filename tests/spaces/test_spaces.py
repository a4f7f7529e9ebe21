"""A space gives the raw data back, and its probabilities are of the raw data."""

import math

import numpy as np
import pytest
import torch

from conftest import KERNELS, Silent, assert_mean, close
from quasistatic.distributions import Bernoulli, Gaussian, Lattice, total
from quasistatic.heads import Levels, Natural
from quasistatic.model import Model
from quasistatic.spaces import (
    Binary,
    Continuous,
    Dequantized,
    Integers,
    PiecewiseLinear,
    Quantized,
)
from quasistatic.spaces.yeo_johnson import YeoJohnson

SPACES = {
    "continuous": Continuous(3),
    "affine": Continuous(3, shift=(1.0, -2.0, 0.5), scale=(0.1, 7.0, 3.0)),
    "binary": Binary(3),
    "quantized": Quantized(3, count=16),
    "quantized-wide": Quantized(3, count=17, spread=3.0),
    "dequantized": Dequantized(3, count=256),
    "dequantized-wide": Dequantized(3, count=5, spread=2.5),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def raw_data(space, n, rng):
    if isinstance(space, Continuous):
        return 5 * torch.randn(n, 3, generator=rng)
    count = 2 if isinstance(space, Binary) else space.count
    return torch.randint(count, (n, 3), generator=rng).double()


@every_space
def test_a_round_trip_is_exact(space, rng):
    raw = raw_data(space, 500, rng)
    back = space.decode(space.encode(raw, rng))
    if isinstance(space, Continuous):
        assert close(back, raw, rtol=1e-14, atol=1e-14)
    else:
        assert torch.equal(back, raw)


@every_space
def test_whole_arrays_of_any_type_are_the_same_data(space, rng):
    """NumPy or tensor, bytes or floats: what is checked is what was given."""
    raw = raw_data(space, 50, rng).round().clamp(0, 1)
    whole = [raw.numpy().astype(kind) for kind in (bool, np.uint8, np.int8, np.uint16, np.int64)]
    for given in (*whole, raw.numpy(), raw.float(), raw.bool(), raw.tolist()):
        assert torch.equal(space.check(given).double(), raw)


@pytest.mark.parametrize("scale", [0.01, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("loc", [0.0, 0.9, -8.0])
@pytest.mark.parametrize("name", ["quantized", "quantized-wide"])
def test_the_masses_of_all_levels_sum_to_one(name, loc, scale):
    """Whatever the width of the last step and however far off it is."""
    space = SPACES[name]
    raw = torch.arange(space.count, dtype=torch.float64)[:, None].expand(-1, 3)
    p = Gaussian(torch.full((space.count, 3), loc), torch.full((space.count, 3), scale**2))
    log_mass = space.log_prob(p, space.encode(raw))
    assert close(log_mass.logsumexp(0), torch.zeros(3))


def test_a_law_over_levels_keeps_its_probabilities(rng):
    space = SPACES["quantized"]
    raw = raw_data(space, 100, rng)
    p = Lattice(torch.randn(100, 3, 16, generator=rng), space.levels)
    expected = p.logits.log_softmax(-1).gather(-1, raw.long()[..., None])[..., 0]
    assert close(space.log_prob(p, space.encode(raw)), expected)
    bits = (raw > 7).double()
    q = Bernoulli(torch.randn(100, 3, generator=rng))
    assert torch.equal(SPACES["binary"].log_prob(q, bits), q.log_prob(bits))


def test_an_outlier_costs_what_it_costs():
    """No clamp: 12 levels away at a hundredth of a level's width is 10^8 deviations squared."""
    space = Quantized(1, count=256)
    loc = space.encode(torch.tensor([[20.0]])).requires_grad_()
    p = Gaussian(loc, torch.full((1, 1), (2 / 256 / 100) ** 2))
    log_mass = space.log_prob(p, space.encode(torch.tensor([[32.0]])))
    z = 11.5 * 100  # deviations to the nearer end of the cell
    tail = -(z**2) / 2 - math.log(z) - 0.5 * math.log(2 * math.pi)
    assert log_mass.item() == pytest.approx(tail, rel=1e-6)
    (slope,) = torch.autograd.grad(log_mass.sum(), loc)
    assert slope.item() == pytest.approx(z / (2 / 256 / 100), rel=1e-3)


@pytest.mark.parametrize("name", ["continuous", "affine"])
def test_a_density_of_raw_data_integrates_to_one_over_raw_data(name):
    space = SPACES[name]
    x_0 = torch.linspace(-12, 12, 4001)[:, None].expand(-1, 3)
    raw = space.decode(x_0)
    p = Gaussian(torch.full_like(x_0, 0.4), torch.full_like(x_0, 1.7))
    density = space.log_prob(p, space.encode(raw)).exp()
    assert close(torch.trapezoid(density, raw, dim=0), torch.ones(3))


@pytest.mark.parametrize("name", ["dequantized", "dequantized-wide"])
def test_the_densities_of_all_cells_sum_to_the_mass_within_the_range(name):
    """The integral of exp(log_prob) over u in [0, 1), summed over the raw values."""
    space = SPACES[name]
    u = (torch.arange(200) + 0.5) / 200
    raw = (torch.arange(space.count)[:, None] + u).flatten()
    x_0 = ((raw / space.count * 2 - 1) * space.spread)[:, None]
    p = Gaussian(torch.full_like(x_0, 0.2), torch.full_like(x_0, 0.5))
    ends = torch.full((1, 1), -space.spread), torch.full((1, 1), space.spread)
    inside = Gaussian(torch.full((1, 1), 0.2), torch.full((1, 1), 0.5)).log_mass(*ends).exp()
    assert close(space.log_prob(p, x_0).exp().sum() / 200, inside[0, 0], rtol=1e-5)


@pytest.mark.parametrize("name", ["dequantized", "dequantized-wide"])
def test_dequantisation_fills_each_cell_evenly(name, rng):
    space = SPACES[name]
    raw = raw_data(space, 20_000, rng)
    within = (space.encode(raw, rng) / space.spread + 1) / 2 * space.count - raw
    assert ((within >= -1e-9) & (within < 1 + 1e-9)).all()
    assert_mean(within, 0.5)
    assert_mean((within - 0.5) ** 2, 1 / 12)


def test_standardized_data_have_mean_0_and_variance_1(rng):
    raw = torch.randn(200, 2, 3, generator=rng) * 4 + 7
    raw[:, 1, 2] = 5.0  # a constant column is left as it is
    space = Continuous.standardize(raw)
    x_0 = space.encode(raw)
    assert close(x_0.mean(0), torch.zeros(2, 3))
    expected = torch.ones(2, 3)
    expected[1, 2] = 0.0
    assert close(x_0.var(0, correction=0), expected)
    whole = Continuous.standardize(raw, each=False).encode(raw)
    assert whole.mean().item() == pytest.approx(0, abs=1e-12)
    assert whole.var(correction=0).item() == pytest.approx(1)
    assert close((whole[1] - whole[0]) * raw.std(correction=0), raw[1] - raw[0])  # one scale


@pytest.mark.parametrize("name", ["continuous", "affine", "dequantized"])
@pytest.mark.parametrize("kernel", ["gaussian", "gaussian-erase"])
def test_the_edge_is_the_mean_log_probability_of_the_last_step(name, kernel, rng):
    """E_q[log p(raw | x_1)], the two terms that SD15 B.2 takes for equal among it."""
    space, kernel = SPACES[name], KERNELS[kernel]
    model = Model(space, kernel, Natural(), Silent())
    raw = raw_data(space, 1, rng)
    x_0 = space.encode(raw, rng).expand(200_000, 3)
    t = torch.ones(200_000, dtype=torch.long)
    x_1 = kernel.marginal(x_0, t).sample(rng)
    said = space.log_prob(model.last(x_1, t), x_0)
    assert_mean(said, space.edge(kernel, x_0[:1], t[:1])[0])


@pytest.mark.parametrize("name", ["binary", "quantized"])
def test_with_levels_the_last_step_is_the_model_s_own(name, rng):
    space = SPACES[name]
    kernel = KERNELS["gaussian"]
    count = len(space.levels)
    model = Model(space, kernel, Levels(), Silent(count))
    x_1, t = torch.randn(50, 3, generator=rng), torch.ones(50, dtype=torch.long)
    p = model.last(x_1, t)
    # A silent prior: the nearest level wins, by the squared distance to it.
    square = (x_1[..., None] - kernel.signal(t, x_1)[..., None] * space.levels) ** 2
    odds = -square / (2 * kernel.noise(t, x_1)[..., None] ** 2)
    assert close(p.probs, odds.softmax(-1), rtol=1e-6)
    assert torch.equal(space.edge(kernel, x_1, t), torch.zeros(50, 3))


@pytest.mark.parametrize("shape", [4, (4,), (2, 3), (1, 5, 2)])
def test_any_shape_is_data(shape, rng):
    """K is a sum over the values, whatever the axes they lie on."""
    space = Continuous(shape)
    raw = torch.randn(10, *space.shape, generator=rng)
    p = Gaussian(torch.zeros_like(raw), torch.ones_like(raw))
    flat = Gaussian(p.loc.flatten(1), p.variance.flatten(1)).log_prob(raw.flatten(1)).sum(1)
    assert close(total(space.log_prob(p, space.encode(space.check(raw)))), flat)
    assert space.dims == raw[0].numel()


ROW = torch.zeros(1, 3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Continuous(0), ValueError, "at least 1, got 0"),
        (lambda: Continuous(()), ValueError, "at least one axis"),
        (lambda: Binary((3, -1)), ValueError, "at least 1, got -1"),
        (lambda: Continuous(3, shift=(1.0, 2.0)), ValueError, r"shift has shape \(2,\)"),
        (lambda: Continuous(3, scale=0.0), ValueError, "a scale positive"),
        (lambda: Continuous(3, scale=(1.0, math.inf, 1.0)), ValueError, "scale must be finite"),
        (lambda: Quantized(3, count=1), ValueError, "from 2 to 1,048,576, got 1"),
        (lambda: Dequantized(3, spread=-1.0), ValueError, "spread must be a number in"),
        (lambda: Continuous(3).check(ROW[:, :2]), ValueError, r"\(examples, 3\), got \(1, 2\)"),
        (lambda: Continuous(3).check(ROW[0]), ValueError, r"\(examples, 3\), got \(3,\)"),
        (lambda: Continuous(3).check(ROW[:0]), ValueError, "x is empty"),
        (lambda: Continuous(3).check("no"), TypeError, "x must be an array of numbers, got str"),
        (lambda: Continuous(3).check(1j * ROW), TypeError, "x must be real"),
        (
            lambda: Continuous(3).check([[0, 1, 2], [0, math.nan, math.inf]], "y"),
            ValueError,
            r"y holds nan at \(1, 1\) \(first of 2\)",
        ),
        (
            lambda: Binary(3).check([[0, 1, 1], [0, 2, 1]]),
            ValueError,
            r"whole numbers from 0 to 1, got 2 at \(1, 1\): .* another space than Binary",
        ),
        (lambda: Binary(3).check(ROW + 0.5), ValueError, r"got 0.5 at \(0, 0\)"),
        (lambda: Quantized(3, 16).check(ROW + 16), ValueError, "from 0 to 15, got 16 at"),
        (lambda: Quantized(3, 16).check(ROW - 1), ValueError, "from 0 to 15, got -1 at"),
        (lambda: Dequantized(3, 16).check(ROW + 0.25), ValueError, "got 0.25"),
    ],
)
def test_what_is_no_data_is_refused_and_told_where(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    ("space", "step"),
    [
        (Continuous(2, 1.0, 3.0), 1e-6),
        (Continuous(2, (0.0, 5.0), (0.5, 4.0)), 1e-6),
        (Quantized(2, 7, 1.5), 1.0),
        (Dequantized(2, 7, 1.5), 1.0),
        (Integers(2, (0, -3), (9, 200), (4.5, 50.0), (2.0, 0.1)), 1.0),
        (PiecewiseLinear(2, ((0.0, 2.0, 9.0),) * 2, ((-1.0, 1.0, 2.0),) * 2), 1e-6),
        (YeoJohnson(2, (0.5, 1.5), 0.1, (1.5, 2.5), 0.2, 3.5), 1e-6),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_volume_is_the_slope_of_x_0_by_the_raw_value(space, step):
    """A density of x_0 times the slope is one of the raw value; for whole numbers, times the
    distance of neighbours it is about a mass."""
    raw = torch.tensor([[1.0, 3.0], [4.0, 1.0]])

    def encoded(raw):
        return space.encode(raw, torch.Generator().manual_seed(0))

    slope = (encoded(raw + step) - encoded(raw)) / step
    volume = space.log_volume(encoded(raw))
    assert volume.shape == raw.shape
    assert torch.allclose(volume, slope.log(), atol=1e-5)
