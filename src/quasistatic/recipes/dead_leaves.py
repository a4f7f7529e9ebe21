"""Dead leaves: 32x32 pixels of disks that hide one another, and the noise that makes a density."""

__all__ = ["DeadLeaves"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..training.config import Fit
from .recipe import Recipe

if TYPE_CHECKING:
    from .experiments.experiment import Experiment


@dataclass(frozen=True)
class DeadLeaves(Recipe):
    """Dead leaves like those of SD15 (not SD15's own files), by a U-Net that predicts the velocity
    and its variance. At the first log-SNR, 11, the noise variance is 600 times smaller than
    that of the data's own noise of 0.1: the last step then costs log2(1 + 1/600) / 2 = 0.001
    bits a pixel.

    Args:
        noise: standard deviation of the noise that is added to the images.
        smallest: smallest radius of a disk, in pixels.
        largest: largest radius of a disk, in pixels.
        steps: T, the number of time steps of the chain.
        first_log_snr: log signal-to-noise ratio at time 1.
        last_log_snr: log signal-to-noise ratio at time T.
        width: channels of the network at its finest resolution.
        fit: how to train.
    """

    noise: float = 0.1
    smallest: float = 2.0
    largest: float = 32.0
    steps: int = 1000
    first_log_snr: float = 11.0
    last_log_snr: float = -6.0
    width: int = 16
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=3600,
            batch=16,
            lr=3e-3,
            warmup=100,
            weight_decay=0.0,
            ema=0.995,
            validations=3,
            evaluations=2,
            threads=1,
        )
    )

    @property
    def reaches(self) -> str:
        return (
            "-0.41 bits per dimension in 4 minutes of one thread; at noise 0.1 none is below -1.275"
        )

    def build(self) -> "Experiment":
        from .experiments.dead_leaves import experiment

        return experiment(self)
