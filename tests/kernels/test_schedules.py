"""A schedule is its formula, and keeps its digits at both ends."""

import math

import pytest
import torch

from conftest import close
from quasistatic.kernels import schedules

MAKERS = {
    "linear": schedules.linear,
    "quadratic": schedules.quadratic,
    "cosine": schedules.cosine,
    "erase_evenly": schedules.erase_evenly,
    "linear_log_snr": schedules.linear_log_snr,
    "karras": schedules.karras,
    "custom": lambda steps: schedules.custom([0.99 * 0.5**t for t in range(steps)]),
    "from_log_snr": lambda steps: schedules.from_log_snr(
        [9 - 20 * t / steps for t in range(steps)]
    ),
    "learned": lambda steps: schedules.learned([7 - 12 * (t / steps) ** 2 for t in range(steps)]),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@every_maker
@pytest.mark.parametrize("steps", [2, 10, 1000])
def test_the_tables_tell_one_story(make, steps):
    """alpha_bar = prod (1 - beta), signal and noise share 1, and log-SNR is their log-ratio."""
    table = make(steps)
    assert table.steps == steps
    assert close(table.alpha_bar[1:], (1 - table.beta).cumprod(0), rtol=1e-7)
    assert close(table.log_alpha_bar.exp() + table.log_noise.exp(), torch.ones(steps + 1))
    assert table.alpha_bar[0] == 1
    assert table.log_snr[0] == math.inf
    assert (table.log_snr.diff() < 0).all()
    odds = table.alpha_bar[1:] / (1 - table.alpha_bar[1:])
    assert close(table.log_snr[1:].exp(), odds, rtol=1e-6)


@every_maker
def test_a_schedule_is_what_its_kind_and_arguments_say(make):
    """`kind` and `arguments` are what is saved: they make the same table again."""
    table = make(17)
    again = getattr(schedules, table.kind)(**table.arguments)
    assert again == table
    assert torch.equal(again.log_alpha_bar, table.log_alpha_bar)
    assert torch.equal(again.log_noise, table.log_noise)


def test_linear_and_quadratic_rise_in_equal_increments():
    line, curve = schedules.linear(11, 0.1, 0.6), schedules.quadratic(11, 0.01, 0.64)
    assert close(line.beta, torch.linspace(0.1, 0.6, 11))
    assert close(curve.beta.sqrt(), torch.linspace(0.1, 0.8, 11))


def test_cosine_is_the_squared_cosine():
    """alpha_bar_t = f(t) / f(0) of IDDPM Eq. 17, up to the last step, which keeps 0.001."""
    table, t = schedules.cosine(50), torch.arange(51)
    f = torch.cos((t / 50 + 0.008) / 1.008 * math.pi / 2) ** 2
    assert close(table.alpha_bar[:-1], (f / f[0])[:-1])
    assert table.beta[-1].item() == pytest.approx(0.999)


@pytest.mark.parametrize("steps", [2, 7, 1000])
def test_erase_evenly_erases_a_constant_share_of_the_signal(steps):
    table, t = schedules.erase_evenly(steps), torch.arange(1, steps + 1)
    assert close(table.alpha_bar, torch.linspace(1, 0, steps + 1))
    assert close(table.beta, 1 / (steps - t + 1))
    assert table.alpha_bar[-1] == 0


def test_the_noise_of_edm_has_the_ends_and_powers_that_it_says():
    table = schedules.karras(9, 0.01, 50.0, 5.0)
    sigma = (-table.log_snr[1:] / 2).exp()
    assert close(sigma[[0, -1]], torch.tensor([0.01, 50.0]))
    powers = sigma ** (1 / 5)
    assert close(powers.diff(), powers.diff().mean().expand(8))


def test_both_ends_keep_their_digits():
    """1 - alpha_bar of 1e-13 at t = 1 is beyond what alpha_bar itself can hold."""
    table = schedules.linear_log_snr(5, 30, -50)
    assert close(table.log_snr[1:], torch.linspace(30, -50, 5), rtol=1e-14)
    assert table.log_noise[1].item() == pytest.approx(-math.log1p(math.exp(30)), rel=1e-14)
    tiny = -math.log1p(math.exp(-30))
    assert table.log_alpha_bar[1].item() == pytest.approx(tiny, rel=1e-14, abs=0)
    assert table.log_alpha_bar[-1].item() == pytest.approx(-math.log1p(math.exp(50)), rel=1e-14)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: schedules.linear(1), "steps must be a whole number from 2 to 1,000,000, got 1"),
        (
            lambda: schedules.erase_evenly(0),
            "steps must be a whole number from 2 to 1,000,000, got 0",
        ),
        (lambda: schedules.custom([0.5]), "at least 2 steps, got T = 1"),
        (lambda: schedules.linear(4, 0.0, 0.5), r"beta_1 = 0 is outside \(0, 1\]"),
        (lambda: schedules.linear(3, 0.5, 1.5), r"beta_3 = 1.5 is outside \(0, 1\]"),
        (lambda: schedules.quadratic(3, 0.25, 4.0), r"beta_2 = 1.5625 is outside"),
        (lambda: schedules.linear_log_snr(4, -1, 1), "first = -1 is not above last = 1"),
        (lambda: schedules.karras(4, 2.0, 1.0), "lowest = 2 is not below 1"),
        (lambda: schedules.karras(4, 0.0), "lowest must be a number"),
        (lambda: schedules.custom([0.9, 0.9, 0.1]), "alpha_bar_1 = 0.9 and alpha_bar_2 = 0.9"),
        (lambda: schedules.custom([1.0, 0.5]), "alpha_bar_0 = 1 and alpha_bar_1 = 1"),
        (lambda: schedules.custom([0.9, 1.1]), r"alpha_bar_2 = 1.1 is outside \[0, 1\]"),
        (lambda: schedules.custom([0.9, math.nan]), "alpha_bar_2 = nan is outside"),
        (lambda: schedules.custom([[0.9, 0.5]]), r"one row of numbers, got shape \(1, 2\)"),
        (lambda: schedules.from_log_snr([[2.0, 1.0]]), r"log_snr must be one row .* \(1, 2\)"),
        (lambda: schedules.from_log_snr([2.0, 1.0, 1.5]), "at t = 2 and 3 it is 1 and 1.5"),
        (lambda: schedules.from_log_snr([math.inf, 1.0]), "at t = 1 it is inf: start at t = 1"),
        (lambda: schedules.from_log_snr([2.0, math.nan]), "at t = 2 it is nan"),
        (lambda: schedules.learned([2.0, -math.inf]), "at t = 2 it is -inf.* end at -20"),
        (lambda: schedules.learned([2.0, 2.0]), "log-SNR must fall at every step"),
        (lambda: schedules.learned([2.0]), "at least 2 steps, got T = 1"),
    ],
)
def test_what_makes_no_schedule_is_refused_by_name(make, says):
    with pytest.raises(ValueError, match=says):
        make()
