"""CIFAR-10 as DDPM trained it: 32x32 colour images of 256 levels."""

__all__ = ["experiment"]


from ...conditions import ClassLabel
from ...data import Flips, Split, cifar10, cifar10_labels
from ...diffusion import Diffusion
from ...heads import Noise
from ...heads.variances import FixedLarge
from ...kernels import GaussianKernel
from ...kernels.schedules import linear
from ...networks import UNet
from ...reporting import figures
from ...spaces import Quantized
from ...training.objectives import Simple
from ..cifar10 import CIFAR10
from . import pictures
from .experiment import Experiment

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
"""The names of the labels."""


def experiment(recipe: CIFAR10) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    data = cifar10()
    condition = None if recipe.given is None else ClassLabel(10, CLASSES)
    width = 0 if condition is None else condition.width
    network = UNet((3, 32, 32), recipe.width, dropout=recipe.dropout, condition=width)
    kernel = GaussianKernel(linear(recipe.steps))
    space, head = Quantized((3, 32, 32)), Noise(FixedLarge())
    model = Diffusion(space, kernel, head, network, condition)
    labels = None if condition is None else cifar10_labels()
    views = Split(Flips(data.train), data.valid, data.test)
    return Experiment(model, views, _PICTURES, objective=Simple(), given=labels)


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
    ("Rate and distortion of progressive decoding", pictures.coded),
    ("The estimate of x_0 during sampling", pictures.grown),
    ("Interpolation between images at a noise level", pictures.mixed),
)
