"""SD15's binary heartbeat: 20 bits with a 1 in every fifth place."""

__all__ = ["Heartbeat"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class Heartbeat(Recipe):
    """SD15 D.1.2: T = 2000 steps that erase evenly, mean activity 0.2, three hidden layers of 50
    units. Unlike the paper's network, each layer has a skip connection and the time is an
    input.

    Args:
        steps: T, the number of time steps of the chain.
        mean: probability of a 1 under the stationary distribution.
        width: hidden units of the network.
        depth: hidden layers of the network.
        fit: how to train.
    """

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

    def build(self) -> "Experiment":
        from .experiments.heartbeat import experiment

        return experiment(self)
