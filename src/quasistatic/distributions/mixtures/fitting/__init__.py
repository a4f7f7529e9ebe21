"""How the closed-form law of a table is fitted."""

__all__ = [
    "BlockFit",
    "ByClusters",
    "ByEnergy",
    "Candidate",
    "CategoricalFit",
    "GaussianFit",
    "Groups",
    "LawPerClassChoice",
    "LawPerClassFit",
    "SpectralCandidate",
    "SpectralChoice",
    "SpectralFit",
    "StackedLaw",
    "Trial",
    "completed_for_learning",
    "fitted_again",
    "stacked",
]

from .block_fits import BlockFit, CategoricalFit, GaussianFit
from .completing import completed_for_learning
from .law_per_class import LawPerClassChoice, LawPerClassFit
from .spectral import (
    ByClusters,
    ByEnergy,
    Groups,
    SpectralCandidate,
    SpectralChoice,
    SpectralFit,
)
from .stacking import Candidate, StackedLaw, Trial, fitted_again, stacked
