"""Dates, times and durations as numbers: steps of a clock whose resolution the data show."""

__all__ = ["PREFIX", "STEPS", "Clock", "microseconds_of"]

import datetime
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

PREFIX = "Clock:"
"""What the type of such a column starts with; the rest is JSON."""

STEPS = ("Y", "M", "D", "h", "m", "s", "ms", "us")
"""Resolutions from a year to a microsecond, by NumPy's names."""

CALENDAR = ("Y", "M", "D")
"""Resolutions of the calendar: they are steps of local time."""

DAY = 86_400_000_000
"""Microseconds of a day."""

SECOND = {"D": DAY, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1}
"""Microseconds of a step of fixed length."""

ENDS = {"ns": (-(2**63) // 1000 + 1, 2**63 // 1000 - 1)}
FIRST, LAST = (
    int(np.datetime64(day, "us").astype(np.int64)) for day in ("0001-01-01", "9999-12-31")
)
"""The first and the last day of Python's calendar, in microseconds since 1970."""

NAMES = {"date": "date", "datetime": "date and time", "time": "time of day", "duration": "duration"}


@dataclass(frozen=True)
class Clock:
    """How points of time, or durations, are counted: `origin` + a number of steps.

    Args:
        kind: "date", "datetime", "time" (of the day) or "duration".
        step: the resolution, one of `STEPS`.
        origin: steps since 1970, midnight or zero at which the count begins.
        zone: the time zone of a "datetime" with one; else empty.
        unit: the unit in which the library stores it: "ns", "us", "ms" or "s".
        native: the type in pandas, as text; else empty.
    """

    kind: str
    step: str
    origin: int = 0
    zone: str = ""
    unit: str = "us"
    native: str = ""

    def __str__(self) -> str:
        return PREFIX + json.dumps(asdict(self))

    @classmethod
    def of(cls, dtype: str) -> Self:
        """The clock that the type of a column names."""
        return cls(**json.loads(dtype.removeprefix(PREFIX)))

    @property
    def name(self) -> str:
        """What it counts, for a reader."""
        return NAMES[self.kind]

    def fitted(self, microseconds: np.ndarray) -> Self:
        """The clock with the largest step that all known values (N,) are multiples of. Microseconds
        count from 1970 in UTC, from midnight, or from zero; NaN is missing."""
        known = microseconds[~np.isnan(microseconds)]
        found = next(
            made
            for made in (replace(self, step=step, origin=0) for step in STEPS[self._first :])
            if made.step == "us" or made._exact(known)
        )
        if found.step in CALENDAR or not len(known):
            return found
        return replace(found, origin=int(np.floor(known.min() / SECOND[found.step])))

    @property
    def _first(self) -> int:
        """The first of `STEPS` that this kind can have."""
        return 0 if self.kind in ("date", "datetime") else 2 if self.kind == "duration" else 3

    def _exact(self, microseconds: np.ndarray) -> bool:
        numbers = self.numbers(microseconds)
        return bool((numbers == np.round(numbers)).all())

    def numbers(self, microseconds: np.ndarray) -> np.ndarray:
        """Microseconds (N,) as steps since the origin, float64; NaN is missing."""
        missing = np.isnan(microseconds)
        us = self._local(np.where(missing, 0, microseconds).astype(np.int64))
        if self.step in ("Y", "M"):
            dates = us.astype("datetime64[us]")
            below = dates.astype(f"datetime64[{self.step}]")
            above = (below + 1).astype("datetime64[us]").astype(np.int64)
            start = below.astype("datetime64[us]").astype(np.int64)
            whole, part = below.astype(np.int64), (us - start) / (above - start)
        else:
            step = SECOND[self.step]
            whole, part = us // step - self.origin, (us % step) / step
        return np.where(missing, np.nan, whole + part)

    def microseconds(self, numbers: np.ndarray) -> np.ndarray:
        """Steps (N,), rounded to whole ones, as microseconds, int64: the inverse of
        :meth:`numbers`. NaN gives 0."""
        whole = np.round(np.nan_to_num(numbers))
        if self.step in ("Y", "M"):
            months = np.clip(whole, -23_000, 96_000).astype(np.int64)
            us = months.astype(f"datetime64[{self.step}]").astype("datetime64[us]")
            return self._from_local(self._inside(us.astype(np.int64)))
        step = SECOND[self.step]
        far = 2**62 // step
        us = (np.clip(whole, -far, far).astype(np.int64) + self.origin) * step
        return self._from_local(self._inside(us))

    def _inside(self, us: np.ndarray) -> np.ndarray:
        """Microseconds that the type can hold."""
        if self.kind == "time":
            return np.asarray(np.clip(us, 0, DAY - SECOND.get(self.step, 1)))
        low, high = ENDS.get(self.unit, (-(2**62), 2**62))
        if self.kind != "duration":
            low, high = max(low, FIRST), min(high, LAST)
        return np.asarray(np.clip(us, low, high))

    def _local(self, us: np.ndarray) -> np.ndarray:
        """Microseconds in UTC as those of the wall clock, where steps are those of the calendar."""
        if not self.zone or self.step not in CALENDAR:
            return us
        utc = pl.Series(us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.zone)
        return np.asarray(utc.dt.replace_time_zone(None).cast(pl.Int64))

    def _from_local(self, us: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`_local`. A local time that a change of clocks leaves out becomes
        the first one after it."""
        if not self.zone or self.step not in CALENDAR:
            return us
        local = pl.Series(us).cast(pl.Datetime("us"))
        each = [
            local.dt.offset_by(later).dt.replace_time_zone(
                self.zone, ambiguous="earliest", non_existent="null"
            )
            for later in ("0h", "1h")
        ]
        found = each[0].fill_null(each[1]).dt.convert_time_zone("UTC")
        return np.asarray(found.cast(pl.Int64).fill_null(0))

    def values(self, numbers: np.ndarray) -> pl.Series:
        """Steps (N,) as a series of polars; null where NaN."""
        us = self.microseconds(numbers)
        if self.kind == "date":
            made = pl.Series(us).cast(pl.Datetime("us")).cast(pl.Date)
        elif self.kind == "time":
            made = pl.Series(us * 1000).cast(pl.Time)
        elif self.kind == "duration":
            made = pl.Series(us).cast(pl.Duration("us")).cast(pl.Duration(self._polars_unit))
        else:
            made = pl.Series(us).cast(pl.Datetime("us", "UTC" if self.zone else None))
            made = made.dt.cast_time_unit(self._polars_unit)
            made = made.dt.convert_time_zone(self.zone) if self.zone else made
        missing = pl.Series(np.isnan(numbers))
        return made.set(missing, None) if missing.any() else made

    @property
    def _polars_unit(self) -> Any:
        return self.unit if self.unit in ("ns", "us", "ms") else "us"

    def text(self, number: float) -> str:
        """A number of steps as text for a reader, no finer than the resolution."""
        [value] = self.values(np.array([number], dtype=np.float64)).to_list()
        if value is None or self.kind == "duration":
            return str(value)
        if self.kind == "time":
            return f"{value:%H:%M}" if self.step in ("h", "m") else str(value)
        shown = {"Y": "%Y", "M": "%Y-%m", "D": "%Y-%m-%d", "h": "%Y-%m-%d %H:%M"}
        shown |= {"m": shown["h"], "s": "%Y-%m-%d %H:%M:%S"}
        if isinstance(value, datetime.datetime | datetime.date) and self.step in shown:
            return f"{value:{shown[self.step]}}"
        return str(value)


def microseconds_of(values: list[Any]) -> np.ndarray:
    """Dates, times or durations of Python as microseconds, float64; None gives NaN."""
    return np.array([np.nan if v is None else _microseconds(v) for v in values], dtype=np.float64)


def _microseconds(value: datetime.date | datetime.time | datetime.timedelta) -> int:
    micro = datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.datetime):
        zone = None if value.tzinfo is None else datetime.UTC
        return (value - datetime.datetime(1970, 1, 1, tzinfo=zone)) // micro
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)) // micro
    if isinstance(value, datetime.timedelta):
        return value // micro
    seconds = 3600 * value.hour + 60 * value.minute + value.second
    return 1_000_000 * seconds + value.microsecond
