"""Bark, the textures of SD15 Sec. 3.2: T = 500 steps, and a large hole to fill (SD15 Fig. 5)."""

__all__ = ["experiment"]


import numpy as np
import torch
from matplotlib.figure import Figure

from ...data import bark
from ...diffusion import Diffusion
from ...heads import Velocity
from ...heads.variances import Interpolated
from ...kernels import GaussianKernel
from ...kernels.schedules import linear_log_snr
from ...networks import UNet
from ...reporting import figures
from ...sampling import Guided
from ...spaces import Dequantized
from ..bark import Bark
from .experiment import Experiment


def experiment(recipe: Bark) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    shape = (recipe.size, recipe.size)
    head = Velocity(Interpolated())
    network = UNet(shape, recipe.width, (1, 1, 2), 1, attention=(), outputs=2, patch=2)
    kernel = GaussianKernel(linear_log_snr(recipe.steps, 10.0, -6.0))
    model = Diffusion(Dequantized(shape, 256, spread=SPREAD), kernel, head, network)
    return Experiment(model, bark(recipe.size), _PICTURES)


SPREAD = 2.84
"""Gives the grey values of the training crops about unit variance on the x_0 scale."""


def _hole(model: Diffusion, x: np.ndarray, rng: torch.Generator) -> Figure:
    """A hole of 100 x 100 in held-out crops of 128 x 128, walked by SD15's replacement: one
    particle a draw, an approximation of the posterior."""
    crops = bark(128).test[::70][:3]
    hidden = np.zeros((128, 128), dtype=bool)
    hidden[14:114, 14:114] = True
    wide = model.resized((128, 128))
    return figures.completion_panel(wide, crops, rng, hidden, draws=4, method=Guided("matched"))


_PICTURES = (
    (
        "Textures sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(16, rng=rng), m.space.shape, limits=(0, 255), beside=x[:16]
        ),
    ),
    ("A hole of 100 x 100 pixels in larger crops, filled (SD15 Fig. 5)", _hole),
    (
        "Bits of the bound by time step",
        lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=64),
    ),
)
