"""How the closed-form law of a table is fitted."""

__all__ = [
    "MOST_COMPONENTS",
    "BlockFit",
    "Candidate",
    "CategoricalFit",
    "GaussianFit",
    "StackedLaw",
    "Trial",
    "completed_for_learning",
    "fitted_again",
    "stacked",
]

from .block_fits import BlockFit, CategoricalFit, GaussianFit
from .completing import completed_for_learning
from .stacking import MOST_COMPONENTS, Candidate, StackedLaw, Trial, fitted_again, stacked
