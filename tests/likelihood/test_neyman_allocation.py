"""Evaluations that go where the noise is: unbiased, and with an honest standard error."""

import math

import pytest
import torch

from conftest import KERNELS, Wrong, assert_mean, close, random_data
from quasistatic.heads import Clean, Levels, Velocity
from quasistatic.heads.variances import FixedLarge
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules
from quasistatic.likelihood import bound, bound_to
from quasistatic.likelihood.neyman_allocation import Allocation, Evaluation, neyman_allocation
from quasistatic.likelihood.terms import term_times
from quasistatic.model import Model
from quasistatic.networks import MLP
from quasistatic.spaces import Binary, Continuous, Quantized

HUNDRED = schedules.linear_log_snr(100, 9, -7)


def models() -> dict[str, Model]:
    gaussian, bits = GaussianKernel(HUNDRED), BinomialKernel(schedules.erase_evenly(100))
    return {
        "levels": Model(Quantized(3, 8, 1.5), gaussian, Levels(), Wrong(8)),
        "bits": Model(Binary(3), bits, Levels(), Wrong(2)),
        "velocity": Model(Continuous(3), gaussian, Velocity(FixedLarge()), Wrong()),
    }


def data(name: str, n: int, rng: torch.Generator) -> torch.Tensor:
    if name == "velocity":
        return torch.randn(n, 3, generator=rng)
    return torch.randint(8 if name == "levels" else 2, (n, 3), generator=rng)


def allotted(model: Model, raw: torch.Tensor, rng: torch.Generator) -> Allocation:
    with torch.no_grad():
        return neyman_allocation(
            model, model.space.encode(model.space.check(raw).double()), term_times(model), rng
        )[0]


@pytest.mark.parametrize("name", ["levels", "bits", "velocity"])
@pytest.mark.parametrize("evaluations", [1, 2, 5, 40])
def test_an_allotted_bound_is_unbiased(name, evaluations, rng):
    """Whatever the allocation and its stand-ins: the mean is that of the full sum."""
    model = models()[name]
    x = data(name, 1, rng).expand(2000, -1)
    allocation = allotted(model, x[:16], rng)
    few = bound(model, x, evaluations, rng=rng, allocation=allocation)
    full = bound(model, x, rng=rng)
    difference = few.nats.mean() - full.nats.mean()
    error = ((few.nats.var() + full.nats.var()) / 2000).sqrt()
    assert abs(difference) < 4.5 * error
    for term in ("transitions", "edge"):
        error = ((few.terms[term].var() + full.terms[term].var()) / 2000).sqrt()
        assert abs(few.terms[term].mean() - full.terms[term].mean()) < 4.5 * error + 1e-12


@pytest.mark.parametrize("name", ["levels", "bits"])
def test_a_stand_in_has_mean_zero_and_stands_in(name, rng):
    """The term by an answer to other noise, less its mean: zero in the mean at any time, and
    nearly the term's own deviation where the belief is about levels."""
    model = models()[name]
    x_0 = model.space.encode(data(name, 1, rng).double()).expand(20_000, -1)
    for time in (5, 40, 90):
        t = torch.full((len(x_0),), time)
        visit, other = (Evaluation.make(model, x_0, t - 1, t, rng) for _ in range(2))
        off = visit.control_variate(model, other, rng)
        assert_mean(off, 0.0)


@pytest.mark.parametrize("allocation", ["even", "measured"])
@pytest.mark.parametrize("name", ["levels", "velocity"])
@pytest.mark.parametrize("evaluations", [7, 40, 99])
def test_the_told_noise_is_what_repeats_show(name, allocation, evaluations, rng):
    """Collapsed strata: no less than the spread of repeats, and not much more."""
    model = models()[name]
    x = data(name, 1, rng).expand(1500, -1)
    spread = allotted(model, x[:16], rng) if allocation == "measured" else None
    score = bound(model, x, evaluations, rng=rng, allocation=spread)
    told, shown = score.noise.square().mean().sqrt(), score.nats.std()
    assert 0.9 * shown < told < (2.5 if evaluations == 7 else 1.5) * shown


