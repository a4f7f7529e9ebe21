"""Noise schedules: tables of alpha_bar_t, the share of the signal that is left at time t = 0, ...,
T."""

from .formulas import (
    cosine,
    custom,
    erase_evenly,
    from_log_snr,
    karras,
    linear,
    linear_log_snr,
    quadratic,
)
from .learned_schedule import learned
from .schedule import Schedule

__all__ = [
    "Schedule",
    "cosine",
    "custom",
    "erase_evenly",
    "from_log_snr",
    "karras",
    "learned",
    "linear",
    "linear_log_snr",
    "quadratic",
]
