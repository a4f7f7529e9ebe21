"""CIFAR-10 as DDPM trained it: 32x32 colour images of 256 levels."""

__all__ = ["CIFAR10"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class CIFAR10(Recipe):
    """DDPM App. B on CIFAR-10: a U-Net of 35.7 million weights, the simple objective, random
    reflections and the discretised decoder. It needs a GPU; `--width 32 --fit.steps 100`
    runs without one.

    Args:
        steps: T, the number of time steps of the chain.
        width: channels of the network at its finest resolution.
        dropout: dropout probability of the network.
        fit: how to train.
        given: `label` for a model of the images given their class; by default a model without a
            condition.
    """

    steps: int = 1000
    width: int = 128
    dropout: float = 0.1
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=800_000,
            batch=128,
            lr=2e-4,
            warmup=5000,
            weight_decay=0.0,
            ema=0.9999,
            validations=20,
            evaluations=2,
            save_every=120.0,
            precision="auto",
            compile="auto",
        )
    )

    given: Literal["label"] | None = field(default=None, metadata={"added": True})

    @property
    def reaches(self) -> str:
        return "at most 3.75 bits per dimension and FID 3.17 after 800000 steps (DDPM Tab. 1)"

    def build(self) -> "Experiment":
        from .experiments.cifar10 import experiment

        return experiment(self)
