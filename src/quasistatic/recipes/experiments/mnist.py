"""MNIST's 28x28 pixels of 256 grey levels."""

__all__ = ["experiment"]


from ...conditions import ClassLabel
from ...data import mnist, mnist_labels
from ...diffusion import Diffusion
from ...distributions.mixtures.fitting import LawPerClassChoice, SpectralChoice
from ...heads import Levels
from ...kernels import GaussianKernel
from ...kernels.schedules import linear_log_snr
from ...networks import UNet
from ...reporting import figures
from ...spaces import Quantized
from ..mnist import MNIST
from ..spectral import NETWORKS, spectral_law, spectral_law_per_class, spectral_model
from . import pictures
from .experiment import Experiment

FOR_LAW = 20_000
"""Training images to which the spectral law is fitted."""


def experiment(recipe: MNIST) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    outputs, data = 3 * recipe.mixtures, mnist()
    condition = None if recipe.given is None else ClassLabel(10)
    labels = None if condition is None else mnist_labels()
    space = Quantized((28, 28), 256, spread=2.0)
    if recipe.start == "law":
        examples, seed = data.train[:FOR_LAW], recipe.fit.seed
        if condition is None or labels is None:
            found: SpectralChoice | LawPerClassChoice = spectral_law(space, examples, seed=seed)
        else:
            found = spectral_law_per_class(
                space, examples, labels.train[:FOR_LAW], condition, seed=seed
            )
        model = spectral_model(
            space,
            found.law,
            steps=recipe.steps,
            width=recipe.width,
            network=NETWORKS[recipe.network],
            condition=condition,
        )
        return Experiment(model, data, _PICTURES, given=labels, law=found)
    network = UNet(
        (28, 28),
        recipe.width,
        (1, 2),
        1,
        attention=(1,),
        outputs=outputs,
        patch=2,
        condition=0 if condition is None else condition.width,
    )
    kernel = GaussianKernel(linear_log_snr(recipe.steps, 12.0, -6.0))
    model = Diffusion(space, kernel, Levels(recipe.mixtures), network, condition)
    return Experiment(model, data, _PICTURES, given=labels)


_PICTURES = (
    (
        "Digits sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(64, times=min(100, m.steps), rng=rng), (28, 28), limits=(0, 255), beside=x[:64]
        ),
    ),
    ("Bits of the bound by time step", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
    ("Rate and distortion of progressive decoding", pictures.coded),
    ("The estimate of x_0 during sampling", pictures.grown),
    ("Interpolation between images at a noise level", pictures.mixed),
)
