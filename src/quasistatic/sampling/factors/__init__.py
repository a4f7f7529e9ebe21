r"""Factors r(x): what is known about examples, to be multiplied into the model.

A factor tilts a belief about x_0, for a Gaussian, a level and a bit alike (SD15 Sec. 2.5), and
weighs an example that a walk ends at. Factors multiply with `*`.
"""

__all__ = ["Anything", "Factor", "Label", "Linear", "Observed", "Product", "Smooth"]

from .factor import Anything, Factor, Product
from .linear import Linear
from .observed import Observed
from .smooth import Label, Smooth
