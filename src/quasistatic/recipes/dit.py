"""Diffusion transformers that correct a spectral law: MNIST and CIFAR-10."""

__all__ = ["DiTCIFAR10", "DiTMNIST"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .mnist import MNIST
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class DiTMNIST(MNIST):
    """Grey MNIST digits by a transformer over patches (PX23), which corrects the spectral law of
    the images. It is `mnist --start law --network dit`.

    Args:
        steps: T, the number of time steps of the chain.
        width: a sixth of the width of the transformer.
        mixtures: not used by this start.
        fit: how to train.
        given: `label` for a model of the images given their class.
        start: always `law`.
        network: `unet` for a U-Net in place of the transformer.
    """

    start: Literal["none", "law"] = "law"
    network: Literal["unet", "dit"] = "dit"


@dataclass(frozen=True)
class DiTCIFAR10(Recipe):
    """CIFAR-10 in 256 levels by a transformer over patches (PX23), which corrects the spectral law
    of the images. It needs a GPU; `--width 4 --fit.steps 100` runs without one.

    Args:
        steps: T, the number of time steps of the chain.
        width: a sixth of the width of the transformer.
        fit: how to train.
        network: `unet` for a U-Net in place of the transformer.
    """

    steps: int = 1000
    width: int = 64
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=200_000,
            batch=128,
            lr=5e-4,
            warmup=2000,
            ema=0.9999,
            validations=20,
            evaluations=4,
            save_every=120.0,
            precision="auto",
            compile="auto",
        )
    )
    network: Literal["unet", "dit"] = "dit"

    @property
    def reaches(self) -> str:
        return "bits per dimension on the 10000 test images"

    def build(self) -> "Experiment":
        from .experiments.dit import experiment

        return experiment(self)
