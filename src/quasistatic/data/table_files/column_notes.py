"""Notes on columns whose cells can be read in more than one way."""

__all__ = [
    "MOSTLY",
    "have_one_unit",
    "other_reading",
    "several_spellings",
    "several_times",
    "several_units",
]

import re
from collections.abc import Sequence

from .notation import Moment, Notation
from .times import looks_like_time

MOSTLY = 0.9
"""The share of values of a type from which on the other cells of a column are taken for mistakes,
whatever they are."""

YES_OR_NO = frozenset(
    """yes no y n true false t f 1 0 ja nein j oui non si sí on off""".split()  # noqa: SIM905
)
"""Words for yes and no."""


def several_spellings(name: str, cells: Sequence[str]) -> str:
    """A note on several words for yes and no."""
    different = sorted(set(cells))[:9]
    if 2 < len(different) < 9 and all(cell.casefold() in YES_OR_NO for cell in different):
        shown = ", ".join(different)
        return f"{name}: {shown} are several spellings of yes and no: each is a class of its own"
    return ""


def several_times(name: str, cells: Sequence[str]) -> str:
    """A note on dates and times in several notations."""
    times = sum(map(looks_like_time, cells))
    if cells and times >= MOSTLY * len(cells):
        return (
            f"{name}: the cells look like dates or times in several notations, so they are read as "
            "names: write them in one, or name it (--types COLUMN=%d.%m.%Y)"
        ).replace("COLUMN", name)
    return ""


Units = Sequence[tuple[tuple[str, str], int]]


def have_one_unit(units: Units, numbers: int, cells: int) -> bool:
    """Whether nearly all cells are numbers with one unit.

    Args:
        units: and how many cells have them, commonest first.
        numbers: how many cells have none.
        cells: how many there are.
    """
    first, every = units[0][1], sum(count for _, count in units)
    return first > numbers and first >= MOSTLY * every and first + numbers >= MOSTLY * cells


def several_units(name: str, units: Units) -> str:
    """A note on numbers that have several units."""
    shown = ", ".join(f"{''.join(unit).strip()} in {count:,}" for unit, count in units[:4])
    more = ", ..." if len(units) > 4 else ""
    return (
        f"{name}: the numbers have several units ({shown}{more} of the first cells), so they are "
        "read as names: write them in one unit"
    )


def other_reading(name: str, times: Sequence[Notation]) -> str:
    """A note on days and months that could be the other way round."""
    forms = [each.format for each in times if isinstance(each, Moment)]
    if not forms or not {"%d", "%m"} <= set(re.findall(r"%\w", forms[0])):
        return ""
    first = forms[0].index("%d") < forms[0].index("%m")
    for other in forms[1:]:
        if {"%d", "%m"} <= set(re.findall(r"%\w", other)) and first != (
            other.index("%d") < other.index("%m")
        ):
            return f"{name}: dates are read as {forms[0]} (--types {name}={other} reads the other)"
    return ""
