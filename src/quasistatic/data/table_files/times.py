"""Dates, times and durations in a text column: which notation its cells have."""

__all__ = ["find_times", "looks_like_time"]

import re
from collections.abc import Sequence

import polars as pl

from .notation import Length, Moment, Notation

DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y"),
    *("%m-%d-%Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%m-%y", "%Y-%m"),
)
"""Formats of dates. The first one that fits is taken where days could be months."""

CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p")
ZONES = ("", "%#z")

LIKELY = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?$|\d{4}-\d{1,2}$|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}$|"
    r"[A-Za-z]{3,9} \d{1,2}, \d{4}$|-?(\d+ days?,? )?\+?\d+:\d\d(:\d\d(\.\d+)?)?( ?[APap][Mm])?$"
)
NUMBER = re.compile(r"[+-]?\d+\.?\d*$")

MOSTLY = 0.9
"""The share of times from which on the other cells of a column are taken for mistakes."""


def looks_like_time(cell: str) -> bool:
    """Whether a cell looks like a date, a time or a duration, whatever its notation."""
    return bool(LIKELY.match(cell)) and not NUMBER.match(cell)


def find_times(cells: Sequence[str]) -> list[Notation]:
    """The notations in which nearly all cells are dates, times or durations, best first.

    Args:
        cells: some known cells of a column, trimmed.
    """
    likely = [cell for cell in cells if looks_like_time(cell)]
    if not cells or len(likely) < MOSTLY * len(cells):
        return []
    series = pl.Series("cell", likely)
    found: list[tuple[int, Notation]] = []
    for notation in _candidates(likely):
        try:
            values = pl.select(notation.read(pl.lit(series))).to_series()
        except pl.exceptions.PolarsError:
            continue
        count = len(values) - values.null_count()
        if count >= MOSTLY * len(likely):
            found.append((count, notation))
    most = max((count for count, _ in found), default=0)
    return [_as_written(notation, likely) for count, notation in found if count == most]


def _candidates(cells: Sequence[str]) -> list[Notation]:
    """Notations that cells with such characters may have."""
    first = cells[0]
    # Four digits of a year and two are read by different formats.
    year = "%Y" if any(re.search(r"\d{4}", cell) for cell in cells) else "%y"
    dates = [form for form in DATES if year in form]
    if ":" not in first:
        return [Moment("date", form) for form in dates]
    if re.match(r"-?\d+ days?", first):
        return [Length(days=True, places=_places(cells))]
    if re.match(r"-?\d+:\d\d", first):
        seconds = first.count(":") == 2
        times: list[Notation] = [Moment("time", form) for form in CLOCKS]
        return [*times, Length(seconds=seconds, places=_places(cells))]
    gap = "T" if "T" in first else " "
    return [
        Moment("datetime", f"{date}{gap}{clock}{zone}")
        for zone in ZONES
        for date in dates
        for clock in CLOCKS
    ]


def _places(cells: Sequence[str]) -> int:
    """How many decimals the seconds of some cells have."""
    parts = [re.search(r":\d\d\.(\d+)", cell) for cell in cells]
    return min(6, max((len(part[1]) for part in parts if part), default=0))


def _as_written(notation: Notation, cells: Sequence[str]) -> Notation:
    """The notation with the format in which such cells are written."""
    if not isinstance(notation, Moment):
        return notation
    form = notation.format
    if any(re.match(r"\d(\D|$)|\d{1,2}[-/. ]\d[-/. ]", cell) for cell in cells):
        form = form.replace("%d", "%-d").replace("%m", "%-m")
    if any(re.search(r"(^|[T ])\d:", cell) for cell in cells):
        form = form.replace("%H", "%-H").replace("%I", "%-I")
    places = _places(cells)
    form = form.replace("%.f", f"%.{3 * -(-places // 3)}f" if places else "")
    utc = any(cell.endswith("Z") for cell in cells)
    form = form.replace("%#z", "Z" if utc else "%:z")
    return Moment(notation.type, notation.format, "" if form == notation.format else form)
