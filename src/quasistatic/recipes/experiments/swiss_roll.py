"""SD15's swiss roll, with the network of the paper and with one of today."""

__all__ = ["rbf_experiment", "mlp_experiment"]


import torch

from ...data import Split, roll_noise, swiss_roll
from ...diagnostics.oracles import SwissRollOracle
from ...diffusion import Diffusion
from ...heads import Natural, Velocity
from ...heads.variances import FixedLarge, Sigmoid
from ...kernels import GaussianKernel
from ...kernels.schedules import linear_log_snr
from ...networks import MLP, RBF
from ...reporting import figures
from ...spaces import Continuous
from ..swiss_roll import SwissRoll, SwissRollModern
from .experiment import Experiment


def rbf_experiment(recipe: SwissRoll) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    schedule = linear_log_snr(recipe.steps, recipe.first_log_snr, recipe.last_log_snr)
    network = RBF(2, recipe.hidden, recipe.steps, outputs=2)
    model = Diffusion(Continuous(2), GaussianKernel(schedule), Natural(Sigmoid()), network)
    return _experiment(model, recipe.noise)


def mlp_experiment(recipe: SwissRollModern) -> Experiment:
    """The model, the data and the figures of the recipe, with newly drawn weights."""
    schedule = linear_log_snr(recipe.steps, recipe.first_log_snr, recipe.last_log_snr)
    network = MLP(2, recipe.width, recipe.depth, detail=recipe.detail)
    model = Diffusion(Continuous(2), GaussianKernel(schedule), Velocity(FixedLarge()), network)
    return _experiment(model, recipe.noise)


def _experiment(model: Diffusion, noise: float) -> Experiment:
    """`noise` is scikit-learn's; the roll is then scaled to unit variance."""
    noise = roll_noise(noise)
    data = Split(*(swiss_roll(n, noise, seed) for seed, n in enumerate((100_000, 1000, 4000))))
    truth = SwissRollOracle(noise).log_prob(torch.from_numpy(data.test)).numpy()
    return Experiment(model, data, _PICTURES, truth=truth)


_PICTURES = (
    (
        "Forward process, reverse process and learned drift (SD15 Fig. 1)",
        lambda m, x, rng: figures.plane_trajectories(m, x, rng),
    ),
)
