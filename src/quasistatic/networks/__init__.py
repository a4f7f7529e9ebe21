"""Networks: tensors in, tensors out. Each maps x (B, *) and t / T (B,) to (B, *, outputs)."""

__all__ = ["MLP", "RBF", "Multiscale", "UNet"]

from .mlp import MLP
from .multiscale import Multiscale
from .rbf import RBF
from .unet import UNet
