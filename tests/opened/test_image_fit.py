"""How much of a short training goes to the validation images."""

import pytest

from quasistatic.opened import image_fit


@pytest.mark.parametrize("examples", [10.0, 500.0, 3000.0, 10_000.0, 1e6])
@pytest.mark.parametrize("valid", [2, 32, 500])
def test_validation_takes_a_quarter_of_a_short_training_at_most(examples, valid):
    looks = 16
    times, each = image_fit._affordable(examples, valid, looks)
    cost = times * each * valid * image_fit.OF_EVALUATION
    least = valid * image_fit.OF_EVALUATION  # one evaluation, once
    assert cost <= max(image_fit.OF_TIME * examples, least)
    if image_fit.VALIDATIONS * looks * valid * image_fit.OF_EVALUATION <= 0.25 * examples:
        assert (times, each) == (image_fit.VALIDATIONS, looks)
    assert 1 <= times <= image_fit.VALIDATIONS
    assert 1 <= each <= looks
