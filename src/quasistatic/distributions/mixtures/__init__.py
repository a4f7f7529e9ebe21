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

from .gaussian import completed, drawn, marginal
from .latent_class_sampling import completed_rows, drawn_rows
from .latent_class_stacking import StackedClasses, stacked_classes
from .stacking import Stacked, stacked
from .stochastic_em import made_whole
