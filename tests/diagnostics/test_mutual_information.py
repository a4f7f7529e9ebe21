"""What a schedule takes of x_0: closed forms, losses that add up, and the figures of the papers."""

import itertools
import math

import numpy as np
import pytest
import torch

from conftest import close
from quasistatic.diagnostics.mutual_information import (
    Erasure,
    FairBit,
    StandardNormal,
    UniformLevels,
)
from quasistatic.kernels import BinomialKernel, GaussianKernel, schedules

LAWS = [StandardNormal(), FairBit(), UniformLevels(2), UniformLevels(256)]
TABLES = [
    schedules.linear(60, 1e-3, 0.2),
    schedules.cosine(60),
    schedules.erase_evenly(60),
    schedules.linear_log_snr(60, 14, -8),
]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)
every_table = pytest.mark.parametrize("table", TABLES, ids=lambda each: each.kind)


@every_law
@every_table
def test_every_step_loses_and_the_losses_add_up(law, table):
    """A chain tells ever less of its start: the losses add up to I(x_0; x_1) - I(x_0; x_T)."""
    erased = Erasure("it", table, law)
    assert (erased.lost > -1e-12).all()
    assert (erased.left > -1e-12).all()
    whole = erased.left[1] - erased.left[-1]
    assert close(erased.lost[1:].sum(), whole)
    assert close(erased.since[-1], whole)
    assert close(erased.since[1:], erased.lost[1:].cumsum(0))
    assert sum(erased.thirds) == pytest.approx(1)


@every_table
def test_a_standard_normal_tells_half_the_log_of_one_plus_the_snr(table):
    """And by its definition: the entropies of x_t, which is N(0, 1), and of x_t given x_0."""
    nats = StandardNormal().information(table)
    assert nats[0] == math.inf
    assert close(nats[1:], -0.5 * table.log_noise[1:])
    given = GaussianKernel(table).marginal(torch.zeros(61, 1), torch.arange(61)).entropy()[1:, 0]
    assert close(nats[1:], 0.5 * math.log(2 * math.pi * math.e) - given, atol=1e-12)


@every_table
def test_a_fair_bit_tells_one_bit_less_the_entropy_of_its_noise(table):
    nats = FairBit().information(table)
    kept = (1 + table.alpha_bar) / 2
    entropy = -torch.special.xlogy(kept, kept) - torch.special.xlogy(1 - kept, 1 - kept)
    assert close(nats, math.log(2) - entropy, atol=1e-12)
    assert nats[0].item() == pytest.approx(math.log(2))
    # By counting: the joint law of x_0 and x_t at one time.
    kernel, t = BinomialKernel(table), torch.tensor([7])
    joint = [
        [0.5 * kernel.marginal(a * torch.ones(1, 1), t).log_prob(b * torch.ones(1, 1)).exp().item()
         for b in (0.0, 1.0)]
        for a in (0.0, 1.0)
    ]  # fmt: skip
    counted = sum(joint[a][b] * math.log(joint[a][b] / 0.25) for a in (0, 1) for b in (0, 1))
    assert nats[7].item() == pytest.approx(counted)


@pytest.mark.parametrize("count", [2, 3, 16])
def test_levels_tell_what_gauss_and_hermite_say(count):
    """I = log L - E H(x_0 | x_t), the noise averaged by another quadrature."""
    table = schedules.linear_log_snr(12, 6, -6)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    nodes, weights = torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())
    level = 2 * (torch.arange(count) + 0.5) / count - 1
    expected = [math.log(count)]
    for log_snr in table.log_snr[1:]:
        x_t = level[:, None] + nodes * (-log_snr / 2).exp()  # in units of the signal
        square = -0.5 * log_snr.exp() * (x_t[..., None] - level) ** 2
        log_p = square.log_softmax(-1)
        expected.append(
            math.log(count) + (weights * (log_p.exp() * log_p).sum(-1)).sum().item() / count
        )
    assert close(UniformLevels(count).information(table), torch.tensor(expected), atol=1e-7)


