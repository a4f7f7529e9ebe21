"""Networks: tensors in, tensors out. Each maps x (B, *) and t / T (B,) to (B, *, outputs)."""

__all__ = ["MLP", "RBF"]

from .mlp import MLP
from .rbf import RBF
