"""CIFAR-10 by a transformer that corrects the spectral law of the images."""

__all__ = ["experiment"]


from ...data import Flips, Split, cifar10
from ...reporting import figures
from ...spaces import Quantized
from ..dit import DiTCIFAR10
from ..spectral import NETWORKS, spectral_law, spectral_model
from .experiment import Experiment

FOR_LAW = 20_000
"""Training images to which the spectral law is fitted."""


def experiment(recipe: DiTCIFAR10) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    data = cifar10()
    space = Quantized((3, 32, 32), 256, spread=2.0)
    found = spectral_law(space, data.train[:FOR_LAW], seed=recipe.fit.seed)
    kind = NETWORKS[recipe.network]
    model = spectral_model(space, found.law, steps=recipe.steps, width=recipe.width, network=kind)
    views = Split(Flips(data.train), data.valid, data.test)
    return Experiment(model, views, _PICTURES, law=found)


_PICTURES = (
    (
        "Images sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(36, times=min(100, m.steps), rng=rng),
            (3, 32, 32),
            limits=(0, 255),
            beside=x[:36],
        ),
    ),
    (
        "Bits of the bound by time step",
        lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=64),
    ),
)