def test_levels_are_all_told_apart_at_first_and_none_at_last():
    nats = UniformLevels(256).information(schedules.linear_log_snr(40, 30, -30))
    assert close(nats[:3], torch.full((3,), math.log(256)))
    # In faint light only the variance counts, (1 - 1 / L^2) / 3: I = SNR Var / 2.
    faint = 0.5 * math.exp(-30) * (1 - 1 / 256**2) / 3
    assert nats[-1].item() == pytest.approx(faint, abs=1e-12)
    mid = UniformLevels(256).information(schedules.linear_log_snr(40, 0, -14))[-10:]
    snr = schedules.linear_log_snr(40, 0, -14).log_snr[-10:].exp()
    assert close(mid, 0.5 * torch.log1p(snr * (1 - 1 / 256**2) / 3), rtol=2e-3)


def test_of_one_variance_the_normal_law_tells_most():
    """At the levels' own variance: (1 - 1 / L^2) / 3 of the SNR."""
    for count, table in itertools.product((2, 256), TABLES):
        snr = table.log_snr[1:].exp() * (1 - 1 / count**2) / 3
        assert (UniformLevels(count).information(table)[1:] <= 0.5 * snr.log1p() + 1e-12).all()


def test_what_the_papers_say_of_the_linear_and_the_cosine_schedule():
    """DDPM Sec. 4: with T = 1000 hardly anything is left, L_T of about 1e-5 bits a dimension;
    IDDPM Sec. 3.2: the linear schedule destroys what there is too early, the cosine one not."""
    linear, cosine = schedules.linear(1000), schedules.cosine(1000)
    assert linear.alpha_bar[-1].item() == pytest.approx(4.036e-5, rel=1e-3)
    assert linear.beta[[0, -1]].tolist() == pytest.approx([1e-4, 0.02])
    assert 0.4 < cosine.alpha_bar[500] < 0.5
    assert linear.alpha_bar[500] < 0.08
    one, other = (Erasure("", table, StandardNormal()) for table in (linear, cosine))
    assert one.left[-1] < 4e-5
    assert one.half < other.half
    assert one.thirds[0] > 0.95 > other.thirds[0]
    assert one.thirds[2] < 0.002 < other.thirds[2]


def test_an_even_loss_is_even():
    """alpha_bar_t = 1 - e^-2(c - kt) loses k nats a step of a normal value, at every step."""
    t = torch.arange(1, 31)
    table = schedules.custom((-torch.expm1(-2 * (3.1 - 0.1 * t))).tolist())
    even = Erasure("even", table, StandardNormal())
    assert close(even.lost[1:] * math.log(2), torch.full((29,), 0.1), rtol=1e-7)
    assert even.half == pytest.approx(16 / 30)
    assert even.thirds == pytest.approx((9 / 29, 10 / 29, 10 / 29))


@pytest.mark.parametrize("steps", [5, 7, 40])
@pytest.mark.parametrize("make", [schedules.cosine, schedules.erase_evenly, schedules.linear])
def test_half_and_thirds_are_read_off_the_losses_of_single_steps(make, steps):
    """By adding up the loss of each step after the first."""
    erased = Erasure("", make(steps), FairBit())
    lost = erased.lost[1:].tolist()
    whole, gone = sum(lost), 0.0
    t = 1
    while gone < whole / 2:
        gone += lost[t - 1]
        t += 1
    assert erased.half == pytest.approx(t / steps)
    ends = [0, round(steps / 3) - 1, round(2 * steps / 3) - 1, steps - 1]
    shares = [sum(lost[a:b]) / whole for a, b in itertools.pairwise(ends)]
    assert erased.thirds == pytest.approx(shares)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_the_shortest_chains_lose_too(steps):
    erased = Erasure("", schedules.erase_evenly(steps), FairBit())
    assert 0 < erased.half <= 1
    assert sum(erased.thirds) == pytest.approx(1)


def test_levels_need_two_of_them():
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        UniformLevels(1)
