"""Noise schedules: tables of alpha_bar_t, the share of the signal left at time t = 0..T."""

from .made import cosine, custom, erase_evenly, from_log_snr, linear, linear_log_snr, quadratic
from .moving import learned
from .table import Schedule

__all__ = [
    "Schedule",
    "cosine",
    "custom",
    "erase_evenly",
    "from_log_snr",
    "learned",
    "linear",
    "linear_log_snr",
    "quadratic",
]
