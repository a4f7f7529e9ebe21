"""scikit-learn's 1797 handwritten digits, 8x8 pixels of 17 grey levels."""

__all__ = ["experiment"]


from typing import Any

import numpy as np
import torch

from ...conditions import ClassLabel
from ...data import Split, digits, digits_labels, split
from ...diffusion import Diffusion
from ...distributions.mixtures.fitting import LawPerClassChoice, SpectralChoice
from ...heads import Levels
from ...kernels import GaussianKernel
from ...kernels.schedules import linear_log_snr
from ...networks import MLP
from ...reporting import figures
from ...spaces import Quantized
from ..digits import Digits
from ..spectral import spectral_law, spectral_law_per_class, spectral_model
from .baselines import gaussian_mixture, level_histograms
from .experiment import Experiment

LEVELS = 17


def experiment(recipe: Digits) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    condition = None if recipe.given is None else ClassLabel(10)
    labels = None if condition is None else split(digits_labels(), valid=0.1, test=0.2)
    if recipe.start == "law":
        return _from_law(recipe.steps, recipe.fit.seed, condition, labels)
    data = split(digits(), valid=0.1, test=0.2)
    network = MLP(
        64,
        recipe.width,
        recipe.depth,
        outputs=LEVELS,
        dropout=recipe.dropout,
        condition=0 if condition is None else condition.width,
    )
    share = np.stack([(data.train == level).mean(0) for level in range(LEVELS)], -1)
    network.start_at(torch.from_numpy(np.log(share + 1e-3)))
    kernel = GaussianKernel(linear_log_snr(recipe.steps, 7.0, -7.0))
    space = Quantized(64, LEVELS, spread=2.0)
    model = Diffusion(space, kernel, Levels(), network, condition)
    return Experiment(model, data, _PICTURES, _baselines, given=labels)


def _from_law(
    steps: int, seed: int, condition: ClassLabel | None, labels: Split[np.ndarray] | None
) -> Experiment:
    """The experiment whose model starts as a spectral law of pictures."""
    data = split(digits().reshape(-1, 8, 8), valid=0.1, test=0.2)
    space = Quantized((8, 8), LEVELS, spread=2.0)
    if condition is None or labels is None:
        found: SpectralChoice | LawPerClassChoice = spectral_law(space, data.train, seed=seed)
    else:
        found = spectral_law_per_class(space, data.train, labels.train, condition, seed=seed)
    model = spectral_model(space, found.law, steps=steps, condition=condition)
    return Experiment(model, data, _PICTURES, _baselines, given=labels, law=found)


def _baselines(data: Split[Any]) -> dict[str, np.ndarray]:
    data = Split(*(part.reshape(len(part), -1) for part in (data.train, data.valid, data.test)))
    mixture, name = gaussian_mixture(data)
    return {name: mixture, "pixel histograms": level_histograms(data, LEVELS)}


def _right_half(x: Any) -> np.ndarray:
    """Where a picture of these examples (N, 64) or (N, 8, 8) is to the right of its middle."""
    return np.tile(np.arange(8) >= 4, 8).reshape(x.shape[1:])


_PICTURES = (
    (
        "Digits sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(64, rng=rng), (8, 8), limits=(0, 16), beside=x[:64]
        ),
    ),
    (
        "Held-out digits completed from their left half",
        lambda m, x, rng: figures.completion_panel(
            m, x[:6], rng, _right_half(x), (8, 8), times=min(100, m.steps)
        ),
    ),
    ("Bits of the bound by time step", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
