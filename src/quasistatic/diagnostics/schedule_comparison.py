"""Noise schedules side by side: how much information about x_0 each step of each one destroys."""

__all__ = ["LAWS", "facts", "in_short", "places", "read", "totals"]

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .._utils.naming import nearest
from ..kernels import schedules
from ..kernels.schedules import Schedule
from .mutual_information import (
    Erasure,
    FairBit,
    Law,
    StandardNormal,
    UniformLevels,
    information_uniform,
)

LAWS: dict[str, Law] = {"normal": StandardNormal(), "bit": FairBit(), "levels": UniformLevels()}
"""Laws of x_0 to compare schedules under, by a short name."""

_MAKERS: dict[str, Callable[..., Schedule]] = {
    make.__name__: make
    for make in (
        schedules.linear,
        schedules.cosine,
        schedules.quadratic,
        schedules.erase_evenly,
        schedules.linear_log_snr,
        schedules.karras,
    )
}
PLACES = 10


def read(text: str, steps: int, law: Law = LAWS["normal"]) -> Schedule:
    """The schedule that a text names.

    Args:
        text: a name, or a name and numbers in the order of its arguments, as in `linear:1e-4,0.02`
            and `linear_log_snr:7,-7`.
        steps: T, the number of steps.
        law: of x_0, for `information_uniform`.

    Raises:
        ValueError: if no schedule has that name, or the numbers do not make one.
    """
    name, _, rest = text.partition(":")
    name = name.replace("-", "_")
    makers = _MAKERS | {"information_uniform": functools.partial(information_uniform, law)}
    if name not in makers:
        raise ValueError(f"there is no schedule {name!r}: {nearest(name, makers)}")
    words = rest.split(",") if rest else []
    _, *takes = inspect.signature(makers[name]).parameters.values()
    usage = _usage(name, takes)
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{text!r} contains something other than numbers: {usage}") from None
    if len(numbers) > len(takes):
        raise ValueError(
            f"{text!r} gives {len(numbers)} numbers, and {name} takes {len(takes)}: {usage}"
        )
    return makers[name](steps, *numbers)


def _usage(name: str, takes: Sequence[inspect.Parameter]) -> str:
    if not takes:
        return f"write {name}"
    names = ",".join(each.name for each in takes)
    return f"write {name}:{names}, as in {name}:{','.join(f'{each.default:g}' for each in takes)}"


def totals(compared: Sequence[Erasure]) -> tuple[list[str], list[list[str]]]:
    """A table with a column for each schedule: its two ends, the information left there, and in
    which part of the chain the rest is lost. Returns the header and the rows."""
    columns = [
        [
            _number(each.schedule.alpha_bar[-1]),
            *(_number(each.schedule.log_snr[t]) for t in (1, -1)),
            *(_number(each.left[t]) for t in (1, -1)),
            f"{each.half:.3f}",
            *(f"{share:.1%}" for share in each.thirds),
        ]
        for each in compared
    ]
    names = ["alpha_bar at T", "log-SNR at 1, nats", "log-SNR at T, nats"]
    names += ["bits left at 1", "bits left at T", "half of them gone at t / T"]
    names += [f"lost in the {third} third" for third in ("first", "second", "last")]
    return ["", *(each.name for each in compared)], list(
        map(list, zip(names, *columns, strict=True))
    )


def places(each: Erasure) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a schedule at ten times, or at all times of a shorter one."""
    header = ["t", "alpha_bar", "log-SNR, nats", "bits lost in the step", "since t = 1"]
    rows = []
    for t, alpha_bar, *rest in (row.values() for row in _rows(each)):
        rows.append([str(t), _number(alpha_bar, 6), *map(_number, rest)])
    return header, rows


def in_short(compared: Sequence[Erasure]) -> str:
    """A sentence: which schedule destroys most information early, and which late."""
    early = max(compared, key=lambda each: each.thirds[0])
    late = max(compared, key=lambda each: each.thirds[2])
    return (
        f"Of the bits that the steps after the first lose, {early.name} loses most in the first "
        f"third of the chain ({early.thirds[0]:.1%}), and {late.name} most in the last "
        f"({late.thirds[2]:.1%})."
    )


def facts(compared: Sequence[Erasure]) -> dict[str, Any]:
    """The comparison as JSON values, with None for infinity."""
    return {
        each.name: {
            "schedule": {"is": each.schedule.kind, **each.schedule.arguments},
            "half_gone_at": each.half,
            "thirds": list(each.thirds),
            "bits_left_at_1": _finite(each.left[1]),
            "bits_left_at_T": _finite(each.left[-1]),
            "places": [{key: _finite(value) for key, value in row.items()} for row in _rows(each)],
        }
        for each in compared
    }


def _rows(each: Erasure) -> list[dict[str, float]]:
    T = each.schedule.steps
    at = torch.linspace(1, T, min(PLACES, T), dtype=torch.float64).round().long().tolist()
    return [
        {
            "t": t,
            "alpha_bar": each.schedule.alpha_bar[t].item(),
            "log_snr": each.schedule.log_snr[t].item(),
            "bits_lost": each.lost[t - 1].item(),
            "bits_lost_since_1": each.since[t - 1].item(),
        }
        for t in at
    ]


def _finite(value: float | torch.Tensor) -> float | None:
    return (value if isinstance(value, int) else float(value)) if math.isfinite(value) else None


def _number(value: float | torch.Tensor, digits: int = 4) -> str:
    return f"{float(value):.{digits}g}".replace("inf", "∞").replace("-", "−")
