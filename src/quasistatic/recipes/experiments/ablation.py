"""DDPM's Table 2 on MNIST: what the network predicts, by which objective, with which width."""

__all__ = ["experiment"]

from collections.abc import Callable
from typing import Any

from ...data import mnist
from ...diffusion import Diffusion
from ...heads import Clean, Mean, Noise, Velocity
from ...heads.variances import FixedLarge, FixedSmall, Interpolated, Variance
from ...kernels import GaussianKernel
from ...kernels.schedules import cosine, linear
from ...networks import UNet
from ...spaces import Quantized
from ...training.objectives import Bound, Hybrid, Objective, Simple
from ..ablation import Ablation
from .experiment import Experiment

PREDICTIONS: dict[str, Callable[..., Any]] = {
    "noise": Noise,
    "clean": Clean,
    "velocity": Velocity,
    "mean": Mean,
}
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "bound": Bound,
    "simple": Simple,
    "hybrid": Hybrid,
}
VARIANCES: dict[str, Callable[[], Variance]] = {
    "small": FixedSmall,
    "large": FixedLarge,
    "interpolated": Interpolated,
}
SCHEDULES = {"linear": linear, "cosine": cosine}


def experiment(recipe: Ablation) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    head = PREDICTIONS[recipe.prediction](VARIANCES[recipe.variance]())
    shape, outputs = (28, 28), head.outputs
    network = UNet(shape, recipe.width, (1, 2), 1, attention=(1,), outputs=outputs, patch=2)
    kernel = GaussianKernel(SCHEDULES[recipe.schedule](recipe.steps))
    model = Diffusion(Quantized(shape), kernel, head, network)
    return Experiment(model, mnist(), objective=OBJECTIVES[recipe.objective]())
