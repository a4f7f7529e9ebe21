"""DDPM's Table 2 on MNIST: what the network predicts, by which objective, with which width."""

__all__ = ["Ablation"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..data import mnist
from ..diffusion import Diffusion
from ..heads import Clean, Mean, Noise, Velocity
from ..heads.variances import FixedLarge, FixedSmall, Interpolated, Variance
from ..kernels import GaussianKernel
from ..kernels.schedules import cosine, linear
from ..networks import UNet
from ..spaces import Quantized
from ..training.loop import Fit
from ..training.objectives import Bound, Hybrid, Objective, Simple
from .experiment import Experiment, Recipe

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


@dataclass(frozen=True)
class Ablation(Recipe):
    """One cell of the table; `benchmarks/ablation.py` trains them all."""

    prediction: Literal["noise", "clean", "velocity", "mean"] = "noise"
    objective: Literal["bound", "simple", "hybrid"] = "simple"
    variance: Literal["small", "large", "interpolated"] = "large"
    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = 1000
    width: int = 16
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=400, batch=64, lr=2e-3, warmup=50, ema=0.99, validations=0, threads=1
        )
    )

    @property
    def reaches(self) -> str:
        return "one cell of DDPM Tab. 2, in bits per dimension on MNIST"

    def build(self) -> Experiment:
        head = PREDICTIONS[self.prediction](VARIANCES[self.variance]())
        shape, outputs = (28, 28), head.outputs
        network = UNet(shape, self.width, (1, 2), 1, attention=(1,), outputs=outputs, patch=2)
        kernel = GaussianKernel(SCHEDULES[self.schedule](self.steps))
        model = Diffusion(Quantized(shape), kernel, head, network)
        return Experiment(model, mnist(), objective=OBJECTIVES[self.objective]())
