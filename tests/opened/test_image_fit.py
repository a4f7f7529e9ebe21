"""How much of a short training goes to the validation images."""

import pytest

from quasistatic.opened import network_fit


@pytest.mark.parametrize("examples", [10.0, 500.0, 3000.0, 10_000.0, 1e6])
@pytest.mark.parametrize("valid", [2, 32, 500])
def test_validation_takes_a_quarter_of_a_short_training_at_most(examples, valid):
    looks = 16
    times, each = network_fit._affordable(examples, valid, looks)
    cost = times * each * valid * network_fit.OF_EVALUATION
    least = valid * network_fit.OF_EVALUATION  # one evaluation, once
    assert cost <= max(network_fit.OF_TIME * examples, least)
    if network_fit.VALIDATIONS * looks * valid * network_fit.OF_EVALUATION <= 0.25 * examples:
        assert (times, each) == (network_fit.VALIDATIONS, looks)
    assert 1 <= times <= network_fit.VALIDATIONS
    assert 1 <= each <= looks
