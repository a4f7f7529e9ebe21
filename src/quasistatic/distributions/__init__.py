r"""Exponential families: the one currency of the library.

Every transition of a diffusion, forward or reverse, is a batch of independent scalars from one
exponential family, and everything that is done to it (Bayes, a learned drift, an observation) is
a *tilt*. A consumer uses the verbs of :class:`Family` and never asks which member it holds.
"""

__all__ = [
    "Bernoulli",
    "Categorical",
    "Family",
    "FiniteSupport",
    "Gaussian",
    "OneHotSupport",
    "OneHotGroups",
    "IntegerSupport",
    "Lattice",
    "LogisticMixture",
    "NoisyLattice",
    "OnLattice",
    "Product",
    "ProductSupport",
    "RealSupport",
    "Support",
    "total",
]

from .bernoulli import Bernoulli
from .categorical import Categorical
from .family import Family, total
from .gaussian import Gaussian
from .groups import OneHotGroups
from .lattice import Lattice
from .logistic import LogisticMixture
from .noisy import NoisyLattice
from .on_lattice import OnLattice
from .product import Product
from .supports import (
    FiniteSupport,
    IntegerSupport,
    OneHotSupport,
    ProductSupport,
    RealSupport,
    Support,
)
