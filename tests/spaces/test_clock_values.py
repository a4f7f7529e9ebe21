"""Dates, times and durations that a user names: which steps of a clock they are."""

import datetime
import itertools

import numpy as np
import pytest

from quasistatic.spaces.clock import Clock
from quasistatic.spaces.clock_values import span_of, spans_of

DAY = Clock("date", "D")
MONTH = Clock("date", "M")
MINUTE = Clock("datetime", "m")
BERLIN = Clock("datetime", "h", zone="Europe/Berlin")
OF_DAY = Clock("time", "m")
LENGTH = Clock("duration", "s")


@pytest.mark.parametrize(
    ("clock", "value", "first", "last"),
    [
        (DAY, "1970-01-05", 4, 4),
        (DAY, datetime.date(1970, 1, 5), 4, 4),
        (DAY, np.datetime64("1970-01-05"), 4, 4),
        (DAY, "1970-02", 31, 58),
        (DAY, "1972", 730, 730 + 365),
        (DAY, "1971-12", 699, 729),
        (MONTH, "1970-03", 2, 2),
        (MONTH, "1971", 12, 23),
        (MINUTE, "1970-01-01 00:07", 7, 7),
        (MINUTE, "1970-01-02", 1440, 2879),
        (MINUTE, datetime.datetime(1970, 1, 1, 2), 120, 120),
        (MINUTE, np.datetime64("1970-01-01T02:00"), 120, 120),
        (BERLIN, "1970-07-01 12:00", 181 * 24 + 11, 181 * 24 + 11),
        (BERLIN, "1970-07-01 12:00Z", 181 * 24 + 12, 181 * 24 + 12),
        (OF_DAY, "7:30", 450, 450),
        (OF_DAY, datetime.time(7, 30), 450, 450),
        (LENGTH, "36:30", 36 * 3600 + 1800, 36 * 3600 + 1800),
        (LENGTH, "1 days 12:30:05", 36 * 3600 + 1805, 36 * 3600 + 1805),
        (LENGTH, "-0:01:00", -60, -60),
        (LENGTH, np.timedelta64(90, "s"), 90, 90),
    ],
)
def test_a_value_is_all_steps_within_it(clock, value, first, last):
    assert span_of(clock, value, "when") == (first, last)


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_a_day_on_which_clocks_change_has_its_own_hours(day, hours):
    low, high = span_of(BERLIN, day, "when")
    assert high - low + 1 == hours


@pytest.mark.parametrize("clock", [DAY, MONTH, MINUTE, BERLIN])
def test_the_days_of_a_year_make_the_year(clock):
    """Spans of neighbours touch, and their union is that of the whole."""
    whole = spans_of(clock, "2023", "when")
    months = [spans_of(clock, f"2023-{month:02}", "when") for month in range(1, 13)]
    assert (months[0][0], months[-1][1]) == whole
    step = {"D": 1 / 86_400_000_000, "m": 1 / 60_000_000, "h": 1 / 3_600_000_000}
    for before, after in itertools.pairwise(months):
        gap = after[0] - before[1]
        assert 0 < gap < 1e-6
        if clock.step in step:
            assert gap == pytest.approx(step[clock.step], rel=0.5)


@pytest.mark.parametrize(
    ("clock", "value"),
    [
        (DAY, "5"),
        (DAY, 5),
        (DAY, "2024-13"),
        (MINUTE, "1970-01-01T01"),
        (DAY, "05.01.2024"),
        (DAY, datetime.time(7)),
        (OF_DAY, "25:00"),
        (OF_DAY, "2024-01-05"),
        (LENGTH, ""),
        (LENGTH, "-"),
        (MINUTE, None),
    ],
)
def test_other_values_are_refused_with_an_example(clock, value):
    with pytest.raises(ValueError, match=f"the type {clock.name}, and is given .*: write "):
        span_of(clock, value, "when")


def test_a_point_between_two_steps_is_none():
    with pytest.raises(ValueError, match="whole months, and 1970-03-05 is between two of them"):
        span_of(MONTH, "1970-03-05", "when")
    low, high = spans_of(MONTH, "1970-03-05", "when")
    assert 2 < low < high < 3
