"""Bark, the textures of SD15 Sec. 3.2: T = 500 steps, and a large hole to fill (SD15 Fig. 5)."""

__all__ = ["Bark"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class Bark(Recipe):
    """Random crops of bark textures, dequantised uniformly within each grey level (SD15 footnote
    3).

    Args:
        steps: T, the number of time steps of the chain.
        size: height and width of a crop, in pixels.
        width: channels of the network at its finest resolution.
        fit: how to train.
    """

    steps: int = 500
    size: int = 64
    width: int = 32
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=1000,
            batch=16,
            lr=2e-3,
            warmup=100,
            ema=0.99,
            validations=4,
            evaluations=10,
            threads=1,
        )
    )

    @property
    def reaches(self) -> str:
        return "K and K - L_null in bits a pixel on crops of held-out images"

    def build(self) -> "Experiment":
        from .experiments.bark import experiment

        return experiment(self)
