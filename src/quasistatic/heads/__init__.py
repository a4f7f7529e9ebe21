"""Heads: the meaning of a network's output. Each turns it into the reverse step p(x_s | x_t).

Most heads state a law of x_0 given x_t (:class:`DenoisingHead`), and the kernel makes a step to any
earlier time from it. The heads of 2015 and the one that predicts DDPM's mean state the step from t
to t - 1 itself. The variance of a Gaussian step is a statement about x_0 too: beta_tilde means that
x_0 is known, beta_t that it is standard normal (DDPM Sec. 3.2).
"""

__all__ = [
    "DenoisingHead",
    "Classes",
    "Clean",
    "Clipped",
    "Corrected",
    "CorrectedClasses",
    "CorrectedLevels",
    "Correcting",
    "Equilibrium",
    "Exact",
    "Head",
    "Levels",
    "Mean",
    "Natural",
    "Noise",
    "Preconditioned",
    "ProductHead",
    "Regression",
    "Spread",
    "Velocity",
    "WithVariance",
]

from .classes import Classes
from .corrected import Corrected, CorrectedClasses, Correcting
from .corrected_levels import CorrectedLevels
from .estimates import Clean, Noise, Preconditioned, Velocity
from .head import DenoisingHead, Head, Regression, WithVariance
from .levels import Levels
from .product import ProductHead
from .steps import Equilibrium, Mean, Natural
from .wrapped import Clipped, Exact, Spread
