"""Dates, times and durations that a user names, as steps of a clock."""

__all__ = ["span_of", "spans_of"]

import datetime
import re
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from .clock import Clock, microseconds_of

DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2}):(\d\d)(?::(\d\d)(\.\d{1,6})?)?"
    r" ?(Z|[+-]\d\d:?\d\d)?)?)?)?$"
)
TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(\.\d{1,6})?)?$")
LENGTH = re.compile(r"(-)?(?:(\d+) days?,? ?)?(?:(\d+):(\d\d)(?::(\d\d)(\.\d{1,6})?)?)?$")

EXAMPLES = {
    "date": "2024-01-05, 2024-01 for a month, or 2024 for a year",
    "datetime": "2024-01-05 12:30, or 2024-01-05 for a whole day",
    "time": "12:30 or 12:30:15",
    "duration": "36:30, 36:30:15 or 2 days 12:30:00",
}
STEP = {"Y": "years", "M": "months", "D": "days", "h": "hours", "m": "minutes", "s": "seconds"}

Point = datetime.date | datetime.time | datetime.timedelta

MOMENT = datetime.timedelta(microseconds=1)


def spans_of(clock: Clock, value: object, name: str) -> tuple[float, float]:
    """The first and the last moment of a value, as steps of a clock, which need not be whole.

    Args:
        clock: of the column.
        value: text as 2024-01-05 12:30, of which the end may be left out; or a date, a time or a
            duration of Python, NumPy or pandas. A value without a time zone is one of the clock's.
        name: of the column, for messages.

    Returns:
        Two equal numbers for a point of time; the ends of the day for a day, and so on.

    Raises:
        ValueError: if it is none that the clock counts.
    """
    ends = _ends(clock, value)
    if ends is None:
        raise ValueError(
            f"column {name!r} holds values of the type {clock.name}, and is given {value!s:.80}: "
            f"write {EXAMPLES[clock.kind]}"
        )
    zone = ZoneInfo(clock.zone) if clock.zone else None
    placed = [_in_zone(each, zone) for each in ends]
    low, high = clock.numbers(microseconds_of(placed))
    return float(low), float(high)


def span_of(clock: Clock, value: object, name: str) -> tuple[int, int]:
    """The first and the last whole step of a clock within a value; see :func:`spans_of`.

    Raises:
        ValueError: if it is none that the clock counts, or lies between two steps.
    """
    low, high = spans_of(clock, value, name)
    first, last = int(np.ceil(low)), int(np.floor(high))
    if last < first:
        raise ValueError(
            f"column {name!r} holds whole {STEP.get(clock.step, 'steps of ' + clock.step)}, and "
            f"{value!s:.80} is between two of them: give {clock.text(last)} or an interval"
        )
    return first, last


def _ends(clock: Clock, value: Any) -> tuple[Point, Point] | None:
    """The first and the last microsecond of a value; None if the clock counts no such values."""
    if isinstance(value, str):
        reader = {"time": _time, "duration": _length}.get(clock.kind, _date)
        try:
            return reader(value.strip())
        except (ValueError, OverflowError):
            return None  # a 13th month
    if isinstance(value, np.datetime64):
        day = np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D")
        value = value.astype("M8[D]" if day else "M8[us]").item()
    elif isinstance(value, np.timedelta64):
        value = value.astype("m8[us]").item()
    kinds: dict[str, Any] = {"time": datetime.time, "duration": datetime.timedelta}
    if value is None or not isinstance(value, kinds.get(clock.kind, datetime.date)):
        return None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return _until(value, datetime.timedelta(days=1))
    return value, value


def _until(start: datetime.date, length: datetime.timedelta) -> tuple[Point, Point]:
    first = start
    if not isinstance(first, datetime.datetime):
        first = datetime.datetime(start.year, start.month, start.day)
    return first, first + length - MOMENT


def _date(text: str) -> tuple[Point, Point] | None:
    found = DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, part, zone = found.groups()
    if day is None:
        first = datetime.datetime(int(year), int(month or 1), 1)
        last = (int(month or 12), int(year))
        after = datetime.datetime(last[1] + last[0] // 12, last[0] % 12 + 1, 1)
        return first, after - MOMENT
    start = datetime.datetime(int(year), int(month), int(day))
    if hour is None:
        return _until(start, datetime.timedelta(days=1))
    start += datetime.timedelta(hours=int(hour), minutes=int(minute), seconds=int(second or 0))
    start += _part(part)
    if zone is not None:
        text = "+00:00" if zone == "Z" else zone
        start = start.replace(tzinfo=datetime.datetime.strptime(text, "%z").tzinfo)
    return _until(start, _unit(second, part))


def _time(text: str) -> tuple[Point, Point] | None:
    found = TIME.match(text)
    if found is None:
        return None
    hour, minute, second, part = found.groups()
    day = datetime.datetime(1970, 1, 1, int(hour), int(minute), int(second or 0)) + _part(part)
    return day.time(), (day + _unit(second, part) - MOMENT).time()


def _length(text: str) -> tuple[Point, Point] | None:
    found = LENGTH.match(text)
    if found is None or not text.strip("-"):
        return None
    sign, days, hours, minutes, seconds, part = found.groups()
    length = datetime.timedelta(
        days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0)
    )
    length += datetime.timedelta(seconds=int(seconds or 0)) + _part(part)
    length = -length if sign else length
    return length, length


def _part(text: str | None) -> datetime.timedelta:
    return datetime.timedelta(microseconds=round(float(text or 0) * 1e6))


def _unit(second: str | None, part: str | None) -> datetime.timedelta:
    """The length of the last unit that is written."""
    if part is not None:
        return MOMENT
    return datetime.timedelta(minutes=1) if second is None else datetime.timedelta(seconds=1)


def _in_zone(value: Point, zone: ZoneInfo | None) -> Point:
    """A point of time in the clock's zone if it has none; without a zone if the clock has none."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return value.replace(tzinfo=zone)
        return value if zone is not None else value.replace(tzinfo=None)
    return value
