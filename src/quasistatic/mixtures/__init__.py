"""Mixtures of normals fitted to tables, where a model of a small table starts, and what they answer
in closed form."""

__all__ = ["Stacked", "completed", "drawn", "made_whole", "stacked"]

from .holes import made_whole
from .law import completed, drawn
from .stacking import Stacked, stacked
