"""Sampling: draws from a model by steppers, and from p(x) r(x) / Z for a factor r, by sequential
Monte Carlo (exact in the limit of many particles) or by guided walks (approximate)."""

__all__ = [
    "SMC",
    "Ancestral",
    "Drawn",
    "Guided",
    "Posterior",
    "PosteriorMethod",
    "Stepper",
    "Times",
    "WeightedParticles",
    "posterior",
    "sample",
    "walk",
]

from .guidance import Guided
from .method import Drawn, PosteriorMethod
from .posterior import Posterior, posterior
from .sampler import Times, sample, walk
from .smc import SMC, WeightedParticles
from .steppers import Ancestral, Stepper
