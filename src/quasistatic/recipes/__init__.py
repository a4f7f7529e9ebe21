"""Recipes: experiments as plain Python. Each is a frozen dataclass whose fields may be overridden
by name, and whose `build` makes real objects."""

__all__ = [
    "RECIPES",
    "Ablation",
    "Bark",
    "BinarizedMNIST",
    "CIFAR10",
    "DeadLeaves",
    "Digits",
    "Experiment",
    "Heartbeat",
    "MNIST",
    "OwnImages",
    "Recipe",
    "SwissRoll",
    "SwissRollModern",
]

from .ablation import Ablation
from .bark import Bark
from .binarized_mnist import BinarizedMNIST
from .cifar10 import CIFAR10
from .dead_leaves import DeadLeaves
from .digits import Digits
from .experiment import Experiment, Recipe
from .heartbeat import Heartbeat
from .mnist import MNIST
from .own_images import OwnImages
from .swiss_roll import SwissRoll, SwissRollModern

RECIPES: dict[str, type[Recipe]] = {
    "swiss-roll": SwissRoll,
    "swiss-roll-modern": SwissRollModern,
    "heartbeat": Heartbeat,
    "digits": Digits,
    "binarized-mnist": BinarizedMNIST,
    "mnist": MNIST,
    "ablation": Ablation,
    "bark": Bark,
    "dead-leaves": DeadLeaves,
    "cifar10": CIFAR10,
}
