r"""Diffusion kernels: what the forward process does to one scalar (SD15 Tab. App.1).

A kernel states its formulas between any two times s < t, so a chain may visit any sub-grid of
times. Bayes is written once, as a tilt. Below, a = alpha_bar_t / alpha_bar_s.
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
