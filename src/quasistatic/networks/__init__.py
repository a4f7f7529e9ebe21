"""Networks: each maps x (B, *) and t / T (B,) to (B, *, outputs)."""

__all__ = [
    "DiT",
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

from .dit import DiT
from .latent_class_denoiser import LatentDenoiser, LatentMLP
from .mixture_denoiser import MixtureDenoiser, MixtureMLP
from .mlp import MLP
from .multiscale import Multiscale
from .padded import Padded
from .rbf import RBF
from .unet import UNet
