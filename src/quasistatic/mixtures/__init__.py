"""Mixtures of normals fitted to tables, where a model of a small table starts, and what they answer
in closed form."""

__all__ = [
    "Stacked",
    "StackedClasses",
    "completed",
    "completed_rows",
    "drawn",
    "drawn_rows",
    "made_whole",
    "marginal",
    "stacked",
    "stacked_classes",
]

from .given import completed_rows, drawn_rows
from .holes import made_whole
from .law import completed, drawn, marginal
from .stacking import Stacked, stacked
from .tables import StackedClasses, stacked_classes
