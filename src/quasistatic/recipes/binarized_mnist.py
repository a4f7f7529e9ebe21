"""Static binarized MNIST: 28x28 bits, and the likelihood in nats that papers compare."""

__all__ = ["BinarizedMNIST"]

from dataclasses import dataclass, field

import torch

from ..data import binarized_mnist
from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import BinomialKernel
from ..kernels.schedules import erase_evenly
from ..networks import UNet
from ..reporting import figures
from ..spaces import Binary
from ..training.loop import Fit
from .experiment import Experiment, Recipe


@dataclass(frozen=True)
class BinarizedMNIST(Recipe):
    """Bits that are erased step by step, by a U-Net on patches of 2x2 of them."""

    steps: int = 1000
    width: int = 32
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=9000,
            batch=64,
            lr=2e-3,
            warmup=200,
            ema=0.999,
            validations=9,
            evaluations=2,
            threads=1,
        )
    )

    @property
    def reaches(self) -> str:
        return "at most 95 nats an image on the 10000 test images"

    def build(self) -> Experiment:
        data = binarized_mnist()
        network = UNet(
            (28, 28), self.width, (1, 2), 1, attention=(1,), outputs=2, patch=2, framed=True
        )
        share = torch.from_numpy(data.train.mean(0)).clamp(1e-3, 1 - 1e-3)
        network.start_at(torch.stack([torch.zeros_like(share), share.logit()], -1))
        kernel = BinomialKernel(erase_evenly(self.steps))
        model = Diffusion(Binary((28, 28)), kernel, Levels(), network)
        return Experiment(model, data, _PICTURES)


_PICTURES = (
    (
        "Digits that the model drew",
        lambda m, x, rng: figures.image_grid(m.sample(64, rng=rng), (28, 28), limits=(0, 1)),
    ),
    ("Where the bits are", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
