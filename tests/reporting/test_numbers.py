"""Numbers are rounded where their error begins."""

import math

import pytest

from quasistatic.reporting.numbers import figure_text, with_error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.03804, "2.04"),
        (-0.00123456, "-0.00123"),
        (130.43, "130"),
        (64000.0, "64000"),
        (1.2345e-9, "1.23e-09"),
        (0.0, "0"),
        (math.inf, "inf"),
    ],
)
def test_three_significant_digits_and_no_whole_digit_lost(value, text):
    assert figure_text(value) == text


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (2.03804, 0.01512, "2.038 ± 0.015"),
        (-130.4317, 0.9675, "-130.43 ± 0.97"),
        (1234.5, 67.8, "1234 ± 68"),
        (0.11709, 0.00075, "0.11709 ± 0.00075"),
        (0.1161, 0.0, "0.1161"),
        (0.11609640474436804, 1.6e-17, "0.1161"),
        (2.0, math.nan, "2.000"),
        (math.inf, 1.0, "inf"),
    ],
)
def test_a_mean_ends_where_its_error_does(mean, error, text):
    assert with_error(mean, error) == text
