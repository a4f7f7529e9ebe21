"""Static binarized MNIST: 28x28 bits, and the likelihood in nats that papers compare."""

__all__ = ["BinarizedMNIST"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class BinarizedMNIST(Recipe):
    """Static binarized MNIST: bits are erased step by step, and a U-Net on patches of 2x2 pixels
    predicts them.

    Args:
        steps: T, the number of time steps of the chain.
        width: channels of the network at its finest resolution.
        fit: how to train.
    """

    steps: int = 1000
    width: int = 32
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=9000,
            batch=64,
            lr=2e-3,
            warmup=200,
            ema=0.999,
            validations=9,
            evaluations=2,
            threads=1,
        )
    )

    @property
    def reaches(self) -> str:
        return "at most 95 nats an image on the 10000 test images"

    def build(self) -> "Experiment":
        from .experiments.binarized_mnist import experiment

        return experiment(self)
