"""When a network is tried on a closed form, and when what it says is kept."""

__all__ = ["JUDGES", "PILOT_FIT", "TRAINED", "is_kept", "is_promising", "is_tried", "words"]

import math
from dataclasses import replace

import numpy as np

from ..training.config import Fit
from .fitted import FitPlan

ENOUGH, FEWEST = 2000, 4
"""Rows from which a network is tried unless it is asked for, and those that it takes at least."""

JUDGES = 1000
"""Validation rows that are looked at, at most."""

SURE = 2.0
"""Standard errors by which a network must win to be kept."""

TRAINED = Fit(steps=3000, weight_decay=0.05, ema=0.995, validations=20, patience=4)
"""How it is trained."""


PILOT_FIT = replace(TRAINED, steps=400, ema=0.98, validations=0, patience=0)
"""How it is trained for a little while first, or for more steps."""

RISEN = 0.15
"""The share of what the network must gain that the pilot has to gain."""


def is_tried(plan: FitPlan, rows: int) -> bool:
    """Whether a network is tried on so many rows."""
    asked = plan.steps is not None or rows >= ENOUGH
    return asked and plan.steps != 0 and rows >= FEWEST


def is_kept(won: np.ndarray) -> tuple[float, bool]:
    """What a network won on rows that it has not seen, (n,), in nats: its mean, and whether that is
    sure enough."""
    gain = float(won.mean())
    error = float(won.std(ddof=1)) / len(won) ** 0.5 if len(won) > 1 else math.inf
    return gain, gain > SURE * error


def is_promising(gain: np.ndarray, behind: np.ndarray, more: bool = False) -> bool:
    """Whether a network that was trained for a little while is worth training to its end.

    Args:
        gain: of log p of rows over the law that the network corrects, (n,), in nats.
        behind: by how much that law is behind the best closed-form law, (n,), in nats.
        more: whether the network sees more rows than the closed-form laws were fitted to. Then it
            is enough that its gain is sure.
    """
    if more and is_kept(gain)[1]:
        return True
    return float(gain.mean()) > max(0.0, RISEN * float(behind.mean()))


def words(plan: FitPlan, rows: int, start: str, width: int) -> str:
    """What would be done with so many rows after such a start, in a sentence."""
    if not is_tried(plan, rows):
        return f"{start}, and no network: {ENOUGH} rows or --steps bring one"
    steps = TRAINED.steps if plan.steps is None else plan.steps
    return (
        f"{start}, corrected by an MLP of width {width}, {steps} steps at most; where it is kept, "
        "scores and draws take about 100 times as long (--steps 0 fits the closed form alone)"
    )
