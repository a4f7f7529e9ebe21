"""SD15's binary heartbeat: 20 bits with a 1 in every fifth place."""

__all__ = ["experiment"]

import math

import numpy as np

from ...data import Split, heartbeat
from ...diffusion import Diffusion
from ...heads import Clean
from ...kernels import BinomialKernel
from ...kernels.schedules import erase_evenly
from ...networks import MLP
from ...reporting import figures
from ...spaces import Binary
from ..heartbeat import Heartbeat
from .experiment import Experiment


def experiment(recipe: Heartbeat) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    kernel = BinomialKernel(erase_evenly(recipe.steps), mean=recipe.mean)
    network = MLP(20, recipe.width, recipe.depth)
    model = Diffusion(Binary(20), kernel, Clean(), network)
    data = Split(heartbeat(4096, seed=0), heartbeat(512, seed=1), heartbeat(2000, seed=2))
    return Experiment(model, data, _PICTURES, truth=np.full(2000, -math.log(5)))


_PICTURES = (
    (
        "Forward process, reverse process and learned drift (SD15 Fig. 2)",
        lambda m, x, rng: figures.bit_trajectories(m, x, rng),
    ),
)
