"""p(x) r(x) and its evidence: the weighted walk, which is exact in the limit of many particles, and
the plain walks of SD15, which are approximations."""

__all__ = [
    "PLAIN",
    "Found",
    "Plain",
    "Posterior",
    "conditioned",
    "plain",
    "posterior",
    "timesteps",
]

from . import timesteps
from .guidance import PLAIN, Plain, plain
from .posterior_draws import Posterior, conditioned
from .smc import Found, posterior