def test_levels_need_far_fewer_evaluations_than_terms(rng):
    """The noise of the full sum, by a quarter of its evaluations at most."""
    torch.manual_seed(0)
    kernel = GaussianKernel(schedules.linear_log_snr(400, 9, -7))
    model = Model(Quantized(12, 8, 1.5), kernel, Levels(), MLP(12, 32, outputs=8))
    x = torch.randint(8, (1, 12), generator=rng).expand(300, -1)
    full = bound(model, x, rng=rng).nats.std()
    few = bound(model, x, 100, rng=rng, allocation=allotted(model, x[:16], rng)).nats.std()
    assert few < full


@pytest.mark.parametrize("terms", [1, 3, 40, 999])
def test_an_even_allocation_meets_each_term_once(terms):
    even = Allocation.even(terms)
    v = (torch.arange(terms) + torch.rand(terms, dtype=torch.float64)) / terms
    assert torch.equal(even.index(v), torch.arange(terms))
    assert close(even.weight(torch.arange(terms)), torch.full((terms,), float(terms)))


def test_an_allocation_visits_terms_by_their_density(rng):
    density = torch.tensor([0.5, 0.125, 0.0625, 0.3125])
    allocation = Allocation(density, torch.zeros(4))
    v = (torch.arange(1600) + 0.5) / 1600
    assert torch.equal(allocation.index(v).bincount(), torch.tensor([800, 200, 100, 500]))


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("name", ["levels", "bits", "velocity"])
def test_an_asked_for_error_is_reached(name, each, rng):
    model, x = models()[name], data(name, 60, rng)
    full = bound(model, x, rng=rng)
    reached = full.noise_per_dim.square().mean().sqrt().item()
    asked = 1.3 * reached if each else 2 * reached / 60**0.5
    score = bound_to(model, x, asked, each, rng=rng)
    told = score.noise_per_dim.square().mean().sqrt().item() / (1 if each else 60**0.5)
    assert told <= asked
    assert score.evaluations < 100
    assert score.spent == score.evaluations * 60 + score.pilot
    away = (score.bits_per_dim - full.bits_per_dim).mean().abs()
    assert away < 4.5 * (asked if not each else asked / 60**0.5) + 4.5 * reached / 60**0.5


def test_an_error_out_of_reach_is_said(rng):
    model, x = models()["velocity"], torch.randn(5, 3, generator=rng)
    with pytest.warns(UserWarning, match="50 evaluations an example reach a standard error of"):
        score = bound_to(model, x, 1e-6, most=50, rng=rng)
    assert score.evaluations == 50
    assert score.noise.isfinite().all()


def test_the_same_seed_compares_two_models_under_the_same_noise(rng):
    """Common random numbers: the difference of two alike has little of either's noise."""
    kernel = GaussianKernel(HUNDRED)
    a, b = (
        Model(Continuous(3), kernel, Velocity(FixedLarge()), _Scaled(scale))
        for scale in (0.70, 0.71)
    )
    x = torch.randn(400, 3, generator=rng)
    one, two = (bound(m, x, 20, rng=torch.Generator().manual_seed(5)).nats for m in (a, b))
    other = bound(b, x, 20, rng=torch.Generator().manual_seed(6)).nats
    assert (one - two).std() < (one - other).std() / 5


class _Scaled(torch.nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x, t):
        return self.scale * x[..., None]


def test_requests_that_make_no_sense_say_so(rng):
    model, x = models()["velocity"], torch.zeros(2, 3)
    for stderr in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="standard error must be positive and finite"):
            bound_to(model, x, stderr)
    with pytest.raises(ValueError, match="at least 2 evaluations to estimate, got 1"):
        bound_to(model, x, 0.1, most=1)
    with pytest.raises(ValueError, match="for a chain of 7 terms, and this one has 99"):
        bound(model, x, 5, allocation=Allocation.even(7))
    clean = Model(Binary(3), KERNELS["bits"], Clean(), Wrong())
    with pytest.raises(ValueError, match="from 1 to 40"):
        bound(clean, random_data(KERNELS["bits"], 2, rng), 41)
