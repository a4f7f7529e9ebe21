"""Bark through an autoencoder: crops of 128x128 pixels and larger, by latent diffusion."""

__all__ = ["experiment"]


import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...data import bark
from ...data.crops import Crops
from ...diffusion import Diffusion
from ...reporting import figures
from ...sampling import SMC
from ...spaces import Quantized
from ...training.evidence import Evidence
from ..latent import LatentStage, chain_of_latents, latent_start
from ..latent_bark import LatentBark
from ..spectral import NETWORKS, SpectralChoice
from .bark import SPREAD
from .experiment import Experiment

CROPS = 4
"""Crops of each held-out image."""

FOR_START, FOR_LAW = 256, 1024
"""Crops whose patches give the first autoencoder, and crops whose latents give the law."""


def experiment(recipe: LatentBark) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    data = bark(recipe.size, crops=CROPS)
    raw = Quantized((recipe.size, recipe.size), 256, spread=SPREAD)
    seed = recipe.fit.seed
    model = latent_start(
        raw,
        _some(data.train, FOR_START, seed),
        channels=recipe.channels,
        down=recipe.down,
        width=recipe.inside,
    )

    def second(trained: Diffusion) -> tuple[Diffusion, SpectralChoice]:
        return chain_of_latents(
            trained,
            _some(data.train, FOR_LAW, seed),
            steps=recipe.steps,
            width=recipe.width,
            network=NETWORKS[recipe.network],
            components=recipe.components,
            attention=False,
            seed=seed,
        )

    stage = LatentStage(model, Evidence(recipe.rate), recipe.coder, second)
    return Experiment(model, data, _PICTURES, first=stage)


def _some(crops: Crops, count: int, seed: int) -> Tensor:
    """Some crops, spread evenly over an epoch."""
    rows = torch.arange(0, len(crops), max(1, len(crops) // count))
    return crops.batch(rows, torch.Generator().manual_seed(seed))


def _hole(model: Diffusion, x: np.ndarray, rng: torch.Generator) -> Figure:
    """A hole of 100 x 100 in held-out crops of 128 x 128, filled by the weighted walk."""
    hidden = np.zeros((128, 128), dtype=bool)
    hidden[14:114, 14:114] = True
    crops = bark(128, crops=CROPS).test[:: 4 * CROPS][:3]
    wide = model.resized((128, 128)) if model.space.shape != (128, 128) else model
    return figures.completion_panel(wide, crops, rng, hidden, draws=4, method=SMC(8), times=100)


_PICTURES = (
    (
        "Textures sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(16, times=100, rng=rng), m.space.shape, limits=(0, 255), beside=x[:16]
        ),
    ),
    ("A hole of 100 x 100 pixels, filled (SD15 Fig. 5)", _hole),
    (
        "Bits of the bound of the latents by time step",
        lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=16),
    ),
)
