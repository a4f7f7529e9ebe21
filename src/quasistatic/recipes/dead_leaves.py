"""Dead leaves: 32x32 pixels of disks that hide one another, and the noise that makes a density."""

__all__ = ["DeadLeaves"]

from dataclasses import dataclass, field

from ..data import Split, dead_leaves
from ..diffusion import Diffusion
from ..heads import Velocity
from ..heads.variances import Interpolated
from ..kernels import GaussianKernel
from ..kernels.schedules import linear_log_snr
from ..networks import UNet
from ..reporting import figures
from ..spaces import Continuous
from ..training.loop import Fit
from .experiment import Experiment, Recipe


@dataclass(frozen=True)
class DeadLeaves(Recipe):
    """Leaves of SD15's kind, though not SD15's own, by a U-Net that says the velocity and its
    spread. The first log-SNR, 11, has 600 times less noise than the data at 0.1: the edge then
    costs log2(1 + 1/600) / 2 = 0.001 bits a pixel."""

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

    def build(self) -> Experiment:
        law = {"smallest": self.smallest, "largest": self.largest, "noise": self.noise}
        images = [dead_leaves(n, 32, seed=i, **law) for i, n in enumerate((20_000, 1000, 2000))]
        network = UNet((32, 32), self.width, (1, 2, 2), 1, attention=(), outputs=2)
        schedule = linear_log_snr(self.steps, self.first_log_snr, self.last_log_snr)
        head = Velocity(Interpolated())
        # The data come with mean 0 and variance 1: raw values are x_0.
        model = Diffusion(Continuous((32, 32)), GaussianKernel(schedule), head, network)
        return Experiment(model, Split(*images), _PICTURES)


_PICTURES = (
    (
        "Leaves that the model drew",
        lambda m, x, rng: figures.image_grid(m.sample(64, rng=rng), (32, 32), limits=(-2, 2)),
    ),
    ("Where the bits are", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
