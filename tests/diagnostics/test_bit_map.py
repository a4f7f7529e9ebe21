"""The bits by value and by time are the terms of the bound."""

import pytest
import torch
from test_anomalies import KERNEL, every_space, some_raw, wrong
from torch import nn

from conftest import assert_mean, close
from quasistatic.diagnostics.bit_map import bit_map
from quasistatic.heads import Clean
from quasistatic.likelihood import bound
from quasistatic.model import Model
from quasistatic.spaces import Continuous


@every_space
def test_values_and_times_have_one_sum(space, kernel, rng):
    found = bit_map(wrong(space, kernel), some_raw(space, 4, rng), 12, 5, rng=0)
    close(found.by_value.flatten(1).sum(1), found.by_time.sum(1))
    assert found.times[0] in (0, 1)
    assert found.times[-1] == 40
    assert (found.log_snr.diff() < 0).all()


@every_space
@pytest.mark.parametrize("evaluations", [40, 7])
def test_the_sum_is_the_bound_in_the_mean(space, kernel, evaluations, rng):
    model, x = wrong(space, kernel), some_raw(space, 1, rng)
    terms = 40 if space.learns_last_step else 39
    many = x.expand(3000, *x.shape[1:])
    found = bit_map(model, many, min(evaluations, terms), rng=1).total
    exact = bound(model, many, None, rng=2).nats
    assert_mean(found + exact, 0.0)


class Apart(nn.Module):
    """A network whose estimate of a value depends on that value alone."""

    def forward(self, x, t):
        return (0.9 * x)[..., None]


def test_a_value_changes_its_own_bits_only(rng):
    model = Model(Continuous(3), KERNEL, Clean(), Apart())
    x = some_raw(Continuous(3), 2, rng)
    other = x.clone()
    other[:, 1] += 0.7
    first, second = (bit_map(model, each, 20, rng=5).by_value for each in (x, other))
    assert torch.equal(first[:, [0, 2]], second[:, [0, 2]])
    assert (first[:, 1] != second[:, 1]).all()


def test_wrong_numbers_are_refused(rng):
    model = wrong(Continuous(3), KERNEL)
    with pytest.raises(ValueError, match="evaluations must be from 1 to 39"):
        bit_map(model, torch.zeros(1, 3), 40)
    with pytest.raises(ValueError, match="parts must be 1 or more"):
        bit_map(model, torch.zeros(1, 3), 8, 0)
    assert "8 evaluations each" in repr(bit_map(model, torch.zeros(1, 3), 8))
