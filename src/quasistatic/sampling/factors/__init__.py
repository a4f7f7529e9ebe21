r"""Factors r(x): what is known about examples, multiplied into the model.

A factor tilts a law of x_0, for reals, levels, bits and classes alike (SD15 Sec. 2.5), and weighs
the x_0 at the end of a walk. Factors multiply with `*`; subclass :class:`Factor` for one of your
own."""

__all__ = [
    "Anything",
    "Decoded",
    "Factor",
    "Label",
    "Linear",
    "Observed",
    "Product",
    "Smooth",
    "about_x_0",
]

from .decoded import Decoded, about_x_0
from .factor import Anything, Factor, Product
from .linear import Linear
from .observed import Observed
from .smooth import Label, Smooth
