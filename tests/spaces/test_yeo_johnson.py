"""Columns bent by powers: one map of the line onto the line, and densities in raw units."""

import math

import numpy as np
import pytest
import torch
from sklearn.preprocessing import PowerTransformer

import quasistatic as qs
from conftest import close
from quasistatic.distributions import Gaussian
from quasistatic.kernels import schedules

POWERS = (0.0, 0.3, 1.0, 1.7, 2.0)
SPACE = qs.YeoJohnson(5, POWERS, 0.3, (1.0, 2.0, 0.5, 1.0, 3.0), -0.1, 1.7)
KERNEL = qs.GaussianKernel(schedules.linear_log_snr(50, 9.0, -7.0))


def test_there_and_back_is_the_identity(rng):
    raw = 4 * torch.randn(500, 5, generator=rng)
    assert close(SPACE.decode(SPACE.encode(raw)), raw)
    x_0 = 3 * torch.randn(500, 5, generator=rng)
    assert close(SPACE.encode(SPACE.decode(x_0)), x_0)


def test_the_map_rises_everywhere_and_meets_itself_at_zero():
    at = torch.linspace(-30, 30, 2001)[:, None].expand(-1, 5)
    assert (SPACE.encode(at).diff(dim=0) > 0).all()


def test_it_is_scikit_learn_s(rng):
    raw = torch.randn(400, 5, generator=rng).exp().numpy()
    judge = PowerTransformer(standardize=False)
    judge.fit(raw)
    judge.lambdas_ = np.array(POWERS)
    ours = qs.YeoJohnson(5, POWERS).encode(torch.from_numpy(raw))
    assert close(ours, torch.from_numpy(judge.transform(raw)))


def test_the_density_is_in_raw_units(rng):
    """log p(raw) = log p(x_0) + log |dx_0 / draw|, with the slope by automatic differentiation."""
    raw = (3 * torch.randn(200, 5, generator=rng)).requires_grad_()
    x_0 = SPACE.encode(raw)
    (slope,) = torch.autograd.grad(x_0.sum(), raw)
    law = Gaussian(torch.full((200, 5), 0.3), torch.full((200, 5), 2.0))
    expected = law.log_prob(x_0) + slope.log()
    assert close(SPACE.log_prob(law, x_0.detach()), expected.detach())


def test_a_power_of_one_bends_nothing(rng):
    raw, t = torch.randn(50, 5, generator=rng), torch.ones(50, dtype=torch.long)
    bent, plain = qs.YeoJohnson(5, 1.0, 0.5, 2.0, 0.25, 3.0), qs.Continuous(5, 1.0, 6.0)
    x_0 = plain.encode(raw)
    assert close(bent.encode(raw), x_0)
    assert close(bent.edge(KERNEL, x_0, t), plain.edge(KERNEL, x_0, t))


def test_the_edge_is_the_mean_log_probability_of_the_last_step(rng):
    x_0 = torch.tensor([[0.5, -1.0, 2.0, 0.0, -0.3]]).expand(200_000, -1)
    t = torch.full((len(x_0),), 12)
    x_t = KERNEL.marginal(x_0, t).sample(rng)
    drawn = SPACE.log_prob(SPACE.last(KERNEL, x_t, t, lambda: pytest.fail("is fixed")), x_0)
    exact = SPACE.edge(KERNEL, x_0[:1], t[:1])[0]
    error = (drawn.mean(0) - exact).abs()
    assert (error < 5 * drawn.std(0) / math.sqrt(len(x_0))).all()


def test_fitted_to_a_lognormal_it_takes_the_logarithm(rng):
    normal = torch.randn(4000, 2, generator=rng)
    raw = torch.stack([(normal[:, 0] / 2).exp(), normal[:, 1], torch.full((4000,), 7.0)], 1)
    space = qs.YeoJohnson.fit(raw)
    x_0 = space.encode(raw)
    third = ((x_0 - x_0.mean(0)) ** 3).mean(0)[:2] / x_0.std(0)[:2] ** 3
    assert (third.abs() < 0.15).all()
    assert close(x_0[:, :2].mean(0), torch.zeros(2), atol=1e-8)
    assert close(x_0[:, :2].std(0, correction=0), torch.ones(2), rtol=1e-6)
    assert space.power[2] == 1.0
    assert close(space.decode(x_0), raw)


def test_other_powers_are_refused():
    with pytest.raises(ValueError, match="powers must be from 0 to 2, got"):
        qs.YeoJohnson(2, (0.5, -0.1))
