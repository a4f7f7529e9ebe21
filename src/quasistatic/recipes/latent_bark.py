"""Bark through an autoencoder: crops of 128x128 pixels and larger, by latent diffusion."""

__all__ = ["LatentBark"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class LatentBark(Recipe):
    """Random crops of bark textures as latents of an autoencoder (RBLEO22), scored in bits a pixel.

    The autoencoder is trained first, then the chain of its latents, which starts as their spectral
    law.

    Args:
        steps: T, the number of time steps of the chain.
        size: height and width of a crop, in pixels, a multiple of `down`.
        channels: of the latents.
        down: by how much the sides of the latents are shorter.
        inside: channels inside the autoencoder.
        rate: the weight of the latents' rate in the training of the autoencoder; 1 is the bound.
        components: of the spectral law of the latents. On validation crops 4 have 0.001 bits a
            pixel more than 8, and take half of the time.
        width: channels of the chain's U-Net, or a sixth of the width of a transformer.
        network: the kind of network that corrects the law of the latents.
        coder: how to train the autoencoder.
        fit: how to train the chain's network.
    """

    steps: int = 500
    size: int = 128
    channels: int = 16
    down: int = 8
    inside: int = 96
    rate: float = 1.0
    components: int = 4
    width: int = 16
    network: Literal["unet", "dit"] = "unet"
    coder: Fit = field(
        default_factory=lambda: Fit(
            steps=2500,
            batch=8,
            lr=1e-3,
            warmup=50,
            ema=0.995,
            validations=5,
            evaluations=1,
            threads=1,
        )
    )
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=1500,
            batch=16,
            lr=2e-3,
            warmup=50,
            ema=0.99,
            validations=5,
            evaluations=8,
            threads=1,
        )
    )

    @property
    def reaches(self) -> str:
        return "bits a pixel on crops of held-out images, beside the pixels' own chain"

    def build(self) -> "Experiment":
        from .experiments.latent_bark import experiment

        return experiment(self)
