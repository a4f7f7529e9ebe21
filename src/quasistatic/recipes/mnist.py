"""MNIST's 28x28 pixels of 256 grey levels."""

__all__ = ["MNIST"]

from dataclasses import dataclass, field

from ..data import mnist
from ..diffusion import Diffusion
from ..heads import Levels
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import UNet
from ..reporting import figures
from ..spaces import Quantized
from ..training.loop import Fit
from . import progress
from .experiment import Experiment, Recipe


@dataclass(frozen=True)
class MNIST(Recipe):
    """Grey digits by the Levels head: a logistic for each pixel, times what x_t
    says of it."""

    steps: int = 1000
    width: int = 24
    mixtures: int = 1
    fit: Fit = field(
        default_factory=lambda: Fit(
            steps=2000, batch=64, lr=2e-3, warmup=100, ema=0.995, validations=4, evaluations=2
        )
    )

    @property
    def reaches(self) -> str:
        return "bits per dimension on the 10000 test images"

    def build(self) -> Experiment:
        outputs = 3 * self.mixtures
        network = UNet((28, 28), self.width, (1, 2), 1, attention=(1,), outputs=outputs, patch=2)
        kernel = GaussianKernel(linear_log_snr(self.steps, 12.0, -6.0))
        space = Quantized((28, 28), 256, spread=2.0)
        model = Diffusion(space, kernel, Levels(self.mixtures), network)
        return Experiment(model, mnist(), _PICTURES)


_PICTURES = (
    (
        "Digits that the model drew",
        lambda m, x, rng: figures.image_grid(
            m.sample(64, times=100, rng=rng), (28, 28), limits=(0, 255)
        ),
    ),
    ("Where the bits are", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
    ("The first bits of an image say the most of it", progress.coded),
    ("What a sample is taken for on its way", progress.grown),
    ("Mixed under noise, and walked back", progress.mixed),
)
