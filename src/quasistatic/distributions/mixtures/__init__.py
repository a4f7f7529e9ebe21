"""The closed-form distribution of a table: a mixture whose components are independent blocks."""

__all__ = [
    "AtomBlock",
    "Block",
    "CategoricalBlock",
    "Conditional",
    "Draws",
    "Event",
    "Evidence",
    "GaussianBlock",
    "Mixture",
    "Moments",
    "NoiseLevel",
    "RestrictedMixture",
    "RowDraws",
    "SharedDraws",
]

from .atom_block import AtomBlock
from .block import Block, Evidence, Moments, NoiseLevel
from .categorical_block import CategoricalBlock
from .gaussian_block import GaussianBlock
from .mixture import Conditional, Mixture
from .restricted import Event, RestrictedMixture
from .row_draws import Draws, RowDraws, SharedDraws
