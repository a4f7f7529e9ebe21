r"""Oracles: distributions with a known density, whose exact denoisers take the place of a network.

`Model(**oracle.parts(kernel))` is the chain of a perfect network, without training: any error of a
bound, a sampler or a posterior is then its own. Oracles compute in float64, and their results have
the dtype of the input.
"""

__all__ = [
    "CheckerboardOracle",
    "GaussianOracle",
    "HeartbeatOracle",
    "IsingOracle",
    "LabelledMixtureOracle",
    "MixtureOracle",
    "Moments",
    "Oracle",
    "PinwheelOracle",
    "RingOracle",
    "SwissRollOracle",
]

from .bits import HeartbeatOracle, IsingOracle
from .labelled import LabelledMixtureOracle
from .mixtures import GaussianOracle, MixtureOracle
from .oracle import Moments, Oracle
from .plane import CheckerboardOracle, PinwheelOracle, RingOracle, SwissRollOracle
