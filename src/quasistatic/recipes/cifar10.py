"""CIFAR-10 as DDPM trained it: 32x32 colour images of 256 levels."""

__all__ = ["CIFAR10"]

from dataclasses import dataclass, field

from ..data import Flips, Split, cifar10
from ..diffusion import Diffusion
from ..heads import Noise
from ..heads.variances import FixedLarge
from ..kernels import GaussianKernel
from ..kernels.schedules import linear
from ..networks import UNet
from ..reporting import figures
from ..spaces import Quantized
from ..training.loop import Fit
from ..training.objectives import Simple
from . import progress
from .experiment import Experiment, Recipe


@dataclass(frozen=True)
class CIFAR10(Recipe):
    """DDPM App. B: a U-Net of 35.7 million weights, the noise by the simple objective, random
    reflections, the discretised decoder. It needs a GPU; `--width 32 --fit.steps 100` does not."""

    steps: int = 1000
    width: int = 128
    dropout: float = 0.1
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=800_000,
            batch=128,
            lr=2e-4,
            warmup=5000,
            weight_decay=0.0,
            ema=0.9999,
            validations=20,
            evaluations=2,
            save_every=120.0,
            precision="auto",
            compile="auto",
        )
    )

    @property
    def reaches(self) -> str:
        return "at most 3.75 bits per dimension and FID 3.17 after 800000 steps (DDPM Tab. 1)"

    def build(self) -> Experiment:
        data = cifar10()
        network = UNet((3, 32, 32), self.width, dropout=self.dropout)
        kernel = GaussianKernel(linear(self.steps))
        model = Diffusion(Quantized((3, 32, 32)), kernel, Noise(FixedLarge()), network)
        views = Split(Flips(data.train), data.valid, data.test)
        return Experiment(model, views, _PICTURES, objective=Simple())


_PICTURES = (
    (
        "Images that the model drew",
        lambda m, x, rng: figures.image_grid(
            m.sample(36, times=100, rng=rng), (3, 32, 32), limits=(0, 255)
        ),
    ),
    ("Where the bits are", lambda m, x, rng: figures.bits_by_time(m, x, rng, examples=64)),
    ("The first bits of an image say the most of it", progress.coded),
    ("What a sample is taken for on its way", progress.grown),
    ("Mixed under noise, and walked back", progress.mixed),
)
