"""The benchmarks' causal models are densities: no pixel sees itself, and all of them add to one."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

_PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "autoregressive.py"
_SPEC = importlib.util.spec_from_file_location("autoregressive", _PATH)
causal = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(causal)

MODELS = {
    "mcgsm": lambda: causal.MCGSM(components=3, scales=2, features=4, reach=2),
    "convolutions": lambda: causal.CausalConvolutions(width=6, depth=3, components=3, reach=2),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request):
    """With weights that matter all over: no layer starts at zero, and mixtures differ by place."""
    torch.manual_seed(0)
    model = request.param()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return model


def seen(x: Tensor) -> Tensor:
    return torch.stack([x, torch.ones_like(x)], 1)


def test_a_pixel_s_law_sees_those_before_it_and_no_other(model, rng):
    """Its law has a gradient to the neighbours that are promised, and exactly none to itself or to
    what comes later in reading order."""
    size = 7
    x = torch.randn(1, size, size, generator=rng, requires_grad=True)
    weight, mean, deviation = model.conditionals(seen(x))
    law = (weight * torch.sin(mean) + deviation).sum((0, 1))
    for place in (0, 10, 24, 27, 48):
        (slope,) = torch.autograd.grad(law.flatten()[place], x, retain_graph=True)
        slope = slope.flatten()
        assert (slope[place:] == 0).all()
        row, column = divmod(place, size)
        near = [(row, column - 1), (row - 1, column), (row - 1, column + 1), (row - 2, column - 1)]
        inside = [i * size + j for i, j in near if i >= 0 and 0 <= j < size]
        assert (slope[inside] != 0).all()


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
def test_the_density_of_two_pixels_integrates_to_one(model, shape):
    grid = torch.linspace(-9, 9, 121)
    first, second = torch.meshgrid(grid, grid, indexing="ij")
    x = torch.stack([first, second], -1).reshape(-1, *shape)
    with torch.no_grad():
        log_p = torch.cat([model.log_prob(part) for part in x.split(5000)])
    mass = log_p.exp().sum() * (grid[1] - grid[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("place", [(0, 0), (0, 3), (2, 0), (2, 3), (4, 4)])
def test_a_pixel_s_conditional_integrates_to_one_wherever_it_is(model, place, rng):
    grid = torch.linspace(-16, 16, 401)
    x = torch.randn(5, 5, generator=rng).repeat(len(grid), 1, 1)
    x[:, *place] = grid
    with torch.no_grad():
        each = torch.cat([model.pixels(part) for part in x.split(401)])[:, *place]
    mass = each.exp().sum() * (grid[1] - grid[0])
    assert mass.item() == pytest.approx(1, abs=1e-6)


def test_one_component_at_one_scale_is_linear_regression(rng):
    """The gate then weighs nothing, and a pixel is Gaussian about a sum over its neighbours,
    written out here pixel by pixel."""
    torch.manual_seed(1)
    model = causal.MCGSM(components=1, scales=1, features=2, reach=1)
    x = torch.randn(2, 3, 4, generator=rng)
    taps, bias = model.read.weight[0].detach(), model.read.bias[0].item()
    variance = math.exp(-(model.log_tau + model.log_precision).item())
    expected = torch.zeros(2)
    for i in range(3):
        for j in range(4):
            mean = torch.full((2,), bias)
            for row, column in ((-1, -1), (-1, 0), (-1, 1), (0, -1)):
                if i + row >= 0 and 0 <= j + column < 4:
                    grey, inside = taps[:, 1 + row, 1 + column]
                    mean += grey * x[:, i + row, j + column] + inside
            square = (x[:, i, j] - mean) ** 2 / variance
            expected -= 0.5 * (square + math.log(2 * math.pi * variance))
    assert torch.allclose(model.log_prob(x).detach(), expected, rtol=1e-12)


def test_scales_are_a_mixture_of_widths(rng):
    """With no features and no linear gate, two scales mix two deviations by eta alone."""
    model = causal.MCGSM(components=1, scales=2, features=1, reach=1)
    with torch.no_grad():
        model.read.weight.zero_()
        model.read.bias.zero_()
        model.log_precision.zero_()
        model.eta.copy_(torch.tensor([[0.3, 0.7]]).log())
        model.log_tau.copy_(torch.tensor([[1.0, 4.0]]).log())
    x = torch.randn(3, 1, 1, generator=rng)
    narrow, wide = (torch.distributions.Normal(0, s).log_prob(x).exp() for s in (0.5, 1.0))
    expected = (0.3 * wide + 0.7 * narrow).log().reshape(3)
    assert torch.allclose(model.log_prob(x).detach(), expected, rtol=1e-12)


def test_the_best_gaussian_has_its_entropy_on_the_data_that_made_it(rng):
    """Fitted by maximum likelihood, its mean log-density there is minus its entropy."""
    mix = torch.randn(6, 6, generator=rng)
    x = (torch.randn(500, 6, generator=rng) @ mix + 2).reshape(500, 2, 3)
    model = causal.GaussianImages(x)
    covariance = torch.from_numpy(np.cov(x.flatten(1).T.numpy(), bias=True))
    entropy = 0.5 * (6 * (1 + math.log(2 * math.pi)) + covariance.logdet())
    assert model.log_prob(x).mean().item() == pytest.approx(-entropy.item(), rel=1e-10)
    assert model.parameters == 6 + 21
