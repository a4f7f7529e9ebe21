r"""Exponential families: the one currency of the library.

Every transition of a diffusion, forward or reverse, is a batch of independent scalars from one
exponential family, and everything that is done to it (Bayes, a learned drift, an observation) is
a *tilt*. A consumer uses the verbs of :class:`Family` and never asks which member it holds.
"""

__all__ = [
    "Bernoulli",
    "Family",
    "Gaussian",
    "Lattice",
    "LogisticMixture",
    "NoisyLattice",
    "OnLattice",
    "total",
]

from .bernoulli import Bernoulli
from .family import Family, total
from .gaussian import Gaussian
from .lattice import Lattice
from .logistic import LogisticMixture
from .noisy import NoisyLattice
from .on_lattice import OnLattice
