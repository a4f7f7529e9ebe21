"""Static binarized MNIST: 28x28 bits, and the likelihood in nats that papers compare."""

__all__ = ["experiment"]


import torch

from ...data import binarized_mnist
from ...diffusion import Diffusion
from ...heads import Levels
from ...kernels import BinomialKernel
from ...kernels.schedules import erase_evenly
from ...networks import UNet
from ...reporting import figures
from ...spaces import Binary
from ..binarized_mnist import BinarizedMNIST
from .experiment import Experiment


def experiment(recipe: BinarizedMNIST) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    data = binarized_mnist()
    network = UNet(
        (28, 28), recipe.width, (1, 2), 1, attention=(1,), outputs=2, patch=2, framed=True
    )
    share = torch.from_numpy(data.train.mean(0)).clamp(1e-3, 1 - 1e-3)
    network.start_at(torch.stack([torch.zeros_like(share), share.logit()], -1))
    kernel = BinomialKernel(erase_evenly(recipe.steps))
    model = Diffusion(Binary((28, 28)), kernel, Levels(), network)
    return Experiment(model, data, _PICTURES)


_PICTURES = (
    (
        "Digits sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(64, rng=rng), (28, 28), limits=(0, 1), beside=x[:64]
        ),
    ),
    ("Bits of the bound by time step", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
