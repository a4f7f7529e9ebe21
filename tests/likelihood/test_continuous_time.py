"""The bound in continuous time: a known density, and what a network's corrections win."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import quasistatic as qs
from conftest import assert_mean, close
from quasistatic.diagnostics.oracles import MixtureOracle
from quasistatic.distributions.mixtures import CategoricalBlock, GaussianBlock, Mixture
from quasistatic.heads.corrected import _weights
from quasistatic.kernels import schedules
from quasistatic.networks import ResidualDenoiser
from quasistatic.recipes.tabular import tabular_from_law

ORACLE = MixtureOracle((0.4, 0.6), ((-1.0, 0.5), (0.7, -0.3)), ((0.05, 0.6), (0.3, 0.1)))


def chain(steps: int = 400) -> qs.GaussianKernel:
    return qs.GaussianKernel(schedules.linear_log_snr(steps, 9.0, -8.0))


def model_of(law: Mixture, kernel, space=None) -> qs.Diffusion:
    network = ResidualDenoiser(2, (), law.components, law.components, kernel.steps, width=8)
    network.denoiser.start_at(law, kernel.schedule.log_snr[1:])
    return qs.Diffusion(space or qs.Continuous(2), kernel, qs.Corrected(), network)


def standard_normal() -> Mixture:
    return Mixture(torch.zeros(1), (GaussianBlock.full(torch.zeros(1, 2), torch.eye(2)[None]),))


def the_oracle_s_law() -> Mixture:
    mixture = ORACLE.mixture
    block = GaussianBlock.full(mixture.mean, torch.diag_embed(mixture.variance))
    return Mixture(mixture.log_weight, (block,))


class Truth(nn.Module):
    """Corrects a mixture to the oracle's answer."""

    gives_output = True

    def __init__(self, network: ResidualDenoiser, kernel) -> None:
        super().__init__()
        self.known, self.kernel = network.denoiser, kernel

    def forward(self, seen: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = self.known.level(time)
        clean, eps = seen.unbind(1)
        x_t = level.signal * clean + level.noise * eps
        mean, variance = self.known(x_t, time).unbind(-1)
        t = (time * self.kernel.steps).round().long()
        shift = (ORACLE.answer(self.kernel, x_t, t)[..., 0] - mean) / variance.sqrt()
        return torch.stack([shift, 0 * shift], 1)[..., None]


def test_with_nothing_to_correct_it_is_the_exact_density_and_costs_nothing(rng):
    x = ORACLE.sample(50, rng)
    space = qs.Continuous(2, (0.5, -1.0), (2.0, 3.0))
    score = model_of(the_oracle_s_law(), chain(), space).score(
        space.decode(x), method=qs.ContinuousTime(), rng=rng
    )
    assert close(score.nats, ORACLE.log_prob(x) - torch.tensor(6.0).log())
    assert score.evaluations == 0
    assert (score.noise == 0).all()


def test_corrected_to_the_truth_it_is_the_true_density(rng):
    """From a standard normal, with the oracle's answer as the correction: the integral of what the
    squared errors differ by is the difference of the log-densities."""
    kernel = chain()
    model = model_of(standard_normal(), kernel)
    model.network.correction = Truth(model.network, kernel)
    x = ORACLE.sample(4000, rng)
    score = model.score(x, method=qs.ContinuousTime(32), rng=rng)
    assert_mean(score.nats - ORACLE.log_prob(x), 0.0, slack=2e-3)
    assert score.terms["correction"].mean() > 0.5


def test_the_chain_s_bound_comes_to_it(rng):
    """For any corrections, here such as do harm: a long chain's own bound is the same number."""
    kernel = chain(200)
    model = model_of(the_oracle_s_law(), kernel)
    rows = torch.randn(model.network.correction.read_out.weight.shape, generator=rng)
    rows[2:] = 0  # the widths, which count for nothing in the limit
    with torch.no_grad():
        model.network.correction.read_out.weight.copy_(0.2 * rows)
    x = ORACLE.sample(1500, rng)
    limit = model.score(x, method=qs.ContinuousTime(30), rng=rng)
    assert limit.terms["correction"].mean() < -0.5
    assert_mean(limit.nats - model.score(x, None, rng=rng).nats, 0.0, slack=0.02)


def test_the_told_noise_is_what_repeats_show(rng):
    kernel = chain()
    model = model_of(standard_normal(), kernel)
    model.network.correction = Truth(model.network, kernel)
    x = ORACLE.sample(100, rng)
    scores = [model.score(x, method=qs.ContinuousTime(8), rng=rng) for _ in range(60)]
    seen = torch.stack([score.nats for score in scores]).var(0).mean()
    told = torch.stack([score.noise**2 for score in scores]).mean()
    assert told.item() == pytest.approx(seen.item(), rel=0.3)
    assert told > 0.9 * seen


def mixed_model() -> tuple[qs.Diffusion, torch.Tensor]:
    """Two real columns and one of classes, by a law of one component that knows of no dependence,
    and a network whose corrections are arbitrary."""
    rng = np.random.default_rng(0)
    bit = rng.random(300) < 0.5
    x = np.where(bit, 1.0, -1.0) + 0.5 * rng.normal(size=300)
    frame = pd.DataFrame({"x": x, "y": rng.normal(size=300), "k": np.where(bit, "a", "b")})
    table = replace(qs.Table.infer(frame), incomplete=True)
    blocks = (
        GaussianBlock.full(torch.zeros(1, 2), torch.eye(2)[None]),
        CategoricalBlock(torch.tensor([[0.5, 0.5]]).log(), (2,)),
    )
    model = tabular_from_law(table, Mixture(torch.zeros(1), blocks), steps=150, width=8)
    return model, table.read(frame)


def test_a_mixed_table_with_holes_is_scored_by_the_same_bound(float64):
    """For arbitrary corrections, the limit is what the chain's own bound comes to, class columns
    and holes included; and the noise of a row may come from the row alone."""
    model, rows = mixed_model()
    rows = rows.double()
    rows[::3, 0], rows[1::5, 2] = math.nan, math.nan
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(model.network.correction.read_out.weight.shape, generator=generator)
    weight[4:] = 0  # the widths, which count for nothing in the limit
    with torch.no_grad():
        model.double().network.correction.read_out.weight.copy_(0.1 * weight)
    limit = model.score(rows, method=qs.ContinuousTime(60), rng=generator)
    assert limit.terms["correction"].abs().mean() > 0.05
    off = limit.nats - model.score(rows, None, rng=generator).nats
    assert_mean(off, 0.0, slack=0.03)
    by_row = qs.ContinuousTime(20, by_row=True)
    order = torch.randperm(len(rows), generator=generator)

    def scored(x):
        return model.score(x, method=by_row, rng=torch.Generator().manual_seed(1)).nats

    assert close(scored(rows[order]), scored(rows)[order])
    assert close(scored(rows[5:6].repeat(7, 1)), scored(rows)[5].expand(7))


def test_it_says_who_can_be_scored_so(rng):
    plain = qs.Diffusion(
        qs.Continuous(2), chain(40), qs.Clean(), qs.networks.MLP(2, width=8, outputs=1)
    )
    with pytest.raises(
        TypeError, match=r"needs a ResidualDenoiser network with a Corrected head.* MLP"
    ):
        plain.score(torch.zeros(3, 2), method=qs.ContinuousTime())
    model = model_of(standard_normal(), chain(40))
    with pytest.raises(ValueError, match="evaluations must be 1 or more, got 0"):
        model.score(torch.zeros(3, 2), method=qs.ContinuousTime(0))
    with pytest.raises(ValueError, match="visits no times"):
        model.score(torch.zeros(3, 2), times=10, method=qs.ContinuousTime())


@pytest.mark.parametrize("name", ["linear", "cosine", "even"])
def test_the_weights_of_times_are_the_trapezoidal_rule(name, rng):
    """Of 1/2 int SNR f d log SNR, both ends with half of their interval, on uneven times too."""
    schedule = {
        "linear": qs.schedules.linear(30, 1e-3, 0.2),
        "cosine": qs.schedules.cosine(25),
        "even": qs.schedules.linear_log_snr(40, 6, -6),
    }[name]
    log_snr = schedule.log_snr[1:]
    f = torch.rand(len(log_snr), generator=rng)
    found = (_weights(log_snr) * f).sum()
    assert torch.isclose(found, -torch.trapezoid(f * log_snr.exp() / 2, log_snr))
