"""scikit-learn's 1797 handwritten digits, 8x8 pixels of 17 grey levels."""

__all__ = ["Digits"]

from dataclasses import dataclass, field

import numpy as np
import torch

from ..data import Split, digits, split
from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import MLP
from ..reporting import figures
from ..spaces import Quantized
from ..training.loop import Fit
from .baselines import gaussian_mixture, level_histograms
from .experiment import Experiment, Recipe

LEVELS = 17


@dataclass(frozen=True)
class Digits(Recipe):
    """Real digits by the Levels head: the network's word on each pixel, times what x_t says."""

    steps: int = 1000
    width: int = 384
    depth: int = 3
    dropout: float = 0.4
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=600, weight_decay=0.1, validations=12, patience=3, evaluations=40
        )
    )

    @property
    def reaches(self) -> str:
        return "at most 2.05 bits per dimension on the 359 test digits"

    def build(self) -> Experiment:
        data = split(digits(), valid=0.1, test=0.2)
        network = MLP(64, self.width, self.depth, outputs=LEVELS, dropout=self.dropout)
        share = np.stack([(data.train == level).mean(0) for level in range(LEVELS)], -1)
        network.start_at(torch.from_numpy(np.log(share + 1e-3)))
        kernel = GaussianKernel(linear_log_snr(self.steps, 7.0, -7.0))
        model = Diffusion(Quantized(64, LEVELS, spread=2.0), kernel, Levels(), network)
        return Experiment(model, data, _PICTURES, _baselines)


def _baselines(data: Split) -> dict[str, np.ndarray]:
    mixture, name = gaussian_mixture(data)
    return {name: mixture, "pixel histograms": level_histograms(data, LEVELS)}


_PICTURES = (
    (
        "Digits that the model drew",
        lambda m, x, rng: figures.image_grid(m.sample(64, rng=rng), (8, 8), limits=(0, 16)),
    ),
    (
        "Held-out digits completed from their left half",
        lambda m, x, rng: figures.completion_panel(
            m, x[:6], rng, np.tile(np.arange(8) >= 4, 8), (8, 8), times=100
        ),
    ),
    ("Where the bits are", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
