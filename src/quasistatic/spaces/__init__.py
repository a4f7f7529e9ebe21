"""Spaces: what the raw data are, and the last step p(raw | x_1) of the reverse process.

A space maps raw values to the x_0 on which a kernel acts, accounts for the change of volume of that
map, and owns the end of the chain: the fixed last step of SD15 B.2 where x_0 is continuous, the
model's own reverse step where x_0 is discrete. So log-likelihoods are in the units of the raw data.
"""

__all__ = [
    "Binary",
    "Continuous",
    "Dequantized",
    "Integers",
    "Latent",
    "OneHot",
    "Quantized",
    "Space",
    "Table",
    "PiecewiseLinear",
]

from .continuous import Continuous
from .integers import Integers
from .latent import Latent
from .levels import Binary, Dequantized, Quantized
from .one_hot import OneHot
from .piecewise_linear import PiecewiseLinear
from .space import Space
from .table import Table
