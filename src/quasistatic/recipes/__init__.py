"""Recipes: experiments by name. Each is a frozen dataclass whose fields the command line overrides.

This module imports nothing heavy: a recipe builds its model from `recipes/experiments` when it is
asked to.
"""

__all__ = [
    "RECIPES",
    "Ablation",
    "Bark",
    "BinarizedMNIST",
    "CIFAR10",
    "DeadLeaves",
    "DiTCIFAR10",
    "DiTMNIST",
    "Digits",
    "Experiment",
    "Heartbeat",
    "LatentBark",
    "MNIST",
    "OwnImages",
    "OwnSignals",
    "Recipe",
    "SwissRoll",
    "SwissRollModern",
]

from typing import TYPE_CHECKING

from .._utils.lazy import lazy_names
from .ablation import Ablation
from .bark import Bark
from .binarized_mnist import BinarizedMNIST
from .cifar10 import CIFAR10
from .dead_leaves import DeadLeaves
from .digits import Digits
from .dit import DiTCIFAR10, DiTMNIST
from .heartbeat import Heartbeat
from .latent_bark import LatentBark
from .mnist import MNIST
from .recipe import Recipe
from .swiss_roll import SwissRoll, SwissRollModern

if TYPE_CHECKING:
    from .experiments.experiment import Experiment
    from .own_images import OwnImages
    from .own_signals import OwnSignals

RECIPES: dict[str, type[Recipe]] = {
    "swiss-roll": SwissRoll,
    "swiss-roll-modern": SwissRollModern,
    "heartbeat": Heartbeat,
    "digits": Digits,
    "binarized-mnist": BinarizedMNIST,
    "mnist": MNIST,
    "ablation": Ablation,
    "bark": Bark,
    "latent-bark": LatentBark,
    "dead-leaves": DeadLeaves,
    "cifar10": CIFAR10,
    "dit-mnist": DiTMNIST,
    "dit-cifar10": DiTCIFAR10,
    "ddpm-mnist": Ablation,  # its defaults are DDPM's choices: noise, the simple objective
    "ddpm-cifar10": CIFAR10,
}
"""The recipes of `quasistatic train`, by name. Two of them also have the names by which people look
for DDPM."""

__getattr__ = lazy_names(
    __name__,
    {
        "experiments.experiment": "Experiment",
        "own_images": "OwnImages",
        "own_signals": "OwnSignals",
    },
)
