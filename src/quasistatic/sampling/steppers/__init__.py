"""Steppers: how a walk goes from x_t to x_s, as objects for `sample(n, times, stepper=...)`."""

__all__ = ["Ancestral", "Estimate", "State", "Stepper", "clock"]

from .ancestral import Ancestral
from .stepper import Estimate, State, Stepper, clock
