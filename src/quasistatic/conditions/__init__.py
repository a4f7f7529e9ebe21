"""Conditions: what y of p(x | y) is, and its numbers for a network."""

__all__ = ["ClassLabel", "Condition", "Named", "Vector"]

from .class_label import ClassLabel
from .condition import Condition
from .named import Named
from .vector import Vector
