"""Steppers: how a walk goes from x_t to x_s, as objects for `sample(n, times, stepper=...)`."""

__all__ = [
    "DDIM",
    "Adaptive",
    "Ancestral",
    "Clip",
    "DPMSolver",
    "DynamicThreshold",
    "Estimate",
    "FlowMap",
    "Heun",
    "Kept",
    "Limits",
    "Multistep",
    "Parallel",
    "State",
    "Stepper",
    "UniPC",
    "clock",
]

from .adaptive import Adaptive
from .ancestral import Ancestral
from .flow_map import FlowMap
from .kept import Kept
from .limits import Clip, DynamicThreshold, Limits
from .multistep import DDIM, DPMSolver, Heun, Multistep, UniPC
from .parallel import Parallel
from .stepper import Estimate, State, Stepper, clock
