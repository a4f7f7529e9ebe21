r"""What the raw data are, and the last step p(raw | x_1) of the reverse walk.

A space maps raw values to the x_0 on which a kernel acts, accounts for the volume that the map
changes, and owns the end of the chain: SD15's edge where x_0 is continuous, the model's own
reverse step where x_0 is discrete. Likelihoods therefore come out in the raw data's own units.
"""

__all__ = [
    "Binary",
    "Continuous",
    "Dequantized",
    "Integers",
    "OneHot",
    "Quantized",
    "Space",
    "Table",
    "PiecewiseLinear",
]

from .continuous import Continuous
from .integers import Integers
from .levels import Binary, Dequantized, Quantized
from .one_hot import OneHot
from .piecewise_linear import PiecewiseLinear
from .space import Space
from .table import Table
