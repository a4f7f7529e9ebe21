"""MNIST's 28x28 pixels of 256 grey levels."""

__all__ = ["MNIST"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class MNIST(Recipe):
    """Grey MNIST digits by the Levels head: a logistic distribution for each pixel times the exact
    likelihood of the noisy pixel.

    Args:
        steps: T, the number of time steps of the chain.
        width: channels of the network at its finest resolution.
        mixtures: logistic components for each pixel.
        fit: how to train.
        given: `label` for a model of the images given their class; by default a model without a
            condition.
        start: `law` for a model that starts as the spectral law of the images, which the network
            corrects, or with `given` as one law for each class; by default the network learns
            all.
        network: `dit` for a transformer over patches in place of the U-Net; it needs the start.
    """

    steps: int = 1000
    width: int = 24
    mixtures: int = 1
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=2000, batch=64, lr=2e-3, warmup=100, ema=0.995, validations=4, evaluations=2
        )
    )

    given: Literal["label"] | None = field(default=None, metadata={"added": True})
    start: Literal["none", "law"] = field(default="none", metadata={"added": True})
    network: Literal["unet", "dit"] = field(default="unet", metadata={"added": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network == "dit" and self.start == "none":
            raise ValueError("a transformer corrects a law: give --start law with --network dit")

    @property
    def reaches(self) -> str:
        return "bits per dimension on the 10000 test images"

    def build(self) -> "Experiment":
        from .experiments.mnist import experiment

        return experiment(self)
