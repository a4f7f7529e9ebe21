"""SD15's binary heartbeat: 20 bits with a 1 in every fifth place."""

__all__ = ["Heartbeat"]

import math
from dataclasses import dataclass, field

import numpy as np

from ..data import Split, heartbeat
from ..diffusion import Diffusion
from ..heads import Clean
from ..kernels import BinomialKernel
from ..kernels.schedules import erase_evenly
from ..networks import MLP
from ..reporting import figures
from ..spaces import Binary
from ..training.loop import Fit
from .experiment import Experiment, Recipe


@dataclass(frozen=True)
class Heartbeat(Recipe):
    """SD15 D.1.2: T = 2000 steps that erase evenly, mean activity 0.2, three hidden layers of 50
    units (each with a skip connection, and told the time, where the paper has a read-out of its
    own for each time)."""

    steps: int = 2000
    mean: float = 0.2
    width: int = 50
    depth: int = 3
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=7000, lr=4e-3, batch=256, ema=0.998, weight_decay=0.0, validations=10, threads=1
        )
    )

    @property
    def reaches(self) -> str:
        return "K of at least -2.335 bits a sequence; the truth is log2(1/5) = -2.322"

    def build(self) -> Experiment:
        kernel = BinomialKernel(erase_evenly(self.steps), mean=self.mean)
        network = MLP(20, self.width, self.depth)
        model = Diffusion(Binary(20), kernel, Clean(), network)
        data = Split(heartbeat(4096, seed=0), heartbeat(512, seed=1), heartbeat(2000, seed=2))
        return Experiment(model, data, _PICTURES, truth=np.full(2000, -math.log(5)))


_PICTURES = (
    (
        "Forward process, reverse process and learned drift (SD15 Fig. 2)",
        lambda m, x, rng: figures.bit_trajectories(m, x, rng),
    ),
)
