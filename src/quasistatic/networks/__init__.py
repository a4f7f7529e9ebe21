"""Networks: each maps x (B, *) and t / T (B,) to (B, *, outputs)."""

__all__ = [
    "Autoencoder",
    "DiT",
    "PerClassDenoiser",
    "MLP",
    "RBF",
    "ClosedFormDenoiser",
    "DiffusersAutoencoder",
    "DiffusersDiT",
    "DiffusersUNet",
    "DiffusersVQ",
    "FlowMapNetwork",
    "Multiscale",
    "NoiseScaled",
    "NormalsDenoiser",
    "Padded",
    "ResidualDenoiser",
    "SpectralDenoiser",
    "SpectralResidual",
    "UNet",
]

from .autoencoder import Autoencoder
from .closed_form import ClosedFormDenoiser, ResidualDenoiser
from .diffusers_autoencoder import DiffusersAutoencoder, DiffusersVQ
from .diffusers_dit import DiffusersDiT
from .diffusers_unet import DiffusersUNet
from .dit import DiT
from .flow_map import FlowMapNetwork
from .mlp import MLP
from .multiscale import Multiscale
from .noise_scaled import NoiseScaled
from .normals_denoiser import NormalsDenoiser
from .padded import Padded
from .rbf import RBF
from .spectral import PerClassDenoiser, SpectralDenoiser, SpectralResidual
from .unet import UNet
