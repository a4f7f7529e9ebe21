"""Diffusion kernels: what the forward process does to each value of an example (SD15 Tab. App.1).

A kernel states its formulas between any two times s < t, so that a chain may use any subset of the
times. Bayes' rule is written once, as a tilt, in :meth:`Kernel.posterior`. In formulas, a =
alpha_bar_t / alpha_bar_s.
"""

__all__ = [
    "BinomialKernel",
    "CategoricalKernel",
    "GaussianKernel",
    "Kernel",
    "ProductKernel",
    "SignalNoise",
]

from .binomial import BinomialKernel
from .categorical import CategoricalKernel
from .gaussian import GaussianKernel
from .kernel import Kernel, SignalNoise
from .product import ProductKernel
