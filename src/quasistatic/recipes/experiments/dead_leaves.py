"""Dead leaves: 32x32 pixels of disks that hide one another, and the noise that makes a density."""

__all__ = ["experiment"]


from ...data import Split, dead_leaves
from ...diffusion import Diffusion
from ...heads import Velocity
from ...heads.variances import Interpolated
from ...kernels import GaussianKernel
from ...kernels.schedules import linear_log_snr
from ...networks import UNet
from ...reporting import figures
from ...spaces import Continuous
from ..dead_leaves import DeadLeaves
from .experiment import Experiment


def experiment(recipe: DeadLeaves) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    law = {"smallest": recipe.smallest, "largest": recipe.largest, "noise": recipe.noise}
    images = [dead_leaves(n, 32, seed=i, **law) for i, n in enumerate((20_000, 1000, 2000))]
    network = UNet((32, 32), recipe.width, (1, 2, 2), 1, attention=(), outputs=2)
    schedule = linear_log_snr(recipe.steps, recipe.first_log_snr, recipe.last_log_snr)
    head = Velocity(Interpolated())
    # The data come with mean 0 and variance 1: raw values are x_0.
    model = Diffusion(Continuous((32, 32)), GaussianKernel(schedule), head, network)
    return Experiment(model, Split(*images), _PICTURES)


_PICTURES = (
    (
        "Images sampled from the model",
        lambda m, x, rng: figures.image_grid(
            m.sample(64, rng=rng), (32, 32), limits=(-2, 2), beside=x[:64]
        ),
    ),
    ("Bits of the bound by time step", lambda m, x, rng: figures.bits_by_time(m, x, rng)),
)
