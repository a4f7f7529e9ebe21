"""DDPM's Table 2 on MNIST: what the network predicts, by which objective, with which width."""

__all__ = ["Ablation"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class Ablation(Recipe):
    """One cell of DDPM's Table 2 on MNIST; `benchmarks/ablation.py` trains all cells.

    Args:
        prediction: what the network predicts.
        objective: the loss to minimise.
        variance: the variance of a reverse step.
        schedule: the noise schedule.
        steps: T, the number of time steps of the chain.
        width: channels of the network at its finest resolution.
        fit: how to train.
    """

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

    def build(self) -> "Experiment":
        from .experiments.ablation import experiment

        return experiment(self)
