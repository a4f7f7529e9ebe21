"""Latent diffusion in two stages: an autoencoder by its evidence, then a chain of its latents."""

__all__ = ["LatentStage", "chain_of_latents", "latent_start"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import Diffusion
from ..heads import Velocity
from ..heads.variances import FixedLarge
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import Autoencoder, DiT, UNet
from ..spaces import Latent, Space
from ..training.config import Fit
from ..training.evidence import Evidence
from .spectral import LAST, SpectralChoice, spectral_law, spectral_model

STEPS, FIRST = 100, 10.0
"""T and the first log-SNR of the chain of standard normal latents, which the first stage scores."""

FOR_LAW = 4096
"""Examples to whose latents the spectral law is fitted, at most."""


@dataclass(frozen=True)
class LatentStage:
    """The first stage of latent diffusion: the training of an autoencoder.

    Args:
        model: whose space has the autoencoder. Its chain is that of standard normal latents, so
            that its bound is the evidence.
        objective: with the weight of the rate.
        fit: how to train.
        second: builds the model of the second stage from the trained one, and the law of its
            latents.
    """

    model: Diffusion
    objective: Evidence
    fit: Fit
    second: Callable[[Diffusion], tuple[Diffusion, SpectralChoice]]


def latent_start(
    raw: Space,
    examples: Tensor,
    *,
    channels: int = 16,
    down: int = 8,
    width: int = 96,
    blocks: int = 2,
    axes: int | None = None,
) -> Diffusion:
    """A model whose autoencoder starts at the principal components of patches, and whose chain is
    that of standard normal latents.

    Args:
        raw: the space of the raw data.
        examples: raw data to find the components of, an array (N, *shape).
        channels: of the latents.
        down: by how much their sides are shorter than those of the data.
        width: channels inside the autoencoder.
        blocks: residual blocks in the encoder, and in the decoder.
        axes: how many of the last axes are places.

    Raises:
        ValueError: if `down` does not divide the sides.
    """
    coder = Autoencoder(raw.shape, channels, down, width, blocks, axes)
    x = raw.encode(raw.check(examples).float())
    levels = raw.levels
    floor = 0.0 if levels is None else float(levels[1] - levels[0]) ** 2 / 12
    space = Latent(coder.start_at(x, floor, levels is not None), raw)
    # The output of a U-Net starts at zero: with this head, the exact chain of a standard normal.
    network = UNet(space.state, 4, (1,), 1, attention=(), axes=axes)
    kernel = GaussianKernel(linear_log_snr(STEPS, FIRST, LAST))
    return Diffusion(space, kernel, Velocity(FixedLarge()), network)


def chain_of_latents(
    model: Diffusion,
    examples: Tensor,
    *,
    steps: int = 1000,
    width: int = 24,
    network: type[UNet] | type[DiT] = UNet,
    axes: int | None = None,
    components: int | None = None,
    attention: bool = True,
    seed: int = 0,
) -> tuple[Diffusion, SpectralChoice]:
    """The model of the second stage: its latents have variance one for each channel, by the
    statistics of the examples, and its chain starts as their spectral law.

    Args:
        model: of the first stage, trained. Its autoencoder becomes that of the result.
        examples: raw data, an array (N, *shape), of the training data.
        steps: T of the chain.
        width: channels of the network.
        network: the kind of network that corrects the law.
        axes: how many of the last axes are places.
        components: of the spectral law; None to choose by held-out examples. Few make it fast.
        attention: see :func:`spectral_model`.
        seed: of the draws of latents and of the law.
    """
    space = model.space
    if not isinstance(space, Latent):
        raise TypeError(f"the first stage trains a Latent space, got {type(space).__name__}")
    rng = torch.Generator().manual_seed(seed)
    checked = space.check(examples)
    x_0 = torch.cat([space.encode(rows.float(), rng) for _, rows in model.chunks(checked)])
    flat = x_0.transpose(0, 1).flatten(1).double()
    space.autoencoder.standardize(flat.mean(1), flat.std(1))
    found = spectral_law(space, examples, axes=axes, components=components, seed=seed)
    made = spectral_model(
        space,
        found.law,
        steps=steps,
        width=width,
        network=network,
        axes=axes,
        attention=attention,
    )
    return made, found
