"""How the closed-form law of a table is fitted."""

__all__ = [
    "Batch",
    "BlockFit",
    "ByClusters",
    "ByEnergy",
    "Candidate",
    "CategoricalFit",
    "FullNormals",
    "GaussianFit",
    "Groups",
    "LawPerClassChoice",
    "LawPerClassFit",
    "LearningRows",
    "SpectralCandidate",
    "SpectralChoice",
    "SpectralFit",
    "StackedLaw",
    "TableSums",
    "Trial",
    "completed_for_learning",
    "integrates_holes",
    "expected",
    "fitted_again",
    "likeliest",
    "stacked",
]

from .block_fits import BlockFit, CategoricalFit, GaussianFit
from .candidates import Candidate
from .completing import completed_for_learning, integrates_holes
from .em import Batch, expected, likeliest
from .full_normals import FullNormals
from .groups import ByClusters, ByEnergy, Groups
from .law_per_class import LawPerClassChoice, LawPerClassFit
from .learning_rows import LearningRows, TableSums
from .spectral import SpectralCandidate, SpectralChoice, SpectralFit
from .stacking import StackedLaw, Trial, fitted_again, stacked
