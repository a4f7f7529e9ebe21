"""Networks: tensors in, tensors out. Each maps x (B, *) and t / T (B,) to (B, *, outputs)."""

__all__ = [
    "MLP",
    "LatentDenoiser",
    "LatentMLP",
    "MixtureDenoiser",
    "MixtureMLP",
    "RBF",
    "Multiscale",
    "Padded",
    "UNet",
]

from .mixture import MixtureDenoiser, MixtureMLP
from .mlp import MLP
from .multiscale import Multiscale
from .padded import Padded
from .rbf import RBF
from .standing import LatentDenoiser, LatentMLP
from .unet import UNet
