"""The closed-form distribution of a table: a mixture whose components are independent blocks."""

__all__ = [
    "AtomBlock",
    "Block",
    "CategoricalBlock",
    "ClassLaw",
    "Conditional",
    "CosineBasis",
    "Draws",
    "Event",
    "Evidence",
    "GaussianBlock",
    "LawPerClass",
    "Mixture",
    "Moments",
    "NoiseLevel",
    "RealLaw",
    "RestrictedMixture",
    "RowDraws",
    "RowsGivenOthers",
    "SharedDraws",
    "SpectralBlock",
]

from .atom_block import AtomBlock
from .block import Block, Evidence, Moments, NoiseLevel
from .categorical_block import CategoricalBlock
from .cosine_basis import CosineBasis
from .gaussian_block import GaussianBlock
from .given_others import ClassLaw, RealLaw, RowsGivenOthers
from .law_per_class import LawPerClass
from .mixture import Conditional, Mixture
from .restricted import Event, RestrictedMixture
from .row_draws import Draws, RowDraws, SharedDraws
from .spectral_block import SpectralBlock
