"""How many steps a number of minutes holds, measured on this machine before a run."""

__all__ = ["steps_in"]

import copy
import time
from dataclasses import replace
from typing import Any

import quasistatic as qs


def steps_in(
    minutes: float, model: qs.Diffusion, data: Any, fit: qs.Fit, objective: Any = None
) -> int:
    """The steps of `fit` that take that many minutes, timed on a copy of the model."""
    probe = replace(fit, steps=4, validations=0)
    qs.fit(copy.deepcopy(model), data, objective=objective, settings=probe)
    started = time.perf_counter()
    probe = replace(probe, steps=16)
    qs.fit(copy.deepcopy(model), data, objective=objective, settings=probe)
    return max(1, round(60 * minutes / ((time.perf_counter() - started) / 16)))
