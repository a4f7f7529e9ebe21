"""Exponential families: every transition of a diffusion, forward or reverse, is a batch of them.

Everything that is done to such a law (Bayes' rule, a learned drift, an observation) is a *tilt*: a
multiplication of its density by exp(linear x - precision x^2 / 2). An algorithm calls the methods
of :class:`Family` and never asks which family it holds.
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
